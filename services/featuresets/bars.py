"""What a fold of bars takes: one trading day of a ticker. Every number is an integer."""

import msgspec


class Bar(msgspec.Struct, frozen=True, gc=False):
    """One trading day of a ticker as it was traded: prices are not adjusted for what came later.

    Splits and dividends are stated on the day that they take effect, so that a bar never has to
    change because of a later one.
    """

    day: int
    """Date, in days since 1970-01-01; rises strictly within a ticker."""
    open: int
    """1/10000 dollar, as all prices."""
    high: int
    low: int
    close: int
    volume: int
    """Shares."""
    split_numerator: int = 1
    """Shares held after this day's split for `split_denominator` held before it."""
    split_denominator: int = 1
    dividend: int = 0
    """Cash for each share as it is after the split, ex on this day; 1/10000 dollar."""

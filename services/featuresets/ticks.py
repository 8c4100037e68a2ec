"""What a fold of trades takes: one trade of a ticker. Every number is an integer."""

import msgspec


class Tick(msgspec.Struct, frozen=True, gc=False):
    """One trade, with the top of book right after it. A side that is empty shows price 0."""

    offset: int
    """In the partition of `trades` it came from; rises strictly within a ticker."""
    time_us: int
    """Event time (the trade's `origin.time_us`), microseconds since the epoch; never falls."""
    price: int
    """1/10000 dollar."""
    quantity: int
    """Shares."""
    side: int
    """Of the aggressor: 1 buys, -1 sells, 0 where a history does not say."""
    bid: int
    bid_quantity: int
    ask: int
    ask_quantity: int

"""The daily features again, in fractions and straight from their textbook formulas.

Shares nothing with the fold. Roundings are said again where the fold declares them: each step of
a chain of growths at 1e-12, each smoothed average at 1e-8 dollar.
"""

from collections.abc import Sequence
from fractions import Fraction

from services.featuresets.bars import Bar
from tests.support.plain_features import Values, plain_root

type PlainDay = tuple[int, int, Values]
"""Grid time (us), first day that counts, values."""


def plain_days(bars: Sequence[Bar]) -> list[PlainDay]:
    """The row of each bar, each from all bars up to it."""
    return [_plain_day(bars[: place + 1]) for place in range(len(bars))]


def _plain_day(known: Sequence[Bar]) -> PlainDay:
    seen = known[-251:]
    rsi, atr = _smoothed(seen)
    values = (
        *(_total_return(known, days) for days in (1, 5, 20)),
        _volatility(known),
        _zscore(known),
        rsi,
        atr,
    )
    return (known[-1].day * 86_400 + 86_400) * 10**6, seen[0].day, values


def _split(bar: Bar) -> Fraction:
    return Fraction(bar.split_numerator, bar.split_denominator)


def _total_return(bars: Sequence[Bar], days: int) -> int | None:
    if len(bars) < days + 1:
        return None
    level = Fraction(1)
    for i in range(len(bars) - days, len(bars)):
        growth = (bars[i].close + bars[i].dividend) * _split(bars[i]) / bars[i - 1].close
        level = Fraction(round(level * growth * 10**12), 10**12)
    return round((level - 1) * 10**9)


def _variance(values: Sequence[int]) -> Fraction:
    mean = Fraction(sum(values), len(values))
    return sum(((value - mean) ** 2 for value in values), Fraction(0)) / (len(values) - 1)


def _volatility(bars: Sequence[Bar]) -> int | None:
    ends = range(len(bars) - 19, len(bars) + 1)
    returns = [_total_return(bars[:end], 1) for end in ends] if len(bars) > 20 else []
    known = [one for one in returns if one is not None]
    return plain_root(_variance(known)) if known else None


def _zscore(bars: Sequence[Bar]) -> int | None:
    if len(bars) < 20:
        return None
    volumes = []
    for i in range(len(bars) - 20, len(bars)):
        shares = Fraction(bars[i].volume)
        for later in bars[i + 1 :]:
            shares *= _split(later)
        volumes.append(round(shares))
    if len(set(volumes)) == 1:
        return None
    distance = volumes[-1] - Fraction(sum(volumes), 20)
    size = plain_root(distance**2 / _variance(volumes) * 10**12)
    return size if distance >= 0 else -size


def _smoothed(bars: Sequence[Bar]) -> tuple[int | None, int | None]:
    """RSI and ATR by Wilder, from the first of these bars on."""
    if len(bars) < 15:
        return None, None
    gains: list[Fraction] = []
    losses: list[Fraction] = []
    ranges: list[Fraction] = []
    average: list[Fraction] = []
    for i in range(1, len(bars)):
        split = _split(bars[i])
        gains, losses, ranges = (
            [Fraction(round(x / split)) for x in xs] for xs in (gains, losses, ranges)
        )
        average = [Fraction(round(x / split)) for x in average]
        old = round(bars[i - 1].close * 10**4 / split) - bars[i].dividend * 10**4
        high, low, close = (x * 10**4 for x in (bars[i].high, bars[i].low, bars[i].close))
        new = [
            Fraction(max(close - old, 0)),
            Fraction(max(old - close, 0)),
            Fraction(max(high - low, abs(high - old), abs(low - old))),
        ]
        if i <= 14:
            # Sums are rescaled by a split like averages, as wholes.
            for kept, one in zip((gains, losses, ranges), new, strict=True):
                kept[:] = [sum(kept, Fraction(0)) + one]
            if i == 14:
                average = [
                    Fraction(round(sum(kept, Fraction(0)) / 14)) for kept in (gains, losses, ranges)
                ]
                gains, losses, ranges = [], [], []
        else:
            average = [
                Fraction(round((one * 13 + other) / 14))
                for one, other in zip(average, new, strict=True)
            ]
    up, down, true_range = average
    rsi = round(100 * up / (up + down) * 10**6) if up + down else None
    return rsi, int(true_range)

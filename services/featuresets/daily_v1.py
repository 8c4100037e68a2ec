"""daily_v1: what a ticker's daily bars say once a day is over.

The row of a bar carries the midnight (UTC) after its date and knows that bar and those before it.
Every step back over a split or a dividend is taken with the factors of the later bar, so that a
number of today is in today's shares and nothing later than today enters it:

    previous close, as it opens today = close before x denominator / numerator - dividend
    growth of a day = (close + dividend) x numerator / (close before x denominator)

Averages are smoothed as Wilder does it: the mean of the first 14, then 13/14 of the average plus
1/14 of the new one. A smoothed average remembers for ever; here it begins anew, for each row, at
most `SMOOTHING_BARS` changes back, where what is forgotten weighs (13/14) ** 236 = 2.5e-8. So a
fold can begin at any row's rewind offset, and a backfill of one year needs one year before it.
"""

from collections import deque
from collections.abc import Sequence
from itertools import islice, pairwise
from typing import Final

import msgspec

from services.featuresets.bars import Bar
from services.featuresets.definitions import Feature, FeatureSet
from services.featuresets.grid import SECOND_US, GridRow
from services.featuresets.integers import divide, square_root

SMOOTHING_BARS: Final = 250
"""Changes from bar to bar that a smoothed average is made of, at most: a trading year."""

_DAY_US: Final = 86_400 * SECOND_US
_WILDER: Final = 14
_STATISTICS: Final = 20
_RETURN_SCALE: Final = 1_000_000_000
_LEVEL: Final = 1_000 * _RETURN_SCALE
"""Where a chain of growths begins; each of its steps rounds once at this scale."""
_SMOOTHING_SCALE: Final = 10_000
"""Parts of a price unit in which prices are smoothed: 1e-8 dollar."""
_RATIO_SCALE: Final = 1_000_000
_RETURN: Final = "Close to close, dividends included, splits undone."

FEATURES: Final = (
    Feature("return_1d", _RETURN, "fraction", 1_000_000_000, "bars", window_bars=2),
    Feature("return_5d", _RETURN, "fraction", 1_000_000_000, "bars", window_bars=6),
    Feature("return_20d", _RETURN, "fraction", 1_000_000_000, "bars", window_bars=21),
    Feature(
        "volatility_20d",
        "Sample standard deviation of the last 20 daily returns; per day, not annualised.",
        "fraction", 1_000_000_000, "bars", window_bars=21,
    ),
    Feature(
        "volume_zscore_20d",
        "Volume less the mean of the last 20, its own included, over their sample standard"
        " deviation, in today's shares; undefined while all are equal.",
        "fraction", 1_000_000, "bars", window_bars=20,
    ),
    Feature(
        "rsi_14",
        "Wilder's relative strength index: 100 x smoothed gains / smoothed gains and losses;"
        " undefined while no close differs from the one before.",
        "points", 1_000_000, "bars", window_bars=SMOOTHING_BARS + 1,
    ),
    Feature(
        "atr_14",
        "Wilder's average true range: the day's range, the close before it included, smoothed.",
        "dollar", 100_000_000, "bars", window_bars=SMOOTHING_BARS + 1,
    ),
)  # fmt: skip


class DailyV1Fold:
    """The fold of one ticker: its last bars, one more than the longest smoothing has changes."""

    def __init__(self) -> None:
        self._bars: deque[Bar] = deque(maxlen=SMOOTHING_BARS + 1)

    def step(self, bar: Bar) -> list[GridRow]:
        """The one row that this bar completes."""
        assert min(bar.open, bar.high, bar.low, bar.close) > 0, f"a price of {bar.day} is not one"
        assert min(bar.split_numerator, bar.split_denominator) > 0, f"the split of {bar.day}"
        if self._bars:
            assert bar.day > self._bars[-1].day, f"day {bar.day} after {self._bars[-1].day}"
        self._bars.append(bar)
        bars = tuple(self._bars)
        gain, loss, true_range = _smoothed(bars)
        values = (
            _chained_return(bars, 1),
            _chained_return(bars, 5),
            _chained_return(bars, 20),
            _volatility(bars),
            _volume_zscore(bars),
            None if gain + loss == 0 else divide(100 * _RATIO_SCALE * gain, gain + loss),
            true_range if len(bars) > _WILDER else None,
        )
        return [GridRow((bar.day + 1) * _DAY_US, bars[0].day, values)]

    def state(self) -> bytes:
        """The bars that the next row looks at."""
        bars = self._bars
        return msgspec.json.encode(list(islice(bars, max(0, len(bars) - SMOOTHING_BARS), None)))


def _level_after(level: int, before: Bar, bar: Bar) -> int:
    return divide(
        level * (bar.close + bar.dividend) * bar.split_numerator,
        before.close * bar.split_denominator,
    )


def _chained_return(bars: Sequence[Bar], days: int) -> int | None:
    """Growth over the last days less one, 1e-9."""
    if len(bars) <= days:
        return None
    level = _LEVEL
    for before, bar in pairwise(bars[-days - 1 :]):
        level = _level_after(level, before, bar)
    return divide(level - _LEVEL, _LEVEL // _RETURN_SCALE)


def _volatility(bars: Sequence[Bar]) -> int | None:
    """Sample standard deviation of the last returns, 1e-9."""
    if len(bars) <= _STATISTICS:
        return None
    returns = [
        divide(_level_after(_LEVEL, before, bar) - _LEVEL, _LEVEL // _RETURN_SCALE)
        for before, bar in pairwise(bars[-_STATISTICS - 1 :])
    ]
    return square_root(_spread_of(returns), _STATISTICS * (_STATISTICS - 1))


def _volume_zscore(bars: Sequence[Bar]) -> int | None:
    """Distance of the last volume from the mean, in sample standard deviations, 1e-6."""
    if len(bars) < _STATISTICS:
        return None
    volumes: list[int] = []
    numerator = denominator = 1
    for bar in reversed(bars[-_STATISTICS:]):
        volumes.append(divide(bar.volume * numerator, denominator))
        numerator *= bar.split_numerator
        denominator *= bar.split_denominator
    spread = _spread_of(volumes)
    if spread == 0:
        return None
    distance = _STATISTICS * volumes[0] - sum(volumes)
    zscore = square_root(
        distance * distance * (_STATISTICS - 1) * _RATIO_SCALE * _RATIO_SCALE, _STATISTICS * spread
    )
    return -zscore if distance < 0 else zscore


def _spread_of(values: Sequence[int]) -> int:
    """N times the sum of squares less the squared sum: the variance times n (n - 1)."""
    total = sum(values)
    return len(values) * sum(value * value for value in values) - total * total


def _smoothed(bars: Sequence[Bar]) -> tuple[int, int, int]:
    """Average gain, loss and true range in today's shares, 1e-8 dollar; 0 before there are 14."""
    if len(bars) <= _WILDER:
        return 0, 0, 0
    gain = loss = true_range = 0
    for place, (before, bar) in enumerate(pairwise(bars), start=1):
        old = before.close * _SMOOTHING_SCALE
        if bar.split_numerator != bar.split_denominator:
            numerator, denominator = bar.split_numerator, bar.split_denominator
            old = divide(old * denominator, numerator)
            gain = divide(gain * denominator, numerator)
            loss = divide(loss * denominator, numerator)
            true_range = divide(true_range * denominator, numerator)
        old -= bar.dividend * _SMOOTHING_SCALE
        change = bar.close * _SMOOTHING_SCALE - old
        reach = max(bar.high * _SMOOTHING_SCALE, old) - min(bar.low * _SMOOTHING_SCALE, old)
        up, down = max(change, 0), max(-change, 0)
        if place <= _WILDER:  # Sums, until there are enough for a mean.
            gain, loss, true_range = gain + up, loss + down, true_range + reach
            if place == _WILDER:
                gain, loss = divide(gain, _WILDER), divide(loss, _WILDER)
                true_range = divide(true_range, _WILDER)
        else:
            gain = divide(gain * (_WILDER - 1) + up, _WILDER)
            loss = divide(loss * (_WILDER - 1) + down, _WILDER)
            true_range = divide(true_range * (_WILDER - 1) + reach, _WILDER)
    return gain, loss, true_range


DAILY_V1: Final = FeatureSet[Bar]("daily_v1", "bars", FEATURES, __name__, DailyV1Fold)

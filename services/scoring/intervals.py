"""How far a score may be from what it would be on other days: the moving-block bootstrap.

Rows that are near in time are alike: labels overlap within a horizon, inputs within a window. So
whole blocks of successive grid times are drawn, with all tickers' rows in them, each block as long
as horizon and longest window together. Predictions that are compared are drawn by the same blocks,
so the difference of two of them has an interval of its own, which is narrower than that of either.

Blocks begin at every tenth of their length, not at every second: the intervals are the same, and
a million rows need a tenth of the memory.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from services.models.manifest import Estimate
from services.scoring.arrays import Floats, Ints
from services.scoring.errors import TooLittleDataError
from services.scoring.metrics import METRICS, scores_of

REPEATS: Final = 1_000
CONFIDENCE: Final = 0.95
BLOCKS_MIN: Final = 10
"""Fewer blocks than these say nothing about their spread."""
_BEGINS_A_BLOCK: Final = 10
_VALUES_AT_ONCE_MAX: Final = 8_000_000
"""Drawn sums held at one time, 64 MB."""


@dataclass(frozen=True)
class Blocks:
    """How grid times are put together before they are drawn."""

    unit_times: int
    """Successive grid times that always stay together."""
    block_units: int

    def grouped(self, sums: Floats) -> Floats:
        """Sums by grid time, added up to sums by unit."""
        return np.add.reduceat(sums, np.arange(0, len(sums), self.unit_times), axis=0)


def blocks_of(times: int, block_times: int) -> Blocks:
    """For so many distinct grid times, and blocks at least so long.

    Raises:
        TooLittleDataError: they are less than ten blocks.
    """
    if times < BLOCKS_MIN * block_times:
        raise TooLittleDataError(
            f"the test rows have {times} distinct seconds; an interval needs {BLOCKS_MIN} blocks"
            f" of {block_times} s (horizon and longest window): backfill more days"
        )
    unit_times = max(1, block_times // _BEGINS_A_BLOCK)
    return Blocks(unit_times, -(-block_times // unit_times))


class Resampled:
    """Scores of predictions as resamples of the same times: [repeats, predictions, metrics]."""

    def __init__(self, names: Sequence[str], whole: Floats, drawn: Floats) -> None:
        self._place = {name: place for place, name in enumerate(names)}
        self._whole = whole
        self._drawn = drawn

    def interval(self, name: str, metric: str) -> Estimate:
        """A prediction's score on all times, with its interval."""
        at = METRICS.index(metric)
        place = self._place[name]
        return _interval(self._whole[place, at], self._drawn[:, place, at])

    def difference(self, name: str, other: str, metric: str) -> Estimate:
        """One prediction's score less another's, on the same rows."""
        at = METRICS.index(metric)
        one, two = self._place[name], self._place[other]
        drawn = self._drawn[:, one, at] - self._drawn[:, two, at]
        return _interval(self._whole[one, at] - self._whole[two, at], drawn)


def resample(
    predictions: Sequence[tuple[str, Floats]], blocks: Blocks, seed: int, repeats: int = REPEATS
) -> Resampled:
    """Draw blocks, the same for every prediction.

    Args:
        predictions: names, and sums by unit (`Blocks.grouped`) of the same rows.
        blocks: how long they are.
        seed: the same seed draws the same blocks.
        repeats: how many resamples.
    """
    names = [name for name, _ in predictions]
    sums = np.concatenate([sums for _, sums in predictions], axis=1)
    length = blocks.block_units
    totals = np.concatenate([np.zeros((1, sums.shape[1])), np.cumsum(sums, axis=0)])
    of_block = totals[length:] - totals[:-length]
    drawn_blocks = -(-len(sums) // length)
    starts = np.random.default_rng(seed).integers(0, len(of_block), size=(repeats, drawn_blocks))
    drawn = _added_up(of_block, starts).reshape(repeats, len(names), -1)
    whole = sums.sum(axis=0).reshape(len(names), -1)
    return Resampled(names, scores_of(whole), scores_of(drawn))


def _added_up(of_block: Floats, starts: Ints) -> Floats:
    width = of_block.shape[1]
    at_once = max(1, _VALUES_AT_ONCE_MAX // (starts.shape[1] * width))
    parts = [
        of_block[starts[first : first + at_once]].sum(axis=1)
        for first in range(0, len(starts), at_once)
    ]
    return np.concatenate(parts)


def _interval(value: float, drawn: Floats) -> Estimate:
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(drawn, [tail, 1 - tail])
    return Estimate(float(value), float(low), float(high))

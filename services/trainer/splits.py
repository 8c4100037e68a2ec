"""Walk-forward splits over event time, for all tickers together, with gaps that nothing crosses.

The rows are cut into `folds` + 2 blocks with about as many rows each, at points of time: no time
is on both sides of a cut. Fold i trains on the blocks up to i, validates on the next one and tests
on the one after it, so that each test is later than all that its model saw, and no two tests
overlap:

    fold 0   train | gap | validation | gap | test
    fold 1   train   train | gap | validation | gap | test
    fold 2   train   train   train | gap | validation | gap | test

A gap is as long as the horizon (purge: the last label must be over before the next segment) plus
the longest window (embargo: the next segment's first row must not look back into it). The rows in
a gap are left out at the end of the segment before it.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from services.scoring.arrays import Ints
from services.scoring.errors import TooLittleDataError
from services.trainer.errors import PlanError

if TYPE_CHECKING:
    from services.trainer.dataset import Dataset

FOLDS_MAX: Final = 50
SEGMENT_ROWS_MIN: Final = 30
"""A segment with fewer rows says nothing about any of three classes."""


@dataclass(frozen=True)
class Fold:
    """Rows of a data set by their places, in order of time."""

    train: Ints
    validation: Ints
    test: Ints
    """Empty in the split for the model that is served."""


def walk_forward(
    dataset: "Dataset", folds: int | None = None, gap_us: int | None = None
) -> list[Fold]:
    """The folds, the earliest test first.

    Args:
        dataset: rows in order of time.
        folds: how many; the plan's unless given.
        gap_us: the data set's own unless given (a shorter one is a leak, which `leakage` finds).

    Raises:
        PlanError: a number of folds that can't be.
        TooLittleDataError: a segment is left with fewer rows than SEGMENT_ROWS_MIN.
    """
    count = dataset.plan.folds if folds is None else folds
    if not 1 <= count <= FOLDS_MAX:
        raise PlanError(f"{count} folds: ask for 1 to {FOLDS_MAX}")
    gap = dataset.gap_us if gap_us is None else gap_us
    starts = _block_starts(dataset.grid_time_us, count + 2)
    made = []
    for number in range(count):
        train = _segment(dataset.grid_time_us, starts, 0, number + 1, gap)
        validation = _segment(dataset.grid_time_us, starts, number + 1, number + 2, gap)
        test = np.arange(starts[number + 2], starts[number + 3], dtype=np.int64)
        made.append(Fold(train, validation, test))
    _require_rows(dataset, made, gap)
    return made


def final_split(dataset: "Dataset", folds: int | None = None, gap_us: int | None = None) -> Fold:
    """For the model that is served: the last block validates, all before it trains; no test.

    Raises:
        PlanError: as `walk_forward`.
        TooLittleDataError: as `walk_forward`.
    """
    walk_forward(dataset, folds, gap_us)
    count = dataset.plan.folds if folds is None else folds
    gap = dataset.gap_us if gap_us is None else gap_us
    starts = _block_starts(dataset.grid_time_us, count + 2)
    return Fold(
        _segment(dataset.grid_time_us, starts, 0, count + 1, gap),
        np.arange(starts[count + 1], starts[count + 2], dtype=np.int64),
        np.zeros(0, dtype=np.int64),
    )


def _block_starts(grid_time_us: Ints, blocks: int) -> list[int]:
    """Where each block begins, and where the last one ends."""
    rows = len(grid_time_us)
    if rows == 0:
        return [0] * (blocks + 1)
    cuts = [grid_time_us[number * rows // blocks] for number in range(blocks)]
    return [*(int(place) for place in np.searchsorted(grid_time_us, cuts)), rows]


def _segment(grid_time_us: Ints, starts: list[int], first: int, last: int, gap_us: int) -> Ints:
    """The blocks from `first` up to `last`, less what the gap before `last` takes."""
    begin, end = starts[first], starts[last]
    if end >= len(grid_time_us):
        return np.zeros(0, dtype=np.int64)
    end = int(np.searchsorted(grid_time_us, grid_time_us[end] - gap_us, side="right"))
    return np.arange(begin, max(begin, min(end, starts[last])), dtype=np.int64)


def _require_rows(dataset: "Dataset", made: list[Fold], gap_us: int) -> None:
    for number, fold in enumerate(made):
        for name in ("train", "validation", "test"):
            rows = len(getattr(fold, name))
            if rows < SEGMENT_ROWS_MIN:
                raise TooLittleDataError(
                    f"fold {number + 1} of {len(made)} has {rows} rows to {name} on, and"
                    f" {SEGMENT_ROWS_MIN} are needed: {len(dataset):,} rows in {len(made) + 2}"
                    f" blocks, less gaps of {gap_us // 1_000_000} s; take more history, fewer"
                    " folds or a shorter horizon"
                )

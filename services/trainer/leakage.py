"""Leak checks: what must hold before anything is learnt from a data set.

1. gaps: between two segments of a fold lies the horizon plus the longest window, so that no label
   reaches into the segment after it, and no row looks back into the segment before it.
2. truncation: rows are folded again from the trades before their time alone (`truncation`).
3. single_column: no column by itself tells the label too well on rows it was not fitted to
   (`stumps`): a market does not do that, a leak does.
4. timestamps: a row was closed at or after its time, its label is of a later row, and nothing is
   later than the plan allows.

Each names its result. What can't be checked is said to be so, and is no pass.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, Final, Literal

import msgspec
import numpy as np

from services.featuresets.definitions import FeatureSet
from services.featuresets.grid import SECOND_US
from services.lake.places import Lake
from services.scoring.arrays import Ints
from services.trainer.dataset import Dataset, known_set
from services.trainer.errors import LeakError
from services.trainer.splits import Fold
from services.trainer.stumps import column_accuracy
from services.trainer.truncation import SAMPLE_ROWS, truncated_rows

SINGLE_COLUMN_MAX: Final = 0.8
"""Balanced accuracy of one column. Chance is 1/3. A column that tells when nothing moves, and no
more, comes to 2/3 at best, honestly; one that tells most directions, too, has seen them."""

type Outcome = Literal["passed", "failed", "not checkable"]


class LeakCheck(msgspec.Struct, frozen=True):
    """What one check found."""

    name: str
    outcome: Outcome
    detail: str
    """One line, with figures."""
    rows: int
    """That were looked at."""
    rows_not_checkable: int = 0


def check_leaks(
    dataset: Dataset,
    folds: Sequence[Fold],
    lake: Lake | None,
    feature_set: FeatureSet[Any] | None = None,
    sample_rows: int = SAMPLE_ROWS,
    accuracy: Mapping[str, float] | None = None,
) -> list[LeakCheck]:
    """All four, in their order.

    Args:
        dataset: what is checked.
        folds: as the training will use them.
        lake: whose trades the rows are folded again from; None: there is none.
        feature_set: the plan's by its name, unless given.
        sample_rows: how many rows are folded again.
        accuracy: of each column, as `column_accuracy` gives it, where that is known already.

    Raises:
        LakeError: a file of trades is damaged or another's.
    """
    if accuracy is None:
        accuracy = column_accuracy(dataset, folds)
    return [
        check_gaps(dataset, folds),
        check_truncation(dataset, lake, feature_set or known_set(dataset.plan), sample_rows),
        check_columns(accuracy, len(dataset)),
        check_timestamps(dataset),
    ]


def require_no_leak(checks: Sequence[LeakCheck]) -> None:
    """Go on only if no check failed.

    Raises:
        LeakError: one did; the message has each that did.
    """
    failed = [f"{check.name}: {check.detail}" for check in checks if check.outcome == "failed"]
    if failed:
        raise LeakError(
            f"the data set leaks: {'; '.join(failed)}; nothing is trained on it (`outcry dataset"
            " describe` shows all checks)"
        )


def check_gaps(dataset: Dataset, folds: Sequence[Fold]) -> LeakCheck:
    """The first check."""
    horizon_us = dataset.plan.horizon_s * SECOND_US
    needed_us = horizon_us + dataset.longest_window_s * SECOND_US
    shortest_us: int | None = None
    for number, fold in enumerate(folds, 1):
        segments = {"train": fold.train, "validation": fold.validation, "test": fold.test}
        there = [(name, rows) for name, rows in segments.items() if len(rows)]
        for (name, rows), (later_name, later) in pairwise(there):
            last_us = int(dataset.grid_time_us[rows].max())
            gap_us = int(dataset.grid_time_us[later].min()) - last_us
            shortest_us = gap_us if shortest_us is None else min(shortest_us, gap_us)
            where = f"fold {number}: {later_name} begins {_s(gap_us)} after {name} ends"
            if gap_us < needed_us:
                why = ", within the horizon of its labels" if gap_us <= horizon_us else ""
                return _failed("gaps", f"{where}{why}; {_s(needed_us)} are needed", dataset)
    twice = _tested_twice(folds)
    if twice:
        return _failed("gaps", f"{twice:,} rows are tested in two folds", dataset)
    if shortest_us is None:
        return LeakCheck("gaps", "not checkable", "there are no folds", 0, len(dataset))
    detail = f"{len(folds)} folds, shortest gap {_s(shortest_us)} of {_s(needed_us)} needed"
    return LeakCheck("gaps", "passed", detail, len(dataset))


def check_truncation(
    dataset: Dataset,
    lake: Lake | None,
    feature_set: FeatureSet[Any],
    sample_rows: int = SAMPLE_ROWS,
) -> LeakCheck:
    """The second check."""
    found = truncated_rows(dataset, lake, feature_set, sample_rows)
    unchecked = f"; the trades of {found.not_checkable:,} rows are not in the lake"
    rest = unchecked if found.not_checkable else ""
    if found.difference is not None:
        return LeakCheck(
            "truncation", "failed", found.difference + rest, found.compared, found.not_checkable
        )
    if found.compared == 0:
        detail = "no row was folded again: the lake has no trades that the rows are made of"
        return LeakCheck("truncation", "not checkable", detail, 0, found.not_checkable)
    detail = f"{found.compared:,} sampled rows follow from the trades before them{rest}"
    return LeakCheck("truncation", "passed", detail, found.compared, found.not_checkable)


def check_columns(accuracy: Mapping[str, float], rows: int) -> LeakCheck:
    """The third check."""
    if not accuracy:
        return LeakCheck("single_column", "not checkable", "no fold has rows to test", 0, rows)
    best = max(accuracy, key=lambda name: accuracy[name])
    known = f"{best} alone tells the label with balanced accuracy {accuracy[best]:.3f}"
    too_well = [name for name, value in accuracy.items() if value > SINGLE_COLUMN_MAX]
    if too_well:
        others = f" (so do {', '.join(n for n in too_well if n != best)})" if too_well[1:] else ""
        detail = f"{known}{others}, above {SINGLE_COLUMN_MAX}: it knows what comes"
        return LeakCheck("single_column", "failed", detail, rows)
    return LeakCheck("single_column", "passed", f"{known}, at most {SINGLE_COLUMN_MAX}", rows)


def check_timestamps(dataset: Dataset) -> LeakCheck:
    """The fourth check."""
    early = np.flatnonzero(dataset.created_us < dataset.grid_time_us)
    if len(early):
        return _failed(
            "timestamps",
            f"{len(early):,} rows were closed before their time; the first is"
            f" {_name(dataset, int(early[0]))}",
            dataset,
        )
    label_us = dataset.grid_time_us + dataset.plan.horizon_s * SECOND_US
    not_later = np.flatnonzero(label_us <= dataset.grid_time_us)
    if len(not_later):
        return _failed("timestamps", "labels are not of later rows", dataset)
    last_us = dataset.plan.last_us
    if last_us is not None and len(dataset) and int(label_us.max()) > last_us:
        return _failed("timestamps", "a label is later than the last time asked for", dataset)
    detail = f"closed at or after its time, labelled {dataset.plan.horizon_s} s later: every row"
    return LeakCheck("timestamps", "passed", detail, len(dataset))


def _tested_twice(folds: Sequence[Fold]) -> int:
    tested: Ints = np.concatenate([np.zeros(0, dtype=np.int64), *(fold.test for fold in folds)])
    return len(tested) - len(np.unique(tested))


def _failed(name: str, detail: str, dataset: Dataset) -> LeakCheck:
    return LeakCheck(name, "failed", detail, len(dataset))


def _name(dataset: Dataset, row: int) -> str:
    at = np.datetime64(int(dataset.grid_time_us[row]), "us")
    return f"{dataset.tickers[dataset.ticker[row]]} at {at}Z"


def _s(time_us: int) -> str:
    return f"{time_us / SECOND_US:g} s"

"""What a data set is, in figures: for people, for programs and for a model's card."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import msgspec
import numpy as np

from services.featuresets.definitions import FeatureSet
from services.featuresets.grid import SECOND_US
from services.lake.places import Lake
from services.models.classes import CLASS_NAMES, CLASSES
from services.scoring.arrays import Ints
from services.trainer.dataset import Dataset
from services.trainer.leakage import LeakCheck, check_leaks
from services.trainer.splits import Fold
from services.trainer.stumps import column_accuracy


class Part(msgspec.Struct, frozen=True):
    """Some rows of a data set."""

    name: str
    """A ticker, or a segment of a fold."""
    rows: int
    first_us: int | None
    """Grid time of the first row; None: there is none."""
    last_us: int | None
    classes: dict[str, int]
    """Rows by class."""


class FoldFigures(msgspec.Struct, frozen=True):
    """A fold of the walk-forward split."""

    number: int
    """From 1."""
    segments: list[Part]
    gaps_s: list[float]
    """Between train and validation, and between validation and test."""


class ColumnFigures(msgspec.Struct, frozen=True):
    """An input."""

    name: str
    nulls: int
    """Rows, of all that were read, in which it is not defined."""
    alone: float | None
    """Balanced accuracy with which it tells the label by itself; None: nothing was tested."""


class Description(msgspec.Struct, frozen=True):
    """A data set."""

    feature_set: str
    fingerprint: str
    sha256: str
    horizon_s: int
    threshold: int
    """1/20000 dollar."""
    whole: Part
    rows_read: int
    left_out: dict[str, int]
    """Of the rows that were read, by reason."""
    other_fingerprint: int
    duplicates: int
    tickers: list[Part]
    columns: list[ColumnFigures]
    gap_s: int
    """That a split must keep: horizon plus longest window."""
    folds: list[FoldFigures]
    checks: list[LeakCheck]
    holds: bool
    """Whether no check failed."""


def describe(
    dataset: Dataset,
    folds: Sequence[Fold],
    lake: Lake | None,
    feature_set: FeatureSet[Any] | None = None,
) -> Description:
    """All of it, leak checks included; some seconds for a million rows.

    Raises:
        LakeError: a file of trades is damaged or another's.
    """
    accuracy = column_accuracy(dataset, folds)
    checks = check_leaks(dataset, folds, lake, feature_set, accuracy=accuracy)
    every = np.arange(len(dataset), dtype=np.int64)
    return Description(
        feature_set=dataset.plan.feature_set,
        fingerprint=dataset.fingerprint,
        sha256=dataset.sha256,
        horizon_s=dataset.plan.horizon_s,
        threshold=dataset.plan.threshold,
        whole=_part("all", dataset, every),
        rows_read=dataset.rows_read,
        left_out=dict(dataset.left_out),
        other_fingerprint=dataset.other_fingerprint,
        duplicates=dataset.duplicates,
        tickers=[
            _part(name, dataset, np.flatnonzero(dataset.ticker == number))
            for number, name in enumerate(dataset.tickers)
        ],
        columns=[
            ColumnFigures(name, dataset.nulls[name], accuracy.get(name)) for name in dataset.columns
        ],
        gap_s=dataset.gap_us // SECOND_US,
        folds=[_fold(number, dataset, fold) for number, fold in enumerate(folds, 1)],
        checks=checks,
        holds=all(check.outcome != "failed" for check in checks),
    )


def _fold(number: int, dataset: Dataset, fold: Fold) -> FoldFigures:
    segments = [
        _part(name, dataset, rows)
        for name, rows in (
            ("train", fold.train),
            ("validation", fold.validation),
            ("test", fold.test),
        )
        if len(rows)
    ]
    times = [dataset.grid_time_us[rows] for rows in (fold.train, fold.validation, fold.test)]
    times = [of_segment for of_segment in times if len(of_segment)]
    gaps_s = [(int(later[0]) - int(earlier[-1])) / SECOND_US for earlier, later in pairwise(times)]
    return FoldFigures(number, segments, gaps_s)


def _part(name: str, dataset: Dataset, rows: Ints) -> Part:
    counts = np.bincount(dataset.label[rows], minlength=CLASSES).tolist()
    times = dataset.grid_time_us[rows]
    return Part(
        name,
        len(rows),
        int(times[0]) if len(rows) else None,
        int(times[-1]) if len(rows) else None,
        dict(zip(CLASS_NAMES, counts, strict=True)),
    )

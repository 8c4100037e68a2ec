"""How good predictions are, as five numbers of sums.

Every score is a function of sums over rows: the confusion of classes, the log-loss, the profit, and
the bins of calibration. So the sums are kept for each grid time, and a score of any choice of times
(a fold, a slice, a resample of the bootstrap) comes from adding some of them up.

macro_f1     mean over the classes of the F1; a class that is neither there nor said counts 0
mcc          Matthews' correlation of three classes; 0 where it is not defined
log_loss     mean of -ln(probability of what came), each probability held to at least 2.2e-16
ece          calibration error: mean over rows of |share right - mean confidence| of the row's bin
pnl_per_row  1/20000 dollar a share: up buys and down sells at the far side of the book and is worth
             the mid a horizon later; flat stays out. So half a spread is paid, at the entry
"""

from dataclasses import dataclass
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from services.models.classes import CLASSES, DOWN, UP
from services.scoring.arrays import Floats, Ints

BINS: Final = 10
"""Of calibration: equal parts of the confidence, which is the greatest of the probabilities."""
PROBABILITY_MIN: Final = float(np.finfo(np.float64).eps)
"""What a probability of 0 counts as in the log-loss; scikit-learn's bound for float64."""

_CONFUSION: Final = slice(0, CLASSES * CLASSES)
_LOG_LOSS: Final = CLASSES * CLASSES
_PNL: Final = _LOG_LOSS + 1
_BINS: Final = slice(_PNL + 1, _PNL + 1 + 3 * BINS)
SUMS: Final = _PNL + 1 + 3 * BINS
"""How many sums a group of rows has."""

type Integers = NDArray[Any]
"""Of any width: classes are small, times and moves are not."""


class Scores(msgspec.Struct, frozen=True):
    """Of some rows; see the page above."""

    macro_f1: float
    mcc: float
    log_loss: float
    ece: float
    pnl_per_row: float


METRICS: Final = Scores.__struct_fields__
"""The names of the scores, in order."""


class Calibration(msgspec.Struct, frozen=True):
    """One bin: how sure the model was, and how often it was right."""

    rows: int
    confidence: float
    right: float


@dataclass(frozen=True)
class Truth:
    """What came, row by row, in order of time."""

    time_us: Integers
    label: Integers
    move: Integers
    """Mid a horizon later less mid, 1/20000 dollar."""
    half_spread: Integers
    """1/20000 dollar."""

    def at(self, rows: Integers) -> "Truth":
        """Of some rows, by index or by mask."""
        return Truth(self.time_us[rows], self.label[rows], self.move[rows], self.half_spread[rows])


def classes_of(probabilities: Floats) -> Ints:
    """The class that is said: the likeliest; of equals the first in order."""
    return np.argmax(probabilities, axis=1).astype(np.int64)


def pnl_of(said: Integers, move: Integers, half_spread: Integers) -> Ints:
    """Of each row, 1/20000 dollar a share."""
    side = (said == UP).astype(np.int64) - (said == DOWN).astype(np.int64)
    gained: Ints = side * move - np.abs(side) * half_spread
    return gained


def sums_by_time(truth: Truth, probabilities: Floats, said: Integers | None = None) -> Floats:
    """The sums of each distinct time, in order: [times, SUMS].

    Args:
        truth: the rows, sorted by time.
        probabilities: [rows, 3].
        said: the classes, where they are not the likeliest.
    """
    said = classes_of(probabilities) if said is None else said
    changes = np.diff(truth.time_us, prepend=truth.time_us[:1]) != 0
    time = np.cumsum(changes)
    times = int(time[-1]) + 1 if len(time) else 0
    label = truth.label.astype(np.int64)

    def summed(of_row: Floats | None, cell: Integers, cells: int) -> Floats:
        flat = np.bincount(time * cells + cell, weights=of_row, minlength=times * cells)
        return flat.reshape(times, cells).astype(np.float64)

    rows = np.arange(len(label))
    nowhere = np.zeros(len(label), dtype=np.int64)
    came = np.maximum(probabilities[rows, label], PROBABILITY_MIN)
    confidence = probabilities.max(axis=1)
    bins = np.minimum((confidence * BINS).astype(np.int64), BINS - 1)
    pnl = pnl_of(said, truth.move, truth.half_spread).astype(np.float64)
    return np.concatenate(
        [
            summed(None, label * CLASSES + said, CLASSES * CLASSES),
            summed(-np.log(came), nowhere, 1),
            summed(pnl, nowhere, 1),
            summed(None, bins, BINS),
            summed(confidence, bins, BINS),
            summed((said == label).astype(np.float64), bins, BINS),
        ],
        axis=1,
    )


def scores_of(sums: Floats) -> Floats:
    """Of sums that were added up: [..., SUMS] to [..., METRICS]. Of no rows: not a number."""
    confusion = sums[..., _CONFUSION].reshape(*sums.shape[:-1], CLASSES, CLASSES)
    came, said = confusion.sum(axis=-1), confusion.sum(axis=-2)
    right = np.diagonal(confusion, axis1=-2, axis2=-1)
    rows = came.sum(axis=-1)
    f1 = _divide(2 * right, came + said)
    covariance = right.sum(axis=-1) * rows - (came * said).sum(axis=-1)
    spread = (rows**2 - (came**2).sum(axis=-1)) * (rows**2 - (said**2).sum(axis=-1))
    confidence, hits = _bins_of(sums)[..., 1, :], _bins_of(sums)[..., 2, :]
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.stack(
            [
                np.where(rows > 0, f1.mean(axis=-1), np.nan),
                np.where(rows > 0, _divide(covariance, np.sqrt(spread)), np.nan),
                sums[..., _LOG_LOSS] / rows,
                np.abs(hits - confidence).sum(axis=-1) / rows,
                sums[..., _PNL] / rows,
            ],
            axis=-1,
        )


def confusion_of(sums: Floats) -> Ints:
    """Rows by what came (down the side) and what was said (across)."""
    return sums[_CONFUSION].reshape(CLASSES, CLASSES).astype(np.int64)


def calibration_of(sums: Floats) -> list[Calibration]:
    """The bins that have rows, from unsure to sure."""
    counts, confidence, hits = _bins_of(sums)
    return [
        Calibration(int(count), float(sure / count), float(hit / count))
        for count, sure, hit in zip(counts, confidence, hits, strict=True)
        if count
    ]


def as_scores(values: Floats) -> Scores:
    """Five numbers in the order of METRICS."""
    return Scores(*(float(value) for value in values))


def scores(label: Integers, probabilities: Floats, move: Integers, half_spread: Integers) -> Scores:
    """Of these rows, all together."""
    truth = Truth(np.zeros(len(label), dtype=np.int64), label, move, half_spread)
    return as_scores(scores_of(sums_by_time(truth, probabilities).sum(axis=0)))


def _bins_of(sums: Floats) -> Floats:
    return sums[..., _BINS].reshape(*sums.shape[:-1], 3, BINS)


def _divide(one: Floats, other: Floats) -> Floats:
    """0 where there is nothing to divide by."""
    return np.divide(one, other, out=np.zeros_like(one), where=other > 0)

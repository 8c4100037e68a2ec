"""Figures of answers on the same rows, with intervals by the same blocks."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from services.drift.core.arrays import Floats, Ints
from services.drift.core.falls import METRIC
from services.drift.core.standing import Figures
from services.models.manifest import Estimate, Metrics
from services.scoring.intervals import BLOCKS_MIN, Resampled, blocks_of, resample
from services.scoring.metrics import METRICS, Truth, classes_of, scores_of, sums_by_time

_OF_PROBABILITIES: Final = ("log_loss", "ece")


@dataclass(frozen=True)
class Answers:
    """What one predictor says of some rows."""

    probabilities: Floats
    said: Ints
    states_probabilities: bool

    @classmethod
    def of(cls, probabilities: Floats, *, states: bool) -> "Answers":
        """The likeliest class is what it says."""
        return cls(probabilities, classes_of(probabilities), states)


@dataclass(frozen=True)
class Rows:
    """What came, in any order."""

    time_us: Ints
    label: Ints
    move: Ints
    half_spread: Ints


class Compared:
    """Predictors on the same rows, by their place among those that were given."""

    def __init__(self, figures: list[Figures], sums: Floats, drawn: Resampled | None) -> None:
        self.figures = figures
        self.sums = sums
        """Of the first one, over all rows."""
        self._drawn = drawn

    def margin(self, one: int, other: int) -> Estimate | None:
        """Macro-F1 of one less the other's, by the same blocks; None: too few of them."""
        if self._drawn is None:
            return None
        return self._drawn.difference(str(one), str(other), METRIC)


def compared(rows: Rows, answers: Sequence[Answers], block_s: int, seed: int) -> Compared:
    """Score answers on the same rows, of which there is at least one.

    Args:
        rows: what came.
        answers: one of each predictor, row by row.
        block_s: distinct seconds that are drawn together.
        seed: the same draws the same blocks.
    """
    order = np.argsort(rows.time_us, kind="stable")
    truth = Truth(rows.time_us[order], rows.label[order], rows.move[order], rows.half_spread[order])
    sums = [sums_by_time(truth, one.probabilities[order], one.said[order]) for one in answers]
    seconds = len(sums[0])
    drawn = None
    if seconds >= BLOCKS_MIN * block_s:
        blocks = blocks_of(seconds, block_s)
        named = [(str(place), blocks.grouped(one)) for place, one in enumerate(sums)]
        drawn = resample(named, blocks, seed)
    figures = [
        Figures(
            len(order),
            seconds,
            dict(
                zip(_names(one), scores_of(of_time.sum(axis=0))[_places(one)].tolist(), strict=True)
            ),
            None if drawn is None else _metrics(drawn, str(place), one),
        )
        for place, (one, of_time) in enumerate(zip(answers, sums, strict=True))
    ]
    return Compared(figures, sums[0].sum(axis=0), drawn)


def _names(answers: Answers) -> list[str]:
    return [
        name for name in METRICS if answers.states_probabilities or name not in _OF_PROBABILITIES
    ]


def _places(answers: Answers) -> list[int]:
    return [METRICS.index(name) for name in _names(answers)]


def _metrics(drawn: Resampled, name: str, answers: Answers) -> Metrics:
    return Metrics(**{metric: drawn.interval(name, metric) for metric in _names(answers)})

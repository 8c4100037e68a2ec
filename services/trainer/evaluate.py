"""Walk-forward evaluation: what a way of training is worth on days that it has not seen.

In each fold parameters are searched, and a model and its baselines fitted, on what lies before the
fold's test; then all of them predict the same test rows. The tests of all folds are pooled, and
every score is of the pool, with its interval. So the figures are the procedure's; the model that
is registered comes of the same procedure on more rows, and has no test of its own.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec
import numpy as np

from services.models.classes import CLASS_NAMES, CLASSES
from services.models.manifest import Comparison, Estimate, Metrics
from services.models.predictors import Predictor
from services.scoring.arrays import Floats, Ints
from services.scoring.baselines import CHANCE, PLAIN, drawn_classes
from services.scoring.errors import TooLittleDataError, UnfitColumnsError
from services.scoring.intervals import Blocks, Resampled, blocks_of, resample
from services.scoring.metrics import (
    METRICS,
    Integers,
    Scores,
    Truth,
    as_scores,
    classes_of,
    scores_of,
    sums_by_time,
)
from services.trainer.dataset import Dataset
from services.trainer.fit import DEFAULTS, LOGISTIC, Fitted, fit_model, part_of, search
from services.trainer.splits import Fold

TIME_SLICES: Final = 6
_OF_PROBABILITIES: Final = ("log_loss", "ece")
_RULES: Final = frozenset({"rule"})
"""Kinds that say a class and state no probabilities."""


@dataclass(frozen=True)
class Predicted:
    """What one predictor said of the pooled test rows."""

    name: str
    states_probabilities: bool
    probabilities: Floats
    said: Ints
    sums: Floats
    """By unit of time (`intervals.Blocks`), see `metrics`."""


@dataclass(frozen=True)
class Evaluation:
    """All that was said of the pooled test rows, and what it is worth."""

    rows: Ints
    """Places in the data set, in order of time."""
    fold: Ints
    """Of each row, from 0."""
    truth: Truth
    predicted: tuple[Predicted, ...]
    """The model first."""
    fits: tuple[Fitted, ...]
    """Of the model, fold by fold."""
    metrics: Metrics
    baselines: tuple[Comparison, ...]

    @property
    def model(self) -> Predicted:
        """What the model said."""
        return self.predicted[0]

    @property
    def best_baseline(self) -> Comparison:
        """The baseline with the greatest macro-F1."""
        return max(self.baselines, key=lambda baseline: baseline.metrics.macro_f1.value)


class Slice(msgspec.Struct, frozen=True):
    """A part of the test rows."""

    name: str
    rows: int
    scores: Scores
    """Of the model."""
    baseline_macro_f1: float
    """Of the baseline that is best on all rows."""


def evaluate(
    dataset: Dataset,
    folds: Sequence[Fold],
    model: str,
    seed: int,
    budget: int,
    tell: Callable[[str], None] = lambda _line: None,
) -> Evaluation:
    """Train and test in every fold.

    Args:
        dataset: the rows.
        folds: of `splits.walk_forward`.
        model: one of `fit.MODELS`.
        seed: of fits, search, chance and resamples.
        budget: how many parameters are tried in each fold.
        tell: is told what is going on, for people.

    Raises:
        PlanError: there is no such model.
        TooLittleDataError: the tests are too short for intervals, or a fold has one class.
    """
    require_classes(dataset, folds)
    rows = np.concatenate([fold.test for fold in folds])
    truth = truth_of(dataset, rows)
    blocks = blocks_of(len(np.unique(truth.time_us)), dataset.gap_us // 1_000_000)
    said: dict[str, list[tuple[Floats, Ints]]] = {}
    states: dict[str, bool] = {}
    fits: list[Fitted] = []
    for number, fold in enumerate(folds):
        tell(f"fold {number + 1} of {len(folds)}: {len(fold.train):,} rows to train on")
        fitted = search(model, dataset, fold.train, fold.validation, seed, budget)
        fits.append(fitted)
        entrants = {model: fitted.predictor, **_baselines(model, dataset, fold, seed)}
        inputs = part_of(dataset.inputs, fold.test)
        for name, predictor in entrants.items():
            probabilities = predictor.probabilities(inputs)
            said.setdefault(name, []).append((probabilities, classes_of(probabilities)))
            states[name] = states_probabilities(predictor)
        drawn = drawn_classes(dataset.label[fold.train], len(fold.test), seed + number)
        said.setdefault(CHANCE, []).append((np.eye(CLASSES)[drawn], drawn))
        states[CHANCE] = False
    predicted = tuple(
        predicted_of(name, parts, truth, blocks, states=states[name])
        for name, parts in said.items()
    )
    tell(f"{len(rows):,} test rows: drawing intervals")
    drawn_scores = resample([(p.name, p.sums) for p in predicted], blocks, seed)
    compared = tuple(comparison_in(drawn_scores, model, p) for p in predicted[1:])
    return Evaluation(
        rows,
        np.repeat(np.arange(len(folds)), [len(fold.test) for fold in folds]),
        truth,
        predicted,
        tuple(fits),
        metrics_in(drawn_scores, predicted[0]),
        compared,
    )


def require_classes(dataset: Dataset, folds: Sequence[Fold]) -> None:
    """Refuse folds in which there is nothing to learn.

    Raises:
        TooLittleDataError: all training rows of one are of one class.
    """
    for number, fold in enumerate(folds, 1):
        there = np.unique(dataset.label[fold.train])
        if len(there) < 2:
            only = CLASS_NAMES[int(there[0])] if len(there) else "of no class"
            raise TooLittleDataError(
                f"all {len(fold.train):,} training rows of fold {number} are {only}: there is"
                " nothing to learn; take fewer folds, more history, or a longer horizon"
            )


def truth_of(dataset: Dataset, rows: Ints) -> Truth:
    """What came, of these rows."""
    return Truth(
        dataset.grid_time_us[rows],
        dataset.label[rows],
        dataset.move[rows],
        dataset.half_spread[rows],
    )


def states_probabilities(predictor: Predictor) -> bool:
    """Whether it does more than say a class."""
    return predictor.kind not in _RULES


def predicted_of(
    name: str, parts: Sequence[tuple[Floats, Ints]], truth: Truth, blocks: Blocks, *, states: bool
) -> Predicted:
    """What it said of rows that `truth` tells of, part by part in their order."""
    probabilities = np.concatenate([part for part, _ in parts])
    said = np.concatenate([classes for _, classes in parts])
    sums = blocks.grouped(sums_by_time(truth, probabilities, said))
    return Predicted(name, states, probabilities, said, sums)


def metrics_in(drawn: Resampled, predicted: Predicted) -> Metrics:
    """Its figures with their intervals."""
    figures: dict[str, Estimate] = {
        metric: drawn.interval(predicted.name, metric)
        for metric in METRICS
        if predicted.states_probabilities or metric not in _OF_PROBABILITIES
    }
    return Metrics(**figures)


def comparison_in(drawn: Resampled, model: str, predicted: Predicted) -> Comparison:
    """Its figures, and how far the model is ahead of it on the same rows."""
    return Comparison(
        name=predicted.name,
        metrics=metrics_in(drawn, predicted),
        macro_f1_margin=drawn.difference(model, predicted.name, "macro_f1"),
    )


def by_ticker(dataset: Dataset, evaluation: Evaluation) -> list[Slice]:
    """A slice a ticker that has test rows."""
    code = dataset.ticker[evaluation.rows]
    present = np.unique(code)
    return [_slice(dataset.tickers[int(at)], evaluation, code == at) for at in present]


def by_time(evaluation: Evaluation, parts: int = TIME_SLICES) -> list[Slice]:
    """Slices of equal numbers of rows, one after another, named for when they begin."""
    places = np.arange(len(evaluation.rows))
    return [
        _slice(_minute(int(evaluation.truth.time_us[part[0]])), evaluation, part)
        for part in np.array_split(places, parts)
        if len(part)
    ]


def _baselines(model: str, dataset: Dataset, fold: Fold, seed: int) -> dict[str, Predictor]:
    made: dict[str, Predictor] = {}
    for name in (*PLAIN, LOGISTIC):
        if name == model:
            continue
        try:
            fitted = fit_model(name, dataset, fold.train, fold.validation, seed, DEFAULTS[name])
        except UnfitColumnsError:  # The set has not what this rule looks at.
            continue
        made[name] = fitted.predictor
    return made


def _slice(name: str, evaluation: Evaluation, chosen: Integers) -> Slice:
    truth = evaluation.truth.at(chosen)
    best = evaluation.best_baseline.name
    of = {p.name: _scores(truth, p, chosen) for p in evaluation.predicted}
    return Slice(name, len(truth.label), of[evaluation.model.name], of[best].macro_f1)


def _scores(truth: Truth, predicted: Predicted, chosen: Integers) -> Scores:
    sums = sums_by_time(truth, predicted.probabilities[chosen], predicted.said[chosen])
    return as_scores(scores_of(sums.sum(axis=0)))


def _minute(time_us: int) -> str:
    return f"{np.datetime64(time_us, 'us').astype('datetime64[m]')}Z".replace("T", " ")

"""Scores held against scikit-learn's, and against rows that can be reckoned by hand."""

import numpy as np
import pytest
from sklearn.metrics import f1_score, log_loss, matthews_corrcoef

from services.models.classes import CLASSES, DOWN, FLAT, UP
from services.scoring.arrays import Floats
from services.scoring.metrics import (
    METRICS,
    Truth,
    as_scores,
    calibration_of,
    classes_of,
    confusion_of,
    pnl_of,
    scores,
    scores_of,
    sums_by_time,
)

LABELS = list(range(CLASSES))


def drawn(seed: int, rows: int = 400) -> tuple[Truth, Floats]:
    chance = np.random.default_rng(seed)
    label = chance.integers(0, CLASSES, size=rows).astype(np.int8)
    probabilities = chance.dirichlet((1.0, 0.7, 1.3), size=rows)
    move = (label.astype(np.int64) - 1) * chance.integers(1, 400, size=rows)
    time_us = np.sort(chance.integers(0, rows // 3, size=rows)) * 1_000_000
    return Truth(time_us, label, move, chance.integers(50, 300, size=rows)), probabilities


def scored(truth: Truth, probabilities: Floats) -> dict[str, float]:
    found = scores(truth.label, probabilities, truth.move, truth.half_spread)
    return {name: getattr(found, name) for name in METRICS}


@pytest.mark.parametrize("seed", range(5))
def test_scores_are_those_of_scikit_learn(seed: int) -> None:
    truth, probabilities = drawn(seed)
    said = classes_of(probabilities)
    found = scored(truth, probabilities)
    expected_f1 = f1_score(truth.label, said, labels=LABELS, average="macro", zero_division=0.0)
    assert found["macro_f1"] == pytest.approx(expected_f1, rel=1e-12)
    assert found["mcc"] == pytest.approx(matthews_corrcoef(truth.label, said), rel=1e-12)
    assert found["log_loss"] == pytest.approx(
        log_loss(truth.label, probabilities, labels=LABELS), rel=1e-9
    )


def test_scores_are_those_of_scikit_learn_where_a_class_is_never_said_or_never_comes() -> None:
    label = np.array([UP, DOWN, DOWN, UP, DOWN])
    certain = np.eye(CLASSES)[[UP, UP, DOWN, FLAT, DOWN]]
    nothing = np.zeros(5, dtype=np.int64)
    found = scores(label, certain, nothing, nothing)
    said = classes_of(certain)
    assert found.macro_f1 == pytest.approx(
        f1_score(label, said, labels=LABELS, average="macro", zero_division=0.0)
    )
    assert found.mcc == pytest.approx(matthews_corrcoef(label, said))
    assert found.log_loss == pytest.approx(log_loss(label, certain, labels=LABELS))
    always_up = np.tile(np.eye(CLASSES)[UP], (5, 1))
    assert scores(label, always_up, nothing, nothing).mcc == 0


def test_calibration_error_is_the_gap_between_confidence_and_share_right() -> None:
    # Ten rows at 80 %, of which five come true; ten at 60 %, of which six do.
    probabilities = np.array([[0.8, 0.1, 0.1]] * 10 + [[0.3, 0.1, 0.6]] * 10)
    label = np.array([DOWN] * 5 + [UP] * 5 + [UP] * 6 + [FLAT] * 4)
    nothing = np.zeros(20, dtype=np.int64)
    assert scores(label, probabilities, nothing, nothing).ece == pytest.approx(0.15)
    truth = Truth(nothing, label, nothing, nothing)
    bins = calibration_of(sums_by_time(truth, probabilities)[0])
    assert [(b.rows, round(b.confidence, 9), b.right) for b in bins] == [
        (10, 0.6, 0.6),
        (10, 0.8, 0.5),
    ]


def test_profit_is_the_move_on_the_said_side_less_half_a_spread() -> None:
    said = np.array([UP, UP, DOWN, DOWN, FLAT])
    move = np.array([300, -300, 300, -300, 900])
    half_spread = np.array([100, 100, 100, 100, 100])
    assert list(pnl_of(said, move, half_spread)) == [200, -400, -400, 200, 0]
    certain = np.eye(CLASSES)[said]
    assert scores(said, certain, move, half_spread).pnl_per_row == -400 / 5


@pytest.mark.parametrize("seed", range(3))
def test_sums_by_time_add_up_to_the_scores_of_all_rows(seed: int) -> None:
    truth, probabilities = drawn(seed)
    by_time = sums_by_time(truth, probabilities)
    assert len(by_time) == len(np.unique(truth.time_us))
    added = as_scores(scores_of(by_time.sum(axis=0)))
    whole = scores(truth.label, probabilities, truth.move, truth.half_spread)
    for name in METRICS:
        assert getattr(added, name) == pytest.approx(getattr(whole, name), rel=1e-12)
    first = truth.time_us == truth.time_us[0]
    of_first = as_scores(scores_of(by_time[0]))
    assert of_first.macro_f1 == pytest.approx(
        scores(
            truth.label[first], probabilities[first], truth.move[first], truth.half_spread[first]
        ).macro_f1
    )


def test_confusion_has_what_came_down_the_side_and_what_was_said_across() -> None:
    label = np.array([DOWN, DOWN, UP])
    certain = np.eye(CLASSES)[[DOWN, UP, UP]]
    nothing = np.zeros(3, dtype=np.int64)
    confusion = confusion_of(sums_by_time(Truth(nothing, label, nothing, nothing), certain)[0])
    assert confusion.tolist() == [[1, 0, 1], [0, 0, 0], [0, 0, 1]]


def test_scores_of_no_rows_are_no_numbers() -> None:
    nothing = np.zeros(0, dtype=np.int64)
    found = scored(Truth(nothing, nothing, nothing, nothing), np.zeros((0, CLASSES)))
    assert all(np.isnan(value) for value in found.values())

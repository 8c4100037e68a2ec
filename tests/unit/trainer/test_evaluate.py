"""What an evaluation reports: pooled tests and parts of them."""

from dataclasses import replace
from typing import Final

import numpy as np
import pytest
from sklearn.metrics import f1_score

from services.scoring.errors import TooLittleDataError
from services.scoring.metrics import Truth, pnl_of
from services.trainer.dataset import Dataset, DatasetPlan, dataset_of_table
from services.trainer.errors import PlanError
from services.trainer.evaluate import Evaluation, by_ticker, by_time, evaluate
from services.trainer.fit import DEFAULTS, fit_model
from services.trainer.importance import importance
from services.trainer.splits import walk_forward
from tests.support.hidden_signal import moved_market

PLAN: Final = DatasetPlan("microstructure_v1")


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return dataset_of_table(moved_market(6_000), PLAN)


@pytest.fixture(scope="module")
def found(dataset: Dataset) -> Evaluation:
    return evaluate(dataset, walk_forward(dataset), "logistic", 1, 1)


def test_each_row_of_the_pool_is_said_by_the_fold_that_had_not_seen_it(
    dataset: Dataset, found: Evaluation
) -> None:
    folds = walk_forward(dataset)
    assert found.rows.tolist() == [row for fold in folds for row in fold.test.tolist()]
    for number, fold in enumerate(folds):
        again = fit_model("logistic", dataset, fold.train, fold.validation, 1, DEFAULTS["logistic"])
        expected = again.predictor.probabilities(dataset.inputs[fold.test])
        assert (found.model.probabilities[found.fold == number] == expected).all()


def test_the_figures_are_those_of_the_pooled_rows(dataset: Dataset, found: Evaluation) -> None:
    label, said = dataset.label[found.rows], found.model.said
    assert found.metrics.macro_f1.value == pytest.approx(f1_score(label, said, average="macro"))
    gained = pnl_of(said, dataset.move[found.rows], dataset.half_spread[found.rows])
    assert found.metrics.pnl_per_row.value == pytest.approx(gained.mean())
    for compared in found.baselines:
        margin = found.metrics.macro_f1.value - compared.metrics.macro_f1.value
        assert compared.macro_f1_margin.value == pytest.approx(margin)


def test_rules_have_no_log_loss_and_no_calibration(found: Evaluation) -> None:
    states = {c.name: c.metrics.log_loss is not None for c in found.baselines}
    assert states == {"majority": True, "last_move": False, "imbalance": False, "chance": False}
    assert all((c.metrics.log_loss is None) == (c.metrics.ece is None) for c in found.baselines)


def test_slices_are_parts_of_the_pool(dataset: Dataset, found: Evaluation) -> None:
    for slices in (by_ticker(dataset, found), by_time(found)):
        assert sum(part.rows for part in slices) == len(found.rows)
    aapl = by_ticker(dataset, found)[0]
    own = dataset.ticker[found.rows] == 0
    label, said = dataset.label[found.rows][own], found.model.said[own]
    assert aapl.name == "AAPL"
    assert aapl.scores.macro_f1 == pytest.approx(f1_score(label, said, average="macro"))
    assert len(by_time(found)) == 6
    assert [part.name for part in by_time(found)] == sorted(part.name for part in by_time(found))


def test_the_input_with_the_signal_is_the_most_important(
    dataset: Dataset, found: Evaluation
) -> None:
    ranked = importance(dataset, found.fits[-1].predictor, found.rows[-1_000:], seed=1)
    assert len(ranked) == len(dataset.columns)
    assert ranked[0].column == "order_flow_imbalance_at_trades_5s"
    assert ranked[0].log_loss_rise > 10 * abs(ranked[-1].log_loss_rise)


def test_a_set_without_a_rules_column_has_that_baseline_not(dataset: Dataset) -> None:
    kept = [n for n, name in enumerate(dataset.columns) if name != "queue_imbalance"]
    narrow = replace(
        dataset, columns=tuple(dataset.columns[n] for n in kept), inputs=dataset.inputs[:, kept]
    )
    found = evaluate(narrow, walk_forward(narrow), "majority", 1, 1)
    assert {c.name for c in found.baselines} == {"last_move", "logistic", "chance"}


def test_a_test_too_short_for_intervals_is_refused() -> None:
    small = dataset_of_table(moved_market(1_600), PLAN)
    with pytest.raises(TooLittleDataError, match=r"an interval needs 10 blocks of 70 s"):
        evaluate(small, walk_forward(small, folds=1), "majority", 1, 1)


def test_a_fold_whose_training_has_one_class_is_refused(dataset: Dataset) -> None:
    folds = walk_forward(dataset)
    label = dataset.label.copy()
    label[folds[0].train] = 1
    quiet = replace(dataset, label=label)
    with pytest.raises(TooLittleDataError, match=r"training rows of fold 1 are flat"):
        evaluate(quiet, folds, "logistic", 1, 1)


def test_an_unknown_model_is_refused(dataset: Dataset) -> None:
    with pytest.raises(PlanError, match="no model 'oracle'"):
        evaluate(dataset, walk_forward(dataset), "oracle", 1, 1)


def test_truth_of_some_rows_is_theirs() -> None:
    numbers = np.arange(4)
    part = Truth(numbers, numbers, numbers, numbers).at(np.array([1, 3]))
    assert part.time_us.tolist() == part.half_spread.tolist() == [1, 3]

"""Fits are functions of rows, parameters and seed; their forms say what the libraries say."""

from typing import Final

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from services.models.classes import DOWN, FLAT, UP
from services.models.forms import encode_predictor
from services.models.predictors import Predictor
from services.scoring.arrays import Floats, Ints
from services.scoring.baselines import PLAIN, drawn_classes, frequencies
from services.scoring.errors import UnfitColumnsError
from services.trainer.dataset import Dataset, DatasetPlan, dataset_of_table
from services.trainer.errors import PlanError
from services.trainer.fit import (
    DEFAULTS,
    MODELS,
    Fitted,
    drawn_parameters,
    fit_model,
    log_loss,
    part_of,
    search,
)
from tests.support.markets import planted_signal_market

TRAIN: Final[Ints] = np.arange(0, 2_000, dtype=np.int64)
HELD: Final[Ints] = np.arange(2_100, 2_800, dtype=np.int64)


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return dataset_of_table(planted_signal_market(3_400), DatasetPlan("microstructure_v1"))


def fitted(dataset: Dataset, model: str, seed: int = 1) -> Fitted:
    return fit_model(model, dataset, TRAIN, HELD, seed, DEFAULTS[model])


@pytest.mark.parametrize("model", MODELS)
def test_the_same_seed_gives_the_same_bytes(dataset: Dataset, model: str) -> None:
    one, two = (encode_predictor(fitted(dataset, model).predictor) for _ in range(2))
    assert one == two


def test_another_seed_gives_other_trees(dataset: Dataset) -> None:
    one, two = (encode_predictor(fitted(dataset, "xgboost", seed).predictor) for seed in (1, 2))
    assert one != two


@pytest.mark.parametrize("model", ["xgboost", "logistic"])
def test_a_model_learns_what_is_planted(dataset: Dataset, model: str) -> None:
    found = fitted(dataset, model)
    known = fitted(dataset, "majority")
    assert found.validation_log_loss < known.validation_log_loss - 0.05


def test_trees_are_cut_back_to_the_best_round(dataset: Dataset) -> None:
    found = fitted(dataset, "xgboost")
    booster = found.predictor.booster  # type: ignore[attr-defined]  # of an XGBoostPredictor
    assert found.best_iteration is not None
    assert booster.num_boosted_rounds() == found.best_iteration + 1
    assert booster.feature_names == list(dataset.columns)


def test_the_linear_form_says_what_scikit_learn_says(dataset: Dataset) -> None:
    inputs, label = dataset.inputs[TRAIN], dataset.label[TRAIN]
    mean, scale = inputs.mean(axis=0), inputs.std(axis=0)
    scale[np.ptp(inputs, axis=0) == 0] = 1.0
    theirs = LogisticRegression(C=1.0, max_iter=500).fit((inputs - mean) / scale, label)
    expected = theirs.predict_proba((dataset.inputs[HELD] - mean) / scale)
    ours = fitted(dataset, "logistic").predictor.probabilities(dataset.inputs[HELD])
    assert np.abs(ours - expected).max() < 1e-5


@pytest.mark.parametrize("absent", [DOWN, FLAT, UP])
def test_a_class_that_training_has_not_is_next_to_impossible(dataset: Dataset, absent: int) -> None:
    rows = TRAIN[dataset.label[TRAIN] != absent]
    for model in ("logistic", "xgboost"):
        found = fit_model(model, dataset, rows, HELD, 1, DEFAULTS[model])
        of_absent = found.predictor.probabilities(dataset.inputs[HELD])[:, absent]
        assert of_absent.max() < 0.05, model


def test_rules_say_the_sign_of_one_column(dataset: Dataset) -> None:
    inputs = dataset.inputs[HELD]
    for model, column in (("last_move", "return_1s"), ("imbalance", "queue_imbalance")):
        said = fitted(dataset, model).predictor.probabilities(inputs).argmax(axis=1)
        signs = np.sign(inputs[:, dataset.columns.index(column)])
        assert (said == signs.astype(np.int64) + FLAT).all(), model


def test_the_last_move_is_that_of_the_shortest_window() -> None:
    columns = ("return_60s", "spread", "return_5s", "return_30s")
    rule: Predictor = PLAIN["last_move"](columns, np.zeros(1, dtype=np.int8))
    rows: Floats = np.array([[-1.0, 1.0, 1.0, -1.0], [1.0, 1.0, -1.0, 1.0]])
    assert rule.probabilities(rows).argmax(axis=1).tolist() == [UP, DOWN]


@pytest.mark.parametrize("model", ["last_move", "imbalance"])
def test_a_rule_without_its_column_is_refused_by_name(model: str) -> None:
    with pytest.raises(UnfitColumnsError, match="spread"):
        PLAIN[model](("spread",), np.zeros(1, dtype=np.int8))


def test_majority_and_chance_know_the_classes_frequencies_alone(dataset: Dataset) -> None:
    shares = frequencies(dataset.label[TRAIN])
    stated = fitted(dataset, "majority").predictor.probabilities(dataset.inputs[:1])[0]
    assert np.abs(stated - shares).max() < 1e-7
    drawn = drawn_classes(dataset.label[TRAIN], 20_000, seed=3)
    assert np.abs(np.bincount(drawn) / len(drawn) - shares).max() < 0.02


def test_a_search_tries_the_defaults_first_and_keeps_the_lowest_loss(dataset: Dataset) -> None:
    tried = drawn_parameters("logistic", seed=5, budget=4)
    assert tried[0] == DEFAULTS["logistic"]
    assert tried == drawn_parameters("logistic", seed=5, budget=4)
    assert len({tuple(parameters.items()) for parameters in tried}) == 4
    losses = [
        fit_model("logistic", dataset, TRAIN, HELD, 5, parameters).validation_log_loss
        for parameters in tried
    ]
    best = search("logistic", dataset, TRAIN, HELD, seed=5, budget=4)
    assert best.validation_log_loss == min(losses)


def test_a_search_of_nothing_to_choose_is_one_fit() -> None:
    assert drawn_parameters("majority", seed=1, budget=9) == [{}]


def test_a_model_that_there_is_not_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(PlanError, match=r"'oracle'; there are: xgboost, logistic, majority"):
        search("oracle", None, TRAIN, HELD, 1, 1)  # type: ignore[arg-type]  # not looked at


def test_segments_are_taken_without_a_copy_where_rows_stand_together() -> None:
    inputs: Floats = np.arange(20.0).reshape(10, 2)
    assert part_of(inputs, np.arange(2, 6)).base is not None
    assert (part_of(inputs, np.array([1, 5])) == inputs[[1, 5]]).all()
    assert part_of(inputs, np.zeros(0, dtype=np.int64)).shape == (0, 2)


def test_log_loss_of_a_sure_mistake_is_finite() -> None:
    assert log_loss(np.array([UP]), np.array([[1.0, 0.0, 0.0]])) == pytest.approx(36.04, abs=0.01)

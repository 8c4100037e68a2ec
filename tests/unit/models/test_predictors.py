"""Each form answers alike for one row and for many, and sums to one."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from services.models.forms import decode_predictor, encode_predictor
from services.models.predictors import (
    ConstantForm,
    ConstantPredictor,
    LinearForm,
    LinearPredictor,
    Predictor,
)
from services.models.vector import VALUE_MAX
from tests.support.model_kit import (
    COLUMNS,
    WIDTH,
    constant_model,
    linear_model,
    rows,
    rule_model,
    xgboost_model,
)

MAKERS: list[Callable[[], Predictor]] = [xgboost_model, linear_model, constant_model, rule_model]


@pytest.mark.parametrize("make", MAKERS)
def test_a_row_is_answered_alike_alone_and_among_others(make: Callable[[], Predictor]) -> None:
    model, matrix = make(), rows(200)
    together = model.probabilities(matrix)
    alone = np.vstack([model.probabilities(matrix[i : i + 1]) for i in range(len(matrix))])
    assert together.tobytes() == alone.tobytes()
    assert together.dtype == np.float64
    assert together.shape == (200, 3)
    assert np.abs(together.sum(axis=1) - 1).max() < 1e-6
    assert model.probabilities(matrix[:0]).shape == (0, 3)


@pytest.mark.parametrize("make", MAKERS)
def test_a_model_that_was_written_and_read_answers_with_the_same_bits(
    make: Callable[[], Predictor],
) -> None:
    model, matrix = make(), rows(200)
    data = encode_predictor(model)
    read = decode_predictor(model.kind, data, COLUMNS)
    assert read.probabilities(matrix).tobytes() == model.probabilities(matrix).tobytes()
    assert encode_predictor(read) == data


@pytest.mark.parametrize("make", MAKERS)
def test_the_largest_inputs_give_probabilities_too(make: Callable[[], Predictor]) -> None:
    matrix = np.full((2, WIDTH), VALUE_MAX)
    matrix[1] *= -1
    answer = make().probabilities(matrix)
    assert np.isfinite(answer).all()
    assert np.abs(answer.sum(axis=1) - 1).max() < 1e-6


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize(
    "matrix", [np.zeros((1, WIDTH - 1)), np.zeros(WIDTH), np.full((1, WIDTH), np.nan)]
)
def test_a_row_that_no_vector_can_be_is_a_broken_invariant(
    make: Callable[[], Predictor], matrix: np.ndarray[tuple[int, ...], np.dtype[np.float64]]
) -> None:
    with pytest.raises(AssertionError):
        make().probabilities(matrix)


@pytest.mark.parametrize("count", [1, 2, 7, 1_000])
def test_trees_answer_as_xgboosts_own_call_does(count: int) -> None:
    model, matrix = xgboost_model(rounds=20), rows(2 * count, seed=9)
    for given in (matrix[:count], matrix[::2], np.asfortranarray(matrix), matrix[:, ::-1]):
        own = model.booster.inplace_predict(given, validate_features=False)
        assert model.probabilities(given).tobytes() == own.astype(np.float64).tobytes()


def test_threads_that_ask_at_once_get_each_their_own_answer() -> None:
    model, matrix = xgboost_model(rounds=20), rows(64)
    expected = model.probabilities(matrix)

    def ask(place: int) -> bool:
        answers = [model.probabilities(matrix[place : place + 1]) for _ in range(200)]
        return all(answer.tobytes() == expected[place].tobytes() for answer in answers)

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(ask, range(64)))


def test_a_linear_model_is_the_softmax_of_its_standardised_inputs() -> None:
    form = LinearForm((1.0,), (2.0,), ((0.0,), (np.log(2.0),), (np.log(4.0),)), (0.0, 0.0, 0.0))
    answer = LinearPredictor(form).probabilities(np.array([[3.0], [1.0]]))
    assert answer[0] == pytest.approx([1 / 7, 2 / 7, 4 / 7], abs=1e-7)
    assert answer[1] == pytest.approx([1 / 3, 1 / 3, 1 / 3], abs=1e-7)


def test_a_rule_answers_by_the_sign_of_its_input() -> None:
    model, matrix = rule_model(column=2), np.zeros((3, WIDTH))
    matrix[:, 2] = -7.0, 0.0, 0.001
    assert model.probabilities(matrix).argmax(axis=1).tolist() == [0, 1, 2]


def test_a_constant_answers_the_same_always() -> None:
    model = ConstantPredictor(ConstantForm(2, (0.5, 0.25, 0.25)))
    assert model.probabilities(rows(3, width=2)).tolist() == [[0.5, 0.25, 0.25]] * 3


@pytest.mark.parametrize("make", [xgboost_model, linear_model])
def test_contributions_add_up_to_what_the_probabilities_are_made_of(
    make: Callable[[], Predictor],
) -> None:
    model, matrix = make(), rows(50)
    scores = model.contributions(matrix).sum(axis=2)  # type: ignore[attr-defined]
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    softmax = powers / powers.sum(axis=1, keepdims=True)
    assert np.abs(softmax - model.probabilities(matrix)).max() < 1e-5

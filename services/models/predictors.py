"""How a model gives probabilities: the same for a row alone as for the row among others.

What they answer are 32-bit floats in 64-bit ones, as XGBoost gives them: so the last bits, in
which the exponential functions of two machines may differ, are rounded away.
"""

from typing import TYPE_CHECKING, Any, Final, Protocol, runtime_checkable

import msgspec
import numpy as np

from services.models.booster_call import BoosterCall
from services.models.classes import CLASSES, FLAT
from services.models.manifest import Kind
from services.models.vector import Matrix

if TYPE_CHECKING:
    from xgboost import Booster


class Predictor(Protocol):
    """A model that is ready to answer. Any number of threads may ask at once."""

    @property
    def kind(self) -> Kind:
        """Which of the forms below it has."""
        ...

    def probabilities(self, matrix: Matrix) -> Matrix:
        """Of each class by label, for each row: [n, k] to [n, 3].

        Raises:
            AssertionError: a row has not k numbers, or one is not finite: `make_vector` and
                `make_matrix` let no such row come here.
        """
        ...


@runtime_checkable
class Explainer(Protocol):
    """A predictor that can say what each input added; whoever has the method is one."""

    def contributions(self, matrix: Matrix) -> np.ndarray[tuple[int, int, int], Any]:
        """To each class's score before the softmax: [n, 3, k + 1], the last one of no input."""
        ...


class LinearForm(msgspec.Struct, frozen=True, tag="linear", tag_field="kind"):
    """Softmax of weighted, standardised inputs."""

    mean: tuple[float, ...]
    """By input, like `scale`; a standardised input is (value - mean) / scale."""
    scale: tuple[float, ...]
    weights: tuple[tuple[float, ...], ...]
    """By class, and in it by input."""
    bias: tuple[float, ...]
    """By class."""


class ConstantForm(msgspec.Struct, frozen=True, tag="constant", tag_field="kind"):
    """The same answer always, such as the classes' frequencies in training."""

    width: int
    """How many inputs it does not look at."""
    answer: tuple[float, ...]


class RuleForm(msgspec.Struct, frozen=True, tag="rule", tag_field="kind"):
    """One of three answers by the sign of one input, such as the last move's."""

    width: int
    column: int
    """Which input."""
    below: tuple[float, ...]
    at: tuple[float, ...]
    above: tuple[float, ...]


type Form = LinearForm | ConstantForm | RuleForm


class LinearPredictor:
    """Sums go input by input, so that they do not depend on how many rows are asked for."""

    kind: Final = "linear"

    def __init__(self, form: LinearForm) -> None:
        self.form: Final = form
        self._mean = np.array(form.mean)
        self._scale = np.array(form.scale)
        self._weights = np.array(form.weights)
        self._bias = np.array(form.bias)

    def probabilities(self, matrix: Matrix) -> Matrix:
        check_rows(matrix, len(self._mean))
        standardised = (matrix - self._mean) / self._scale
        scores = np.broadcast_to(self._bias, (len(matrix), CLASSES)).copy()
        for place in range(len(self._mean)):
            scores += standardised[:, place, None] * self._weights[:, place]
        powers = np.exp(scores - scores.max(axis=1, keepdims=True))
        total = powers[:, 0] + powers[:, 1] + powers[:, 2]
        return _rounded(powers / total[:, None])

    def contributions(self, matrix: Matrix) -> np.ndarray[tuple[int, int, int], Any]:
        check_rows(matrix, len(self._mean))
        standardised = (matrix - self._mean) / self._scale
        added = np.empty((len(matrix), CLASSES, len(self._mean) + 1))
        added[:, :, :-1] = standardised[:, None, :] * self._weights
        added[:, :, -1] = self._bias
        return added


class ConstantPredictor:
    """The baseline that looks at nothing."""

    kind: Final = "constant"

    def __init__(self, form: ConstantForm) -> None:
        self.form: Final = form
        self._answer = _rounded(np.array(form.answer))

    def probabilities(self, matrix: Matrix) -> Matrix:
        check_rows(matrix, self.form.width)
        return np.broadcast_to(self._answer, (len(matrix), CLASSES)).copy()


class RulePredictor:
    """The baselines that look at one input's sign."""

    kind: Final = "rule"

    def __init__(self, form: RuleForm) -> None:
        self.form: Final = form
        self._answers = _rounded(np.array((form.below, form.at, form.above)))

    def probabilities(self, matrix: Matrix) -> Matrix:
        check_rows(matrix, self.form.width)
        signs = np.sign(matrix[:, self.form.column]).astype(np.intp)
        answers: Matrix = self._answers[signs + FLAT]
        return answers


class XGBoostPredictor:
    """Boosted trees, all that the booster holds, on one thread.

    One thread answers a row in a fraction of the time that more of them need to meet.
    """

    kind: Final = "xgboost"

    def __init__(self, booster: "Booster") -> None:
        """Takes a booster of objective multi:softprob, cut to its best iteration."""
        booster.set_param({"nthread": 1})
        self.booster: Final = booster
        self._width: int = booster.num_features()
        self._call = BoosterCall(booster)

    def probabilities(self, matrix: Matrix) -> Matrix:
        check_rows(matrix, self._width)
        return self._call(matrix)

    def contributions(self, matrix: Matrix) -> np.ndarray[tuple[int, int, int], Any]:
        from xgboost import DMatrix  # noqa: PLC0415 - it takes seconds

        check_rows(matrix, self._width)
        rows = DMatrix(matrix, feature_names=self.booster.feature_names, nthread=1)
        added = self.booster.predict(rows, pred_contribs=True)
        return np.asarray(added, np.float64).reshape(len(matrix), CLASSES, self._width + 1)


def check_rows(matrix: Matrix, width: int) -> None:
    """Refuse what neither `make_vector` nor `make_matrix` gives."""
    assert matrix.ndim == 2, f"{matrix.ndim} dimensions, rows have two"
    assert matrix.shape[1] == width, f"{matrix.shape[1]} numbers in a row, the model takes {width}"
    assert np.isfinite(matrix).all(), "a number that is not finite came to a model"


def _rounded(probabilities: Matrix) -> Matrix:
    return probabilities.astype(np.float32).astype(np.float64)

"""From rows to a predictor: boosted trees, and the simple forms beside them.

Everything is a function of rows, parameters and seed, down to the bits of the file: rows come in
order, XGBoost and the linear algebra have one thread each. Trees stop where the validation rows'
log-loss has not fallen for a while, and are cut back to where it was lowest.

The search draws parameters with the seed; the first try is always the defaults. It sees training
and validation rows only, and takes the lowest log-loss on the latter.
"""

import math
import warnings
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import numpy as np

from services.models.classes import CLASSES
from services.models.forms import SCALE_MIN
from services.models.manifest import Parameter
from services.models.predictors import LinearForm, LinearPredictor, Predictor, XGBoostPredictor
from services.scoring.arrays import Floats, Ints
from services.scoring.baselines import PLAIN
from services.scoring.metrics import PROBABILITY_MIN, Integers
from services.trainer.dataset import Dataset
from services.trainer.errors import PlanError

XGBOOST: Final = "xgboost"
LOGISTIC: Final = "logistic"
MODELS: Final = (XGBOOST, LOGISTIC, *PLAIN)
"""What `outcry train` makes."""
SEED_MAX: Final = 2**31 - 1
BUDGET_MAX: Final = 64
ROUNDS_MAX: Final = 400
PATIENCE_ROUNDS: Final = 25
"""Trees go on so long without the validation's log-loss getting lower."""
ITERATIONS_MAX: Final = 500
NEVER_SEEN_BIAS: Final = -20.0
"""The score of a class that training has not: a probability of about 2e-9."""

DEFAULTS: Final[Mapping[str, Mapping[str, Parameter]]] = MappingProxyType(
    {
        XGBOOST: {
            "max_depth": 4,
            "learning_rate": 0.1,
            "min_child_weight": 50.0,
            "subsample": 0.8,
            "colsample_bytree": 0.8,
            "reg_lambda": 1.0,
        },
        LOGISTIC: {"C": 1.0},
        **{name: {} for name in PLAIN},
    }
)
_CHOICES: Final[Mapping[str, tuple[Parameter, ...]]] = MappingProxyType(
    {
        "max_depth": (2, 3, 4, 5, 6),
        "learning_rate": (0.03, 0.05, 0.1, 0.2),
        "min_child_weight": (10.0, 50.0, 200.0),
        "subsample": (0.6, 0.8, 1.0),
        "colsample_bytree": (0.5, 0.8, 1.0),
        "reg_lambda": (0.1, 1.0, 10.0),
        "C": (1e-4, 1e-3, 1e-2, 1e-1, 10.0),
    }
)


class Fitted(NamedTuple):
    """A predictor, and how it came about."""

    predictor: Predictor
    parameters: Mapping[str, Parameter]
    best_iteration: int | None
    """Rounds of trees, less one; None where there are none."""
    validation_log_loss: float


def require_model(model: str) -> None:
    """Refuse a model that there is not.

    Raises:
        PlanError: the message lists those that there are.
    """
    if model not in MODELS:
        raise PlanError(f"no model {model!r}; there are: {', '.join(MODELS)}")


def fit_model(
    model: str,
    dataset: Dataset,
    train: Ints,
    validation: Ints,
    seed: int,
    parameters: Mapping[str, Parameter],
) -> Fitted:
    """One fit with these parameters.

    Raises:
        PlanError: no such model.
        UnfitColumnsError: the data set lacks what a rule looks at.
    """
    require_model(model)
    inputs, label = part_of(dataset.inputs, train), dataset.label[train]
    best_iteration: int | None = None
    if model == XGBOOST:
        held = (part_of(dataset.inputs, validation), dataset.label[validation])
        booster = _boosted(dataset.columns, (inputs, label), held, seed, parameters)
        best_iteration = booster.num_boosted_rounds() - 1
        predictor: Predictor = XGBoostPredictor(booster)
    elif model == LOGISTIC:
        predictor = _logistic(inputs, label, parameters)
    else:
        predictor = PLAIN[model](dataset.columns, label)
    loss = log_loss(
        dataset.label[validation], predictor.probabilities(part_of(dataset.inputs, validation))
    )
    return Fitted(predictor, parameters, best_iteration, loss)


def search(
    model: str, dataset: Dataset, train: Ints, validation: Ints, seed: int, budget: int
) -> Fitted:
    """The best of so many fits by the validation rows' log-loss; of equals the earliest.

    Raises:
        PlanError, UnfitColumnsError: as `fit_model`.
    """
    require_model(model)
    best: Fitted | None = None
    for parameters in drawn_parameters(model, seed, budget):
        fitted = fit_model(model, dataset, train, validation, seed, parameters)
        if best is None or fitted.validation_log_loss < best.validation_log_loss:
            best = fitted
    assert best is not None, f"a budget of {budget}"
    return best


def drawn_parameters(model: str, seed: int, budget: int) -> list[Mapping[str, Parameter]]:
    """The defaults, and then what chance gives, none twice."""
    defaults = DEFAULTS[model]
    drawn: list[Mapping[str, Parameter]] = [defaults]
    possible = math.prod(len(_CHOICES[name]) for name in defaults) if defaults else 0
    chance = np.random.default_rng(seed)
    while len(drawn) < min(budget, possible):
        picked = {
            name: _CHOICES[name][int(chance.integers(len(_CHOICES[name])))] for name in defaults
        }
        if picked not in drawn:
            drawn.append(picked)
    return drawn


def log_loss(label: Integers, probabilities: Floats) -> float:
    """Mean of -ln(probability of what came), as `metrics` has it."""
    came = probabilities[np.arange(len(label)), label]
    return float(-np.log(np.maximum(came, PROBABILITY_MIN)).mean())


def part_of(inputs: Floats, rows: Ints) -> Floats:
    """These rows; without a copy where they stand together, as the segments of a split do."""
    if len(rows) and rows[-1] - rows[0] == len(rows) - 1:
        return inputs[rows[0] : rows[-1] + 1]
    return inputs[rows]


def _boosted(
    columns: tuple[str, ...],
    train: tuple[Floats, Integers],
    held: tuple[Floats, Integers],
    seed: int,
    parameters: Mapping[str, Parameter],
) -> Any:  # noqa: ANN401 - a Booster; the library takes its time to import
    import xgboost  # noqa: PLC0415

    names = list(columns)
    rows = xgboost.QuantileDMatrix(*train, feature_names=names, nthread=1)
    beside = xgboost.QuantileDMatrix(*held, ref=rows, feature_names=names, nthread=1)
    fixed = {
        "objective": "multi:softprob",
        "eval_metric": "mlogloss",
        "num_class": CLASSES,
        "tree_method": "hist",
        "nthread": 1,
        "seed": seed,
    }
    booster = xgboost.train(
        {**fixed, **parameters},
        rows,
        num_boost_round=ROUNDS_MAX,
        evals=[(beside, "validation")],
        early_stopping_rounds=PATIENCE_ROUNDS,
        verbose_eval=False,
    )
    return booster[: booster.best_iteration + 1]


def _logistic(inputs: Floats, label: Integers, parameters: Mapping[str, Parameter]) -> Predictor:
    from sklearn.exceptions import ConvergenceWarning  # noqa: PLC0415
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415
    from threadpoolctl import threadpool_limits  # noqa: PLC0415

    mean = inputs.mean(axis=0)
    # The deviation of equal numbers need not come out as 0.
    scale = np.where(np.ptp(inputs, axis=0) > 0, np.maximum(inputs.std(axis=0), SCALE_MIN), 1.0)
    regression = LogisticRegression(C=parameters["C"], max_iter=ITERATIONS_MAX)
    with threadpool_limits(limits=1), warnings.catch_warnings():
        # Not yet at the optimum is a model too, and is scored as it is.
        warnings.simplefilter("ignore", ConvergenceWarning)
        regression.fit((inputs - mean) / scale, label)
    weights = np.zeros((CLASSES, inputs.shape[1]))
    bias = np.full(CLASSES, NEVER_SEEN_BIAS)
    seen = regression.classes_
    if len(seen) == CLASSES:
        weights[:], bias[:] = regression.coef_, regression.intercept_
    else:  # Of two classes scikit-learn states the second one against the first.
        weights[seen[1]] = regression.coef_[0]
        bias[seen] = 0.0, regression.intercept_[0]
    return LinearPredictor(
        LinearForm(
            tuple(mean.tolist()),
            tuple(scale.tolist()),
            tuple(map(tuple, weights.tolist())),
            tuple(bias.tolist()),
        )
    )

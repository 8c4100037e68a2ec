"""Small models for tests: trained on seeded rows, or of numbers written down."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec
import numpy as np

from services.featuresets import SETS
from services.featuresets.fingerprint import fingerprint
from services.models.artifact import write_model
from services.models.manifest import (
    Comparison,
    Estimate,
    LabelRule,
    Metrics,
    ModelManifest,
    OffsetRange,
    TrainingData,
)
from services.models.predictors import (
    ConstantForm,
    ConstantPredictor,
    LinearForm,
    LinearPredictor,
    Predictor,
    RuleForm,
    RulePredictor,
    XGBoostPredictor,
)
from services.models.vector import Matrix, inputs_of

V1: Final = SETS["microstructure_v1"]
COLUMNS: Final = inputs_of(V1)
WIDTH: Final = len(COLUMNS)


def rows(count: int = 32, seed: int = 5, width: int = WIDTH) -> Matrix:
    return np.random.default_rng(seed).normal(size=(count, width))


def xgboost_model(seed: int = 1, rounds: int = 4) -> XGBoostPredictor:
    import xgboost

    inputs = rows(400, seed)
    label = np.digitize(inputs[:, 0] + 0.3 * inputs[:, 1], (-0.5, 0.5))
    data = xgboost.DMatrix(inputs, label=label, feature_names=list(COLUMNS), nthread=1)
    parameters = {
        "objective": "multi:softprob", "num_class": 3, "tree_method": "hist", "nthread": 1,
        "max_depth": 3, "seed": seed,
    }  # fmt: skip
    return XGBoostPredictor(xgboost.train(parameters, data, rounds))


def linear_model(seed: int = 1) -> LinearPredictor:
    random = np.random.default_rng(seed)
    return LinearPredictor(
        LinearForm(
            mean=tuple(random.normal(size=WIDTH).tolist()),
            scale=tuple((random.uniform(size=WIDTH) + 0.5).tolist()),
            weights=tuple(tuple(row) for row in random.normal(size=(3, WIDTH)).tolist()),
            bias=(0.1, -0.2, 0.05),
        )
    )


def constant_model(answer: tuple[float, ...] = (0.25, 0.5, 0.25)) -> ConstantPredictor:
    return ConstantPredictor(ConstantForm(WIDTH, answer))


def rule_model(column: int = 0) -> RulePredictor:
    return RulePredictor(
        RuleForm(WIDTH, column, (0.75, 0.125, 0.125), (0.25, 0.5, 0.25), (0.125, 0.125, 0.75))
    )


def estimate(value: float, half_width: float = 0.01) -> Estimate:
    return Estimate(value, value - half_width, value + half_width)


def metrics(macro_f1: float = 0.45, log_loss: float | None = 0.95) -> Metrics:
    return Metrics(
        macro_f1=estimate(macro_f1),
        mcc=estimate(0.1),
        pnl_per_row=estimate(-3.0),
        log_loss=None if log_loss is None else estimate(log_loss),
        ece=None if log_loss is None else estimate(0.02),
    )


def baseline(
    name: str = "majority", macro_f1: float = 0.3, margin: float = 0.1, log_loss: float | None = 1.0
) -> Comparison:
    return Comparison(name, metrics(macro_f1, log_loss), estimate(margin))


def manifest(kind: str = "linear", **changes: object) -> ModelManifest:
    made = ModelManifest(
        kind=kind,  # type: ignore[arg-type]  # a test may ask for a wrong one
        name="direction_10s",
        feature_set=V1.name,
        fingerprint=fingerprint(V1),
        columns=COLUMNS,
        label=LabelRule(10),
        data=TrainingData(
            "d" * 64, 1_000, 1_700_000_000_000_000, 1_700_000_999_000_000,
            {"AAPL": OffsetRange(3, 907)}, 3, 70,
        ),
        seed=1,
        parameters={"max_depth": 3, "eta": 0.3},
        libraries={"numpy": np.__version__},
        code_version="test",
        metrics=metrics(),
        baselines=(baseline(),),
        beats_baseline=True,
    )  # fmt: skip
    return msgspec.structs.replace(made, **changes)


def put_model(
    folder: Path,
    predictor: Predictor | None = None,
    attachments: Mapping[str, bytes] | None = None,
    **changes: object,
) -> ModelManifest:
    """Write one; by default a linear one, which needs no XGBoost."""
    predictor = predictor or linear_model()
    return write_model(
        folder, predictor, manifest(predictor.kind, **changes), rows(16), attachments
    )

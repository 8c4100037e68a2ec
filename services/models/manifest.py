"""What is told of a model: where it came from, how good it is, and what its files must hash to."""

import math
from collections.abc import Mapping
from typing import Final, Literal

import msgspec

from services.models.classes import CLASS_NAMES

FORMAT: Final = 1
"""Of a model's folder. Whoever changes it raises it and says how old folders are read."""

type Kind = Literal["xgboost", "linear", "constant", "rule"]
type Parameter = int | float | str | bool | None


class Estimate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A figure with its 95 % bootstrap interval."""

    value: float
    low: float
    high: float

    def __post_init__(self) -> None:
        if not all(map(math.isfinite, (self.value, self.low, self.high))):
            raise ValueError("a figure must be finite")
        if self.low > self.high:
            raise ValueError("an interval must not end before it begins")


class Metrics(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Over the pooled test rows of the walk-forward folds."""

    macro_f1: Estimate
    mcc: Estimate
    pnl_per_row: Estimate
    """Net of half the spread, 1/20000 dollar a share and row."""
    log_loss: Estimate | None = None
    """None, and below: it states no probabilities, as a plain rule does not."""
    ece: Estimate | None = None
    """Expected calibration error."""


class Fresh(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The test rows that a registered model had not been trained on, and this model's figures."""

    first_grid_us: int
    rows: int
    own: Metrics
    """Of this model on these rows, as `Comparison.metrics` is of the other one."""


class Comparison(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Another predictor on the same test rows."""

    name: str
    """Of a baseline, or of a registered model."""
    metrics: Metrics
    macro_f1_margin: Estimate
    """The model's macro-F1 less this one's, paired row by row."""
    model_sha256: str = ""
    """Of a registered model's file; empty: a baseline."""
    fresh: Fresh | None = None
    """The rows, of a registered model; None: all test rows. A registered model without it was
    compared on rows that it may have been trained on, as all were once; that proves nothing."""


class LabelRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What UP, FLAT and DOWN mean."""

    horizon_s: int
    threshold: int = 0
    """1/20000 dollar; a move of the mid up to this much is FLAT."""


class OffsetRange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Trades of a ticker, both included.

    Rows that the stream or a backfill from the log made: offsets in the ticker's partition of
    `trades`. Rows of history that was ingested: places in the ticker's history in the lake.
    """

    first: int
    last: int


class TrainingData(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What it was trained and tested on: the way back to the log, or to ingested history."""

    sha256: str
    """Of the data set's rows, whatever files they stood in."""
    rows: int
    first_grid_us: int
    last_grid_us: int
    offsets: Mapping[str, OffsetRange]
    """By ticker: the trades that closed its first and last row."""
    folds: int
    gap_s: int
    """Between train, validation and test of a fold: purge and embargo, seconds."""


class ModelManifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One model. It has no clock in it: the same training gives the same bytes."""

    format: int = FORMAT
    kind: Kind
    name: str
    """As registered: `classes.model_name`."""
    feature_set: str
    fingerprint: str
    columns: tuple[str, ...]
    """Inputs, in order."""
    classes: tuple[str, ...] = CLASS_NAMES
    label: LabelRule
    data: TrainingData
    seed: int
    parameters: Mapping[str, Parameter]
    best_iteration: int | None = None
    """Boosting rounds in the file, less one; None: the kind has none."""
    libraries: Mapping[str, str]
    """Versions by name."""
    code_version: str
    """Git commit, or the package's version where there is no checkout."""
    metrics: Metrics
    baselines: tuple[Comparison, ...] = ()
    champion: Comparison | None = None
    """The champion at that time on test rows that were new to it, if they were enough."""
    beats_baseline: bool = False
    """By `rules.beats_baselines`, as it was when the model was made."""
    files: Mapping[str, str] = {}
    """SHA-256 by name of every other file of the folder; `write_model` fills it in."""

    @property
    def model_file(self) -> str:
        """The file that holds the numbers."""
        return MODEL_FILES[self.kind]

    @property
    def model_sha256(self) -> str:
        """Of that file: what two trainings from one manifest share."""
        return self.files[self.model_file]


MODEL_FILES: Final[Mapping[Kind, str]] = {
    "xgboost": "model.ubj",
    "linear": "model.json",
    "constant": "model.json",
    "rule": "model.json",
}


class Golden(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Vectors, and the probabilities that this very model gave them when it was written."""

    vectors: tuple[tuple[float, ...], ...]
    probabilities: tuple[tuple[float, ...], ...]


def encode_manifest(manifest: ModelManifest) -> bytes:
    """JSON for people and programs: the same manifest, the same bytes."""
    return msgspec.json.format(msgspec.json.encode(manifest, order="deterministic"), indent=2)


def parameters_of(manifest: ModelManifest) -> dict[str, Parameter]:
    """What a tracker lists as parameters, flat."""
    return {
        "kind": manifest.kind,
        "feature_set": manifest.feature_set,
        "fingerprint": manifest.fingerprint,
        "horizon_s": manifest.label.horizon_s,
        "threshold": manifest.label.threshold,
        "dataset_sha256": manifest.data.sha256,
        "rows": manifest.data.rows,
        "folds": manifest.data.folds,
        "gap_s": manifest.data.gap_s,
        "seed": manifest.seed,
        "code_version": manifest.code_version,
        "best_iteration": manifest.best_iteration,
        **{f"parameter.{name}": value for name, value in sorted(manifest.parameters.items())},
    }


def metrics_of(manifest: ModelManifest) -> dict[str, float]:
    """What a tracker lists as metrics, flat."""
    figures: dict[str, float] = {}
    owners = [("", manifest.metrics)]
    owners += [(f"{baseline.name}.", baseline.metrics) for baseline in manifest.baselines]
    for prefix, metrics in owners:
        for field in Metrics.__struct_fields__:
            estimate = getattr(metrics, field)
            if estimate is not None:
                figures[f"{prefix}{field}"] = estimate.value
                figures[f"{prefix}{field}.low"] = estimate.low
                figures[f"{prefix}{field}.high"] = estimate.high
    return figures

"""What windows are held against: the rows that the serving model was trained on, and what is usual.

The manifest names the rows by their hash. They are read again and hashed again, so that nothing
else can stand in for them; a reference that is not there any more is refused by name. What was
calibrated is kept in a file named for that hash, so that the next run need not read them:

    <home>/drift/calibrations/<basis>.bin
"""

from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, Literal

import msgspec
import numpy as np
import pyarrow as pa

from services.drift.arrays_file import decode_arrays, encode_arrays
from services.drift.core.calibration import ALPHA, Calibration, calibrate
from services.drift.core.outcomes import Outcome, Refusal
from services.drift.core.panel import Column, Panel, panel_of
from services.drift.core.windows import SECOND_US
from services.drift.rivals import defined
from services.featuresets import SETS
from services.featuresets.definitions import FeatureSet
from services.lake.errors import LakeError
from services.lake.files import put_in_place
from services.models.classes import CLASS_NAMES
from services.models.errors import ModelRefusedError
from services.scoring.errors import ScoringError
from services.tools.drift.jobs.place import Place, Serving
from services.tools.drift.jobs.rows import features_panel, labels_panel
from services.trainer.dataset import DatasetPlan, dataset_of_table, read_rows
from services.trainer.errors import TrainerError
from services.trainer.rows import Rows, rows_of_table

FORMAT: Final = 3
"""Of what is judged. Whoever changes what a calibration says raises it, and every basis changes."""
SAMPLE_S_MAX: Final = 2_000
"""Seconds of the reference, evenly taken, that are kept for pictures."""
FILES_MAX: Final = 40
FILE_BYTES_MAX: Final = 64 * 2**20
SAID: Final = Column("said", CLASS_NAMES)

type Look = Literal["data", "predictions", "labels"]
"""What is calibrated; `quality` is looked at with the calibration of `data`."""


@dataclass(frozen=True)
class Question:
    """What windows are asked by: one calibration answers each."""

    look: Look
    serving: Serving
    tickers: tuple[str, ...]
    """Those of the training, or some of them."""
    window_s: int
    alpha: float = ALPHA

    @property
    def feature_set(self) -> FeatureSet[Any]:
        return SETS[self.serving.manifest.feature_set]

    @property
    def basis_sha256(self) -> str:
        """Of all that the calibration follows from; the rows by their own hash."""
        manifest = self.serving.manifest
        said_by = manifest.model_sha256 if self.look == "predictions" else ""
        asked = [
            FORMAT, self.look, manifest.data.sha256, manifest.fingerprint, manifest.columns,
            self.tickers, self.window_s, self.alpha, said_by,
        ]  # fmt: skip
        return sha256(msgspec.json.encode(asked)).hexdigest()


@dataclass(frozen=True)
class Known:
    """A reference that can be judged by."""

    calibration: Calibration
    sample: Panel
    """Some of its seconds."""


def known_of(place: Place, question: Question) -> Known | Refusal:
    """What is usual, from its file or from the training's rows.

    Raises:
        RegistryAwayError: the registry does not answer.
    """
    path = place.home / "drift" / "calibrations" / f"{question.basis_sha256}.bin"
    kept = _read(path)
    if kept is not None:
        return kept
    panel = _panel(place, question)
    calibration = calibrate(panel, question.window_s, alpha=question.alpha)
    if isinstance(calibration, Refusal):
        return calibration
    assert isinstance(panel, Panel), "a refusal is not calibrated"
    made = Known(calibration, sample_of(panel))
    _write(path, made)
    return made


def sample_of(panel: Panel) -> Panel:
    """Every n-th second, so that few are left."""
    step = -(-len(panel) // SAMPLE_S_MAX)
    return Panel(panel.tickers, panel.columns, panel.time_us[::step], panel.values[::step])


# --- the rows ------------------------------------------------------------------------------------


def _panel(place: Place, question: Question) -> Panel | Refusal:
    manifest, feature_set = question.serving.manifest, question.feature_set
    rows = training_rows(place, question.serving, feature_set)
    if isinstance(rows, Refusal):
        return rows
    match question.look:
        case "data":
            return features_panel(rows, feature_set, question.tickers, manifest.columns)
        case "labels":
            end_us = manifest.data.last_grid_us + SECOND_US
            return labels_panel(rows, feature_set, question.tickers, manifest.label, end_us)
        case "predictions":
            return _said_of(place, question, rows, feature_set)


def training_rows(place: Place, serving: Serving, feature_set: FeatureSet[Any]) -> Rows | Refusal:
    """Every row of the training's tickers and time, with or without a label.

    Refused unless the labelled ones among them are those that the model was trained on.
    """
    manifest = serving.manifest
    data, rule = manifest.data, manifest.label
    plan = DatasetPlan(
        manifest.feature_set,
        rule.horizon_s,
        rule.threshold,
        tuple(sorted(data.offsets)),
        data.first_grid_us,
        # The last label's own row; what comes after it is not the training's.
        data.last_grid_us + rule.horizon_s * SECOND_US,
        data.folds,
    )
    try:
        table, _ = read_rows(place.lake, plan, feature_set)
        found_sha256, found_rows = _hashed(table, plan, feature_set)
        rows = rows_of_table(table, feature_set)
        del table
        pa.default_memory_pool().release_unused()
    except (TrainerError, ScoringError, LakeError) as error:
        return _gone(str(error))
    if found_sha256 != data.sha256:
        return _gone(
            f"the lake's {found_rows:,} rows of the training hash to {found_sha256[:12]}, and the"
            f" model was trained on {data.rows:,} of {data.sha256[:12]}"
        )
    return rows


def _hashed(table: "pa.Table", plan: DatasetPlan, feature_set: FeatureSet[Any]) -> tuple[str, int]:
    """Of the data set that a table gives; the set itself is as large as the rows, and goes."""
    found = dataset_of_table(table, plan, feature_set)
    return found.sha256, len(found)


def _said_of(
    place: Place, question: Question, rows: Rows, feature_set: FeatureSet[Any]
) -> Panel | Refusal:
    """What the model says of the rows that it was trained on."""
    try:
        model = place.registry.load(question.serving.version)
    except ModelRefusedError as error:
        return _gone(str(error))
    columns = question.serving.manifest.columns
    inputs = rows.values[:, [feature_set.columns.index(name) for name in columns]]
    can_be_asked = defined(inputs)
    said = np.full(len(inputs), np.nan)
    stated = model.predictor.probabilities(np.ascontiguousarray(inputs[can_be_asked]))
    said[can_be_asked] = np.argmax(stated, axis=1)
    place_of = {name: at for at, name in enumerate(question.tickers)}
    of_name = np.array([place_of.get(name, -1) for name in rows.tickers], dtype=np.int64)
    ticker = of_name[rows.ticker]
    is_asked = ticker >= 0
    return panel_of(
        question.tickers, [SAID], ticker[is_asked], rows.grid_time_us[is_asked],
        said[is_asked, None],
    )  # fmt: skip


def _gone(detail: str) -> Refusal:
    return Refusal(Outcome.REFERENCE_GONE, detail)


# --- the file ------------------------------------------------------------------------------------


def _read(path: Path) -> Known | None:
    """None: there is none, or it can't be read and is made again."""
    try:
        if path.stat().st_size > FILE_BYTES_MAX:
            return None
        return decode_arrays(path.read_bytes(), Known)
    except (OSError, msgspec.DecodeError):
        return None


def _write(path: Path, made: Known) -> None:
    """Whole or not at all; the oldest go. A disk that is full costs the next run its time."""
    partial = path.with_name(f".{path.name}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_bytes(encode_arrays(made))
        put_in_place(partial, path)
        by_age = sorted(path.parent.glob("*.bin"), key=_age_key, reverse=True)
        for old in by_age[FILES_MAX:]:
            old.unlink(missing_ok=True)
    except OSError:
        partial.unlink(missing_ok=True)


def _age_key(path: Path) -> float:
    return path.stat().st_mtime

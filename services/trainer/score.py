"""A registered model over rows of the lake: what it would have said at each of them.

Every row says which model said it, and which trade closed the row: the way back to the log. A row
with a null among the inputs is not scored, and is counted.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa

from services.featuresets import SETS
from services.lake.files import write_file
from services.lake.places import Lake
from services.lake.schemas import FORMAT, FORMAT_KEY, KIND_KEY, TIME
from services.models.artifact import LoadedModel, check_repo
from services.models.classes import CLASS_NAMES
from services.scoring.arrays import Floats, Ints
from services.scoring.errors import TooLittleDataError
from services.trainer.dataset import DatasetPlan, check_plan, read_rows
from services.trainer.errors import PlanError
from services.trainer.rows import Rows, rows_of_table

_ROWS_AT_ONCE: Final = 100_000
_NAMES: Final = pa.dictionary(pa.int32(), pa.string())

SCORED: Final = pa.schema(
    [
        pa.field("ticker", pa.string(), nullable=False),
        pa.field("event_timestamp", TIME, nullable=False),  # grid time
        pa.field("trade_offset", pa.int64(), nullable=False),  # of the trade that closed the row
        pa.field("class", pa.string(), nullable=False),
        *(pa.field(name, pa.float64(), nullable=False) for name in CLASS_NAMES),
        pa.field("model_name", _NAMES, nullable=False),
        pa.field("model_version", pa.int32(), nullable=False),
        pa.field("model_sha256", _NAMES, nullable=False),
        pa.field("fingerprint", _NAMES, nullable=False),
    ],
    metadata={KIND_KEY: b"scored", FORMAT_KEY: str(FORMAT).encode()},
)
"""Sorted by time and ticker."""


@dataclass(frozen=True)
class Scored:
    """What a model said of some rows."""

    table: "pa.Table"
    """Of the schema SCORED."""
    null_input: int
    """Rows that were not scored, since an input is not defined there."""
    other_fingerprint: int
    """Rows of other definitions of the set, which don't count."""


def score(
    lake: Lake,
    model: LoadedModel,
    version: int,
    tickers: Sequence[str] = (),
    first_us: int | None = None,
    last_us: int | None = None,
) -> Scored:
    """Score the rows whose grid time is in the range, its ends included.

    Args:
        lake: where the rows are.
        model: as the registry loads it.
        version: its number there.
        tickers: none named: all.
        first_us: None: no bound.
        last_us: None: no bound.

    Raises:
        ModelRefusedError: it was trained on other features than this code makes.
        PlanError: a ticker has no rows, or the range is turned round.
        TooLittleDataError: there are no rows in the range.
        DamagedRowsError: rows that no fold gives.
        LakeError: a file is damaged or another's.
    """
    manifest = model.manifest
    check_repo(manifest)
    feature_set = SETS[manifest.feature_set]
    plan = DatasetPlan(
        manifest.feature_set, manifest.label.horizon_s, tickers=tuple(tickers),
        first_us=first_us, last_us=last_us,
    )  # fmt: skip
    check_plan(plan)
    there = lake.tickers(f"features/{feature_set.name}")
    if absent := sorted(set(tickers) - set(there)):
        has = ", ".join(there) or "none"
        raise PlanError(f"the lake has no rows of {', '.join(absent)}; it has {has}")
    table, others = read_rows(lake, plan, feature_set)
    if table.num_rows == 0:
        unlike = f" ({others:,} are of other definitions of the set)" if others else ""
        raise TooLittleDataError(
            f"the lake has no rows of {feature_set.name} to score in that time{unlike}: backfill"
            f" them (`outcry features backfill --set {feature_set.name}`) or ask for another"
        )
    rows = rows_of_table(table, feature_set)
    places = [feature_set.columns.index(name) for name in manifest.columns]
    inputs = rows.values[:, places]
    known = np.flatnonzero(~np.isnan(inputs).any(axis=1))
    said = _said(model, np.ascontiguousarray(inputs[known]))
    return Scored(_table(rows, known, said, model, version), len(inputs) - len(known), others)


def write_scored(path: Path, scored: Scored) -> None:
    """As Parquet, whole or not at all; the same rows give the same bytes.

    Raises:
        LakeError: the disk does not take it.
    """
    write_file(path, SCORED, [scored.table])


def _said(model: LoadedModel, inputs: Floats) -> Floats:
    parts = [
        model.predictor.probabilities(inputs[begin : begin + _ROWS_AT_ONCE])
        for begin in range(0, len(inputs), _ROWS_AT_ONCE)
    ]
    return np.concatenate(parts) if parts else np.zeros((0, len(CLASS_NAMES)))


def _table(rows: Rows, known: Ints, said: Floats, model: LoadedModel, version: int) -> "pa.Table":
    manifest, count = model.manifest, len(said)
    tickers = pa.array(rows.tickers, pa.string())
    classes = pa.array(CLASS_NAMES, pa.string())
    columns = {
        "ticker": tickers.take(pa.array(rows.ticker[known])),
        "event_timestamp": pa.array(rows.grid_time_us[known]).cast(TIME),
        "trade_offset": pa.array(rows.trade_offset[known]),
        "class": classes.take(pa.array(said.argmax(axis=1))),
        **{name: pa.array(said[:, place]) for place, name in enumerate(CLASS_NAMES)},
        "model_name": _same(manifest.name, count),
        "model_version": pa.array(np.full(count, version, dtype=np.int32)),
        "model_sha256": _same(manifest.model_sha256, count),
        "fingerprint": _same(manifest.fingerprint, count),
    }
    return pa.table(columns, schema=SCORED)


def _same(text: str, count: int) -> "pa.DictionaryArray":
    places = pa.array(np.zeros(count, dtype=np.int32))
    return pa.DictionaryArray.from_arrays(places, pa.array([text]))

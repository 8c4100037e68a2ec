"""A data set: the lake's rows of one feature set with labels, in order of time, with their hash.

The hash is over the content: what the rows say and by which rule, not in which files they lay or
which copy of a trade closed them. Two data sets of one hash train the same model.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import isfinite
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from services.featuresets import SETS
from services.featuresets.definitions import FeatureSet
from services.featuresets.fingerprint import fingerprint
from services.featuresets.grid import SECOND_US
from services.lake.errors import LakeError
from services.lake.files import read_file
from services.lake.places import Lake, day_of
from services.lake.schemas import feature_schema
from services.models.classes import CLASS_NAMES
from services.scoring.arrays import Bools, Classes, Codes, Floats, Ints
from services.scoring.errors import TooLittleDataError
from services.scoring.labels import REASONS, label_rows
from services.trainer.content import content_sha256
from services.trainer.errors import DamagedRowsError, PlanError
from services.trainer.rows import Rows, rows_of_table

MID: Final = "mid"
SPREAD: Final = "spread"
MID_SCALE: Final = 20_000
"""A mid is an integer in 1/20000 dollar: bid plus ask."""
HORIZON_MAX_S: Final = 86_400
NULL_INPUT: Final = "null_input"
_READS_MAX: Final = 3


class DatasetPlan(msgspec.Struct, frozen=True):
    """What a data set is to be. Whoever has the same lake and plan gets the same data set."""

    feature_set: str
    horizon_s: int = 10
    threshold: int = 0
    """1/20000 dollar: a smaller move, or one as great, is flat."""
    tickers: tuple[str, ...] = ()
    """None named: all."""
    first_us: int | None = None
    """Rows from this grid time on; None: no bound."""
    last_us: int | None = None
    """Up to this one, included; nothing later is looked at, for a label either."""
    folds: int = 3
    """Of the walk-forward split."""


@dataclass(frozen=True)
class Dataset:
    """Rows with a label and no null, sorted by grid time and ticker; arrays of one length."""

    plan: DatasetPlan
    fingerprint: str
    columns: tuple[str, ...]
    """Inputs of a model, in order: every feature but the level."""
    longest_window_s: int
    """No row depends on more than the trades in it and the one before it."""
    tickers: tuple[str, ...]
    ticker: Codes
    """Place in `tickers`."""
    grid_time_us: Ints
    created_us: Ints
    """Time of the trade that closed the row, at or after its grid time."""
    trade_offset: Ints
    """Of that trade: in `trades`, or its place in a history that was ingested."""
    inputs: Floats
    """A row each, columns in order; no NaN."""
    label: Classes
    move: Ints
    """Mid at the horizon less mid at the row, 1/20000 dollar."""
    mid: Ints
    """At the row, 1/20000 dollar."""
    half_spread: Ints
    """At the row, 1/20000 dollar."""
    left_out: Mapping[str, int]
    """Rows that are not here, by reason: those of `labels.REASONS`, and NULL_INPUT."""
    nulls: Mapping[str, int]
    """Rows in which an input is not defined, by input; one row may count in several."""
    rows_read: int
    """Rows of this fingerprint: these, and those left out."""
    other_fingerprint: int
    """Rows of other definitions of the set, which don't count."""
    duplicates: int
    """Rows that were there twice, and taken once."""
    sha256: str

    def __len__(self) -> int:
        """How many rows."""
        return len(self.label)

    @property
    def gap_us(self) -> int:
        """Between two segments of a split: horizon plus longest window."""
        return (self.plan.horizon_s + self.longest_window_s) * SECOND_US


def load_dataset(
    lake: Lake, plan: DatasetPlan, feature_set: FeatureSet[Any] | None = None
) -> Dataset:
    """The data set of a lake.

    Args:
        lake: where the rows are.
        plan: which of them, and what to make of them.
        feature_set: the plan's by its name, unless given.

    Raises:
        PlanError: the plan can't be.
        TooLittleDataError: the lake has nothing that fits it.
        DamagedRowsError: rows that no fold gives.
        LakeError: a file is damaged or another's.
    """
    check_plan(plan)
    feature_set = feature_set or known_set(plan)
    check_has_rows(lake, plan, feature_set)
    table, others = read_rows(lake, plan, feature_set)
    made = _made(table, plan, feature_set, others)
    if len(made.tickers) == 1 and not plan.tickers:
        raise PlanError(
            f"there are rows of {made.tickers[0]} alone, and a model of one ticker knows no other:"
            f" if that is wanted, say `--ticker {made.tickers[0]}`; else backfill more tickers"
        )
    return made


def check_has_rows(lake: Lake, plan: DatasetPlan, feature_set: FeatureSet[Any]) -> None:
    """Whether the lake has files of the set, and of each ticker that the plan names.

    Raises:
        TooLittleDataError: it has none of the set.
        PlanError: a ticker has none.
    """
    there = lake.tickers(f"features/{feature_set.name}")
    if not there:
        raise TooLittleDataError(
            f"the lake {lake.root} has no rows of {feature_set.name} yet: a stack that runs"
            " (`outcry status`) puts them there within a minute of its trades, and `outcry"
            f" features backfill --set {feature_set.name}` makes them of trades in the lake"
        )
    absent = sorted(set(plan.tickers) - set(there))
    if absent:
        raise PlanError(f"the lake has no rows of {', '.join(absent)}; it has {', '.join(there)}")


def dataset_of_table(
    table: "pa.Table", plan: DatasetPlan, feature_set: FeatureSet[Any] | None = None
) -> Dataset:
    """The data set of rows in memory, which have the lake's schema.

    Raises:
        PlanError: the plan can't be.
        TooLittleDataError: the table has nothing that fits it.
        DamagedRowsError: rows that no fold gives.
    """
    check_plan(plan)
    feature_set = feature_set or known_set(plan)
    rows, others = _of_fingerprint(table, feature_set, "the table")
    return _made(_asked_for(rows, plan), plan, feature_set, others)


def known_set(plan: DatasetPlan) -> FeatureSet[Any]:
    """The plan's feature set, once it is known that labels can be made of it.

    Raises:
        PlanError: it is unknown, or has no mid or no spread.
    """
    able = [name for name, known in SETS.items() if {MID, SPREAD} <= set(known.columns)]
    if plan.feature_set not in SETS:
        raise PlanError(f"no feature set {plan.feature_set!r}; there are: {', '.join(able)}")
    if plan.feature_set not in able:
        raise PlanError(
            f"{plan.feature_set} has no {MID} and {SPREAD}, which labels and costs are made of;"
            f" take one of {', '.join(able)}"
        )
    return SETS[plan.feature_set]


def check_plan(plan: DatasetPlan) -> None:
    """Refuse a plan that no lake can fulfil.

    Raises:
        PlanError: the message says which part, and what it may be.
    """
    whole_seconds(plan.horizon_s)
    if type(plan.threshold) is not int or plan.threshold < 0:
        raise PlanError(
            f"a threshold of {plan.threshold}: ask for a whole number of 1/20000 dollar from 0"
        )
    if plan.first_us is not None and plan.last_us is not None and plan.first_us > plan.last_us:
        raise PlanError("the first time asked for is after the last one; turn them round")


def whole_seconds(horizon_s: float) -> int:
    """A horizon as somebody typed it.

    Raises:
        PlanError: it is no whole number of seconds, or out of bounds.
    """
    if not (
        isfinite(horizon_s) and horizon_s == int(horizon_s) and 1 <= horizon_s <= HORIZON_MAX_S
    ):
        raise PlanError(
            f"a horizon of {horizon_s:g} s: rows stand on whole seconds, so ask for a whole number"
            f" from 1 to {HORIZON_MAX_S}"
        )
    return int(horizon_s)


# --- reading -------------------------------------------------------------------------------------


def read_rows(
    lake: Lake, plan: DatasetPlan, feature_set: FeatureSet[Any]
) -> "tuple[pa.Table, int]":
    """The rows that a plan asks for, labelled or not, and how many are of other definitions.

    Raises:
        DamagedRowsError: a file lacks a column of the set.
        LakeError: a file is damaged or another's.
    """
    for attempt in range(_READS_MAX):
        paths = _paths(lake, plan, feature_set.name)
        try:
            parts = [
                _of_fingerprint(read_file(path, "features"), feature_set, str(path))
                for path in paths
            ]
        except LakeError:
            # A compaction puts a merged file there first, and then removes its parts.
            if attempt + 1 == _READS_MAX or all(path.exists() for path in paths):
                raise
            continue
        empty = feature_schema(feature_set.columns).empty_table()
        table = pa.concat_tables([empty, *(_asked_for(part, plan) for part, _ in parts)])
        others = sum(others for _, others in parts)
        # What files were decoded in is as large as the rows, and Arrow would keep it.
        del parts
        pa.default_memory_pool().release_unused()
        return table, others
    raise AssertionError("the last attempt returns or raises")


def _paths(lake: Lake, plan: DatasetPlan, name: str) -> list[Path]:
    first = None if plan.first_us is None else f"date={day_of(plan.first_us).isoformat()}"
    last = None if plan.last_us is None else f"date={day_of(plan.last_us).isoformat()}"
    return [
        path
        for path, _ in lake.feature_files(name)
        if (not plan.tickers or path.parent.parent.name.partition("=")[2] in plan.tickers)
        and (first is None or path.parent.name >= first)
        and (last is None or path.parent.name <= last)
    ]


def _of_fingerprint(
    table: "pa.Table", feature_set: FeatureSet[Any], where: str
) -> "tuple[pa.Table, int]":
    """The rows that this version's fold made, and how many others there are."""
    made_by = table.column("fingerprint").cast(pa.string())
    own = _kept(table, pc.equal(made_by, fingerprint(feature_set)))
    others = table.num_rows - own.num_rows
    schema = feature_schema(feature_set.columns)
    if own.num_rows == 0:
        return schema.empty_table(), others
    absent = [name for name in schema.names if name not in own.column_names]
    if absent:
        raise DamagedRowsError(
            f"{where} has rows of {feature_set.name} without {', '.join(absent)}; move it away and"
            " backfill that day"
        )
    return own.select(schema.names).cast(schema), others


def _asked_for(table: "pa.Table", plan: DatasetPlan) -> "pa.Table":
    times = table.column("event_timestamp").cast(pa.int64())
    if plan.first_us is not None:
        table = _kept(table, pc.greater_equal(times, plan.first_us))
        times = table.column("event_timestamp").cast(pa.int64())
    if plan.last_us is not None:
        table = _kept(table, pc.less_equal(times, plan.last_us))
    if plan.tickers:
        table = _kept(table, pc.is_in(table.column("ticker"), pa.array(plan.tickers)))
    return table


def _kept(table: "pa.Table", is_kept: "pa.ChunkedArray") -> "pa.Table":
    """Those rows; where they are all, no copy of them, which may be hundreds of MiB."""
    return table if is_kept.null_count == 0 and pc.all(is_kept).as_py() else table.filter(is_kept)


# --- making --------------------------------------------------------------------------------------


def _made(
    table: "pa.Table", plan: DatasetPlan, feature_set: FeatureSet[Any], others: int
) -> Dataset:
    if table.num_rows == 0:
        raise no_rows(feature_set, others)
    rows = rows_of_table(table, feature_set)
    silent = sorted(set(plan.tickers) - set(rows.tickers))
    if silent:
        raise TooLittleDataError(
            f"no row of {', '.join(silent)} is of this version and of the time asked for; leave"
            " the ticker out, or backfill it"
        )
    mid, has_mid = mids_of(rows, feature_set)
    labels = label_rows(
        rows.ticker, rows.grid_time_us, mid, has_mid, plan.horizon_s, plan.threshold
    )
    places = [n for n, name in enumerate(feature_set.columns) if name != MID]
    undefined = np.isnan(rows.values)
    has_null = undefined[:, places].any(axis=1)
    is_labelled = labels.reason == 0
    taken = np.flatnonzero(is_labelled & ~has_null)
    left_out = {
        reason: int(np.count_nonzero(labels.reason == code))
        for code, reason in enumerate(REASONS)
        if code
    }
    left_out[NULL_INPUT] = int(np.count_nonzero(is_labelled & has_null))
    _require_classes(plan, rows, labels.label[taken], left_out)
    columns = tuple(feature_set.columns[n] for n in places)
    made = Dataset(
        plan=plan,
        fingerprint=fingerprint(feature_set),
        columns=columns,
        longest_window_s=feature_set.longest_window_s,
        tickers=rows.tickers,
        ticker=rows.ticker[taken],
        grid_time_us=rows.grid_time_us[taken],
        created_us=rows.created_us[taken],
        trade_offset=rows.trade_offset[taken],
        inputs=rows.values[np.ix_(taken, places)],
        label=labels.label[taken],
        move=labels.move[taken],
        mid=mid[taken],
        half_spread=half_spreads_of(feature_set, rows.values, mid)[taken],
        left_out=left_out,
        nulls={name: int(undefined[:, n].sum()) for n, name in zip(places, columns, strict=True)},
        rows_read=len(rows.ticker),
        other_fingerprint=others,
        duplicates=rows.duplicates,
        sha256="",
    )
    return replace(made, sha256=_sha256(made))


def mids_of(rows: Rows, feature_set: FeatureSet[Any]) -> tuple[Ints, Bools]:
    """In 1/20000 dollar, and where there is one."""
    place = feature_set.columns.index(MID)
    scale = feature_set.features[place].scale
    assert scale == MID_SCALE, f"{feature_set.name} states its mid in 1/{scale} dollar"
    has_mid = ~np.isnan(rows.values[:, place])
    real = np.where(has_mid, rows.values[:, place], 0.0)
    mid = np.rint(real * MID_SCALE).astype(np.int64)
    wrong = np.flatnonzero((mid / MID_SCALE != real) | (has_mid & (mid <= 0)))
    if len(wrong):
        row = int(wrong[0])
        raise DamagedRowsError(
            f"{feature_set.name}: the mid of {rows.tickers[rows.ticker[row]]} at"
            f" {int(rows.grid_time_us[row])} us is {real[row]!r}, no positive multiple of 1/20000"
            " dollar; remove that day's files of the ticker and backfill it"
        )
    return mid, has_mid


def half_spreads_of(feature_set: FeatureSet[Any], values: Floats, mid: Ints) -> Ints:
    """In 1/20000 dollar: exact from a spread in dollars.

    A spread relative to the mid is stated in 1e-6, so what follows is so exact too.
    """
    place = feature_set.columns.index(SPREAD)
    spread = np.where(np.isnan(values[:, place]), 0.0, values[:, place])
    if feature_set.features[place].unit == "dollar":
        return np.rint(spread * (MID_SCALE // 2)).astype(np.int64)
    assert feature_set.features[place].unit == "fraction", feature_set.features[place].unit
    return np.rint(spread * mid / 2).astype(np.int64)


def _sha256(made: Dataset) -> str:
    rule = {
        "feature_set": made.plan.feature_set,
        "fingerprint": made.fingerprint,
        "columns": made.columns,
        "horizon_s": made.plan.horizon_s,
        "threshold": made.plan.threshold,
        "folds": made.plan.folds,
        "gap_us": made.gap_us,
    }
    columns = (
        made.grid_time_us, made.inputs, made.label, made.move, made.mid, made.half_spread,
    )  # fmt: skip
    return content_sha256(rule, made.tickers, made.ticker, columns)


# --- refusals ------------------------------------------------------------------------------------


def no_rows(feature_set: FeatureSet[Any], others: int) -> TooLittleDataError:
    """Why nothing is left of the set's files: so many rows are of other definitions, or 0."""
    if others:
        return TooLittleDataError(
            f"all {others:,} rows of {feature_set.name} are of other definitions of the set than"
            f" this version's; make its own with `outcry features backfill --set"
            f" {feature_set.name} --replace`"
        )
    return TooLittleDataError(
        f"no row of {feature_set.name} lies in the time asked for; `outcry dataset describe --set"
        f" {feature_set.name}` without --from and --to shows what there is"
    )


def _require_classes(
    plan: DatasetPlan, rows: Rows, label: Classes, left_out: Mapping[str, int]
) -> None:
    seconds = int(rows.grid_time_us[-1] - rows.grid_time_us[0]) // SECOND_US
    if len(label) == 0:
        if left_out["horizon_not_passed"] == len(rows.ticker):
            raise TooLittleDataError(
                f"a horizon of {plan.horizon_s} s is longer than any ticker's history (the rows"
                f" span {seconds} s): ask for a shorter one, or take more history"
            )
        reasons = ", ".join(f"{name} {count:,}" for name, count in left_out.items() if count)
        raise TooLittleDataError(
            f"none of {len(rows.ticker):,} rows can be used ({reasons}); take more history, or"
            " another horizon"
        )
    there = np.unique(label)
    if len(there) == 1:
        raise TooLittleDataError(
            f"every label is {CLASS_NAMES[there[0]]!r} ({len(label):,} rows, horizon"
            f" {plan.horizon_s} s, threshold {plan.threshold}): there is nothing to learn; take"
            " a longer horizon, a smaller threshold or more history"
        )

"""The lake's rows as what drift looks at: panels of features and labels, and a market."""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from services.drift.core.arrays import Bools, Floats, Ints
from services.drift.core.outcomes import Refusal
from services.drift.core.panel import Column, Panel, panel_of
from services.drift.core.truths import Market
from services.drift.rivals import defined
from services.featuresets.definitions import FeatureSet
from services.lake.files import read_file
from services.lake.places import Lake
from services.models.classes import CLASS_NAMES
from services.models.manifest import LabelRule
from services.scoring.labels import label_rows
from services.trainer.dataset import DatasetPlan, half_spreads_of, mids_of, read_rows
from services.trainer.rows import Rows, rows_of_table

LABEL: Final = Column("label", CLASS_NAMES)


class MarketRows(NamedTuple):
    """What became of the mid, and what a model was given."""

    market: Market
    inputs: Floats
    """[the market's rows, the model's columns]; NaN where one is not defined."""


def rows_between(
    lake: Lake, feature_set: FeatureSet[Any], tickers: Sequence[str], first_us: int, last_us: int
) -> Rows:
    """Rows of these tickers from one grid time to another, both included; there may be none.

    Raises:
        DamagedRowsError: rows that no fold gives.
        LakeError: a file is damaged or another's.
    """
    plan = DatasetPlan(feature_set.name, tickers=tuple(tickers), first_us=first_us, last_us=last_us)
    table, _ = read_rows(lake, plan, feature_set)
    return rows_of_table(table, feature_set)


def newest_us(lake: Lake, feature_set: FeatureSet[Any], tickers: Sequence[str]) -> int | None:
    """How far event time has come in the lake; None: it has no row of them.

    Raises:
        LakeError: a file of a newest day is damaged or another's.
    """
    dataset = f"features/{feature_set.name}"
    newest: list[int] = []
    for ticker in tickers:
        for day in reversed(lake.days(dataset, ticker)):
            files = sorted(lake.features(feature_set.name, ticker, day).glob("*.parquet"))
            tables = [read_file(path, "features", ["event_timestamp"]) for path in files]
            of_day = [
                pc.max(table.column("event_timestamp").cast(pa.int64())).as_py()
                for table in tables
                if table.num_rows
            ]
            if of_day:
                newest.append(max(of_day))
                break
    return max(newest, default=None)


def features_panel(
    rows: Rows, feature_set: FeatureSet[Any], tickers: Sequence[str], columns: Sequence[str]
) -> Panel | Refusal:
    """A model's inputs side by side; a ticker without rows is all missing."""
    places = [feature_set.columns.index(name) for name in columns]
    place, is_asked = _places(rows, tickers)
    return panel_of(
        tickers,
        [Column(name) for name in columns],
        place[is_asked],
        rows.grid_time_us[is_asked],
        rows.values[np.ix_(is_asked, places)],
    )


def labels_panel(
    rows: Rows,
    feature_set: FeatureSet[Any],
    tickers: Sequence[str],
    rule: LabelRule,
    end_us: int,
) -> Panel | Refusal:
    """Labels side by side of the rows before a time; the rows behind it only tell them."""
    mid, has_mid = mids_of(rows, feature_set)
    found = label_rows(rows.ticker, rows.grid_time_us, mid, has_mid, rule.horizon_s, rule.threshold)
    label = np.where(found.reason == 0, found.label.astype(np.float64), np.nan)
    place, is_asked = _places(rows, tickers)
    is_asked &= rows.grid_time_us < end_us
    return panel_of(
        tickers, [LABEL], place[is_asked], rows.grid_time_us[is_asked], label[is_asked, None]
    )


def market_of(rows: Rows, feature_set: FeatureSet[Any], columns: Sequence[str]) -> MarketRows:
    """The rows as a model is judged by them."""
    mid, has_mid = mids_of(rows, feature_set)
    inputs = rows.values[:, [feature_set.columns.index(name) for name in columns]]
    return MarketRows(
        Market(
            rows.tickers,
            rows.ticker.astype(np.int64),
            rows.grid_time_us,
            mid,
            has_mid,
            half_spreads_of(feature_set, rows.values, mid),
            defined(inputs),
        ),
        inputs,
    )


def _places(rows: Rows, tickers: Sequence[str]) -> tuple[Ints, Bools]:
    """Of each row the place of its ticker among those asked for, and whether it has one."""
    place_of = {name: place for place, name in enumerate(tickers)}
    of_name = np.array([place_of.get(name, -1) for name in rows.tickers], dtype=np.int64)
    if len(rows.ticker) == 0:
        nothing = np.zeros(0, dtype=np.int64)
        return nothing, nothing > 0
    place: Ints = of_name[rows.ticker]
    return place, place >= 0

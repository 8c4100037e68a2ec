"""A lake for benchmarks of training and drift: made-up trades, and the rows that the fold makes."""

from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa

from services.featuresets.definitions import FeatureSet
from services.featuresets.fingerprint import fingerprint
from services.featuresets.microstructure_v1 import MICROSTRUCTURE_V1
from services.lake.files import write_file
from services.lake.places import Lake, backfill_file, day_of
from services.lake.schemas import TIME, TRADES, feature_schema
from services.tools.vectorfold.columns import TradeColumns
from services.tools.vectorfold.fold import fold_columns
from services.tools.vectorfold.made_trades import make_trades

MEAN_GAP_US: Final = 500_000
"""Between two trades of a ticker: a second seldom has none."""
_SPARE: Final = 1.2
"""Trades beyond those that the rows need on average."""
_DAY_US: Final = 86_400_000_000
_SECOND_US: Final = 1_000_000


def make_lake(
    home: Path,
    rows: int,
    tickers: int,
    seed: int,
    feature_set: FeatureSet[Any] = MICROSTRUCTURE_V1,
) -> int:
    """Rows of so many tickers together, and their trades; how many rows there are."""
    lake = Lake(home)
    made = 0
    for number in range(tickers):
        ticker = f"T{number}"
        wanted = rows // tickers
        count = int(wanted * _SPARE * _SECOND_US / MEAN_GAP_US) + 100
        trades = make_trades(seed + number, count, MEAN_GAP_US)
        made += _put_rows(lake, ticker, trades, wanted, feature_set)
        _put_trades(lake, ticker, trades)
    return made


def _put_rows(
    lake: Lake, ticker: str, trades: TradeColumns, wanted: int, feature_set: FeatureSet[Any]
) -> int:
    rows = fold_columns(feature_set, trades)
    kept = min(wanted, len(rows.closing))
    closing = rows.closing[:kept]
    schema = feature_schema(feature_set.columns)
    nothing = np.zeros(kept, dtype=np.int32)
    made_by = pa.array([fingerprint(feature_set)])
    columns = {
        "ticker": pa.array([ticker]).take(pa.array(nothing)),
        "event_timestamp": pa.array(rows.grid_time_us[:kept]).cast(TIME),
        "created": pa.array(trades.time_us[closing]).cast(TIME),
        "processed": pa.nulls(kept, TIME),
        "trade_offset": pa.array(trades.offset[closing]),
        "fingerprint": pa.DictionaryArray.from_arrays(pa.array(nothing), made_by),
    }
    for name, real in zip(feature_set.columns, rows.reals(feature_set), strict=True):
        columns[name] = pa.array(real[:kept], mask=np.isnan(real[:kept]))
    table = pa.table(columns, schema=schema)
    days = rows.grid_time_us[:kept] // _DAY_US
    for day in np.unique(days):
        of_day = table.filter(pa.array(days == day))
        offsets = of_day.column("trade_offset")
        file = backfill_file(offsets[0].as_py(), offsets[-1].as_py())
        folder = lake.features(feature_set.name, ticker, day_of(int(day) * _DAY_US))
        write_file(folder / file.name, schema, [of_day])
    return kept


def _put_trades(lake: Lake, ticker: str, trades: TradeColumns) -> None:
    count = len(trades.price)
    table = pa.table(
        {
            "ticker": pa.array([ticker]).take(pa.array(np.zeros(count, dtype=np.int32))),
            "time": pa.array(trades.time_us).cast(TIME),
            "sequence": pa.array(trades.offset),
            "price": pa.array(trades.price),
            "quantity": pa.array(trades.quantity),
            "aggressor_side": pa.array(trades.side.astype(np.int8)),
            "bid": pa.array(trades.bid),
            "bid_quantity": pa.array(trades.bid_quantity),
            "ask": pa.array(trades.ask),
            "ask_quantity": pa.array(trades.ask_quantity),
            "trade_id": pa.nulls(count, pa.string()),
        },
        schema=TRADES,
    )
    days = trades.time_us // _DAY_US
    for day in np.unique(days):
        of_day = table.filter(pa.array(days == day))
        write_file(lake.trades(ticker, day_of(int(day) * _DAY_US)), TRADES, [of_day])

"""Made-up feature rows in the lake's own schema, of which it is known what can be learnt.

- `null_market`: steps of the mid are drawn apart from every column. Nothing can be learnt.
- `planted_signal_market`: the sign of queue_imbalance tells a step's direction, as often as said.
- `leaky_market`: a null market in which one column holds the move that is still to come.
- `autocorrelated_market`: a null market whose columns change slowly, so that rows look like their
  neighbours, whose labels overlap: what cries wolf without gaps and blocks.

Each is a function of its arguments alone. A million rows take some seconds.
"""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from services.featuresets import TRADE_SETS
from services.featuresets.definitions import FeatureSet
from services.featuresets.fingerprint import fingerprint
from services.lake.files import write_file
from services.lake.places import Lake, backfill_file, day_of, stream_file
from services.lake.schemas import TRADES, feature_schema
from services.scoring.arrays import Floats, Ints
from services.tools.vectorfold.columns import TradeColumns
from services.tools.vectorfold.fold import fold_columns

V1: Final = TRADE_SETS["microstructure_v1"]
TICKERS: Final = ("AAPL", "GOOGL", "MSFT", "NVDA", "TSLA")
SECOND_US: Final = 1_000_000
START_US: Final = 1_790_000_000 * SECOND_US
MEMORY_S: Final = 30
"""How long a column remembers what it was."""
STEP_CHANCE: Final = 0.6
"""That the mid moves within a second, by a cent."""
CLOSING_LAG_US: Final = 1_000
"""From a row's time to the trade that closes it."""
_CENT: Final = 200
"""Of a mid, in 1/20000 dollar."""
_OPENING_MID: Final = 20_000_000


def null_market(
    rows: int,
    seed: int = 1,
    tickers: Sequence[str] = TICKERS,
    feature_set: FeatureSet[Any] = V1,
    memory_s: int = MEMORY_S,
) -> "pa.Table":
    """Rows of all tickers together; nothing in them tells the next move."""
    return _market(rows, seed, tickers, feature_set, memory_s, strength=0.0)


def planted_signal_market(
    rows: int,
    strength: float = 0.5,
    seed: int = 1,
    tickers: Sequence[str] = TICKERS,
    feature_set: FeatureSet[Any] = V1,
) -> "pa.Table":
    """A step goes where queue_imbalance at the second before points with chance (1 + strength)/2.

    Nothing else tells it, but what remembers earlier moves.
    """
    return _market(rows, seed, tickers, feature_set, MEMORY_S, strength)


def leaky_market(
    rows: int,
    seed: int = 1,
    column: str = "signed_volume_5s",
    horizon_s: int = 10,
    tickers: Sequence[str] = TICKERS,
    noise: float = 0.0,
) -> "pa.Table":
    """A null market, but the column is the mid's move over the horizon that begins at the row.

    Args:
        rows: of all tickers together.
        seed: of everything drawn.
        column: which one.
        horizon_s: of the move it holds.
        tickers: the rows are theirs, in equal parts.
        noise: standard deviation of what is added, in cents.
    """
    table = null_market(rows, seed, tickers)
    rng = np.random.default_rng([seed, 77])
    parts = []
    for ticker in tickers:
        of_ticker = table.filter(pc.equal(table.column("ticker"), ticker))
        mid = np.rint(of_ticker.column("mid").to_numpy() * 20_000)
        move = np.zeros(len(mid))
        move[:-horizon_s] = (mid[horizon_s:] - mid[:-horizon_s]) / _CENT
        move += noise * rng.standard_normal(len(move))
        place = of_ticker.column_names.index(column)
        parts.append(of_ticker.set_column(place, column, pa.array(move)))
    return pa.concat_tables(parts)


def autocorrelated_market(
    rows: int, seed: int = 1, tickers: Sequence[str] = TICKERS, memory_s: int = 600
) -> "pa.Table":
    """A null market whose columns change slowly."""
    return null_market(rows, seed, tickers, memory_s=memory_s)


def market_of_trades(
    trades: dict[str, TradeColumns], feature_set: FeatureSet[Any] = V1
) -> "pa.Table":
    """The rows that the vectorised fold makes of these trades, as a backfill stores them."""
    parts = []
    for ticker, of_ticker in trades.items():
        rows = fold_columns(feature_set, of_ticker)
        reals = rows.reals(feature_set)
        parts.append(
            _table(
                feature_set,
                ticker,
                rows.grid_time_us,
                of_ticker.time_us[rows.closing],
                of_ticker.offset[rows.closing],
                dict(zip(feature_set.columns, reals, strict=True)),
            )
        )
    return pa.concat_tables(parts)


def put_table(
    lake: Lake,
    table: "pa.Table",
    feature_set: FeatureSet[Any] = V1,
    rows_per_file: int = 1_000_000,
    *,
    is_stream: bool = False,
) -> None:
    """Into the lake, as a backfill or as the materializer lays them: by ticker and day."""
    days = table.column("event_timestamp").cast(pa.int64()).to_numpy() // (86_400 * SECOND_US)
    for ticker in table.column("ticker").unique().to_pylist():
        is_of_ticker = table.column("ticker").to_numpy(zero_copy_only=False) == ticker
        for day in np.unique(days[is_of_ticker]):
            of_day = table.filter(pa.array(is_of_ticker & (days == day)))
            folder = lake.features(feature_set.name, ticker, day_of(int(day) * 86_400 * SECOND_US))
            for begin in range(0, of_day.num_rows, rows_per_file):
                part = of_day.slice(begin, rows_per_file)
                if is_stream:
                    part = part.set_column(3, "processed", part.column("created"))
                offsets = part.column("trade_offset")
                span = offsets[0].as_py(), offsets[-1].as_py()
                file = stream_file(0, *span) if is_stream else backfill_file(*span)
                write_file(folder / file.name, feature_schema(feature_set.columns), [part])


def put_trades(lake: Lake, ticker: str, trades: TradeColumns) -> None:
    """A ticker's trades into the lake, as history is ingested: a file a day."""
    days = trades.time_us // (86_400 * SECOND_US)
    for day in np.unique(days):
        of_day = TradeColumns(*(column[days == day] for column in trades))
        count = len(of_day.price)
        columns = {
            "ticker": pa.array([ticker] * count),
            "time": pa.array(of_day.time_us).cast(TRADES.field("time").type),
            "sequence": pa.array(np.arange(count)),
            "price": pa.array(of_day.price),
            "quantity": pa.array(of_day.quantity),
            "aggressor_side": pa.array(of_day.side.astype(np.int8)),
            "bid": pa.array(of_day.bid),
            "bid_quantity": pa.array(of_day.bid_quantity),
            "ask": pa.array(of_day.ask),
            "ask_quantity": pa.array(of_day.ask_quantity),
            "trade_id": pa.nulls(count, pa.string()),
        }
        path = lake.trades(ticker, day_of(int(of_day.time_us[0])))
        write_file(path, TRADES, [pa.table(columns)])


# --- making --------------------------------------------------------------------------------------


def _market(
    rows: int,
    seed: int,
    tickers: Sequence[str],
    feature_set: FeatureSet[Any],
    memory_s: int,
    strength: float,
) -> "pa.Table":
    parts = []
    for number, ticker in enumerate(tickers):
        count = rows // len(tickers) + (number < rows % len(tickers))
        rng = np.random.default_rng([seed, number])
        imbalance = np.clip(_wandering(rng, count, memory_s) / 2, -1, 1)
        mid = _mids(rng, imbalance, strength)
        columns = {
            feature.name: _column(rng, feature.name, mid, memory_s)
            for feature in feature_set.features
        }
        columns["queue_imbalance"] = np.rint(imbalance * 1_000_000) / 1_000_000
        columns["mid"] = mid / 20_000
        columns["spread"] = (
            np.full(count, 0.02)
            if feature_set is V1
            else np.rint(0.02 / columns["mid"] * 1_000_000) / 1_000_000
        )
        for feature in feature_set.features:
            # As in a history's beginning: nothing is known before it.
            columns[feature.name][: feature.window_s] = np.nan
        grid_time_us = START_US + SECOND_US * np.arange(count, dtype=np.int64)
        offsets = np.arange(count, dtype=np.int64) * 7
        created = grid_time_us + CLOSING_LAG_US
        parts.append(_table(feature_set, ticker, grid_time_us, created, offsets, columns))
    return pa.concat_tables(parts)


def _mids(rng: np.random.Generator, imbalance: Floats, strength: float) -> Ints:
    """The step into a row's second is drawn by what the row before it says."""
    count = len(imbalance)
    is_step = rng.random(count) < STEP_CHANCE
    follows = np.where(rng.random(count) < (1 + strength) / 2, 1, -1)
    points = np.where(imbalance >= 0, 1, -1)
    step = np.zeros(count, dtype=np.int64)
    step[1:] = (is_step[1:] * follows[1:] * points[:-1]) * _CENT
    return _OPENING_MID + np.cumsum(step)


def _wandering(rng: np.random.Generator, count: int, memory_s: int) -> Floats:
    """Of mean 0 and variance 1; two values `memory_s` apart know nothing of each other."""
    totals = np.cumsum(rng.standard_normal(count + memory_s))
    wandering: Floats = (totals[memory_s:] - totals[:-memory_s]) / np.sqrt(memory_s)
    return wandering


def _column(rng: np.random.Generator, name: str, mid: Ints, memory_s: int) -> Floats:
    """Returns look back at the mid; the others are drawn apart from it."""
    if name.startswith("return_"):
        window = int(name.removeprefix("return_").removesuffix("s"))
        change = np.zeros(len(mid))
        change[window:] = mid[window:] / mid[:-window] - 1
        return np.rint(change * 1e9) / 1e9
    return np.rint(_wandering(rng, len(mid), memory_s) * 1_000)


def _table(
    feature_set: FeatureSet[Any],
    ticker: str,
    grid_time_us: Ints,
    created_us: Ints,
    trade_offset: Ints,
    columns: dict[str, Floats],
) -> "pa.Table":
    count = len(grid_time_us)
    schema = feature_schema(feature_set.columns)
    time = schema.field("created").type
    made_by = pa.array([fingerprint(feature_set)])
    values: dict[str, Any] = {
        "ticker": pa.array([ticker]).take(pa.array(np.zeros(count, dtype=np.int64))),
        "event_timestamp": pa.array(grid_time_us).cast(time),
        "created": pa.array(created_us).cast(time),
        "processed": pa.nulls(count, time),
        "trade_offset": pa.array(trade_offset),
        "fingerprint": pa.DictionaryArray.from_arrays(
            pa.array(np.zeros(count, dtype=np.int32)), made_by
        ),
    }
    for name in feature_set.columns:
        values[name] = pa.array(columns[name], mask=np.isnan(columns[name]))
    return pa.table(values, schema=schema)

"""The lake's rows of one feature set as columns: checked, one a ticker and time, in order of time.

The stream and a backfill may hold the same row, made of two copies of the same trades. Both then
say the same of them; what may differ is which offset the closing trade has, and when Kafka took
the row. The streamed one is kept, since its offset is one of the log.
"""

from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from services.featuresets.definitions import FeatureSet
from services.featuresets.grid import SECOND_US
from services.scoring.arrays import Codes, Floats, Ints
from services.trainer.errors import DamagedRowsError

TICKERS_MAX: Final = 2**15 - 1


class Rows(NamedTuple):
    """Sorted by grid time, then by ticker."""

    tickers: tuple[str, ...]
    """In alphabetical order."""
    ticker: Codes
    """Place in `tickers`."""
    grid_time_us: Ints
    created_us: Ints
    """Time of the trade that closed the row."""
    trade_offset: Ints
    values: Floats
    """Every feature of the set, a column each; NaN where it is not defined."""
    duplicates: int
    """Rows that were there again, and left out."""


def rows_of_table(table: "pa.Table", feature_set: FeatureSet[Any]) -> Rows:
    """The rows of a table of the lake's schema, which are all of one fingerprint.

    Raises:
        DamagedRowsError: two rows of one time differ, a number is not finite, or a time is not
            on the grid.
    """
    encoded = pc.dictionary_encode(table.column("ticker").combine_chunks())
    names = encoded.dictionary.to_pylist() if table.num_rows else []
    assert len(names) <= TICKERS_MAX, f"{len(names)} tickers"
    tickers = tuple(sorted(names))
    places = {name: place for place, name in enumerate(tickers)}
    rank = np.array([places[name] for name in names], dtype=np.int16)
    ticker = rank[encoded.indices.to_numpy()] if names else np.zeros(0, dtype=np.int16)
    grid_time_us, created_us, trade_offset = (
        table.column(name).cast(pa.int64()).to_numpy()
        for name in ("event_timestamp", "created", "trade_offset")
    )
    is_backfilled = table.column("processed").is_null().to_numpy()
    order = np.lexsort((trade_offset, is_backfilled, ticker, grid_time_us))
    ticker, grid_time_us = ticker[order], grid_time_us[order]
    created_us, trade_offset = created_us[order], trade_offset[order]
    values = _values(table, feature_set, order)
    rows = Rows(tickers, ticker, grid_time_us, created_us, trade_offset, values, 0)
    if np.any(grid_time_us % SECOND_US):
        place = int(np.flatnonzero(grid_time_us % SECOND_US)[0])
        raise _damaged(rows, place, feature_set, "its time is no whole second")
    _require_finite(rows, table, feature_set)
    return _once(rows, feature_set)


def _values(table: "pa.Table", feature_set: FeatureSet[Any], order: Ints) -> Floats:
    values = np.empty((table.num_rows, len(feature_set.columns)))
    for place, name in enumerate(feature_set.columns):
        values[:, place] = table.column(name).to_numpy()[order]
    return values


def _require_finite(rows: Rows, table: "pa.Table", feature_set: FeatureSet[Any]) -> None:
    """NaN stands for null in `values`; a NaN or an infinity in the table is told apart here."""
    for place, name in enumerate(feature_set.columns):
        column = rows.values[:, place]
        if np.count_nonzero(~np.isfinite(column)) == table.column(name).null_count:
            continue
        wrong = pc.invert(pc.is_finite(table.column(name))).fill_null(False)
        first = table.filter(wrong).slice(0, 1)
        time_us = first.column("event_timestamp").cast(pa.int64())[0].as_py()
        raise DamagedRowsError(
            f"{feature_set.name}: {name} of {first.column('ticker')[0]} at {_utc(time_us)} is"
            f" {first.column(name)[0]}, which no fold gives; remove that day's files of the ticker"
            f" and backfill it (`outcry features backfill --set {feature_set.name}`)"
        )


def _once(rows: Rows, feature_set: FeatureSet[Any]) -> Rows:
    again = np.zeros(len(rows.ticker), dtype=np.bool_)
    again[1:] = (np.diff(rows.grid_time_us) == 0) & (np.diff(rows.ticker) == 0)
    if not again.any():
        return rows
    places = np.flatnonzero(again)
    same = rows.created_us[places] == rows.created_us[places - 1]
    pair, before = rows.values[places], rows.values[places - 1]
    same &= ((pair == before) | (np.isnan(pair) & np.isnan(before))).all(axis=1)
    if not same.all():
        place = int(places[np.flatnonzero(~same)[0]])
        raise _damaged(rows, place, feature_set, "two rows of this time differ")
    kept = ~again
    return Rows(
        rows.tickers,
        rows.ticker[kept],
        rows.grid_time_us[kept],
        rows.created_us[kept],
        rows.trade_offset[kept],
        rows.values[kept],
        len(places),
    )


def _damaged(rows: Rows, place: int, feature_set: FeatureSet[Any], cause: str) -> DamagedRowsError:
    ticker, at = rows.tickers[rows.ticker[place]], _utc(int(rows.grid_time_us[place]))
    return DamagedRowsError(
        f"{feature_set.name}: {ticker} at {at}: {cause}; `outcry features parity` says which row"
        " the trades give; remove the other's file and backfill that day"
    )


def _utc(time_us: int) -> str:
    return f"{np.datetime64(time_us, 'us')}Z"

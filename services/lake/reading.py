"""The lake as a whole: trades and bars in order of time, and SQL over all of it."""

from collections.abc import Iterator
from datetime import date
from typing import Final

import duckdb
import pyarrow as pa

from services.lake.errors import LakeError
from services.lake.files import open_file, read_batches, read_file
from services.lake.places import Lake
from services.lake.schemas import BARS

_MEMORY_LIMIT: Final = "512MB"


def read_trades(
    lake: Lake, ticker: str, first: date | None = None, last: date | None = None
) -> "Iterator[pa.RecordBatch]":
    """A ticker's trades in order, of the days from `first` to `last` (both included).

    Raises:
        LakeError: a file is damaged or another's.
    """
    for day in lake.days("trades", ticker):
        if (first is None or day >= first) and (last is None or day <= last):
            yield from read_batches(lake.trades(ticker, day), "trades")


def read_bars(lake: Lake, interval: str, ticker: str) -> "pa.Table":
    """All bars of a ticker, in order.

    Raises:
        LakeError: a file is damaged or another's.
    """
    folder = lake.root / "bars" / interval / f"ticker={ticker}"
    files = sorted(folder.glob("year=*/bars.parquet"))
    return pa.concat_tables([BARS.empty_table(), *(read_file(path, "bars") for path in files)])


def connect(lake: Lake, memory_limit: str = _MEMORY_LIMIT) -> "duckdb.DuckDBPyConnection":
    """DuckDB in memory with a view on each dataset that has files. Close it.

    The views: `trades`, `orders`, `bars_1d`, `bars_1m`, and one by the name of each feature set.

    Raises:
        LakeError: a file is half-written or another's.
    """
    datasets = {"trades": ("trades", "trades"), "orders": ("orders", "orders")}
    for folder in sorted((lake.root / "bars").glob("*")):
        datasets[f"bars_{folder.name}"] = (f"bars/{folder.name}", "bars")
    for folder in sorted((lake.root / "features").glob("*")):
        datasets[folder.name] = (f"features/{folder.name}", "features")
    connection = open_duckdb(memory_limit)
    try:
        for view, (dataset, kind) in datasets.items():
            files = lake.files(dataset)
            for path in files:
                open_file(path, kind).close()
            if files:
                relation = connection.read_parquet([str(path) for path in files])
                relation.create_view(view)
    except BaseException:
        connection.close()
        raise
    return connection


def open_duckdb(memory_limit: str = _MEMORY_LIMIT) -> "duckdb.DuckDBPyConnection":
    """DuckDB in memory, bounded, with two threads.

    It loads no extension, so it knows no time zones: take `epoch_us(time)`, which is of UTC.
    """
    try:
        return duckdb.connect(":memory:", config={"memory_limit": memory_limit, "threads": 2})
    except duckdb.Error as error:
        raise LakeError(f"DuckDB can't be opened: {error}") from error

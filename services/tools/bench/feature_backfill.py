"""A backfill from end to end: trades out of the lake's Parquet, rows into it, nothing left out."""

from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from weakref import finalize

import numpy as np
import pyarrow as pa

from services.featuresets.microstructure_v1 import MICROSTRUCTURE_V1
from services.lake.files import read_file, write_file
from services.lake.places import Lake, day_of
from services.lake.schemas import TRADES
from services.tools.features.backfill import Days
from services.tools.features.run import backfill_from_lake
from services.tools.vectorfold.columns import TradeColumns

_DAY_US = 86_400_000_000


class LakeOfTrades:
    """Trades in a lake of their own, as ingest leaves them: a file for each ticker and day."""

    def __init__(self, ticker: np.ndarray, trades: TradeColumns) -> None:
        self.lake = _new_lake(self)
        day = trades.time_us // _DAY_US
        for number, at in sorted(set(zip(ticker.tolist(), day.tolist(), strict=True))):
            of_day = (ticker == number) & (day == at)
            _put(self.lake, f"T{number}", TradeColumns(*(column[of_day] for column in trades)))


class LakeOfRows:
    """Rows in a lake, read as they are asked for, by the names of the benchmark's columns."""

    def __init__(self, source: LakeOfTrades) -> None:
        self._lake = _new_lake(self)
        self._lake.root.mkdir()
        (self._lake.root / "trades").symlink_to(source.lake.root / "trades")
        backfill_from_lake(self._lake, MICROSTRUCTURE_V1.name, Days(), None, replace=False)

    def __getitem__(self, name: str) -> pa.ChunkedArray:
        files = self._lake.feature_files(MICROSTRUCTURE_V1.name)
        rows = pa.concat_tables([read_file(path, "features") for path, _ in files])
        if name == "ticker":
            numbers = [int(ticker[1:]) for ticker in rows.column("ticker").to_pylist()]
            return pa.chunked_array([pa.array(numbers, pa.int64())])
        if name == "at":
            seconds = rows.column("event_timestamp").cast(pa.int64()).to_numpy() // 1_000_000
            return pa.chunked_array([pa.array(seconds)])
        return rows.column(name)


def _new_lake(holder: object) -> Lake:
    """In a folder that goes when its holder does."""
    folder = Path(mkdtemp(prefix="outcry-bench-"))
    finalize(holder, rmtree, folder, ignore_errors=True)
    return Lake(folder)


def _put(lake: Lake, ticker: str, trades: TradeColumns) -> None:
    count = len(trades.price)
    columns = {
        "ticker": pa.repeat(ticker, count),
        "time": pa.array(trades.time_us).cast(TRADES.field("time").type),
        "sequence": pa.array(np.arange(count)),
        "aggressor_side": pa.array(trades.side.astype(np.int8)),
        "trade_id": pa.nulls(count, pa.string()),
    }
    numbers = ("price", "quantity", "bid", "bid_quantity", "ask", "ask_quantity")
    columns |= {name: pa.array(getattr(trades, name)) for name in numbers}
    write_file(lake.trades(ticker, day_of(int(trades.time_us[0]))), TRADES, [pa.table(columns)])

"""The lake's trades as folds take them."""

from collections.abc import Iterator
from datetime import date
from typing import Final

import pyarrow as pa

from services.featuresets.ticks import Tick
from services.lake.places import Lake
from services.lake.reading import read_trades

_COLUMNS: Final = (
    "time", "price", "quantity", "aggressor_side", "bid", "bid_quantity", "ask", "ask_quantity",
)  # fmt: skip


def read_ticks(
    lake: Lake, ticker: str, first: date | None = None, last: date | None = None
) -> Iterator[Tick]:
    """A ticker's trades of the days from `first` to `last` (both included), in order.

    Offsets are their places among these.

    Raises:
        LakeError: a file is damaged or another's.
    """
    offset = 0
    for batch in read_trades(lake, ticker, first, last):
        yield from ticks_of(batch, offset)
        offset += batch.num_rows


def ticks_of(trades: "pa.Table | pa.RecordBatch", offset: int) -> Iterator[Tick]:
    """Rows of the lake's trades, numbered from an offset on.

    A quote that was not told counts as an empty side, and so does its size.
    """
    columns = [trades.column(name).cast(pa.int64()).to_pylist() for name in _COLUMNS]
    for number, row in enumerate(zip(*columns, strict=True), offset):
        yield Tick(number, *(value or 0 for value in row))

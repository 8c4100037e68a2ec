"""The lake's trades as folds take them, one by one."""

from collections.abc import Iterator
from typing import Final

import pyarrow as pa

from services.featuresets.ticks import Tick
from services.lake.files import read_file
from services.lake.places import Lake
from services.lake.sides import TickRule

_COLUMNS: Final = (
    "time", "price", "quantity", "aggressor_side", "bid", "bid_quantity", "ask", "ask_quantity",
)  # fmt: skip


def read_ticks(lake: Lake, ticker: str) -> Iterator[Tick]:
    """A ticker's trades in order. Offsets are their places among these.

    Raises:
        LakeError: a file is damaged or another's.
    """
    offset = 0
    for day in lake.days("trades", ticker):
        trades = with_sides(read_file(lake.trades(ticker, day), "trades"))
        yield from ticks_of(trades, offset)
        offset += trades.num_rows


def with_sides(trades: "pa.Table") -> "pa.Table":
    """A day's trades of one ticker, each untold side found by the tick rule."""
    place = trades.schema.get_field_index("aggressor_side")
    told = trades.column("aggressor_side").cast(pa.int64()).to_numpy()
    sides = TickRule().sides(trades.column("price").to_numpy(), told)
    return trades.set_column(place, "aggressor_side", pa.array(sides))


def ticks_of(trades: "pa.Table", offset: int) -> Iterator[Tick]:
    """Rows of the lake's trades, numbered from an offset on.

    A quote that was not told counts as an empty side, and so does its size.
    """
    columns = [trades.column(name).cast(pa.int64()).to_pylist() for name in _COLUMNS]
    for number, row in enumerate(zip(*columns, strict=True), offset):
        yield Tick(number, *(value or 0 for value in row))

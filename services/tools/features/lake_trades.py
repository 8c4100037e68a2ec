"""A ticker's trades of the lake as columns, a day at a time, and the rows that follow from them.

Days that are asked for need few others: a row depends on its longest window and the one trade
before that, so reading begins with the day that has this trade. And whatever is folded goes part
by part, each beginning at the rewind offset of the last row before it, so memory is bounded by a
part and not by a history.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa

from services.featuresets.definitions import FeatureSet
from services.featuresets.grid import SECOND_US
from services.featuresets.ticks import Tick
from services.lake.files import open_file, read_batches, read_file
from services.lake.places import Lake, day_bounds_us
from services.lake.sides import TickRule
from services.tools.features.backfill import Days
from services.tools.vectorfold.columns import RowColumns, TradeColumns
from services.tools.vectorfold.fold import fold_columns
from services.tools.vectorfold.integers import Ints

PART_TRADES: Final = 500_000
"""Trades that are folded together, about 200 MB with all that lies between them and their rows."""

_COLUMNS: Final = (
    "time", "price", "quantity", "aggressor_side", "bid", "bid_quantity", "ask", "ask_quantity",
)  # fmt: skip


class LakeDays(NamedTuple):
    """The days of a ticker that have to be read."""

    ticker: str
    days: tuple[date, ...]
    first_offset: int
    """Of the first trade: its place among all of the ticker's."""
    trades: int
    closing_day: date | None
    """The day whose first trade closes the last rows; None: no trades come after `days`."""


class Folded(NamedTuple):
    """Some rows, and the trades that `closing` counts in."""

    rows: RowColumns
    trades: TradeColumns
    fresh: int
    """How many of the trades were in no part before."""


def days_to_read(lake: Lake, ticker: str, window_s: int, asked: Days) -> LakeDays:
    """What the rows of the days that are asked for follow from.

    Raises:
        LakeError: a file is damaged or another's.
    """
    there = lake.days("trades", ticker)
    begin = sum(1 for day in there if asked.first is not None and day < asked.first)
    end = max(begin, sum(1 for day in there if asked.last is None or day <= asked.last))
    if begin == len(there):  # nothing closes a row of these days
        return LakeDays(ticker, (), 0, 0, None)
    closing_day = there[end] if end < len(there) else None
    if asked.first is not None:
        needed_us = day_bounds_us(asked.first)[0] - window_s * SECOND_US
        while begin > 0:
            begin -= 1
            if _first_time_us(lake, ticker, there[begin]) < needed_us:
                break
    counts = [_count(lake, ticker, day) for day in there[:end]]
    days = tuple(there[begin:end])
    return LakeDays(ticker, days, sum(counts[:begin]), sum(counts[begin:]), closing_day)


def read_days(lake: Lake, chosen: LakeDays) -> Iterator[TradeColumns]:
    """A day's trades each. Offsets are places among all of the ticker's trades.

    A quote that was not told counts as an empty side, and so does its size; a side that was not
    told is the tick rule's, as in a stream.

    Raises:
        LakeError: a file is damaged or another's.
    """
    offset = chosen.first_offset
    for day in chosen.days:
        trades = _columns(read_file(lake.trades(chosen.ticker, day), "trades"), offset)
        offset += len(trades.price)
        yield trades
    if chosen.closing_day is not None:
        path = lake.trades(chosen.ticker, chosen.closing_day)
        for batch in read_batches(path, "trades", 1):
            yield _columns(pa.Table.from_batches([batch]), offset)
            break


def fold_days(
    feature_set: FeatureSet[Tick], days: Iterable[TradeColumns], part_trades: int = PART_TRADES
) -> Iterator[Folded]:
    """The rows of a ticker's trades, part by part: what one fold over all of them gives."""
    held: list[TradeColumns] = []
    known_us = -1
    for part in _parts(days, part_trades):
        trades = _joined([*held, part])
        rows = fold_columns(feature_set, trades)
        held = [trades]
        yield Folded(rows.after(known_us), trades, len(part.offset))
        if len(rows.closing):
            known_us = int(rows.grid_time_us[-1])
            needed = np.searchsorted(trades.offset, rows.rewind_offset[-1])
            held = [trades.between(int(needed), len(trades.offset))]


def _parts(days: Iterable[TradeColumns], part_trades: int) -> Iterator[TradeColumns]:
    gathered: list[TradeColumns] = []
    for trades in days:
        gathered.append(trades)
        count = sum(len(some.price) for some in gathered)
        if count >= part_trades:
            whole = _joined(gathered)
            for start in range(0, count, part_trades):
                yield whole.between(start, start + part_trades)
            gathered = []
    if gathered:
        yield _joined(gathered)


def _joined(parts: Sequence[TradeColumns]) -> TradeColumns:
    return TradeColumns(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def _columns(table: pa.Table, offset: int) -> TradeColumns:
    time_us, price, quantity, told, *book = (_integers(table, name) for name in _COLUMNS)
    offsets = np.arange(offset, offset + table.num_rows, dtype=np.int64)
    return TradeColumns(offsets, time_us, price, quantity, TickRule().sides(price, told), *book)


def _integers(table: pa.Table, name: str) -> Ints:
    column = table.column(name).cast(pa.int64()).fill_null(0)
    numbers: Ints = column.to_numpy()
    return numbers


def _first_time_us(lake: Lake, ticker: str, day: date) -> int:
    for batch in read_batches(lake.trades(ticker, day), "trades", 1):
        return int(batch.column("time").cast(pa.int64())[0].as_py())
    return day_bounds_us(day)[1]


def _count(lake: Lake, ticker: str, day: date) -> int:
    with open_file(lake.trades(ticker, day), "trades") as file:
        return int(file.metadata.num_rows)

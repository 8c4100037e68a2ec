"""What the folds are fed: a ticker's trades from `trades`, its trades or bars from the lake."""

from collections.abc import Iterator
from datetime import date
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any, Final

import msgspec
import pyarrow as pa

from services.domain.events import Trade
from services.featuresets.bars import Bar
from services.featuresets.definitions import FeatureSet
from services.featuresets.ticks import Tick
from services.lake.places import Lake
from services.lake.reading import read_bars, read_trades
from services.runtime.ports import LogReader, TopicPartition
from services.wire.codec import Codec, Decoded, UndecodableError
from services.wire.topics import TRADES

_EPOCH: Final = date(1970, 1, 1)
_DAY_US: Final = 86_400_000_000


class Fed(msgspec.Struct, frozen=True, gc=False):
    """One input of a fold."""

    ticker: str
    given: Any
    """A Tick, or a Bar."""
    time_us: int
    """When it was known: a trade's time."""


class ExpectedRow(msgspec.Struct, frozen=True, gc=False):
    """A row as the fold makes it, with what closed it."""

    ticker: str
    grid_time_us: int
    created_us: int
    closing_offset: int
    index: int
    """Which of the rows that this trade closed it is, from 0."""
    rewind_offset: int
    values: tuple[int | None, ...]


def trades_from_log(log: LogReader, codec: Codec, partition: int, end: int) -> Iterator[Fed]:
    """The trades of a partition from where the log begins up to an offset.

    What is no trade is passed over, as the feature room does.

    Raises:
        RetriableError: the broker does not answer.
    """
    at = TopicPartition(TRADES.name, partition)
    first, _ = log.bounds(at)
    for chunk in log.read(at, first, end):
        for record in chunk:
            try:
                decoded: Decoded[Trade] = codec.decode(TRADES.name, record.value)
            except UndecodableError:
                continue
            assert decoded.origin is not None, "each schema of trades has an origin"
            trade = decoded.payload
            tick = Tick(
                record.offset, decoded.origin.time_us, trade.price, trade.quantity,
                trade.aggressor_side, trade.bid, trade.bid_quantity, trade.ask, trade.ask_quantity,
            )  # fmt: skip
            yield Fed(trade.ticker, tick, tick.time_us)


def trades_from_lake(lake: Lake, ticker: str) -> Iterator[Fed]:
    """A ticker's trades of history, all of them. Offsets are their places in it.

    A quote that was not told counts as an empty side, and so does its size.

    Raises:
        LakeError: a file is damaged or another's.
    """
    offset = 0
    for batch in read_trades(lake, ticker):
        for row in _rows(batch):
            yield Fed(ticker, Tick(offset, *(value or 0 for value in row)), row[0])
            offset += 1


_TICK_COLUMNS: Final = (
    "time", "price", "quantity", "aggressor_side", "bid", "bid_quantity", "ask", "ask_quantity",
)  # fmt: skip


def _rows(batch: pa.RecordBatch) -> Iterator[tuple[int, ...]]:
    columns = [batch.column(name).cast(pa.int64()).to_pylist() for name in _TICK_COLUMNS]
    return zip(*columns, strict=True)


def expected_rows(feature_set: FeatureSet[Any], inputs: Iterator[Fed]) -> Iterator[ExpectedRow]:
    """The rows that follow from the inputs, each ticker with a fold of its own."""
    folds: dict[str, Any] = {}
    for fed in inputs:
        fold = folds.get(fed.ticker)
        if fold is None:
            fold = folds[fed.ticker] = feature_set.new_fold()
        for index, row in enumerate(fold.step(fed.given)):
            yield ExpectedRow(
                fed.ticker, row.grid_time_us, fed.time_us, _offset_of(fed.given), index,
                row.rewind_offset, row.values,
            )  # fmt: skip


def reals(feature_set: FeatureSet[Any], row: ExpectedRow) -> tuple[float | None, ...]:
    """The row's values as the lake and the online store hold them."""
    pairs = zip(feature_set.features, row.values, strict=True)
    return tuple(feature.real(value) for feature, value in pairs)


def bars_from_lake(lake: Lake, ticker: str) -> Iterator[Fed]:
    """A ticker's daily bars of history. A bar is known at the midnight after its day.

    Raises:
        LakeError: a file is damaged or another's.
    """
    for row in read_bars(lake, "1d", ticker).to_pylist():
        day = (row["time"].date() - _EPOCH).days
        yield Fed(
            ticker,
            Bar(
                day, row["open"], row["high"], row["low"], row["close"], row["volume"],
                row["split_to"] or 1, row["split_from"] or 1, _in_ticks(row["dividend"]),
            ),
            (day + 1) * _DAY_US,
        )  # fmt: skip


def _in_ticks(dollars: Decimal | None) -> int:
    """1/10000 dollar, half to even: a dividend may be stated more finely than prices are."""
    return 0 if dollars is None else int((dollars * 10_000).to_integral_value(ROUND_HALF_EVEN))


def _offset_of(given: Any) -> int:  # noqa: ANN401 - a Tick or a Bar
    return int(given.day if isinstance(given, Bar) else given.offset)

"""A history that nobody lived: a seeded crowd's trades as a trade file, hours of it in a minute.

The crowd is that of `outcry simulate`. Its records go through the folds of ingest, risk and matcher
in this process, each at its intended time, and what the matcher prints is written as people get
trades: a gzipped CSV with quotes. The file's bytes are a function of seed, rate, time and length.
"""

import gzip
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Final

import msgspec

from services.domain.amounts import PRICE_SCALE
from services.domain.events import Trade
from services.domain.genesis import default_genesis
from services.ingest.core import ingest
from services.lake.files import put_in_place
from services.matcher.core import MatcherCore
from services.risk.core import RiskCore
from services.tools.history.errors import HistoryError
from services.tools.market.population import crowd_controls
from services.tools.market.publish import encode
from services.tools.market.simulator import Crowd
from services.wire.codec import Decoded, local_codec
from services.wire.messages import Message
from services.wire.topics import (
    ACCOUNT_PARTITIONS,
    ACCOUNTS,
    CONTROLS,
    MATCHING,
    ORDERS,
    TICKER_PARTITIONS,
)

RECORDS_MAX: Final = 20_000_000
"""Of one file: some hours of work."""
HEADER: Final = "ticker,time,price,size,side,bid,bid_size,ask,ask_size,trade_id\n"

_TELL_EVERY: Final = 500
_US_PER_S: Final = 1_000_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

type Progress = Callable[[int, int], None]
"""Takes records done and records in all."""


class SimulatedHistory(msgspec.Struct, frozen=True):
    """What to make."""

    seed: int
    hours: float
    """How long the crowd trades."""
    rate: float
    """Records that it sends a second."""
    start: datetime
    """When the first one comes; with a time zone."""

    @property
    def records(self) -> int:
        """How many it sends."""
        return round(self.hours * 3_600 * self.rate)


class Made(msgspec.Struct, frozen=True):
    """What a file holds."""

    records: int
    trades: int
    first_time: str
    last_time: str


def write_history(
    path: Path, asked: SimulatedHistory, progress: Progress = lambda _done, _all: None
) -> Made:
    """Write the file whole, or not at all.

    Raises:
        HistoryError: it can't be written, or what is asked for can't be.
    """
    _require(asked)
    partial = path.with_name(f".{path.name}.partial")
    times: list[str] = []
    trades = 0
    try:
        with (
            partial.open("wb") as raw,
            # Without a name and a time in its head, the same trades are the same bytes.
            gzip.GzipFile("", "wb", fileobj=raw, mtime=0) as packed,
        ):
            packed.write(HEADER.encode())
            for time_us, trade in simulated_trades(asked, progress):
                spelled = _spell(time_us)
                times[1:] = [spelled]
                trades += 1
                packed.write(_line(spelled, trade).encode())
        put_in_place(partial, path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise HistoryError(f"{path} can't be written ({error.strerror}): see the disk") from error
    return Made(asked.records, trades, times[0] if times else "", times[-1] if times else "")


def simulated_trades(
    asked: SimulatedHistory, progress: Progress = lambda _done, _all: None
) -> Iterator[tuple[int, Trade]]:
    """Each trade with its time, microseconds since the epoch, in the order of their printing."""
    venue = _Venue()
    codec = local_codec()
    start_us = (asked.start - _EPOCH) // timedelta(microseconds=1)
    for control in (default_genesis(), *crowd_controls(asked.seed)):
        venue.take(CONTROLS.name, codec.encode_command(CONTROLS.name, control), start_us)
    stream = islice(Crowd(asked.seed).commands(), asked.records)
    for number, outbound in enumerate(stream):
        time_us = start_us + int(number * _US_PER_S / asked.rate)
        for trade in venue.take(ORDERS.name, encode(codec, outbound, time_us), time_us):
            yield time_us, trade
        if number % _TELL_EVERY == 0:
            progress(number, asked.records)
    progress(asked.records, asked.records)


class _Venue:
    """The folds of the trading rooms, each record followed to its end before the next one."""

    def __init__(self) -> None:
        self._codec = local_codec()
        self._cores: dict[str, Sequence[RiskCore | MatcherCore]] = {
            ACCOUNTS.name: [RiskCore(partition) for partition in range(ACCOUNT_PARTITIONS)],
            MATCHING.name: [MatcherCore(partition) for partition in range(TICKER_PARTITIONS)],
        }
        self._ends: dict[tuple[str, int], int] = {}

    def take(self, topic: str, value: bytes, time_us: int) -> list[Trade]:
        """What one record of a client or an operator makes the matchers print."""
        offset = self._append(topic, 0)
        left = deque(ingest(self._codec, topic, 0, offset, time_us, value))
        printed: list[Trade] = []
        while left:
            message = left.popleft()
            if isinstance(message.payload, Trade):
                printed.append(message.payload)
            else:
                left.extend(self._fold(message))
        return printed

    def _fold(self, message: Message) -> list[Message]:
        cores = self._cores.get(message.topic)
        if cores is None:  # for a reader outside: a report, a dead letter
            return []
        offset = self._append(message.topic, message.partition)
        decoded = Decoded(message.origin, message.payload, message.origin.event_time_us)
        return cores[message.partition].handle(offset, decoded)

    def _append(self, topic: str, partition: int) -> int:
        offset = self._ends.get((topic, partition), 0)
        self._ends[topic, partition] = offset + 1
        return offset


def _require(asked: SimulatedHistory) -> None:
    if not 1 <= asked.hours * 3_600 * asked.rate <= RECORDS_MAX:  # also where one is no number
        raise HistoryError(
            f"{asked.hours:g} hours of {asked.rate:g} records a second: ask for 1 to"
            f" {RECORDS_MAX:,} records in all"
        )
    if asked.start < _EPOCH:
        raise HistoryError(f"a history from {asked.start} on: ask for one since 1970")


def _line(time: str, trade: Trade) -> str:
    bid = f"{_dollars(trade.bid)},{trade.bid_quantity}" if trade.bid_quantity else ","
    ask = f"{_dollars(trade.ask)},{trade.ask_quantity}" if trade.ask_quantity else ","
    return (
        f"{trade.ticker},{time},{_dollars(trade.price)},{trade.quantity},{trade.aggressor_side},"
        f"{bid},{ask},{trade.trade_id}\n"
    )


def _dollars(price: int) -> str:
    return f"{price // PRICE_SCALE}.{price % PRICE_SCALE:04}"


def _spell(time_us: int) -> str:
    return f"{_EPOCH + timedelta(microseconds=time_us):%Y-%m-%dT%H:%M:%S.%fZ}"

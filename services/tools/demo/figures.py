"""What the demo's screen shows, counted from what comes out of the log. Pure."""

from array import array
from collections import deque
from typing import Final

import msgspec

from services.domain.commands import (
    CancelAll,
    CancelOrder,
    PlaceOrder,
    ReduceOrder,
    ReplaceOrder,
)
from services.domain.events import BookDepth, DeadLetter, ExecutionReport, Trade
from services.runtime.ports import TopicPartition
from services.tools.operate.exchange import Seen
from services.wire.topics import BOOK, EXECUTIONS, ORDERS, ORDERS_DLQ, TRADES

WATCHED: Final = (ORDERS, ORDERS_DLQ, TRADES, BOOK, EXECUTIONS)
"""The topics that figures are made of."""

_US_PER_MS: Final = 1_000
_WINDOW_US: Final = 10_000_000
"""Rates and latencies shown are those of the last so many microseconds."""
_AWAITED_MAX: Final = 100_000
"""Most commands whose answer is awaited; beyond, the oldest are forgotten."""
_REMEMBERED_MAX: Final = 200_000
"""Most places of executions that the recorder may still lack."""


class Top(msgspec.Struct, frozen=True):
    """A ticker's best prices, in 1/10000 dollar, and sizes in shares; 0 where a side is empty."""

    status: int = 0
    last: int = 0
    bid: int = 0
    bid_quantity: int = 0
    ask: int = 0
    ask_quantity: int = 0


class Latency(msgspec.Struct, frozen=True):
    """From the broker's stamp on a command to a reader having its first committed report."""

    answers: int
    p50_ms: float
    p99_ms: float
    max_ms: float


class Figures:
    """Takes what a watch saw, in order, and the time at which it was seen."""

    def __init__(self) -> None:
        self.orders = 0
        self.trades = 0
        self.shares = 0
        self.reports = 0
        self.dead_letters = 0
        self.tops: dict[str, Top] = {}
        self._stamped_ms: dict[tuple[str, str], int] = {}
        """When each command that is not answered yet came into the log."""
        self._latencies_us: array[int] = array("q")
        self._recent: deque[tuple[int, int]] = deque()
        """Seen at, latency; of the window."""
        self._trades_at_us: deque[int] = deque()
        self._unrecorded: dict[int, deque[int]] = {}

    def take(self, seen: Seen, now_us: int) -> None:
        """Count one record."""
        payload = seen.decoded.payload
        match payload:
            case PlaceOrder():
                self._await(payload.account, payload.client_order_id, seen.timestamp_ms)
            case CancelOrder() | ReduceOrder() | ReplaceOrder() | CancelAll():
                self._await(payload.account, payload.client_command_id, seen.timestamp_ms)
            case ExecutionReport():
                self.reports += 1
                self._note_place(seen)
                self._note_answer(payload, now_us)
            case Trade():
                self.trades += 1
                self.shares += payload.quantity
                self._trades_at_us.append(now_us)
            case BookDepth():
                self.tops[payload.ticker] = _top(payload)
            case DeadLetter():
                self.dead_letters += 1
            case _ if seen.topic == EXECUTIONS.name:
                self._note_place(seen)

    def _await(self, account: str, command_id: str, stamped_ms: int) -> None:
        self._stamped_ms.setdefault((account, command_id), stamped_ms)
        if len(self._stamped_ms) > _AWAITED_MAX:
            del self._stamped_ms[next(iter(self._stamped_ms))]

    def _note_answer(self, report: ExecutionReport, now_us: int) -> None:
        stamped_ms = self._stamped_ms.pop((report.account, report.client_command_id), None)
        if stamped_ms is not None:
            latency_us = max(0, now_us - stamped_ms * _US_PER_MS)
            self._latencies_us.append(latency_us)
            self._recent.append((now_us, latency_us))

    def _note_place(self, seen: Seen) -> None:
        places = self._unrecorded.setdefault(seen.partition, deque(maxlen=_REMEMBERED_MAX))
        places.append(seen.offset)

    def note_orders(self, records: int) -> None:
        """How many records `orders` got since the demo began, junk too."""
        self.orders = records

    def note_recorded(self, next_offsets: dict[TopicPartition, int]) -> None:
        """How far the recorder is, by partition."""
        for partition, places in self._unrecorded.items():
            recorded = next_offsets.get(TopicPartition(EXECUTIONS.name, partition), 0)
            while places and places[0] < recorded:
                places.popleft()

    @property
    def recorder_lag(self) -> int:
        """Execution reports that were seen and are not in PostgreSQL yet."""
        return sum(len(places) for places in self._unrecorded.values())

    def trades_per_s(self, now_us: int) -> float:
        """Over the last ten seconds."""
        while self._trades_at_us and self._trades_at_us[0] < now_us - _WINDOW_US:
            self._trades_at_us.popleft()
        return len(self._trades_at_us) * 1_000_000 / _WINDOW_US

    def recent_latency(self, now_us: int) -> Latency | None:
        """Of the last ten seconds; None if nothing was answered."""
        while self._recent and self._recent[0][0] < now_us - _WINDOW_US:
            self._recent.popleft()
        return summarise([latency_us for _, latency_us in self._recent])

    def latency(self) -> Latency | None:
        """Of the whole demo; None if nothing was answered."""
        return summarise(self._latencies_us)


def summarise(latencies_us: "list[int] | array[int]") -> Latency | None:
    """Percentiles by the nearest rank; None without values."""
    if not latencies_us:
        return None
    ordered = sorted(latencies_us)
    count = len(ordered)
    ranks = [ordered[-(-count * percent // 100) - 1] / _US_PER_MS for percent in (50, 99, 100)]
    return Latency(count, *ranks)


def _top(depth: BookDepth) -> Top:
    bid = depth.bids[0] if depth.bids else None
    ask = depth.asks[0] if depth.asks else None
    return Top(
        depth.status,
        depth.last_price,
        bid.price if bid else 0,
        bid.quantity if bid else 0,
        ask.price if ask else 0,
        ask.quantity if ask else 0,
    )

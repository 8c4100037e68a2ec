"""An order's way through the log: from what risk said back, by origins, to what the client sent.

Every message carries the place of the record that caused it, so the way is read, not guessed. The
time at a place is the log's own: in `orders` the broker's, elsewhere the clock of the room that
wrote it, at the moment it wrote; it can be read a commit later.
"""

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

import msgspec

from services.domain import origin
from services.runtime.errors import HistoryLostError
from services.runtime.ports import LogReader, Record, TopicPartition
from services.runtime.traces import trace_id_of
from services.wire.codec import Codec, UndecodableError
from services.wire.topics import ORIGIN_NUMBERS

HOPS_MAX: Final = 400
"""Records read for one order, each a request to the broker."""

_TOPICS: Final = {number: name for name, number in ORIGIN_NUMBERS.items()}
_ROOMS: Final = {
    origin.ORDERS: "ingest",
    origin.CONTROLS: "ingest",
    origin.ACCOUNTS: "risk",
    origin.MATCHING: "matcher",
}
"""Who answers what stands in a topic; a record that has no origin is a client's."""


class Place(NamedTuple):
    """One record of the log, by its topic's plain name."""

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.topic}-{self.partition}@{self.offset}"


class Hop(msgspec.Struct, frozen=True):
    """One record on the way."""

    topic: str
    partition: int
    offset: int
    message: str
    """What it says; empty where the log has it no longer."""
    writer: str
    """The room that wrote it, or client; empty where the log has it no longer."""
    time_ms: int | None
    """When it was written, ms since the epoch."""
    since_first_ms: int | None
    """Since the first record of the way that is still there."""
    since_cause_ms: int | None
    """Since the record that caused it; clocks of different machines may make it negative."""
    trace_id: str = ""
    """Of the trace that it belongs to; empty: of none."""

    @property
    def place(self) -> Place:
        return Place(self.topic, self.partition, self.offset)


class _Found(NamedTuple):
    record: Record | None
    message: str
    writer: str
    cause: Place | None
    depth: int
    """How many records lead to it, so that equal times keep cause before effect."""


def trace(log: LogReader, codec: Codec, ends: Iterable[Place]) -> list[Hop]:
    """Every record that led to these, each once, in order of time; at most `HOPS_MAX`.

    Raises:
        RetriableError: Kafka can't be read.
    """
    found: dict[Place, _Found] = {}
    for end in ends:
        _follow(log, codec, end, found)
    times = {place: one.record.timestamp_ms for place, one in found.items() if one.record}
    first_ms = min(times.values(), default=0)

    def order(item: tuple[Place, _Found]) -> tuple[int, int, Place]:
        place, one = item
        return times.get(place, first_ms), one.depth, place

    return [_hop(place, one, times, first_ms) for place, one in sorted(found.items(), key=order)]


def _follow(log: LogReader, codec: Codec, end: Place, found: dict[Place, _Found]) -> None:
    chain: list[tuple[Place, Record | None, str, str, Place | None]] = []
    place: Place | None = end
    while place is not None and place not in found and len(found) + len(chain) < HOPS_MAX:
        record = _read(log, place)
        message, writer, cause = ("", "", None) if record is None else _decode(codec, record)
        chain.append((place, record, message, writer, cause))
        place = cause
    depth = found[place].depth if place in found else -1
    for at, record, message, writer, cause in reversed(chain):
        depth += 1
        found[at] = _Found(record, message, writer, cause, depth)


def _read(log: LogReader, place: Place) -> Record | None:
    at = TopicPartition(place.topic, place.partition)
    try:
        for records in log.read(at, place.offset, place.offset + 1):
            for record in records:
                return record
    except HistoryLostError:
        pass  # retention has passed
    return None


def _decode(codec: Codec, record: Record) -> tuple[str, str, Place | None]:
    """What it says, who wrote it, and what caused it."""
    try:
        decoded = codec.decode(record.topic, record.value)
    except UndecodableError:
        return "JSON" if (record.value or b"").startswith(b"{") else "?", "client", None
    source = decoded.origin
    if source is None or source.topic == origin.NOWHERE:
        return type(decoded.payload).__name__, "client", None
    cause = Place(_TOPICS[source.topic], source.partition, source.offset)
    return type(decoded.payload).__name__, _ROOMS.get(source.topic, "?"), cause


def _hop(place: Place, one: _Found, times: dict[Place, int], first_ms: int) -> Hop:
    time_ms = times.get(place)
    cause_ms = times.get(one.cause) if one.cause else None
    return Hop(
        *place,
        message=one.message,
        writer=one.writer,
        time_ms=time_ms,
        since_first_ms=None if time_ms is None else time_ms - first_ms,
        since_cause_ms=None if time_ms is None or cause_ms is None else time_ms - cause_ms,
        trace_id="" if one.record is None else trace_id_of(one.record.traceparent),
    )


def ends_of(
    submissions: Sequence[dict[str, int]],
    executions: Sequence[dict[str, int]],
    trades: Sequence[dict[str, int]],
) -> list[Place]:
    """The last records that PostgreSQL knows of an order: reports, trades, and what was asked."""
    tables = (("executions", executions), ("trades", trades), ("accounts", submissions))
    return [Place(topic, row["partition"], row["offset"]) for topic, rows in tables for row in rows]

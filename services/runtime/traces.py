"""Where an order was, and for how long: traces, off unless `OUTCRY_TRACES_ENDPOINT` says where to.

A record that takes part has the header `traceparent` (W3C Trace Context), set by the gateway or by
any client. A room gives each output the trace of the record that caused it, under a span of its own
that begins when the record is folded and ends when its transaction is committed. Headers are no
part of what a record says: no fold sees them, no hash covers them, no replay needs them.

Nothing of OpenTelemetry is imported here, so that a room without traces needs none of it.
"""

from collections.abc import Collection, Iterable, Sequence
from typing import Final, Protocol

from services.runtime.ports import Outgoing, Record

HEADER: Final = "traceparent"
HEADER_BYTES: Final = 55
"""Version 00: two digits, 32 of the trace, 16 of the span, two of flags, and three dashes."""


class RoomTraces(Protocol):
    """What the loop tells of its work. Called from the loop's thread; never waits."""

    def begin(self) -> None:
        """A transaction begins: what was carried since the last one was committed is forgotten."""

    def carry(self, record: Record, said: Sequence[Outgoing]) -> Sequence[Outgoing]:
        """The outputs of this record, with its trace; as they are, if it has none."""

    def follow(self, record: Record, topics: Collection[str]) -> bytes | None:
        """The header of what this record causes on these topics; None: it has no trace."""

    def committed(self) -> None:
        """The transaction is committed: its records' spans end."""

    def close(self) -> None:
        """Send what is there, within a time limit. Never raises."""


def header_of(headers: Iterable[tuple[str, bytes | None]]) -> bytes | None:
    """The header of a trace among a record's; None: there is none of that length."""
    for name, value in headers:
        if name == HEADER and value is not None and len(value) == HEADER_BYTES:
            return value
    return None


def trace_id_of(traceparent: bytes | None) -> str:
    """The trace's 32 digits; empty if there are none."""
    if traceparent is None or len(traceparent) != HEADER_BYTES:
        return ""
    parts = traceparent.decode("latin-1").split("-")
    digits = parts[1] if len(parts) == 4 else ""
    return digits if len(digits) == 32 and set(digits) <= set("0123456789abcdef") else ""

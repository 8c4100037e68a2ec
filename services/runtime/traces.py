"""Where an order was, and for how long: traces, off unless `OUTCRY_TRACES_ENDPOINT` says where to.

A record that takes part has the header `traceparent` (W3C Trace Context), set by the gateway or by
any client. A room gives each output the trace of the record that caused it, under a span of its own
that begins when the record is folded and ends when its transaction is committed. Headers are no
part of what a record says: no fold sees them, no hash covers them, no replay needs them.

Nothing of OpenTelemetry is imported here, so that a room without traces needs none of it.
"""

from collections.abc import Sequence
from typing import Final, Protocol

from services.runtime.errors import ConfigurationError
from services.runtime.ports import Outgoing, Record
from services.runtime.settings import RoomSettings

HEADER: Final = "traceparent"
HEADER_BYTES: Final = 55
"""Version 00: two digits, 32 of the trace, 16 of the span, two of flags, and three dashes."""


class RoomTraces(Protocol):
    """What the loop tells of its work. Called from the loop's thread; never waits."""

    def begin(self) -> None:
        """A transaction begins: what was carried since the last one was committed is forgotten."""

    def carry(self, record: Record, said: Sequence[Outgoing]) -> Sequence[Outgoing]:
        """The outputs of this record, with its trace; as they are, if it has none."""

    def committed(self) -> None:
        """The transaction is committed: its records' spans end."""

    def close(self) -> None:
        """Send what is there, within a time limit. Never raises."""


def open_room_traces(room: str, settings: RoomSettings) -> RoomTraces | None:
    """A room's traces; None: nobody wants them.

    Raises:
        ConfigurationError: they are wanted, and OpenTelemetry is not installed.
    """
    if settings.traces_endpoint is None:
        return None
    try:
        from services.runtime import spans  # noqa: PLC0415 - heavy, and not everywhere installed
    except ModuleNotFoundError as error:
        raise missing(error) from error
    provider = spans.make_provider(
        room, settings.instance, spans.exporter(settings.traces_endpoint)
    )
    return spans.LoopSpans(room, provider)


def missing(error: ModuleNotFoundError) -> ConfigurationError:
    """What to do where OpenTelemetry is wanted and absent."""
    return ConfigurationError(
        f"OUTCRY_TRACES_ENDPOINT is set and {error.name} is not installed: pip install"
        " 'outcry[tracing]', or unset it"
    )


def trace_id_of(traceparent: bytes | None) -> str:
    """The trace's 32 digits; empty if there are none."""
    if traceparent is None or len(traceparent) != HEADER_BYTES:
        return ""
    parts = traceparent.decode("latin-1").split("-")
    digits = parts[1] if len(parts) == 4 else ""
    return digits if len(digits) == 32 and set(digits) <= set("0123456789abcdef") else ""

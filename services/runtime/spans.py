"""Traces by OpenTelemetry: spans that a thread of the library's sends to a collector.

Spans wait in a queue of bounded length; what finds it full is dropped. A collector that is away
costs that thread, never the loop.
"""

from collections.abc import Collection, Sequence
from typing import Final, cast

import msgspec
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import (
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    TraceFlags,
    set_span_in_context,
)

from services.runtime.ports import Outgoing, Record
from services.runtime.traces import HEADER_BYTES, trace_id_of

SPANS_WAITING_MAX: Final = 4_096
SPANS_SENT_MAX: Final = 512
"""Of one request to the collector."""
SEND_INTERVAL_MS: Final = 1_000
SEND_TIMEOUT_S: Final = 5
CLOSE_WAIT_MS: Final = 3_000


def exporter(endpoint: str) -> SpanExporter:
    """OTLP over HTTP, to this address (its path, usually /v1/traces, included). Asks nobody yet."""
    return OTLPSpanExporter(endpoint=endpoint, timeout=SEND_TIMEOUT_S)


def make_provider(
    room: str, instance: str, target: SpanExporter, ratio: float = 1.0
) -> TracerProvider:
    """Where a process's spans come from.

    `ratio` is the share that is kept of the traces that begin here; of those that come in, all.
    """
    provider = TracerProvider(
        resource=Resource.create(
            {"service.name": f"outcry-{room}", "service.instance.id": f"{room}-{instance}"}
        ),
        sampler=ParentBased(TraceIdRatioBased(ratio)),
        shutdown_on_exit=False,
    )
    provider.add_span_processor(
        BatchSpanProcessor(
            target,
            max_queue_size=SPANS_WAITING_MAX,
            max_export_batch_size=SPANS_SENT_MAX,
            schedule_delay_millis=SEND_INTERVAL_MS,
        )
    )
    return provider


def close_provider(provider: TracerProvider) -> None:
    """Send what is there, within a time limit."""
    provider.force_flush(CLOSE_WAIT_MS)
    provider.shutdown()


class LoopSpans:
    """`traces.RoomTraces`."""

    def __init__(self, room: str, provider: TracerProvider) -> None:
        self._room = room
        self._provider = provider
        self._tracer = provider.get_tracer("outcry")
        self._open: list[Span] = []
        """Of the records of this transaction; the batch bounds their number."""

    def begin(self) -> None:
        self._open.clear()

    def carry(self, record: Record, said: Sequence[Outgoing]) -> Sequence[Outgoing]:
        header = self.follow(record, {one.topic for one in said})
        if header is None:
            return said
        return [msgspec.structs.replace(one, traceparent=header) for one in said]

    def follow(self, record: Record, topics: Collection[str]) -> bytes | None:
        cause = read_header(record.traceparent)
        if cause is None:
            return None
        span = self._tracer.start_span(
            f"{self._room} {record.topic}",
            set_span_in_context(NonRecordingSpan(cause)),
            SpanKind.CONSUMER,
            {
                "messaging.system": "kafka",
                "messaging.destination.name": record.topic,
                "messaging.destination.partition.id": str(record.partition),
                "messaging.kafka.offset": record.offset,
                "outcry.writes": tuple(sorted(topics)),
            },
        )
        self._open.append(span)
        return write_header(span.get_span_context())

    def committed(self) -> None:
        for span in self._open:
            span.end()
        self._open.clear()

    def close(self) -> None:
        close_provider(self._provider)


def read_header(traceparent: bytes | None) -> SpanContext | None:
    """The span that a header names; None: there is none, or it is not to be kept.

    Any client may have written it: what is malformed is as if it were not there.
    """
    trace_id = trace_id_of(traceparent)
    if not trace_id:
        return None
    _, _, span_id, flags = cast("bytes", traceparent).decode("latin-1").split("-")
    try:
        found = SpanContext(
            int(trace_id, 16),
            int(span_id, 16),
            is_remote=True,
            trace_flags=TraceFlags(int(flags, 16)),
        )
    except ValueError:
        return None
    return found if found.is_valid and found.trace_flags.sampled else None


def write_header(context: SpanContext) -> bytes | None:
    """The header that names this span; None if nobody keeps it, so that nobody carries it."""
    if not (context.is_valid and context.trace_flags.sampled):
        return None
    found = f"00-{context.trace_id:032x}-{context.span_id:016x}-01".encode()
    assert len(found) == HEADER_BYTES, found
    return found

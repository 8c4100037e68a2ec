"""A collector of traces in this process: OTLP over HTTP, as rooms send it."""

from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import Final

import msgspec
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

PATH: Final = "/v1/traces"


class Heard(msgspec.Struct, frozen=True):
    """A span, as far as tests look at it."""

    service: str
    name: str
    trace_id: str
    span_id: str
    parent_id: str
    began_ns: int
    ended_ns: int


class Collector:
    """What came so far. Any thread may ask."""

    def __init__(self) -> None:
        self.url = ""
        self._lock = Lock()
        self._spans: list[Heard] = []

    def take(self, body: bytes) -> None:
        with self._lock:
            self._spans += _spans_of(body)

    def of_trace(self, trace_id: str) -> list[Heard]:
        with self._lock:
            return [span for span in self._spans if span.trace_id == trace_id]

    def services(self) -> set[str]:
        with self._lock:
            return {span.service for span in self._spans}


def _spans_of(body: bytes) -> list[Heard]:
    found = []
    for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
        named = {one.key: one.value.string_value for one in resource.resource.attributes}
        found += [
            Heard(
                named["service.name"],
                span.name,
                span.trace_id.hex(),
                span.span_id.hex(),
                span.parent_span_id.hex(),
                span.start_time_unix_nano,
                span.end_time_unix_nano,
            )
            for scope in resource.scope_spans
            for span in scope.spans
        ]
    return found


@contextmanager
def collecting() -> Iterator[Collector]:
    """A collector on a free port."""
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            is_ours = self.path == PATH
            if is_ours:
                collector.take(body)
            self.send_response(HTTPStatus.OK if is_ours else HTTPStatus.NOT_FOUND)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        collector.url = f"http://127.0.0.1:{server.server_port}{PATH}"
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield collector
        finally:
            server.shutdown()
            thread.join()

"""Limits on what comes before a request is one: its line and headers, and the connection itself.

uvicorn bounds neither with httptools: it would keep headers in memory for as long as they come,
and wait for ever for a request that never begins.
"""

import asyncio
from typing import ClassVar

import httptools
import msgspec
import orjson
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from services.door.exchange import EXCHANGE, Exchange
from services.door.problems import MEDIA_TYPE, DoorReason, ProblemError, door_problem

_MS_PER_S = 1_000


class HeadLimits(msgspec.Struct, frozen=True):
    """What one process bears of its clients before it looks at what they ask."""

    bytes_max: int
    """Longest request line and headers together."""
    timeout_ms: int
    """Longest wait for them, from the connection or the last answer's end on."""
    connections_max: int
    """Most connections, upgraded ones included."""


class BoundedHttp(HttpToolsProtocol):
    """HTTP/1 that answers 408, 431 or 503 and closes. `bounded_http` gives it its limits."""

    limits: ClassVar[HeadLimits]

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._is_heading = False
        self._head_bytes = 0
        self._fault: ProblemError | None = None
        self._timer: asyncio.TimerHandle | None = None
        if len(self.connections) > self.limits.connections_max:
            self._end(door_problem(DoorReason.OVERLOADED, "too many connections are open"))
            return
        self._wait_for_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        was_heading = self._is_heading
        super().data_received(data)
        if was_heading and self._is_heading:
            # All of it belongs to one head that has not ended, some of it perhaps to one header.
            self._head_bytes += len(data)
            if self._head_bytes > self.limits.bytes_max:
                self._end(self._too_large())

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._is_heading = True
        self._head_bytes = 0
        if self._timer is None:
            self._wait_for_head()

    def on_url(self, url: bytes) -> None:
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count(len(name) + len(value) + len(b": \r\n"))
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._is_heading = False
        self._stop_waiting()
        before = self.cycle
        super().on_headers_complete()
        if self.cycle is not before:  # it is when the connection becomes another protocol's
            # Its task has not begun: the server has only just made it.
            self.scope[EXCHANGE] = Exchange(self.cycle)  # type: ignore[typeddict-unknown-key]

    def send_400_response(self, msg: str) -> None:
        """What the server sends when the parser stopped: the fault that stopped it, if one did."""
        if self._fault is None:
            super().send_400_response(msg)
        else:
            self._end(self._fault)

    def _count(self, length: int) -> None:
        self._head_bytes += length
        if self._head_bytes > self.limits.bytes_max:
            self._fault = self._too_large()
            raise httptools.HttpParserError("the head is too large")

    def _too_large(self) -> ProblemError:
        bytes_max = self.limits.bytes_max
        return door_problem(
            DoorReason.HEAD_TOO_LARGE,
            f"at most {bytes_max} bytes of request line and headers are read",
            members={"bytes_max": bytes_max},
        )

    def _wait_for_head(self) -> None:
        self._timer = self.loop.call_later(self.limits.timeout_ms / _MS_PER_S, self._give_up)

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _give_up(self) -> None:
        self._timer = None
        timeout_ms = self.limits.timeout_ms
        detail = f"no request's headers came to their end within {timeout_ms} ms"
        self._end(door_problem(DoorReason.REQUEST_TIMEOUT, detail))

    def _end(self, problem: ProblemError) -> None:
        """Answer, unless an answer is being given already, and close."""
        self._stop_waiting()
        if self.transport.is_closing():
            return
        if getattr(self.cycle, "response_complete", True):  # before the first one it is None
            body = orjson.dumps(problem.document())
            head = (
                f"HTTP/1.1 {problem.status_code} {problem.kind.title}\r\n"
                f"content-type: {MEDIA_TYPE}\r\ncontent-length: {len(body)}\r\n"
                "cache-control: no-store\r\nconnection: close\r\n\r\n"
            )
            self.transport.write(head.encode() + body)
        self.transport.close()


def bounded_http(bounds: HeadLimits) -> type[BoundedHttp]:
    """The protocol with these limits, for uvicorn's `http`."""

    class Bounded(BoundedHttp):
        limits = bounds

    return Bounded

"""Traces of commands, from the request to the record in `orders`. Only where they are wanted.

A request with a `traceparent` goes on with its trace, if that says to keep it; of the others a
share begins one. The answer names it in `traceresponse`, as the next level of the W3C's Trace
Context has it, and every line of the log about it in `trace_id`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from opentelemetry import context, trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import NonRecordingSpan, SpanKind, StatusCode
from starlette.types import ASGIApp, Receive, Scope, Send
from structlog.contextvars import bind_contextvars

from services.door.answering import answer_of
from services.runtime.spans import close_provider, read_header, write_header
from services.runtime.traces import HEADER, trace_id_of

_RESPONSE_HEADER: Final = b"traceresponse"
_ERRORS_FROM: Final = 500


class CommandTraces:
    """`desk.Traces`, and what stands before the routes. Called on the event loop."""

    def __init__(self, provider: TracerProvider) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("outcry")

    @contextmanager
    def writing(self, order_id: str) -> Iterator[bytes | None]:
        """While a command is on its way to the log; gives the header to write beside it."""
        span = self._tracer.start_span(
            "orders write",
            kind=SpanKind.PRODUCER,
            attributes={"messaging.system": "kafka", "outcry.order_id": order_id},
        )
        try:
            yield write_header(span.get_span_context())
        except Exception as error:
            span.set_status(StatusCode.ERROR, type(error).__name__)
            raise
        finally:
            span.end()

    @contextmanager
    def answering(self, scope: Scope) -> Iterator[bytes | None]:
        """While a request is answered; gives the header that names its trace."""
        sent = [value for name, value in scope["headers"] if name == HEADER.encode()]
        cause = read_header(sent[0]) if len(sent) == 1 else None
        parent = None if cause is None else trace.set_span_in_context(NonRecordingSpan(cause))
        span = self._tracer.start_span(
            scope["method"],
            # Not the present context: this connection's last request may have left one.
            parent or context.Context(),
            SpanKind.SERVER,
            {"http.request.method": scope["method"]},
        )
        token = context.attach(trace.set_span_in_context(span))
        try:
            yield write_header(span.get_span_context())
        except Exception as error:
            # Refusals too: the guard around this answers them.
            span.set_status(StatusCode.ERROR, getattr(error, "reason", type(error).__name__))
            raise
        finally:
            context.detach(token)
            route = getattr(scope.get("route"), "path", None)
            if route is not None:
                span.update_name(f"{scope['method']} {route}")
            span.end()

    def layer(self, app: ASGIApp) -> ASGIApp:
        """Middleware with which each command over HTTP has a trace."""
        return TraceLayer(app, self)

    def close(self) -> None:
        """Send what is there, within a time limit. Blocks."""
        close_provider(self._provider)


class TraceLayer:
    """ASGI middleware around the routes: a trace for each command over HTTP."""

    def __init__(self, app: ASGIApp, traces: CommandTraces) -> None:
        self._app = app
        self._traces = traces

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        with self._traces.answering(scope) as header:
            if header is None:
                await self._app(scope, receive, send)
                return
            bind_contextvars(trace_id=trace_id_of(header))
            answer = answer_of(scope)
            answer.headers.append((_RESPONSE_HEADER, header))
            await self._app(scope, receive, send)
            span = trace.get_current_span()
            span.set_attribute("http.response.status_code", answer.status)
            if answer.status >= _ERRORS_FROM:
                span.set_status(StatusCode.ERROR)

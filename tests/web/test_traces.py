"""The trace of a command, from the request's header to the one in `orders`."""

from typing import Final

import httpx
import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from services.gateway.command_traces import CommandTraces
from services.gateway.ports import LogUnavailableError
from services.runtime.spans import make_provider
from services.runtime.traces import trace_id_of
from tests.support.gateway_memory import (
    ORDER,
    MemoryCommandLog,
    book,
    feed,
    make_client,
    make_gateway,
)

TRACE: Final = "0af7651916cd43dd8448eb211c80319c"
HEADER: Final = f"00-{TRACE}-b7ad6b7169203331-01"


class Traced:
    """A gateway whose spans are kept."""

    def __init__(self, ratio: float = 1.0) -> None:
        self._exporter = InMemorySpanExporter()
        self._provider = make_provider("gateway", "0", self._exporter, ratio)
        self.log = MemoryCommandLog()
        self._gateway = make_gateway(self.log, traces=CommandTraces(self._provider))
        feed(self._gateway, book())

    async def post(self, path: str, body: object, **headers: str) -> httpx.Response:
        async with make_client(self._gateway) as client:
            return await client.post(path, json=body, headers=headers)

    def spans(self) -> dict[str, ReadableSpan]:
        self._provider.force_flush()
        return {span.name: span for span in self._exporter.get_finished_spans()}


async def test_a_clients_trace_goes_on_into_the_log() -> None:
    traced = Traced()
    response = await traced.post("/orders", ORDER, traceparent=HEADER)
    spans = traced.spans()
    asked, written = spans["POST /orders"], spans["orders write"]
    assert response.status_code == 202
    assert trace_id_of(response.headers["traceresponse"].encode()) == TRACE
    (header,) = traced.log.traces
    assert trace_id_of(header) == TRACE
    assert header is not None
    assert asked.parent is not None
    assert written.parent is not None
    assert asked.context is not None
    assert written.context is not None
    assert f"{asked.parent.span_id:016x}" == "b7ad6b7169203331"
    assert written.parent.span_id == asked.context.span_id
    assert header.decode().split("-")[2] == f"{written.context.span_id:016x}"
    assert dict(written.attributes or {})["outcry.order_id"] == response.json()["order_id"]


async def test_a_command_without_a_trace_begins_one_of_its_own() -> None:
    traced = Traced()
    body = {"client_command_id": "c-1"}
    for _ in range(2):
        assert (await traced.post("/orders/AAPL-1/cancel", body)).status_code == 202
    first, second = (trace_id_of(header) for header in traced.log.traces)
    assert "" not in {first, second}
    assert first != second
    assert "POST /orders/{order_id}/cancel" in traced.spans()


@pytest.mark.parametrize("sent", [HEADER[:-2] + "00", "", "not a trace"])
async def test_where_no_trace_is_to_be_kept_no_header_is_written(sent: str) -> None:
    traced = Traced(ratio=0.0)
    response = await traced.post("/orders", ORDER, traceparent=sent)
    assert "traceresponse" not in response.headers
    assert (traced.log.traces, traced.spans()) == ([None], {})


async def test_what_is_refused_or_fails_is_an_error_of_its_span() -> None:
    traced = Traced()
    refused = await traced.post("/orders", ORDER | {"quantity": -1}, traceparent=HEADER)
    traced.log.failure = LogUnavailableError("planted")
    failed = await traced.post("/orders", ORDER, traceparent=HEADER)
    spans = traced.spans()
    assert (refused.status_code, failed.status_code) == (422, 503)
    assert not spans["POST /orders"].status.is_ok
    assert not spans["orders write"].status.is_ok


async def test_a_gateway_without_traces_writes_none_and_answers_none() -> None:
    log = MemoryCommandLog()
    gateway = make_gateway(log)
    feed(gateway, book())
    async with make_client(gateway) as client:
        response = await client.post("/orders", json=ORDER, headers={"traceparent": HEADER})
    assert "traceresponse" not in response.headers
    assert log.traces == [None]

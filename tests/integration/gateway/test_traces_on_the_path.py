"""One trace from POST /orders to the execution, over the rooms' processes and a real collector."""

import asyncio
from collections.abc import Iterator
from typing import Final

import httpx
import pytest

from services.domain import codes
from services.gateway.settings import GatewaySettings
from services.runtime.kafka import KafkaConnection
from services.runtime.kafka_reader import KafkaReader
from services.runtime.ports import TopicPartition
from services.runtime.traces import trace_id_of
from services.tools.operate.connect import Deployment, load_codec, open_log
from services.tools.operate.journey import Place, trace
from services.tools.operate.present import print_hops
from services.wire.topics import EXECUTIONS
from tests.support.gateway_memory import ORDER, eventually
from tests.support.gateway_service import running
from tests.support.stack_fixture import StackInfra
from tests.support.trace_collector import Collector, collecting
from tests.support.trading_path import TradingPath, running_path

pytestmark = [pytest.mark.kafka, pytest.mark.long, pytest.mark.timeout(300)]

PREFIX: Final = "traces."
TRACE: Final = "0af7651916cd43dd8448eb211c80319c"
HEADER: Final = f"00-{TRACE}-b7ad6b7169203331-01"
WAIT_S: Final = 120.0


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with collecting() as found:
        yield found


@pytest.fixture(scope="module")
def path(stack_infra: StackInfra, collector: Collector) -> Iterator[TradingPath]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OUTCRY_TRACES_ENDPOINT", collector.url)
        with running_path(stack_infra, PREFIX, rooms=("ingest", "risk", "matcher")) as path:
            path.open_account("alice")
            yield path


async def place(path: TradingPath, collector: Collector, name: str, **headers: str) -> str:
    """The order of this name, placed at a gateway; the trace that the answer named."""
    settings = GatewaySettings(
        gateway_access="open",
        kafka_bootstrap=path.addresses.kafka_bootstrap,
        registry_url=path.addresses.registry_url,
        topic_prefix=PREFIX,
        gateway_port=0,
        traces_endpoint=collector.url,
    )
    async with running(settings) as service:
        url = f"http://127.0.0.1:{service.port}"
        async with httpx.AsyncClient(base_url=url, timeout=WAIT_S) as client:
            response = await client.post(
                "/orders",
                json=ORDER | {"client_order_id": name},
                headers={"X-Outcry-Account": "alice"} | headers,
            )
    assert response.status_code == 202, response.text
    return trace_id_of(response.headers["traceresponse"].encode())


async def test_one_trace_leads_from_the_request_over_every_room_to_the_execution(
    path: TradingPath, collector: Collector
) -> None:
    assert await place(path, collector, "t-1", traceparent=HEADER) == TRACE
    report = await asyncio.to_thread(path.report, "t-1", codes.EXEC_NEW)
    wanted = {
        "POST /orders", "orders write", "ingest orders", "risk accounts", "matcher matching",
    }  # fmt: skip
    # Risk is on the way twice: before the matcher, and with what it said.
    await eventually(lambda: len(collector.of_trace(TRACE)) >= len(wanted) + 1, WAIT_S)
    spans = collector.of_trace(TRACE)
    assert {span.name for span in spans} == wanted
    parents = {span.span_id: span for span in spans}
    chain = [max(spans, key=lambda span: span.began_ns)]
    while chain[-1].parent_id in parents:
        chain.append(parents[chain[-1].parent_id])
    assert [span.name for span in reversed(chain)] == [
        "POST /orders", "orders write", "ingest orders", "risk accounts", "matcher matching",
        "risk accounts",
    ]  # fmt: skip
    assert chain[-1].parent_id == "b7ad6b7169203331"
    assert all(span.ended_ns >= span.began_ns for span in spans)
    assert collector.services() == {f"outcry-{room}" for room in
                                    ("gateway", "ingest", "risk", "matcher")}  # fmt: skip
    (seen,) = [one for one in path.seen if one.decoded.payload is report]
    connection = KafkaConnection(path.addresses.kafka_bootstrap, PREFIX, has_traces=True)
    reader = KafkaReader(connection)
    (chunk,) = reader.read(
        TopicPartition(EXECUTIONS.name, seen.partition), seen.offset, seen.offset + 1
    )
    reader.close()
    assert trace_id_of(chunk[0].traceparent) == TRACE


async def test_an_orders_way_through_the_log_names_its_trace(
    path: TradingPath, collector: Collector, capsys: pytest.CaptureFixture[str]
) -> None:
    trace_id = await place(path, collector, "t-2")
    report = await asyncio.to_thread(path.report, "t-2", codes.EXEC_NEW)
    (seen,) = [one for one in path.seen if one.decoded.payload is report]
    addresses = path.addresses
    deployment = Deployment(
        addresses.kafka_bootstrap, addresses.registry_url, addresses.pg_dsn, PREFIX
    )
    with open_log(deployment) as log:
        end = Place(EXECUTIONS.name, seen.partition, seen.offset)
        hops = trace(log, load_codec(deployment), [end])
    print_hops(hops)
    assert trace_id not in {"", TRACE}
    assert {hop.trace_id for hop in hops} == {trace_id}
    assert len(hops) == 5
    assert f"trace {trace_id}\n" in capsys.readouterr().out

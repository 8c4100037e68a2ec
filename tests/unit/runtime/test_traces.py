"""How a room carries traces: past its fold, beside its records, and out of no replay's way."""

import subprocess
import sys
from typing import Final

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from services.runtime.errors import RestoreNeededError
from services.runtime.memory_log import MemoryLog
from services.runtime.ports import Outgoing, Record
from services.runtime.settings import RoomSettings
from services.runtime.spans import LoopSpans, make_provider, read_header, write_header
from services.runtime.traces import trace_id_of
from services.runtime.tracing import open_room_traces
from tests.support.loop_kit import PARTITIONS, Faults, House

TRACE: Final = "0af7651916cd43dd8448eb211c80319c"
HEADER: Final = f"00-{TRACE}-b7ad6b7169203331-01".encode()


class Collector:
    """What a room's spans are sent to."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        self._provider = make_provider("sums", "0", self._exporter)
        self.traces = LoopSpans("sums", self._provider)

    def spans(self) -> list[ReadableSpan]:
        self._provider.force_flush()
        return list(self._exporter.get_finished_spans())


def feed(house: House, numbers: int, traced: tuple[int, ...]) -> None:
    for number in range(numbers):
        header = HEADER if number in traced else None
        house.log.append(Outgoing("in", number % PARTITIONS, None, b"1", header))


def contents(log: MemoryLog) -> list[tuple[bytes | None, bytes | None]]:
    return [(one.key, one.value) for one in records(log)]


def records(log: MemoryLog) -> list[Record]:
    return [
        one
        for topic in ("out", "view")
        for at in log.partitions_of(topic)
        for one in log.scan(at, 0, log.end_offset(at))
    ]


def test_outputs_have_the_trace_of_the_record_that_caused_them_and_of_no_other() -> None:
    house, collector = House(), Collector()
    feed(house, 4, traced=(1,))
    house.drain(house.process(traces=collector.traces))
    (span,) = collector.spans()
    (carried,) = [one for one in records(house.log) if one.traceparent is not None]
    assert (carried.topic, carried.partition, carried.value) == ("out", 1, b"0:1")
    assert trace_id_of(carried.traceparent) == TRACE
    assert span.context is not None
    assert span.parent is not None
    assert carried.traceparent == write_header(span.context)
    assert f"{span.parent.span_id:016x}" == "b7ad6b7169203331"
    assert dict(span.attributes or {})["messaging.kafka.offset"] == 0
    assert span.name == "sums in"


def test_what_the_log_says_is_the_same_with_and_without_traces() -> None:
    plain, traced = House(), House()
    for house in (plain, traced):
        feed(house, 20, traced=tuple(range(20)))
    plain.drain(plain.process())
    traced.drain(traced.process(traces=Collector().traces))
    assert contents(plain.log) == contents(traced.log)
    assert {one.traceparent for one in records(plain.log)} == {None}
    assert sum(one.traceparent is not None for one in records(traced.log)) == 20


def test_a_transaction_that_is_not_committed_leaves_no_span_and_its_repeat_one() -> None:
    house, collector = House(), Collector()
    feed(house, 1, traced=(0,))
    faults = Faults({("commit", "before", 1): RestoreNeededError("planted")})
    house.drain(house.process(traces=collector.traces, faults=faults))
    assert len(collector.spans()) == 1
    assert len([one for one in records(house.log) if one.topic == "out"]) == 1


@pytest.mark.parametrize(
    "header",
    [
        None,
        b"",
        HEADER[:-1],
        HEADER[:-2] + b"00",
        HEADER.replace(b"-", b"_"),
        HEADER.replace(TRACE.encode(), b"0" * 32),
        HEADER.replace(b"b7ad6b7169203331", b"0" * 16),
        HEADER.replace(b"b7ad6b7169203331", b"b7ad6b716920333g"),
        HEADER.replace(b"0af7", b"\xff\xff\xff\xff"),
    ],
)
def test_a_header_that_names_no_span_to_keep_is_as_if_it_were_not_there(
    header: bytes | None,
) -> None:
    collector = Collector()
    said = [Outgoing("out", 0, None, b"1")]
    assert read_header(header) is None
    assert collector.traces.carry(Record("in", 0, 0, 0, None, b"1", header), said) is said
    collector.traces.committed()
    assert collector.spans() == []


def test_a_collector_that_is_away_holds_nobody_up() -> None:
    settings = RoomSettings(
        kafka_bootstrap="127.0.0.1:1",
        registry_url="http://127.0.0.1:1",
        traces_endpoint="http://127.0.0.1:1/v1/traces",
    )
    traces = open_room_traces("sums", settings)
    assert traces is not None
    house = House()
    feed(house, 10, traced=tuple(range(10)))
    house.drain(house.process(traces=traces))
    assert len(contents(house.log)) >= 10


def test_without_an_address_nobody_asks_for_traces() -> None:
    settings = RoomSettings(kafka_bootstrap="127.0.0.1:1", registry_url="http://127.0.0.1:1")
    assert open_room_traces("sums", settings) is None


WITHOUT_OPENTELEMETRY: Final = """
import sys
sys.modules["opentelemetry.sdk"] = sys.modules["opentelemetry.exporter"] = None
from services.gateway.service import Service
from services.matcher.service import make_folds
from services.runtime.errors import ConfigurationError
from services.runtime.settings import RoomSettings
from services.runtime.tracing import open_room_traces
told = {"kafka_bootstrap": "127.0.0.1:1", "registry_url": "http://127.0.0.1:1"}
assert open_room_traces("matcher", RoomSettings(**told)) is None
try:
    open_room_traces("matcher", RoomSettings(**told, traces_endpoint="http://127.0.0.1:1"))
except ConfigurationError as error:
    print(error)
"""


def test_a_room_without_opentelemetry_runs_and_says_what_is_missing_where_traces_are_wanted() -> (
    None
):
    said = subprocess.run(
        [sys.executable, "-c", WITHOUT_OPENTELEMETRY], check=True, capture_output=True, text=True
    ).stdout
    assert "pip install 'outcry[tracing]'" in said

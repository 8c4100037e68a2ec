"""One trace from an order over every room to what the model said, with a real collector."""

from collections.abc import Iterator
from itertools import count
from typing import Final

import pytest
from msgspec.structs import replace

from services.domain import codes
from services.domain.genesis import default_genesis
from services.runtime.kafka import KafkaConnection
from services.runtime.kafka_reader import KafkaReader
from services.runtime.ports import Record
from services.runtime.traces import HEADER, trace_id_of
from services.wire.topics import ORDERS, PREDICTIONS
from tests.support.drift_world import DriftWorld
from tests.support.stack_fixture import StackInfra
from tests.support.trace_collector import Collector, Heard, collecting
from tests.support.trading_path import (
    MARK,
    TradingPath,
    every_partition,
    limit_order,
    running_path,
)
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.kafka, pytest.mark.long, pytest.mark.timeout(400)]

PREFIX: Final = "tracedml."
ROOMS: Final = ("ingest", "risk", "matcher", "features", "materializer", "inference")
"""The materializer tells Feast of the feature sets, by which a model is taken."""
WAIT_S: Final = 240.0
START_US: Final = 1_800_000_000_000_000
"""Later than what was said before: no event is earlier than the one before it."""
SECONDS_A_TURN: Final = 60


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with collecting() as found:
        yield found


@pytest.fixture(scope="module")
def path(stack_infra: StackInfra, collector: Collector) -> Iterator[TradingPath]:
    """With a champion, and event times that the test makes."""
    DriftWorld(stack_infra.settings.home / "sets" / PREFIX.strip("."), windows=1)
    genesis = replace(default_genesis(PREFIX.strip(".")), time_source=codes.TIME_FROM_EVENT)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OUTCRY_TRACES_ENDPOINT", collector.url)
        patch.setenv("OUTCRY_INFERENCE_STREAM", "1")
        with running_path(stack_infra, PREFIX, genesis, rooms=ROOMS) as path:
            for account in ("alice", "bob"):
                path.open_account(account)
            yield path


def test_one_trace_leads_from_an_order_to_the_prediction_of_the_row_that_it_closed(
    path: TradingPath, collector: Collector
) -> None:
    connection = KafkaConnection(path.addresses.kafka_bootstrap, PREFIX, has_traces=True)
    reader = KafkaReader(connection)
    seconds = count()
    for side, away in ((codes.SELL, 20_000), (codes.BUY, -20_000)):
        # A book that is never empty: without both sides most features are undefined.
        path.send(limit_order("alice", side, MARK + away, 1_000), event_time_us=START_US)

    def predicted() -> Record | None:
        trade(path, [next(seconds) for _ in range(SECONDS_A_TURN)])
        return next((one for one in predictions(reader) if one.traceparent is not None), None)

    wait_until(lambda: predicted() is not None, "a prediction with a trace", WAIT_S)
    found = predicted()
    reader.close()
    assert found is not None
    trace_id = trace_id_of(found.traceparent)
    assert 0 <= int(trace_id[16:], 16) < next(seconds)
    wait_until(lambda: chain_of(collector, trace_id, found) != [], "its spans", WAIT_S)
    assert chain_of(collector, trace_id, found) == [
        "ingest orders", "risk accounts", "matcher matching", "features trades",
        "inference features",
    ]  # fmt: skip


def trade(path: TradingPath, seconds: list[int]) -> None:
    """A trade in each of these seconds of event time, each order with a trace of its own."""
    for second in seconds:
        for account, side in (("alice", codes.SELL), ("bob", codes.BUY)):
            order = limit_order(account, side, MARK, 1)
            value = path.codec.encode_command(
                ORDERS.name, order, START_US + second * 1_000_000 + 500_000
            )
            headers: dict[str, str | bytes | None] = {HEADER: header_of(second)}
            path.producer.produce(PREFIX + ORDERS.name, value, partition=0, headers=headers)
    assert path.producer.flush(60) == 0


def header_of(second: int) -> bytes:
    return f"00-{1:016x}{second:016x}-b7ad6b7169203331-01".encode()


def predictions(reader: KafkaReader) -> Iterator[Record]:
    for at in every_partition(PREDICTIONS.name):
        first, end = reader.bounds(at)
        for chunk in reader.read(at, first, end):
            yield from chunk


def chain_of(collector: Collector, trace_id: str, found: Record) -> list[str]:
    """Names of the spans from the order to the prediction; empty while one is missing."""
    spans = {span.span_id: span for span in collector.of_trace(trace_id)}
    assert found.traceparent is not None
    chain: list[Heard] = []
    at = found.traceparent.decode().split("-")[2]
    while at in spans:
        chain.append(spans[at])
        at = chain[-1].parent_id
    return [span.name for span in reversed(chain)] if at == "b7ad6b7169203331" else []

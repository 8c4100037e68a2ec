"""The read model from what the recorder has: the whole topic's, and beyond its retention."""

import asyncio
from collections.abc import Iterator, Mapping
from random import Random
from typing import Final
from uuid import uuid4

import httpx
import psycopg
import pytest
from confluent_kafka import Producer
from confluent_kafka import TopicPartition as KafkaPartition
from pydantic import SecretStr

from services.gateway.beginning import Bounds, NothingRecordedError
from services.gateway.core.recorded import Beginning
from services.gateway.metrics import METRICS
from services.gateway.recorded_reports import PostgresReports
from services.gateway.settings import GatewaySettings
from services.runtime.kafka_admin import connect_admin, create_topics, describe_topics
from services.runtime.registry import register_schemas
from services.runtime.telemetry import Telemetry
from services.wire.topics import EXECUTIONS
from tests.support.drift_history import drift_database
from tests.support.gateway_memory import CODEC, eventually
from tests.support.gateway_service import running
from tests.support.recorded_flow import record
from tests.support.report_flow import Reported, ReportFlow, fold, make_read_model, picture
from tests.support.stack_fixture import StackInfra

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(180)]

ACCOUNTS: Final = ("alice", "bob", "carol", "dave", "erin")
PARTITIONS: Final = range(EXECUTIONS.partitions)
TOPIC_ID: Final = "the topic's"
WAIT_S: Final = 60


@pytest.fixture(scope="module")
def dsn(stack_infra: StackInfra) -> Iterator[str]:
    with drift_database(stack_infra.addresses.pg_dsn) as dsn:
        yield dsn


@pytest.fixture(scope="module")
def said(dsn: str) -> list[Reported]:
    """Recorded in deployment `flow.`, and another's beside it."""
    made = ReportFlow(7, ACCOUNTS).run(600)
    record(dsn, "flow.", TOPIC_ID, made)
    record(dsn, "other.", TOPIC_ID, ReportFlow(8, ACCOUNTS).run(100))
    return made


def ends_of(said: list[Reported]) -> dict[int, int]:
    return {
        partition: max(one.offset for one in said if one.partition == partition) + 1
        for partition in PARTITIONS
    }


def reports(dsn: str, deployment: str = "flow.", tail: int = 50) -> PostgresReports:
    telemetry = Telemetry("gateway", metrics=METRICS)
    return PostgresReports(dsn, deployment, CODEC, tail, 30_000, telemetry)


def test_what_is_recorded_and_the_tail_are_the_whole_topic(dsn: str, said: list[Reported]) -> None:
    whole = make_read_model()
    fold(whole, said)
    expected, ends, draw = picture(whole, ACCOUNTS), ends_of(said), Random(7)
    for tail in (0, 1, 7, 40, 100, 10_000):
        bounds = {partition: Bounds(draw.choice((0, 5)), end) for partition, end in ends.items()}
        recorded = reports(dsn, tail=tail).read(bounds, TOPIC_ID)
        assert recorded.starts == {
            partition: max(bounds[partition].first, end - tail) for partition, end in ends.items()
        }
        model = make_read_model()
        model.begin(Beginning("database", is_whole=True, reason=None), recorded)
        fold(model, [one for one in said if one.offset >= recorded.starts[one.partition]])
        assert picture(model, ACCOUNTS) == expected, tail


def test_a_row_is_turned_back_into_the_record_that_it_was(dsn: str, said: list[Reported]) -> None:
    recorded = reports(dsn, tail=0).read(
        {partition: Bounds(0, end) for partition, end in ends_of(said).items()}, TOPIC_ID
    )
    values = {one.value for one in said}
    found = [order.value for order in recorded.orders] + [value for _, value in recorded.states]
    found += [v for held in recorded.tickers for v in (held.accepted, held.other) if v is not None]
    assert len(found) > 50
    assert set(found) <= values


def nothing(asked: PostgresReports, bounds: Mapping[int, Bounds], topic_id: str = TOPIC_ID) -> str:
    with pytest.raises(NothingRecordedError) as raised:
        asked.read(bounds, topic_id)
    return str(raised.value)


def test_what_can_not_be_told_says_why(dsn: str, said: list[Reported]) -> None:
    ends = ends_of(said)
    bounds = {partition: Bounds(3, end) for partition, end in ends.items()}
    assert "another topic" in nothing(reports(dsn), bounds, "made anew")
    assert "nothing of `executions`" in nothing(reports(dsn, "never."), bounds)
    assert "up to" in nothing(
        reports(dsn), {p: Bounds(end + 9, end + 20) for p, end in ends.items()}
    )
    away = psycopg.conninfo.make_conninfo(dsn, port=1)
    assert nothing(reports(away), bounds) == "PostgreSQL does not answer"
    empty = psycopg.conninfo.make_conninfo(dsn, dbname="postgres")
    assert "lacks a table" in nothing(reports(empty), bounds)


def test_days_that_were_dropped_are_said_to_be_missing(dsn: str, said: list[Reported]) -> None:
    bounds = {partition: Bounds(0, end) for partition, end in ends_of(said).items()}
    assert reports(dsn).read(bounds, TOPIC_ID).lacks == ""
    with psycopg.connect(dsn) as connection:
        connection.execute("INSERT INTO outcry.archived_days VALUES ('2020-01-01', 1, 1, 'h')")
        connection.execute(
            "INSERT INTO outcry.dropped_ranges SELECT '2020-01-01', 'executions', 0,"
            " deployment_id, 0, 0, 1 FROM outcry.deployments WHERE deployment = 'flow.'"
        )
        connection.commit()
        try:
            lacks = reports(dsn).read(bounds, TOPIC_ID).lacks
        finally:
            connection.execute("DELETE FROM outcry.dropped_ranges")
            connection.commit()
    assert "days were dropped" in lacks


def write_and_trim(infra: StackInfra, prefix: str, said: list[Reported]) -> list[Reported]:
    """Put all into the topic and have retention take the first half; as they stand there."""
    producer = Producer({"bootstrap.servers": infra.addresses.kafka_bootstrap})
    topic = prefix + EXECUTIONS.name
    for one in said:
        producer.produce(topic, one.value, one.payload.account.encode(), one.partition)
    assert producer.flush(WAIT_S) == 0
    placed: list[Reported] = []
    offsets = dict.fromkeys(PARTITIONS, 0)
    for one in said:
        placed.append(one._replace(offset=offsets[one.partition]))
        offsets[one.partition] += 1
    cut = [KafkaPartition(topic, place, end // 2) for place, end in offsets.items() if end]
    admin = connect_admin(infra.addresses.kafka_bootstrap)
    for future in admin.delete_records(cut).values():
        future.result(WAIT_S)
    return placed


def kept_snapshots(dsn: str, deployment: str) -> int:
    with psycopg.connect(dsn) as connection:
        found = connection.execute(
            "SELECT count(*) FROM outcry.snapshots WHERE deployment = %s", [deployment]
        ).fetchone()
    assert found is not None
    return int(found[0])


@pytest.mark.long
async def test_an_order_older_than_the_topic_is_listed_and_can_be_cancelled(
    dsn: str, stack_infra: StackInfra
) -> None:
    addresses, prefix = stack_infra.addresses, f"gw-{uuid4().hex[:8]}."
    create_topics(addresses.kafka_bootstrap, prefix)
    register_schemas(addresses.registry_url)
    admin = connect_admin(addresses.kafka_bootstrap)
    topic = prefix + EXECUTIONS.name
    topic_id = str(describe_topics(admin, addresses.kafka_bootstrap, [topic])[topic].topic_id)
    made = ReportFlow(11, ACCOUNTS).run(300)
    placed = await asyncio.to_thread(write_and_trim, stack_infra, prefix, made)
    whole, cut = make_read_model(), make_read_model()
    fold(whole, placed)
    ends = ends_of(placed)
    assert min(ends.values()) > 20
    fold(cut, [one for one in placed if one.offset >= ends[one.partition] // 2])
    account, order_id = next(
        (account, order["order_id"])
        for account, shown in picture(whole, ACCOUNTS).items()
        for order in shown["live"]["orders"]
        if cut.orders.find(account, order["order_id"]) is None
    )
    await asyncio.to_thread(record, dsn, prefix, topic_id, placed)
    # The second one with the database begins from what the first one kept.
    for database, is_known in ((dsn, True), (dsn, True), (None, False)):
        settings = GatewaySettings(
            kafka_bootstrap=addresses.kafka_bootstrap,
            registry_url=addresses.registry_url,
            topic_prefix=prefix,
            gateway_port=0,
            gateway_access="open",
            gateway_status_wait_ms=50,
            gateway_reports_tail=20,
            gateway_snapshot_reports=1,
            pg_dsn=None if database is None else SecretStr(database),
        )
        async with (
            running(settings) as service,
            httpx.AsyncClient(
                base_url=f"http://127.0.0.1:{service.port}",
                headers={"X-Outcry-Account": account},
                timeout=WAIT_S,
            ) as client,
        ):
            found = await client.get(f"/orders/{order_id}")
            listed = (await client.get("/orders?status=LIVE&limit=500")).json()["orders"]
            cancel = {"client_command_id": "c-1"}
            canceled = await client.post(f"/orders/{order_id}/cancel", json=cancel)
            said = (await client.get("/status")).json()["read_model"]
            positions = (await client.get("/positions")).json()
            if is_known:
                await eventually(lambda: kept_snapshots(dsn, prefix) == len(PARTITIONS))
        is_listed = order_id in [order["order_id"] for order in listed]
        assert (found.status_code, is_listed) == ((200, True) if is_known else (404, False))
        assert canceled.status_code == (202 if is_known else canceled.status_code)
        assert (said["source"], said["is_whole"]) == (
            ("database", True) if is_known else ("topic", False)
        )
        if is_known:
            assert positions == picture(whole, ACCOUNTS)[account]["positions"]

"""On Kafka: a log cut past the last snapshot, and a deployment that finds itself elsewhere."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from confluent_kafka import TopicPartition as Place

from services.domain import codes
from services.domain.commands import CancelOrder
from services.domain.ids import make_order_id
from services.recorder.archive import ArchiveReader
from services.runtime.kafka import KafkaConnection
from services.runtime.kafka_admin import ask_cluster_id, connect_admin
from services.runtime.kafka_reader import KafkaReader
from services.runtime.kafka_tail import KafkaGroupTail
from services.runtime.ports import TopicPartition
from services.tools.stack.stack import RoomSet
from tests.support.stack_fixture import StackInfra
from tests.support.trading_path import (
    MARK,
    PATH_ROOMS,
    TradingPath,
    every_partition,
    limit_order,
    running_path,
)
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(600)]

ORDERS = 12
BOOK = TopicPartition("matching", 0)
ROOMS = PATH_ROOMS


@pytest.fixture
def prefix() -> str:
    return f"cut-{uuid4().hex[:8]}."


@pytest.fixture
def environment(stack_infra: StackInfra, prefix: str) -> Mapping[str, str]:
    """Of the command line, and of a room that is started by hand."""
    addresses = stack_infra.addresses
    clean = {name: v for name, v in os.environ.items() if not name.startswith("OUTCRY_")}
    return clean | {
        "OUTCRY_PORT_BASE": str(stack_infra.settings.port_base),
        "OUTCRY_TOPIC_PREFIX": prefix,
        "OUTCRY_KAFKA_BOOTSTRAP": addresses.kafka_bootstrap,
        "OUTCRY_REGISTRY_URL": addresses.registry_url,
        "OUTCRY_PG_DSN": addresses.pg_dsn,
    }


def outcry(environment: Mapping[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "services.cli", "snapshots", *arguments],
        env={n: v for n, v in environment.items() if n != "OUTCRY_PG_DSN"},
        check=False, capture_output=True, text=True, timeout=120,
    )  # fmt: skip


def documents(answer: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    assert answer.returncode == 0, answer.stderr + answer.stdout
    found: list[dict[str, Any]] = json.loads(answer.stdout)
    return found


def last_words(environment: Mapping[str, str], room: str) -> tuple[int, str]:
    """Run a room until it ends by itself: its exit code, and the error of its last line."""
    ended = subprocess.run(
        [sys.executable, "-m", f"services.{room}"],
        env=environment, check=False, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    last = json.loads(ended.stdout.splitlines()[-1])
    assert last["event"] == "failed", ended.stdout + ended.stderr
    return ended.returncode, str(last["error"])


@pytest.fixture
def traded(stack_infra: StackInfra, prefix: str) -> TradingPath:
    """Orders rest in a book, all of it is recorded, and the rooms are stopped."""
    with running_path(stack_infra, prefix) as path:
        path.open_account("maker")
        for number in range(ORDERS):
            order = limit_order("maker", codes.SELL, MARK + 100 * (1 + number), 5)
            path.send(order)
            path.report(order.client_order_id, codes.EXEC_NEW)
        wait_until(lambda: is_recorded(path), "the record of everything", timeout_s=60)
    return path


def is_recorded(path: TradingPath) -> bool:
    """Whether everything the rooms have acted on is in the archive."""
    archive = ArchiveReader(path.addresses.pg_dsn, path.prefix)
    try:
        return all(
            archive.bounds(at)[1] >= offset
            for room, topic in (("risk", "accounts"), ("matcher", "matching"))
            for at, offset in committed(path, room, topic).items()
        )
    finally:
        archive.close()


def committed(path: TradingPath, room: str, topic: str) -> Mapping[TopicPartition, int]:
    tail = KafkaGroupTail(KafkaConnection(path.addresses.kafka_bootstrap, path.prefix), room)
    try:
        return tail.committed(every_partition(topic))
    finally:
        tail.close()


def cut(path: TradingPath, at: TopicPartition, before: int) -> None:
    """As retention does."""
    place = Place(path.prefix + at.topic, at.partition, before)
    admin = connect_admin(path.addresses.kafka_bootstrap)
    (done,) = admin.delete_records([place]).values()
    assert done.result(timeout=30).low_watermark == before


def forget_snapshots(path: TradingPath, room: str) -> None:
    with psycopg.connect(path.addresses.pg_dsn) as connection:
        connection.execute(
            "DELETE FROM outcry.snapshots WHERE deployment = %s AND room = %s",
            (path.prefix, room),
        )


def test_a_log_cut_past_the_last_snapshot_is_refused_until_one_is_taken_from_the_archive(
    traded: TradingPath, environment: Mapping[str, str], stack_infra: StackInfra
) -> None:
    kept = documents(outcry(environment, "list", "--json"))
    assert {(s["room"], s["partition"]) for s in kept} >= {("matcher", 0), ("risk", 0)}
    # Newest first, so the last one of each partition to be put in is its newest.
    before = {s["partition"]: s for s in reversed(kept) if s["room"] == "matcher"}
    end = committed(traded, "matcher", BOOK.topic)[BOOK]
    forget_snapshots(traded, "matcher")
    cut(traded, BOOK, end)

    code, error = last_words(environment, "matcher")
    assert code == 1
    assert f"matching/0 begins at offset {end} and 0 is needed" in error
    assert "Run `outcry snapshots take --from-zero`" in error

    taken = documents(outcry(environment, "take", "--from-zero", "--room", "matcher", "--json"))
    assert {t["partition"] for t in taken} == set(before)
    for one in taken:
        was = before[one["partition"]]
        assert (one["offset"], one["state_hash"]) == (was["offset"], was["state_hash"])
    verified = outcry(environment, "verify", "--json")
    assert all(not one["fault"] for one in documents(verified))

    with RoomSet(stack_infra.settings, traded.prefix, ROOMS):
        again = TradingPath(traded.addresses, traded.prefix, traded.rooms)
        first = make_order_id("maker", order_ids(traded)[0], "AAPL")
        again.send(CancelOrder("maker", "cancel-after", first))
        again.report("cancel-after", codes.EXEC_CANCELED)
        again.close()


def order_ids(path: TradingPath) -> list[str]:
    """Client order ids in the order in which they were placed."""
    reports = (getattr(seen.decoded.payload, "client_order_id", "") for seen in path.seen)
    return list(dict.fromkeys(order_id for order_id in reports if order_id))


def test_a_snapshot_with_one_byte_changed_is_found_with_its_place(
    traded: TradingPath, environment: Mapping[str, str]
) -> None:
    with psycopg.connect(traded.addresses.pg_dsn) as connection:
        connection.execute(
            "UPDATE outcry.snapshots SET state = set_byte(state, 30, get_byte(state, 30) # 1)"
            " WHERE deployment = %s AND room = 'matcher' AND partition = 0",
            (traded.prefix,),
        )
    answer = outcry(environment, "verify")
    assert answer.returncode == 1
    assert answer.stderr.startswith("error: matcher matching/0 snapshot at ")
    assert "its state does not have its hash" in answer.stderr


def test_a_deployment_seen_on_another_cluster_is_refused_by_everyone(
    traded: TradingPath, environment: Mapping[str, str]
) -> None:
    ours = ask_cluster_id(traded.addresses.kafka_bootstrap)
    reader = KafkaReader(KafkaConnection(traded.addresses.kafka_bootstrap, traded.prefix))
    ends = [reader.bounds(at) for at in every_partition("accounts")]
    with psycopg.connect(traded.addresses.pg_dsn) as connection:
        seen = connection.execute(
            "UPDATE outcry.clusters SET cluster_id = 'elsewhere' WHERE deployment = %s",
            (traded.prefix,),
        )
        assert seen.rowcount == 1, "the rooms had remembered it"
    for room in ("ingest", "risk", "matcher", "recorder"):
        code, error = last_words(environment, room)
        assert code == 1
        assert ours in error
        assert "on cluster elsewhere: nothing was read or written" in error
    answer = outcry(environment, "verify")
    assert answer.returncode == 1
    assert "on cluster elsewhere" in answer.stderr
    assert [reader.bounds(at) for at in every_partition("accounts")] == ends
    reader.close()

"""On Kafka: a log cut past the last snapshot, and a deployment that finds itself elsewhere.

One deployment for the module: orders rest in its books, all of it is recorded, and its rooms are
stopped. A test puts right what it damages; the last one cuts the log.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
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
from services.wire.topics import TOPICS
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
REFUSED_COMMANDS = (
    "order place AAPL buy 5 187.00 --account maker",
    "halt AAPL",
    "topics create",
    "snapshots verify",
)


@pytest.fixture(scope="module")
def prefix() -> str:
    return f"cut-{uuid4().hex[:8]}."


@pytest.fixture(scope="module")
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
        "OUTCRY_GATEWAY_ACCESS": "open",
    }


def outcry(environment: Mapping[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "services.cli", *arguments],
        env={n: v for n, v in environment.items() if n != "OUTCRY_PG_DSN"},
        check=False, capture_output=True, text=True, timeout=120,
    )  # fmt: skip


def documents(answer: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    assert answer.returncode == 0, answer.stderr + answer.stdout
    found: list[dict[str, Any]] = json.loads(answer.stdout)
    return found


def last_words(environment: Mapping[str, str], rooms: Sequence[str]) -> dict[str, tuple[int, str]]:
    """Run rooms until they end by themselves: their exit codes and last errors."""
    started = {
        room: subprocess.Popen(
            [sys.executable, "-m", f"services.{room}"],
            env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )
        for room in rooms
    }  # fmt: skip
    words = {}
    for room, process in started.items():
        try:
            said, _ = process.communicate(timeout=240)
        finally:
            process.kill()
        last = json.loads(said.splitlines()[-1])
        assert last["event"] == "failed", said
        words[room] = (process.returncode, str(last["error"]))
    return words


@pytest.fixture(scope="module")
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


@contextmanager
def flipped_byte(path: TradingPath) -> Iterator[None]:
    """In each snapshot of a book; flipped back at the end."""
    flip = (
        "UPDATE outcry.snapshots SET state = set_byte(state, 30, get_byte(state, 30) # 1)"
        " WHERE deployment = %s AND room = 'matcher' AND partition = 0"
    )
    for is_back in (False, True):
        with psycopg.connect(path.addresses.pg_dsn) as connection:
            assert connection.execute(flip, (path.prefix,)).rowcount > 0
        if not is_back:
            yield


@contextmanager
def elsewhere(path: TradingPath, deployment: str) -> Iterator[None]:
    """The deployment was first seen on another cluster."""
    see = (
        "INSERT INTO outcry.clusters (deployment, cluster_id) VALUES (%s, %s)"
        " ON CONFLICT (deployment) DO UPDATE SET cluster_id = EXCLUDED.cluster_id"
    )
    for cluster_id in ("elsewhere", ask_cluster_id(path.addresses.kafka_bootstrap)):
        with psycopg.connect(path.addresses.pg_dsn) as connection:
            connection.execute(see, (deployment, cluster_id))
        if cluster_id == "elsewhere":
            yield


def test_a_snapshot_with_one_byte_changed_is_found_with_its_place(
    traded: TradingPath, environment: Mapping[str, str]
) -> None:
    with flipped_byte(traded):
        answer = outcry(environment, "snapshots", "verify")
    assert answer.returncode == 1
    assert answer.stderr.startswith("error: matcher matching/0 snapshot at ")
    assert "its state does not have its hash" in answer.stderr


def ends(path: TradingPath) -> list[tuple[int, int]]:
    """Where every partition that anybody writes begins and ends."""
    reader = KafkaReader(KafkaConnection(path.addresses.kafka_bootstrap, path.prefix))
    try:
        return [reader.bounds(at) for topic in TOPICS for at in every_partition(topic.name)]
    finally:
        reader.close()


@pytest.mark.long
def test_a_deployment_seen_on_another_cluster_is_refused_by_everyone(
    traded: TradingPath, environment: Mapping[str, str]
) -> None:
    """By every process that writes to Kafka, before it does, and by what proves."""
    before = ends(traded)
    with psycopg.connect(traded.addresses.pg_dsn) as connection:
        kept = connection.execute(
            "SELECT cluster_id FROM outcry.clusters WHERE deployment = %s", (traded.prefix,)
        ).fetchone()
    ours = ask_cluster_id(traded.addresses.kafka_bootstrap)
    assert kept == (ours,), "the rooms had remembered it"
    with elsewhere(traded, traded.prefix):
        rooms = last_words(environment, [*ROOMS, "gateway", "features"])
        commands = [outcry(environment, *command.split()) for command in REFUSED_COMMANDS]
    for code, error in rooms.values():
        assert code == 1
        assert ours in error
        assert "on cluster elsewhere: nothing was read or written" in error
    for answer in commands:
        assert answer.returncode == 1, answer.stdout
        assert ours in answer.stderr
        assert "on cluster elsewhere" in answer.stderr
    assert ends(traded) == before


@pytest.mark.long
def test_a_new_home_with_an_old_database_makes_nothing_on_the_wrong_cluster(
    traded: TradingPath, environment: Mapping[str, str]
) -> None:
    """What `outcry up` does before the first room starts."""
    fresh = f"new-{uuid4().hex[:8]}."
    with elsewhere(traded, fresh):
        prepared = subprocess.run(
            [sys.executable, "-m", "services.tools.stack.prepare", *ROOMS],
            env={**environment, "OUTCRY_TOPIC_PREFIX": fresh},
            check=False, capture_output=True, text=True, timeout=120,
        )  # fmt: skip
    assert prepared.returncode == 1
    last = prepared.stdout.splitlines()[-1]
    assert last.startswith("error: cluster: ")
    assert "on cluster elsewhere: nothing was read or written" in last
    topics = connect_admin(traded.addresses.kafka_bootstrap).list_topics(timeout=30).topics
    assert [name for name in topics if name.startswith(fresh)] == []


def test_a_log_cut_past_the_last_snapshot_is_refused_until_one_is_taken_from_the_archive(
    traded: TradingPath, environment: Mapping[str, str], stack_infra: StackInfra
) -> None:
    kept = documents(outcry(environment, "snapshots", "list", "--json"))
    assert {(s["room"], s["partition"]) for s in kept} >= {("matcher", 0), ("risk", 0)}
    # Newest first, so the last one of each partition to be put in is its newest.
    before = {s["partition"]: s for s in reversed(kept) if s["room"] == "matcher"}
    end = committed(traded, "matcher", BOOK.topic)[BOOK]
    forget_snapshots(traded, "matcher")
    cut(traded, BOOK, end)

    code, error = last_words(environment, ["matcher"])["matcher"]
    assert code == 1
    assert f"matching/0 begins at offset {end} and 0 is needed" in error
    assert "Run `outcry snapshots take --from-zero`" in error

    taken = documents(
        outcry(environment, "snapshots", "take", "--from-zero", "--room", "matcher", "--json")
    )
    assert {t["partition"] for t in taken} == set(before)
    for one in taken:
        was = before[one["partition"]]
        assert (one["offset"], one["state_hash"]) == (was["offset"], was["state_hash"])
    verified = outcry(environment, "snapshots", "verify", "--json")
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

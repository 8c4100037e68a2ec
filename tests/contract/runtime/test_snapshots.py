"""Where snapshots are kept: in memory and in PostgreSQL."""

from collections.abc import Iterator
from uuid import uuid4

import msgspec
import psycopg
import pytest
from psycopg import sql

from services.recorder.migrations import migrate
from services.runtime.errors import ConfigurationError, RetriableError
from services.runtime.memory import MemorySnapshots
from services.runtime.ports import Snapshot, Snapshots
from services.runtime.restore import hash_state
from services.runtime.snapshots import PostgresSnapshots

KEPT = 3


def snapshot(offset: int, *, room: str = "room", partition: int = 0) -> Snapshot:
    state = bytes(range(256)) * 50 + str(offset).encode()
    return Snapshot(room, "in", partition, offset, "id", 2, "abc", state, hash_state(state))


@pytest.fixture(scope="session")
def dsn(request: pytest.FixtureRequest) -> str:
    """A migrated database."""
    found: str = request.getfixturevalue("stack_infra").addresses.pg_dsn
    migrate(found)
    return found


@pytest.fixture(params=["memory", pytest.param("postgres", marks=pytest.mark.kafka)])
def store(request: pytest.FixtureRequest) -> Iterator[Snapshots]:
    made: Snapshots = MemorySnapshots()
    if request.param == "postgres":
        made = PostgresSnapshots(request.getfixturevalue("dsn"), uuid4().hex, KEPT)
    yield made
    made.close()


def test_a_snapshot_comes_back_as_it_was(store: Snapshots) -> None:
    store.put(snapshot(7))
    assert list(store.newest("room", "in", 0, 5)) == [snapshot(7)]


def test_the_newest_come_first_and_no_more_than_asked_for(store: Snapshots) -> None:
    for offset in (10, 9, 11):
        store.put(snapshot(offset))
    assert [found.offset for found in store.newest("room", "in", 0, 2)] == [11, 10]
    assert store.newest("room", "in", 1, 2) == []


def test_putting_one_twice_keeps_one(store: Snapshots) -> None:
    store.put(snapshot(7))
    store.put(snapshot(7))
    assert len(store.newest("room", "in", 0, 5)) == 1


def test_a_good_one_takes_the_place_of_a_damaged_one(store: Snapshots) -> None:
    good = snapshot(7)
    store.put(msgspec.structs.replace(good, state=b"damaged"))
    store.put(good)
    assert store.newest("room", "in", 0, 5) == [good]


def test_rooms_and_partitions_do_not_mix(store: Snapshots) -> None:
    store.put(snapshot(1))
    store.put(snapshot(2, room="other"))
    store.put(snapshot(3, partition=1))
    assert [found.offset for found in store.newest("room", "in", 0, 5)] == [1]


def test_a_topic_is_remembered_as_first_seen(store: Snapshots) -> None:
    assert store.remember_topic("in", "first") == "first"
    assert store.remember_topic("in", "second") == "first"
    assert store.remember_topic("other", "second") == "second"


@pytest.mark.kafka
def test_old_snapshots_of_a_partition_are_dropped(dsn: str) -> None:
    store = PostgresSnapshots(dsn, uuid4().hex, KEPT)
    store.put(snapshot(1, partition=1))
    for offset in range(1, 10):
        store.put(snapshot(offset))
    assert [found.offset for found in store.newest("room", "in", 0, 10)] == [9, 8, 7]
    assert [found.offset for found in store.newest("room", "in", 1, 10)] == [1]


def grow_old(dsn: str, deployment: str, days: int, before: int) -> None:
    """Let the snapshots below this offset be so many days older."""
    with psycopg.connect(dsn) as connection:
        connection.execute(
            "UPDATE outcry.snapshots SET taken_at = taken_at - make_interval(days => %s)"
            ' WHERE deployment = %s AND "offset" < %s',
            (days, deployment, before),
        )


@pytest.mark.kafka
def test_snapshots_too_old_are_dropped_but_for_the_newest_two(dsn: str) -> None:
    deployment = uuid4().hex
    store = PostgresSnapshots(dsn, deployment, kept=5, age_s_max=7 * 86_400.0)
    for offset in (1, 2, 3, 4):
        store.put(snapshot(offset))
    grow_old(dsn, deployment, days=8, before=3)
    store.put(snapshot(5))
    assert [found.offset for found in store.newest("room", "in", 0, 10)] == [5, 4, 3]
    grow_old(dsn, deployment, days=8, before=6)
    store.put(snapshot(6))
    assert [found.offset for found in store.newest("room", "in", 0, 10)] == [6, 5]


@pytest.mark.kafka
def test_the_list_shows_each_snapshot_without_its_state(dsn: str) -> None:
    store = PostgresSnapshots(dsn, uuid4().hex, KEPT)
    for offset in (1, 2):
        store.put(snapshot(offset))
    found = store.listing()
    assert [(kept.room, kept.topic, kept.partition, kept.offset) for kept in found] == [
        ("room", "in", 0, 2),
        ("room", "in", 0, 1),
    ]
    assert found[0].state_bytes == len(snapshot(2).state)
    assert found[0].state_hash == snapshot(2).state_hash
    assert 0 <= found[0].age_s < 300
    assert store.one("room", "in", 0, 1) == snapshot(1)
    assert store.one("room", "in", 0, 9) is None


@pytest.mark.kafka
def test_a_cluster_is_remembered_as_first_seen(dsn: str) -> None:
    store = PostgresSnapshots(dsn, uuid4().hex, KEPT)
    assert [store.remember_cluster(name) for name in ("one", "two")] == ["one", "one"]


@pytest.mark.kafka
def test_deployments_do_not_mix(dsn: str) -> None:
    one, two = (PostgresSnapshots(dsn, uuid4().hex, KEPT) for _ in range(2))
    one.put(snapshot(1))
    one.remember_topic("in", "first")
    assert two.newest("room", "in", 0, 5) == []
    assert two.remember_topic("in", "second") == "second"


def test_a_store_that_is_away_is_asked_again_later() -> None:
    store = PostgresSnapshots("postgresql://nobody@127.0.0.1:1/none", "d", KEPT)
    with pytest.raises(RetriableError, match="PostgreSQL"):
        store.newest("room", "in", 0, 1)


@pytest.mark.kafka
def test_a_database_without_the_tables_is_a_setting_to_change(dsn: str) -> None:
    name = f"empty_{uuid4().hex}"
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    empty = psycopg.conninfo.make_conninfo(dsn, dbname=name)
    with pytest.raises(ConfigurationError, match="outcry up"):
        PostgresSnapshots(empty, "d", KEPT).put(snapshot(1))

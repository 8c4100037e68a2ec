"""Where the recorder's rows go: PostgreSQL, and what stands for it in the simulator."""

from collections.abc import Iterator
from typing import Protocol
from uuid import uuid4

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from services.recorder.core import RowMaker, Rows
from services.recorder.migrations import migrate
from services.recorder.postgres import Move, PostgresLedger
from services.recorder.service import Ledger
from services.runtime.errors import FencedError, RetriableError
from services.runtime.ports import Record, TopicPartition
from services.tools.proof.vopr.ledger import Database, MemoryLedger
from services.wire.codec import local_codec
from tests.support.recorder_world import create_database, drop_database
from tests.support.waiting import wait_until

FIRST, SECOND = TopicPartition("matching", 0), TopicPartition("matching", 1)
COUNTS = {"matching": 2}
TIME_MS = 1_790_000_000_000


class World(Protocol):
    """One database."""

    def open(self) -> Ledger:
        """A session of another recorder."""

    def recorded(self) -> list[int]:
        """The offsets of the archived records of the first partition, in order."""

    def end_session(self, ledger: Ledger) -> None:
        """As the server does, without the recorder's doing."""


class NoTap:
    def at(self, step: str, when: str) -> None:
        """Nobody strikes."""


class MemoryWorld:
    def __init__(self) -> None:
        self.database = Database()

    def open(self) -> Ledger:
        return MemoryLedger(self.database, NoTap())

    def recorded(self) -> list[int]:
        packed = self.database.rows.get("archive", [])
        made = {rows_of(offset).by_table["archive"][0]: offset for offset in range(9)}
        return [made[row] for row in packed]

    def end_session(self, ledger: Ledger) -> None:
        ledger.close()


class PostgresWorld:
    def __init__(self, dsn: str) -> None:
        self.dsn = dsn

    def open(self) -> Ledger:
        return PostgresLedger(self.dsn, "default", 30)

    def recorded(self) -> list[int]:
        with psycopg.connect(self.dsn) as connection:
            found = connection.execute(
                'SELECT "offset" FROM outcry.archive WHERE partition = 0 ORDER BY "offset"'
            ).fetchall()
        return [offset for (offset,) in found]

    def end_session(self, ledger: Ledger) -> None:
        assert isinstance(ledger, PostgresLedger)
        pid = ledger._connection.info.backend_pid
        with psycopg.connect(self.dsn) as connection:
            connection.execute("SELECT pg_terminate_backend(%s, 10000)", (pid,))


@pytest.fixture(params=["memory", pytest.param("postgres", marks=pytest.mark.kafka)])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    if request.param == "memory":
        yield MemoryWorld()
        return
    server = request.getfixturevalue("stack_infra").addresses.pg_dsn
    dsn = make_conninfo(server, dbname=f"ledger_{uuid4().hex[:8]}")
    create_database(dsn)
    migrate(dsn)
    yield PostgresWorld(dsn)
    drop_database(dsn)


@pytest.fixture
def ledger(world: World) -> Iterator[Ledger]:
    """Locked, and its offsets read."""
    opened = world.open()
    assert opened.try_lock()
    opened.offsets(COUNTS)
    yield opened
    opened.close()


def rows_of(offset: int) -> Rows:
    """What a record of the first partition is in the tables."""
    return RowMaker(local_codec(), 1).rows([Record("matching", 0, offset, TIME_MS, None, b"x")])


def test_what_was_never_seen_is_recorded_from_zero(ledger: Ledger) -> None:
    assert ledger.offsets(COUNTS) == {FIRST: 0, SECOND: 0}


def test_only_the_partitions_asked_for_are_told(ledger: Ledger) -> None:
    assert ledger.offsets({"matching": 1}) == {FIRST: 0}


def test_rows_and_offsets_go_together(world: World, ledger: Ledger) -> None:
    ledger.append(rows_of(0), {FIRST: Move(0, 1)})
    ledger.append(rows_of(1), {FIRST: Move(1, 4), SECOND: Move(0, 2)})
    assert world.recorded() == [0, 1]
    assert ledger.offsets(COUNTS) == {FIRST: 4, SECOND: 2}


def test_positions_behind_markers_move_without_rows(world: World, ledger: Ledger) -> None:
    ledger.append(Rows({}, []), {SECOND: Move(0, 3)})
    assert world.recorded() == []
    assert ledger.offsets(COUNTS)[SECOND] == 3


@pytest.mark.parametrize("stale", [FIRST, SECOND, TopicPartition("matching", 7)], ids=str)
def test_of_an_append_from_elsewhere_than_the_offsets_are_nothing_happens(
    world: World, ledger: Ledger, stale: TopicPartition
) -> None:
    """All or nothing: neither its rows nor its other offsets."""
    ledger.append(rows_of(0), {FIRST: Move(0, 1)})
    moves = {FIRST: Move(1, 2), SECOND: Move(0, 1), stale: Move(5, 6)}
    with pytest.raises(FencedError):
        ledger.append(rows_of(1), moves)
    assert world.recorded() == [0]
    assert ledger.offsets(COUNTS) == {FIRST: 1, SECOND: 0}


def test_of_two_that_append_the_same_one_is_fenced(world: World, ledger: Ledger) -> None:
    """Also without a lock: one that slept does not know that it has lost its own."""
    sleeper = world.open()
    sleeper.append(rows_of(0), {FIRST: Move(0, 1)})
    with pytest.raises(FencedError):
        ledger.append(rows_of(0), {FIRST: Move(0, 1)})
    assert world.recorded() == [0]
    sleeper.close()


def test_the_lock_excludes_others_until_its_session_closes(world: World, ledger: Ledger) -> None:
    other = world.open()
    assert not other.try_lock()
    assert ledger.try_lock(), "whoever has it, keeps it"
    ledger.close()
    wait_until(other.try_lock, "the lock to be free")
    other.close()


def test_a_session_that_the_server_ended_can_do_nothing_and_has_no_lock(
    world: World, ledger: Ledger
) -> None:
    world.end_session(ledger)
    with pytest.raises(RetriableError):
        ledger.append(rows_of(0), {FIRST: Move(0, 1)})
    with pytest.raises(RetriableError):
        ledger.ping()
    heir = world.open()
    wait_until(heir.try_lock, "the lock to be free")
    assert heir.offsets(COUNTS) == {FIRST: 0, SECOND: 0}
    assert world.recorded() == []
    heir.close()


def test_topics_and_the_deployment_are_remembered_as_first_seen(
    world: World, ledger: Ledger
) -> None:
    assert ledger.remember_topic("matching", "first") == "first"
    number = ledger.deployment_id()
    other = world.open()
    assert other.remember_topic("matching", "second") == "first"
    assert other.deployment_id() == number
    other.close()

"""The database's shape: made once, by whoever comes first, and its log only ever added to."""

import random
import resource
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import psutil
import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from services.recorder.core import ARCHIVE_NUMBERS, TABLES, RowMaker
from services.recorder.migrations import (
    Migration,
    load_migrations,
    migrate,
    require_migrated,
)
from services.recorder.postgres import Move, PostgresLedger
from services.recorder.tables import Table
from services.runtime.errors import ConfigurationError, RetriableError
from services.runtime.ports import Record, TopicPartition
from services.tools.proof.chaos.disk import SEGMENT_BYTES, limit_files
from services.wire.codec import local_codec
from tests.support.recorder_world import create_database, drop_database
from tests.support.stack_fixture import StackInfra
from tests.support.waiting import wait_until

pytestmark = pytest.mark.kafka

APPEND_ONLY = {table.name for table in TABLES} | {"deployments", "archive_topics"}
APPEND_ONLY |= {"drift_jobs", "drift_checks", "drift_actions", "api_keys", "api_key_revocations"}
APPEND_ONLY |= {"audits"}
NAMES = [migration.name for migration in load_migrations()]


@pytest.fixture
def empty(stack_infra: StackInfra) -> Iterator[str]:
    """The DSN of an empty database."""
    dsn = make_conninfo(stack_infra.addresses.pg_dsn, dbname=f"shape_{uuid4().hex[:8]}")
    create_database(dsn)
    yield dsn
    drop_database(dsn)


@pytest.fixture
def migrated(empty: str) -> str:
    migrate(empty)
    return empty


def test_migrations_are_applied_in_order_and_once(empty: str) -> None:
    assert migrate(empty) == NAMES
    assert migrate(empty) == []
    with psycopg.connect(empty) as connection:
        found = connection.execute("SELECT name FROM outcry.migrations ORDER BY name").fetchall()
        require_migrated(connection)
    assert [name for (name,) in found] == NAMES


def test_migrating_from_many_places_at_once_applies_each_once(empty: str) -> None:
    applied: list[str] = []
    threads = [threading.Thread(target=lambda: applied.extend(migrate(empty))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert applied == NAMES


def test_a_migration_that_fails_leaves_nothing_behind(empty: str) -> None:
    broken = Migration("9999_broken", b"CREATE TABLE outcry.half (); SELECT nonsense")
    with pytest.raises(ConfigurationError, match=r"nothing was changed.*nonsense"):
        migrate(empty, [*load_migrations(), broken])
    with psycopg.connect(empty) as connection:
        assert connection.execute("SELECT to_regnamespace('outcry')").fetchone() == (None,)


def test_a_migration_edited_after_it_was_applied_is_refused(migrated: str) -> None:
    first, *others = load_migrations()
    edited = Migration(first.name, first.statements + b"-- a comment\n")
    with pytest.raises(ConfigurationError, match="0001_snapshots is not the one"):
        migrate(migrated, [edited, *others])


def test_a_database_of_a_later_version_is_refused(migrated: str) -> None:
    with pytest.raises(ConfigurationError, match="doesn't know"):
        migrate(migrated, load_migrations()[:-1])


def test_a_recorder_refuses_a_database_that_lacks_a_migration(empty: str) -> None:
    with pytest.raises(ConfigurationError, match="lacks migration 0001"):
        PostgresLedger(empty, "default", 30)
    migrate(empty, load_migrations()[:1])
    with pytest.raises(ConfigurationError, match="lacks migration 0002"):
        PostgresLedger(empty, "default", 30)


def test_a_database_of_another_encoding_is_refused(stack_infra: StackInfra) -> None:
    dsn = make_conninfo(stack_infra.addresses.pg_dsn, dbname=f"shape_{uuid4().hex[:8]}")
    create_database(dsn, encoding="LATIN1")
    try:
        with pytest.raises(ConfigurationError, match="encoding is LATIN1"):
            migrate(dsn)
    finally:
        drop_database(dsn)


def test_a_server_that_is_away_is_worth_another_try() -> None:
    with pytest.raises(RetriableError, match="can't be migrated now"):
        migrate("postgresql://nobody@127.0.0.1:1/none")


def test_migrations_come_from_files_in_order_of_number(tmp_path: Path) -> None:
    for name in ("0002_b.sql", "0001_a.sql", "notes.sql", "0010_c.sql"):
        (tmp_path / name).write_text("SELECT 1")
    names = [migration.name for migration in load_migrations(tmp_path)]
    assert names == ["0001_a", "0002_b", "0010_c"]


@pytest.mark.parametrize("wanted", TABLES, ids=lambda table: table.name)
def test_the_tables_are_as_the_code_fills_them(migrated: str, wanted: Table) -> None:
    spellings = {"timestamp with time zone": "timestamptz"}
    with psycopg.connect(migrated) as connection:
        found = connection.execute(
            "SELECT column_name, data_type, is_nullable = 'YES' FROM information_schema.columns"
            " WHERE table_schema = 'outcry' AND table_name = %s",
            (wanted.name,),
        ).fetchall()
    columns = {(name, spellings.get(kind, kind), nullable) for name, kind, nullable in found}
    assert columns == {(one.name, one.kind, one.nullable) for one in wanted.columns}


def test_the_archive_numbers_topics_as_the_code_does(migrated: str) -> None:
    with psycopg.connect(migrated) as connection:
        found = connection.execute("SELECT topic, topic_number FROM outcry.archive_topics")
        assert dict(found.fetchall()) == ARCHIVE_NUMBERS


@pytest.mark.parametrize("table", sorted(APPEND_ONLY))
@pytest.mark.parametrize("role", ["origin", "replica"])
def test_a_row_can_be_neither_changed_nor_deleted(migrated: str, table: str, role: str) -> None:
    """Also where ordinary triggers are switched off, as a superuser can do."""
    with psycopg.connect(migrated, autocommit=True) as connection:
        connection.execute(sql.SQL("SET session_replication_role = {}").format(role))
        first = connection.execute(
            "SELECT column_name FROM information_schema.columns"
            " WHERE table_schema = 'outcry' AND table_name = %s AND is_identity = 'NO'",
            (table,),
        ).fetchone()
        assert first is not None
        for statement in (
            "UPDATE outcry.{table} SET {column} = {column}",
            "DELETE FROM outcry.{table}",
            "TRUNCATE outcry.{table}",
            "TRUNCATE outcry.{table} CASCADE",
            "WITH gone AS (DELETE FROM outcry.{table} RETURNING *) SELECT count(*) FROM gone",
        ):
            query = sql.SQL(statement).format(
                table=sql.Identifier(table), column=sql.Identifier(first[0])
            )
            with pytest.raises(psycopg.errors.RestrictViolation, match=f"{table} is append-only"):
                connection.execute(query)


def test_an_upsert_is_a_change_and_refused(migrated: str) -> None:
    upsert = (
        "INSERT INTO outcry.{} VALUES (1, 2, 3, 4, 5, '', '')"
        ' ON CONFLICT (deployment_id, topic_number, partition, "offset")'
        " DO UPDATE SET value = 'x'"
    )
    with psycopg.connect(migrated, autocommit=True) as connection:
        with pytest.raises(psycopg.errors.RestrictViolation):
            connection.execute(upsert.format("archive_days_other").encode())
        with pytest.raises(psycopg.errors.InvalidColumnReference):
            connection.execute(upsert.format("archive").encode())  # its days have the keys


def test_every_table_is_append_only_but_those_that_hold_positions(migrated: str) -> None:
    with psycopg.connect(migrated) as connection:
        tables = connection.execute(
            "SELECT tablename FROM pg_tables WHERE schemaname = 'outcry'"
        ).fetchall()
        guarded = connection.execute(
            "SELECT relname, relispartition FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid"
            " WHERE tgname = 'append_only' AND tgenabled = 'A'"
        ).fetchall()
    changeable = {name for (name,) in tables} - {name for name, _ in guarded}
    positions = {"migrations", "topics", "clusters", "snapshots", "recorder_offsets"}
    of_days = {"archived_days", "dropped_ranges", "carried_positions"}
    assert changeable == positions | of_days
    assert {name for name, is_partition in guarded if not is_partition} == APPEND_ONLY


def test_a_deployment_keeps_its_number_and_restarts_use_none_up(migrated: str) -> None:
    numbers = []
    for name in ("default", "other.", "default", "third."):
        ledger = PostgresLedger(migrated, name, 30)
        numbers.append(ledger.deployment_id())
        ledger.close()
    assert numbers == [1, 2, 1, 3]


def test_the_lock_is_one_per_deployment_and_ends_with_its_session(migrated: str) -> None:
    first, second, other = (
        PostgresLedger(migrated, name, 30) for name in ("default", "default", "other.")
    )
    assert first.try_lock()
    assert not second.try_lock()
    assert other.try_lock()
    first.close()
    wait_until(second.try_lock, "the lock to be free")
    for ledger in (second, other):
        ledger.close()


def stand_still_in_a_copy(ledger: PostgresLedger, meanwhile: Callable[[], None]) -> None:
    connection = ledger._connection
    with (
        connection.transaction(),
        connection.cursor().copy("COPY outcry.archive FROM STDIN") as copy,
    ):
        copy.write("1\t2\t3\t4\t5\t\\N\t\\N\n")
        meanwhile()


def test_a_holder_that_stands_still_inside_a_copy_is_evicted(migrated: str) -> None:
    """There the server's own timeouts do not reach."""
    frozen, heir = (PostgresLedger(migrated, "default", 1) for _ in range(2))
    assert frozen.try_lock()
    with pytest.raises(psycopg.OperationalError):
        stand_still_in_a_copy(frozen, lambda: wait_until(heir.try_lock, "the heir to get the lock"))
    assert heir.try_lock()
    with psycopg.connect(migrated) as connection:
        assert connection.execute("SELECT count(*) FROM outcry.archive").fetchone() == (0,)
    for ledger in (frozen, heir):
        ledger.close()


def test_a_disk_that_is_full_takes_nothing_of_a_batch_and_all_of_it_once_there_is_room(
    migrated: str,
) -> None:
    """A file-size limit on the session's server process does what a full disk does to its rows."""
    at = TopicPartition("matching", 0)
    chance = random.Random(1)
    large = [Record("matching", 0, o, 1, None, chance.randbytes(2**20)) for o in range(1, 19)]
    first, second = (
        RowMaker(local_codec(), 1).rows(records)
        for records in ([Record("matching", 0, 0, 1, None, b"x")], large)
    )
    ledger = PostgresLedger(migrated, "default", 30)
    ledger.offsets({"matching": 1})
    ledger.append(first, {at: Move(0, 1)})
    server = [psutil.Process(ledger._connection.info.backend_pid)]
    limit_files(server, SEGMENT_BYTES)
    with pytest.raises(RetriableError, match=r"recording a batch: could not (extend|write)"):
        ledger.append(second, {at: Move(1, 19)})
    assert ledger.offsets({"matching": 1}) == {at: 1}
    limit_files(server, resource.RLIM_INFINITY)
    ledger.append(second, {at: Move(1, 19)})
    assert ledger.offsets({"matching": 1}) == {at: 19}
    ledger.close()
    with psycopg.connect(migrated) as connection:
        assert connection.execute("SELECT count(*) FROM outcry.archive").fetchone() == (19,)


def test_offsets_moved_back_by_hand_are_found_before_a_row_is_doubled(migrated: str) -> None:
    at = TopicPartition("matching", 0)
    rows = RowMaker(local_codec(), 1).rows([Record("matching", 0, 0, 1, None, b"x")])
    ledger = PostgresLedger(migrated, "default", 30)
    ledger.offsets({"matching": 1})
    ledger.append(rows, {at: Move(0, 1)})
    with psycopg.connect(migrated) as connection:
        connection.execute("UPDATE outcry.recorder_offsets SET next_offset = 0")
    with pytest.raises(ConfigurationError, match="was moved back"):
        ledger.append(rows, {at: Move(0, 1)})
    ledger.close()

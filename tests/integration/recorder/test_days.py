"""The log by day: where rows go, how days are made, and how the log is read across them."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from services.domain.commands import PlaceOrder
from services.domain.origin import ORDERS, Origin
from services.recorder.archive import ArchiveReader, read_messages
from services.recorder.core import ARCHIVE_TABLE, ORDERS_TABLE, RowMaker
from services.recorder.days import DAYS_AHEAD
from services.recorder.migrations import load_migrations, migrate
from services.recorder.postgres import Move, PostgresLedger
from services.recorder.tables import COPY_HEADER, COPY_TRAILER, Table
from services.runtime.ports import Record, TopicPartition
from services.wire.codec import local_codec
from tests.support.recorder_world import create_database, drop_database
from tests.support.stack_fixture import StackInfra

pytestmark = pytest.mark.kafka

CODEC = local_codec()
ACCOUNTS_0 = TopicPartition("accounts", 0)
TODAY = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0)
FAR = datetime(2012, 6, 21, 9, 30, tzinfo=UTC), datetime(2999, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.fixture
def empty(stack_infra: StackInfra) -> Iterator[str]:
    """The DSN of an empty database."""
    dsn = make_conninfo(stack_infra.addresses.pg_dsn, dbname=f"days_{uuid4().hex[:8]}")
    create_database(dsn)
    yield dsn
    drop_database(dsn)


def order_at(offset: int, when: datetime) -> Record:
    """An order in accounts/0, stated and stamped with this time."""
    time_us = int(when.timestamp()) * 1_000_000
    origin = Origin(ORDERS, 0, offset, 0, 0, time_us, 0)
    order = PlaceOrder("a", f"o-{offset}", "AAPL", 1, 1, 1, False, 1_872_500, 100, 0)
    value = CODEC.encode("accounts", origin, order)
    return Record("accounts", 0, offset, time_us // 1_000, b"a", value)


def record(dsn: str, records: list[Record], deployment: str = "default") -> None:
    """As the recorder would."""
    ledger = PostgresLedger(dsn, deployment, 30)
    start = ledger.offsets({"accounts": 4})[ACCOUNTS_0]
    rows = RowMaker(CODEC, ledger.deployment_id()).rows(records)
    ledger.append(rows, {ACCOUNTS_0: Move(start, records[-1].offset + 1)})
    ledger.close()


def places(dsn: str, table: str) -> dict[int, str]:
    """Of each row the partition it lies in, by offset."""
    with psycopg.connect(dsn) as connection:
        query = sql.SQL(
            'SELECT "offset", relname FROM outcry.{table} AS rows'
            " JOIN pg_class ON pg_class.oid = rows.tableoid"
        ).format(table=sql.Identifier(table))
        return dict(connection.execute(query).fetchall())


def named(table: str, day: datetime) -> str:
    return f"{table}_{day:%Y_%m_%d}"


def explain(dsn: str, query: str) -> str:
    with psycopg.connect(dsn) as connection:
        connection.execute("SET enable_seqscan = off")  # tables this small are read whole
        return "\n".join(line for (line,) in connection.execute(f"EXPLAIN {query}".encode()))


def test_rows_lie_in_the_partition_of_their_day_and_far_times_are_refused_nowhere(
    empty: str,
) -> None:
    migrate(empty)
    times = [TODAY, TODAY - DAY, TODAY - 30 * DAY, *FAR]
    record(empty, [order_at(offset, when) for offset, when in enumerate(times)])
    for table, days in (("orders", "orders"), ("archive", "archive_days")):
        wanted = [named(days, when) for when in times[:3]] + [f"{days}_other"] * 2
        assert places(empty, table) == dict(enumerate(wanted))


def test_the_next_days_are_there_before_their_first_row(empty: str) -> None:
    migrate(empty)
    record(empty, [order_at(0, TODAY)])
    with psycopg.connect(empty) as connection:
        found = {day for (day,) in connection.execute("SELECT outcry.made_days()")}
    assert found == {(TODAY + n * DAY).date() for n in range(DAYS_AHEAD + 1)}


def test_a_stranger_s_times_make_no_days_without_end(empty: str) -> None:
    """Any program may write any timestamp into a topic; each day costs tables."""
    migrate(empty)
    absurd = [-(2**62), -1, 2**62, 10**15]
    junk = [Record("accounts", 0, n, at, None, b"junk") for n, at in enumerate(absurd)]
    record(empty, junk)
    assert set(places(empty, "archive").values()) == {"archive_days_other"}
    with psycopg.connect(empty) as connection:
        assert connection.execute("SELECT count(*) FROM outcry.made_days()").fetchone() == (0,)


def test_a_reader_that_holds_a_new_day_up_does_not_hold_the_record_up(empty: str) -> None:
    migrate(empty)
    with psycopg.connect(empty) as reader:
        reader.execute("SELECT * FROM outcry.orders, outcry.archive").fetchall()
        record(empty, [order_at(0, TODAY)])
        assert places(empty, "orders") == {0: "orders_other"}
    record(empty, [order_at(1, TODAY), order_at(2, TODAY + DAY)])
    # The day whose first row had none keeps its rows together; the next has its own.
    assert places(empty, "orders") == {
        0: "orders_other",
        1: "orders_other",
        2: named("orders", TODAY + DAY),
    }


def test_a_database_of_the_version_before_keeps_every_row(empty: str) -> None:
    before = [one for one in load_migrations() if one.name < "0004"]
    migrate(empty, before)
    times = [FAR[0], TODAY - DAY, TODAY, TODAY, FAR[1]]
    records = [order_at(offset, when) for offset, when in enumerate(times)]
    control = Record("controls", 0, 7, records[0].timestamp_ms, None, b"any")
    with psycopg.connect(empty) as connection:
        connection.execute("INSERT INTO outcry.deployments (deployment) VALUES ('default')")
        connection.execute(
            "INSERT INTO outcry.recorder_offsets VALUES ('default', 'accounts', 0, 0, 5),"
            " ('default', 'controls', 0, 0, 8)"
        )
        by_table = RowMaker(CODEC, 1).rows([*records, control]).by_table
        for table in (ORDERS_TABLE, ARCHIVE_TABLE):
            copy_in(connection, table, by_table[table.name])
        old = dump(connection)

    assert "0004_log_by_day" in migrate(empty)

    with psycopg.connect(empty) as connection:
        assert dump(connection) == old
        assert [len(rows) for rows in old] == [5, 6]
        messages = list(read_messages(connection, "default", "accounts", 0))
    assert [message.offset for message in messages] == [0, 1, 2, 3, 4]
    days = {0: "other", 4: "other"} | {
        n: f"{when:%Y_%m_%d}" for n, when in enumerate(times) if n in (1, 2, 3)
    }
    assert places(empty, "orders") == {n: f"orders_{day}" for n, day in days.items()}
    wanted = {n: f"archive_days_{day}" for n, day in days.items()}
    assert places(empty, "archive") == wanted | {7: "archive_controls"}
    record(empty, [order_at(5, TODAY)])
    assert places(empty, "orders")[5] == named("orders", TODAY)


def copy_in(connection: psycopg.Connection, table: Table, rows: list[bytes]) -> None:
    with connection.cursor().copy(table.copy_statement.encode()) as copy:
        copy.write(b"".join((COPY_HEADER, *rows, COPY_TRAILER)))


def dump(connection: psycopg.Connection) -> list[list[Any]]:
    return [
        connection.execute('SELECT * FROM outcry.orders ORDER BY "offset"').fetchall(),
        connection.execute('SELECT * FROM outcry.archive ORDER BY "offset"').fetchall(),
    ]


def test_a_record_recorded_twice_is_found_though_no_key_spans_the_days(empty: str) -> None:
    migrate(empty)
    record(empty, [order_at(0, TODAY), order_at(1, TODAY - DAY), order_at(2, FAR[0])])
    for offset, when in ((0, TODAY), (1, TODAY - DAY), (2, FAR[0])):
        again = RowMaker(CODEC, 1).rows([order_at(offset, when)])
        for table in (ARCHIVE_TABLE, ORDERS_TABLE):
            with (
                psycopg.connect(empty) as connection,
                pytest.raises(psycopg.errors.UniqueViolation),
            ):
                copy_in(connection, table, again.by_table[table.name])


def test_a_partition_is_read_in_order_across_days_by_its_indexes(empty: str) -> None:
    """Days interleave around midnight, and `other` with all of them."""
    migrate(empty)
    times = [TODAY, FAR[0], TODAY - DAY, TODAY, TODAY - DAY, FAR[1], TODAY + DAY, TODAY]
    records = [order_at(offset, when) for offset, when in enumerate(times)]
    record(empty, records)
    archive = ArchiveReader(empty, "default")
    assert [r for chunk in archive.read(ACCOUNTS_0, 0, 8) for r in chunk] == records
    assert [r for chunk in archive.read(ACCOUNTS_0, 3, 6) for r in chunk] == records[3:6]
    archive.close()
    plan = explain(
        empty,
        'SELECT "offset", value FROM outcry.archive WHERE deployment_id = (SELECT deployment_id'
        " FROM outcry.deployments WHERE deployment = 'default') AND topic_number = 2"
        ' AND partition = 0 AND "offset" >= 1 AND "offset" < 7 ORDER BY "offset" LIMIT 5',
    )
    assert "Merge Append" in plan
    assert "->  Sort" not in plan
    assert "archive_controls" not in plan
    assert f"archive_days_{TODAY:%Y_%m_%d}_pkey" in plan
    plan = explain(
        empty,
        'SELECT * FROM outcry.orders WHERE deployment_id = 1 AND partition = 0 AND "offset" = 3',
    )
    assert "Index Scan using orders_other_pkey" in plan
    assert "Seq Scan" not in plan

"""The database's side of days: what there is, what a day holds, and the session to change it in."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from typing import Final

import msgspec
import psycopg
from psycopg import sql

from services.recorder.core import ARCHIVE_TABLE, TABLES
from services.recorder.migrations import require_migrated
from services.tools.ledger.errors import LedgerError
from services.tools.ledger.files import Range

_CONNECT_TIMEOUT_S: Final = 10
_LOCK_WAIT: Final = "5s"
ARCHIVE_DAYS: Final = "archive_days"
_COLUMNS: Final = {
    (ARCHIVE_DAYS if table is ARCHIVE_TABLE else table.name): tuple(
        column.name for column in table.columns
    )
    for table in TABLES
}


class Day(msgspec.Struct, frozen=True):
    """One day of the log."""

    day: str
    """As 2026-11-25; `other`: rows that have no day of their own."""
    rows: int
    bytes: int
    """In the database, or where it was dropped, in its files."""
    is_over: bool
    is_archived: bool
    is_dropped: bool


@contextmanager
def open_session(dsn: str) -> Iterator[psycopg.Connection]:
    """A session that may change the log's days, of a database with this version's tables.

    Raises:
        LedgerError: PostgreSQL does not answer, or somebody keeps what is asked for busy.
        ConfigurationError: the database lacks a migration.
    """
    try:
        with psycopg.connect(
            dsn, autocommit=True, connect_timeout=_CONNECT_TIMEOUT_S,
            options=f"-c lock_timeout={_LOCK_WAIT} -c timezone=UTC",
        ) as session:  # fmt: skip
            require_migrated(session)
            yield session
    except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected) as error:
        raise LedgerError(
            "somebody reads or writes the log meanwhile; nothing was changed, try again"
        ) from error
    except psycopg.OperationalError as error:
        reason = " ".join(str(error).split())[:160]
        raise LedgerError(
            f"PostgreSQL does not answer ({reason}): start it with `outcry up` or set OUTCRY_PG_DSN"
        ) from error


def parse_day(text: str) -> date:
    """A day as people write it.

    Raises:
        LedgerError: it is none.
    """
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise LedgerError(f"{text[:40]!r} is no day: write it as 2026-11-25") from error


def day_tables(session: psycopg.Connection) -> list[str]:
    """The tables that are kept by day."""
    found = session.execute("SELECT unnest(outcry.day_tables())").fetchall()
    return [name for (name,) in found]


def made_days(session: psycopg.Connection) -> list[date]:
    """The days that have partitions, in order."""
    found = session.execute("SELECT day FROM outcry.made_days() AS made (day) ORDER BY day")
    return [day for (day,) in found.fetchall()]


def list_days(session: psycopg.Connection) -> list[Day]:
    """Every day that has rows, in the database or in files, and what has no day. Counts rows."""
    with session.transaction():
        archived = {
            day: (rows, size, dropped)
            for day, rows, size, dropped in session.execute(
                "SELECT day, rows, bytes, dropped_at IS NOT NULL FROM outcry.archived_days"
            ).fetchall()
        }
        tables = day_tables(session)
        today = _today(session)
        found = []
        for day in sorted({*made_days(session), *archived}):
            if day in archived and archived[day][2]:
                rows, size, _ = archived[day]
            else:
                rows, size = _size(session, [name_of(table, day) for table in tables])
            if rows:
                is_dropped = day in archived and archived[day][2]
                found.append(
                    Day(day.isoformat(), rows, size, day < today, day in archived, is_dropped)
                )
        rows, size = _size(session, [f"{table}_other" for table in tables])
        if rows:
            found.append(
                Day("other", rows, size, is_over=False, is_archived=False, is_dropped=False)
            )
    return found


def _size(session: psycopg.Connection, names: list[str]) -> tuple[int, int]:
    rows = size = 0
    for name in names:
        query = sql.SQL(
            "SELECT count(*), pg_total_relation_size({full}::regclass) FROM outcry.{name}"
        ).format(full=sql.Literal(f"outcry.{name}"), name=sql.Identifier(name))
        more_rows, more_bytes = session.execute(query).fetchone() or (0, 0)
        rows += more_rows
        size += more_bytes
    return rows, size


def require_whole_day(session: psycopg.Connection, day: date) -> None:
    """Check that a day is over and in the database.

    Raises:
        LedgerError: it is not.
    """
    if day >= _today(session):
        raise LedgerError(f"{day} is not over (UTC): rows still come; ask again tomorrow")
    if day not in made_days(session):
        raise LedgerError(f"the database has no day {day}: `outcry ledger days` lists what it has")


def _today(session: psycopg.Connection) -> date:
    found = session.execute("SELECT (clock_timestamp() AT TIME ZONE 'UTC')::date").fetchone()
    assert found is not None
    today = found[0]
    assert isinstance(today, date)
    return today


def name_of(table: str, day: date) -> str:
    """The partition of a day."""
    return f"{table}_{day:%Y_%m_%d}"


def columns_of(table: str) -> tuple[str, ...]:
    """A table's columns in the order of its files."""
    return _COLUMNS[table]


def copy_out(session: psycopg.Connection, table: str, day: date) -> Iterator[bytes]:
    """A day's rows of a table in the order of their keys, as binary COPY."""
    query = sql.SQL(
        "COPY (SELECT {columns} FROM outcry.{name} ORDER BY {key}) TO STDOUT (FORMAT binary)"
    )
    names = columns_of(table)
    key = [
        name for name in ("deployment_id", "topic_number", "partition", "offset") if name in names
    ]
    statement = query.format(
        columns=sql.SQL(", ").join(map(sql.Identifier, names)),
        name=sql.Identifier(name_of(table, day)),
        key=sql.SQL(", ").join(map(sql.Identifier, key)),
    )
    with session.cursor().copy(statement) as copy:
        for chunk in copy:
            yield bytes(chunk)


def ranges_of(session: psycopg.Connection, table: str, day: date) -> list[Range]:
    """Which offsets a day's rows have."""
    topic = sql.Identifier("topic_number") if table == ARCHIVE_DAYS else sql.SQL("0::smallint")
    query = sql.SQL(
        'SELECT {topic}, deployment_id, partition, min("offset"), max("offset")'
        " FROM outcry.{name} GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"
    ).format(topic=topic, name=sql.Identifier(name_of(table, day)))
    return [Range(table, *row) for row in session.execute(query).fetchall()]


def count_of(session: psycopg.Connection, table: str, day: date) -> int:
    """How many rows a day has."""
    return _size(session, [name_of(table, day)])[0]


def deployments(session: psycopg.Connection) -> dict[str, int]:
    """Numbers by name."""
    found = session.execute("SELECT deployment, deployment_id FROM outcry.deployments ORDER BY 1")
    return dict(found.fetchall())

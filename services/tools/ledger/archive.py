"""Writing a day to files, and bringing it back."""

from datetime import date
from pathlib import Path
from typing import Final

import psycopg
from psycopg import sql

from services.tools.ledger import database
from services.tools.ledger.errors import LedgerError
from services.tools.ledger.files import (
    FORMAT,
    DayWriter,
    Manifest,
    TableFile,
    folder_bytes,
    read_day,
    read_rows,
)

_NOTE_ARCHIVED: Final = """
INSERT INTO outcry.archived_days (day, rows, bytes, sha256) VALUES (%s, %s, %s, %s)
ON CONFLICT (day) DO UPDATE SET rows = excluded.rows, bytes = excluded.bytes,
    sha256 = excluded.sha256, archived_at = now()
"""


def archive_day(session: psycopg.Connection, day: date, directory: Path) -> tuple[Manifest, bool]:
    """Write a day into DIRECTORY/DAY, and read it back; its manifest, and whether it was new.

    Done again, it finds the same day there and leaves it. Blocks nobody.

    Raises:
        LedgerError: the day is not over or not there, or files of another content are.
    """
    database.require_whole_day(session, day)
    writer = DayWriter(directory, day)
    writer.begin()
    try:
        with session.transaction():
            session.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            manifest = _write_tables(session, day, writer)
        is_new = not writer.place.exists()
        if is_new:
            writer.finish(manifest)
        elif read_day(writer.place).sha256 != manifest.sha256:
            raise LedgerError(
                f"{writer.place} holds other rows than the database now has of {day};"
                " archive it to another directory"
            )
    finally:
        writer.give_up()
    values = (day, manifest.rows, folder_bytes(writer.place), manifest.sha256)
    session.execute(_NOTE_ARCHIVED, values)
    return manifest, is_new


def _write_tables(session: psycopg.Connection, day: date, writer: DayWriter) -> Manifest:
    tables = []
    for table in database.day_tables(session):
        rows = database.count_of(session, table, day)
        blank = TableFile(table, database.columns_of(table), rows, "")
        digest = writer.write(blank.name, database.copy_out(session, table, day))
        tables.append(TableFile(table, blank.columns, rows, digest))
    ranges = [found for table in tables for found in database.ranges_of(session, table.table, day)]
    used = {found.deployment_id for found in ranges}
    names = {
        name: number for name, number in database.deployments(session).items() if number in used
    }
    return Manifest(FORMAT, day.isoformat(), names, tuple(tables), tuple(ranges))


def restore_day(session: psycopg.Connection, day: date, directory: Path) -> Manifest:
    """Put an archived day back into the database it was dropped from, whole or not at all.

    Raises:
        LedgerError: the files are damaged, or the day is there, or it is another database.
    """
    folder = directory / day.isoformat()
    manifest = read_day(folder)
    if manifest.day != day.isoformat():
        raise LedgerError(f"{folder} holds the day {manifest.day}; name the folder after it")
    _require_same_database(session, manifest)
    with session.transaction():
        session.execute("SELECT pg_advisory_xact_lock(x'6f75746461797300'::bigint)")
        if day in database.made_days(session):
            raise LedgerError(f"the database has the day {day} already: nothing to restore")
        for table in manifest.tables:
            _load(session, day, folder, table)
        session.execute("DELETE FROM outcry.dropped_ranges WHERE day = %s", (day,))
        size = folder_bytes(folder)
        session.execute(_NOTE_ARCHIVED, (day, manifest.rows, size, manifest.sha256))
        session.execute("UPDATE outcry.archived_days SET dropped_at = NULL WHERE day = %s", (day,))
    return manifest


def _require_same_database(session: psycopg.Connection, manifest: Manifest) -> None:
    here = database.deployments(session)
    for name, number in manifest.deployments.items():
        if here.get(name) != number:
            raise LedgerError(
                f"deployment {name} has number {number} in the files and {here.get(name, 'none')}"
                " here: restore into the database the day was dropped from, or a copy of it"
            )


def _load(session: psycopg.Connection, day: date, folder: Path, table: TableFile) -> None:
    if table.columns != database.columns_of(table.table):
        raise LedgerError(
            f"{folder / table.name} has other columns than this version's table;"
            " use the version that wrote it"
        )
    session.execute("SELECT outcry.create_day(%s, %s)", (table.table, day))
    statement = sql.SQL("COPY outcry.{name} ({columns}) FROM STDIN (FORMAT binary)").format(
        name=sql.Identifier(database.name_of(table.table, day)),
        columns=sql.SQL(", ").join(map(sql.Identifier, table.columns)),
    )
    with session.cursor().copy(statement) as copy:
        for chunk in read_rows(folder, table):
            copy.write(chunk)
    if database.count_of(session, table.table, day) != table.rows:
        raise LedgerError(
            f"{folder / table.name} has another number of rows than its manifest says"
        )
    try:
        session.execute("SELECT outcry.attach_day(%s, %s)", (table.table, day))
    except psycopg.errors.CheckViolation as error:
        raise LedgerError(
            f"rows of {day} were recorded since it was dropped, into outcry.{table.table}_other:"
            " restore the day in a copy of the database from before"
        ) from error

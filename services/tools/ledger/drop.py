"""Dropping a day that is in files: what must hold before, and the drop."""

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from hashlib import sha256
from pathlib import Path
from typing import Final

import msgspec
import psycopg
from psycopg import sql

from services.domain.codes import EXEC_TRADE
from services.recorder.core import ARCHIVE_NUMBERS
from services.runtime.ports import TopicPartition
from services.runtime.restore import hash_state
from services.tools.ledger import database
from services.tools.ledger.errors import LedgerError
from services.tools.ledger.files import Manifest, Range, read_day
from services.wire.topics import ACCOUNTS, EXECUTIONS, MATCHING, TRADES

type FirstOffset = Callable[[str, TopicPartition], int | None]
"""Takes a deployment and a partition: the first offset Kafka still has; None: no such topic."""

_TOPIC_OF: Final = {
    "orders": ACCOUNTS.name,
    "cancels": ACCOUNTS.name,
    "amendments": ACCOUNTS.name,
    "executions": EXECUTIONS.name,
    "trades": TRADES.name,
}
_TOPIC_NUMBERED: Final = {number: name for name, number in ARCHIVE_NUMBERS.items()}

_SELECT_SNAPSHOTS: Final = """
SELECT "offset", state, state_hash FROM outcry.snapshots
WHERE deployment = %s AND room = %s AND topic = %s AND partition = %s AND format_version = %s
    AND "offset" > %s ORDER BY "offset" DESC
"""
_CARRY_POSITIONS: Final = """
INSERT INTO outcry.carried_positions AS carried
SELECT deployment_id, account, ticker, newest[1], newest[2]
FROM (
    SELECT deployment_id, account, ticker, max(ARRAY[account_sequence, position]) AS newest
    FROM outcry.{} WHERE exec_type = %s GROUP BY deployment_id, account, ticker
) AS traded
ON CONFLICT (deployment_id, account, ticker) DO UPDATE
SET account_sequence = excluded.account_sequence, position = excluded.position
WHERE excluded.account_sequence > carried.account_sequence
"""


class Room(msgspec.Struct, frozen=True):
    """A room whose state is a fold of what days hold."""

    name: str
    topic: str
    format_version: int


def drop_day(
    session: psycopg.Connection,
    day: date,
    directory: Path,
    rooms: Sequence[Room],
    first_offset: FirstOffset,
) -> Manifest:
    """Drop a day from the database, if everything that could need it can do without.

    The files hold exactly what the database does; no room would replay it, since each has a good
    snapshot beyond it; Kafka no longer has its records, so no reconciliation asks for its rows.

    Raises:
        LedgerError: one of these does not hold.
    """
    database.require_whole_day(session, day)
    manifest = read_day(directory / day.isoformat())
    if manifest.day != day.isoformat():
        raise LedgerError(f"{directory / day.isoformat()} holds the day {manifest.day}")
    names = {number: name for name, number in manifest.deployments.items()}
    _require_passed(manifest.ranges, names, first_offset)
    _require_snapshots(session, manifest.ranges, names, rooms, first_offset)
    with session.transaction():
        tables = [table.table for table in manifest.tables]
        for table in tables:
            _lock(session, database.name_of(table, day))
        _require_same_rows(session, day, manifest)
        executions = sql.Identifier(database.name_of("executions", day))
        session.execute(sql.SQL(_CARRY_POSITIONS).format(executions), (EXEC_TRADE,))
        session.execute("UPDATE outcry.archived_days SET dropped_at = now() WHERE day = %s", (day,))
        session.cursor().executemany(
            "INSERT INTO outcry.dropped_ranges VALUES (%s, %s, %s, %s, %s, %s, %s)",
            [(day, *msgspec.structs.astuple(one)) for one in manifest.ranges],
        )
        for table in tables:
            _detach(session, table, database.name_of(table, day))
    return manifest


def _require_passed(
    ranges: Sequence[Range], names: Mapping[int, str], first_offset: FirstOffset
) -> None:
    for one in ranges:
        at = TopicPartition(_topic(one), one.partition)
        name = names[one.deployment_id]
        first = first_offset(name, at)
        if first is not None and first <= one.last_offset:
            raise LedgerError(
                f"Kafka still has {at.topic}/{at.partition} of {name} from offset {first} on, and"
                f" the day reaches to {one.last_offset}: drop it once retention has passed it"
            )


def _require_snapshots(
    session: psycopg.Connection,
    ranges: Sequence[Range],
    names: Mapping[int, str],
    rooms: Sequence[Room],
    first_offset: FirstOffset,
) -> None:
    for one in ranges:
        if one.table != database.ARCHIVE_DAYS:
            continue
        at, name = TopicPartition(_topic(one), one.partition), names[one.deployment_id]
        for room in rooms:
            if room.topic != at.topic or first_offset(name, at) is None:
                continue
            place = (name, room.name, at.topic, at.partition, room.format_version, one.last_offset)
            found = session.execute(_SELECT_SNAPSHOTS, place).fetchall()
            if not any(hash_state(state) == state_hash for _, state, state_hash in found):
                raise LedgerError(
                    f"{room.name} of {name} has no good snapshot of {at.topic}/{at.partition}"
                    f" beyond offset {one.last_offset} and would need the day to start:"
                    " let it run on, or restart it, and drop the day then"
                )


def _require_same_rows(session: psycopg.Connection, day: date, manifest: Manifest) -> None:
    for table in manifest.tables:
        digest = sha256()
        for chunk in database.copy_out(session, table.table, day):
            digest.update(chunk)
        if digest.hexdigest() != table.sha256:
            raise LedgerError(
                f"outcry.{table.table} has other rows of {day} than its files:"
                " archive the day again, to another directory"
            )


def _lock(session: psycopg.Connection, name: str) -> None:
    """Let nobody add a row meanwhile."""
    session.execute(sql.SQL("LOCK TABLE outcry.{} IN SHARE MODE").format(sql.Identifier(name)))


def _detach(session: psycopg.Connection, table: str, name: str) -> None:
    statement = sql.SQL("ALTER TABLE outcry.{} DETACH PARTITION outcry.{}")
    session.execute(statement.format(sql.Identifier(table), sql.Identifier(name)))
    session.execute(sql.SQL("DROP TABLE outcry.{}").format(sql.Identifier(name)))


def _topic(one: Range) -> str:
    if one.table == database.ARCHIVE_DAYS:
        return _TOPIC_NUMBERED[one.topic_number]
    return _TOPIC_OF[one.table]


def rooms_with_state() -> list[Room]:
    """The rooms that begin from snapshots."""
    from services.matcher.service import make_folds as matcher_folds
    from services.risk.service import make_folds as risk_folds
    from services.wire.codec import local_codec

    codec = local_codec()
    return [
        Room(name, topic.name, make_folds(codec, lambda _record, _error: None).format_version)
        for name, topic, make_folds in (
            ("risk", ACCOUNTS, risk_folds),
            ("matcher", MATCHING, matcher_folds),
        )
    ]

"""The recorded log, read again: raw records for replays, messages for audits."""

import heapq
from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec
import psycopg
from psycopg import sql
from psycopg.rows import dict_row, tuple_row

from services.domain.commands import (
    CancelAll,
    CancelOrder,
    PlaceOrder,
    ReduceOrder,
    ReplaceOrder,
)
from services.domain.events import AccountState, ExecutionReport, Trade
from services.domain.origin import Origin
from services.recorder.core import (
    ACCOUNT_STATES_TABLE,
    AMENDMENTS_TABLE,
    ARCHIVE_NUMBERS,
    ARCHIVED,
    CANCELS_TABLE,
    EXECUTIONS_TABLE,
    ORDERS_TABLE,
    TRADES_TABLE,
)
from services.recorder.tables import Table
from services.runtime.errors import ConfigurationError, HistoryLostError, RetriableError
from services.runtime.ports import Record, TopicPartition
from services.wire.codec import Decoded
from services.wire.messages import Payload
from services.wire.topics import ACCOUNTS, EXECUTIONS, TRADES

_CONNECT_TIMEOUT_S: Final = 10
_CHUNK_RECORDS: Final = 5_000
_OFFSET_MAX: Final = 2**63 - 1

_SELECT_BOUNDS: Final = """
SELECT first_offset, next_offset FROM outcry.recorder_offsets
WHERE deployment = %s AND topic = %s AND partition = %s
"""
# The deployment's number as a value, here and below: with a join the days could not be merged in
# the order of their indexes, and every chunk would sort all that is left.
_SELECT_RECORDS: Final = """
SELECT "offset", timestamp_ms, key, value
FROM outcry.archive
WHERE deployment_id = (SELECT deployment_id FROM outcry.deployments WHERE deployment = %s)
    AND topic_number = %s AND partition = %s AND "offset" >= %s AND "offset" < %s
ORDER BY "offset" LIMIT %s
"""
_SELECT_DROPPED: Final = """
SELECT day::text, first_offset, last_offset
FROM outcry.dropped_ranges JOIN outcry.deployments USING (deployment_id)
WHERE deployment = %s AND table_name = %s AND topic_number = %s AND partition = %s
    AND last_offset >= %s AND first_offset < %s
ORDER BY first_offset LIMIT 1
"""
ARCHIVE_OF_DAYS: Final = "archive_days"
"""What the archive of every topic but `controls` is called where its days are."""


class ArchiveReader:
    """`ports.LogReader` over the archive: what Kafka's retention has taken is still here.

    Reads controls, accounts and matching, up to where the recorder is. Called from one thread.

    Raises, from every method:
        RetriableError: PostgreSQL is away.
        ConfigurationError: the topic is not archived, or nothing of it is recorded.
    """

    def __init__(self, dsn: str, deployment: str) -> None:
        self._deployment = deployment
        try:
            self._connection = psycopg.connect(
                dsn, autocommit=True, connect_timeout=_CONNECT_TIMEOUT_S
            )
        except psycopg.OperationalError as error:
            raise _away(error) from error

    def bounds(self, partition: TopicPartition) -> tuple[int, int]:
        """Where the record begins, and the next offset to be recorded."""
        _require_archived(partition.topic)
        found = self._fetch(_SELECT_BOUNDS, self._deployment, partition.topic, partition.partition)
        if not found:
            raise ConfigurationError(
                f"nothing of {partition.topic}/{partition.partition} is recorded for deployment"
                f" {self._deployment}; check OUTCRY_TOPIC_PREFIX and OUTCRY_PG_DSN"
            )
        first, end = found[0]
        return first, end

    def read(self, partition: TopicPartition, start: int, end: int) -> Iterator[Sequence[Record]]:
        """Archived records with start <= offset < end, in order, in chunks.

        Raises:
            HistoryLostError: the record begins only after `start`, or a day of it was dropped.
        """
        first, recorded_end = self.bounds(partition)
        if start < first:
            raise HistoryLostError(
                f"the archive of {partition.topic}/{partition.partition} begins at offset {first},"
                f" and {start} is needed; start from a snapshot at or after {first}"
            )
        end = min(end, recorded_end)
        number = ARCHIVE_NUMBERS[partition.topic]
        place = (self._deployment, ARCHIVE_OF_DAYS, number, partition.partition)
        _refuse_dropped(self._fetch(_SELECT_DROPPED, *place, start, end), partition.topic)
        while start < end:
            found = self._fetch(
                _SELECT_RECORDS,
                self._deployment,
                number,
                partition.partition,
                start,
                end,
                _CHUNK_RECORDS,
            )
            if not found:
                return
            yield [Record(partition.topic, partition.partition, *row) for row in found]
            start = found[-1][0] + 1

    def topic_id(self, topic: str) -> str:
        """The id of the topic that was recorded."""
        found = self._fetch(
            "SELECT topic_id FROM outcry.topics WHERE deployment = %s AND topic = %s",
            self._deployment,
            topic,
        )
        if not found:
            raise ConfigurationError(
                f"topic {topic} of deployment {self._deployment} was never recorded"
            )
        return str(found[0][0])

    def close(self) -> None:
        """Give up the connection."""
        self._connection.close()

    def _fetch(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        try:
            with self._connection.cursor(binary=True, row_factory=tuple_row) as cursor:
                return cursor.execute(query.encode(), values).fetchall()
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            raise _away(error) from error


class RecordedMessage(msgspec.Struct, frozen=True, gc=False):
    """A row turned back into the message it was made of."""

    offset: int
    decoded: Decoded[Any]


_COMMANDS: Final[dict[str, type[Payload]]] = {
    cls.__name__: cls for cls in (CancelOrder, CancelAll, ReduceOrder, ReplaceOrder)
}
_TABLES: Final[dict[str, dict[Table, type[Payload] | None]]] = {
    ACCOUNTS.name: {ORDERS_TABLE: PlaceOrder, CANCELS_TABLE: None, AMENDMENTS_TABLE: None},
    EXECUTIONS.name: {EXECUTIONS_TABLE: ExecutionReport, ACCOUNT_STATES_TABLE: AccountState},
    TRADES.name: {TRADES_TABLE: Trade},
}
"""Where each topic's messages are; None: the row's column `command` says which class it is."""


def read_messages(
    connection: psycopg.Connection[Any],
    deployment: str,
    topic: str,
    partition: int,
    start: int = 0,
    end: int = _OFFSET_MAX,
) -> Iterator[RecordedMessage]:
    """The typed rows of a partition with start <= offset < end, in order, as messages again.

    Of `accounts` these are the commands alone. Reads in one transaction, a chunk at a time.

    Raises:
        ConfigurationError: the topic has no typed tables.
        HistoryLostError: a day of them was dropped.
        RetriableError: PostgreSQL is away.
    """
    if topic not in _TABLES:
        raise ConfigurationError(f"{topic} has no tables; those that have: {', '.join(_TABLES)}")
    place = (deployment, partition, start, end)
    try:
        with connection.transaction():
            for table in _TABLES[topic]:
                values = (deployment, table.name, 0, partition, start, end)
                _refuse_dropped(connection.execute(_SELECT_DROPPED, values).fetchall(), table.name)
            yield from heapq.merge(
                *(
                    _read_table(connection, table, cls, place)
                    for table, cls in _TABLES[topic].items()
                ),
                key=lambda message: message.offset,
            )
    except (psycopg.OperationalError, psycopg.InterfaceError) as error:
        raise _away(error) from error


def _read_table(
    connection: psycopg.Connection[Any],
    table: Table,
    cls: type[Payload] | None,
    place: tuple[str, int, int, int],
) -> Iterator[RecordedMessage]:
    query = sql.SQL(
        "SELECT {columns} FROM outcry.{table} WHERE deployment_id ="
        " (SELECT deployment_id FROM outcry.deployments WHERE deployment = %s)"
        ' AND partition = %s AND "offset" >= %s AND "offset" < %s ORDER BY "offset"'
    ).format(
        columns=sql.SQL(", ").join(
            _in_microseconds(column.name)
            if column.kind == "timestamptz"
            else sql.Identifier(column.name)
            for column in table.columns
        ),
        table=sql.Identifier(table.name),
    )
    with connection.cursor(f"read_{table.name}", row_factory=dict_row) as cursor:
        cursor.itersize = _CHUNK_RECORDS
        for row in cursor.execute(query, place):
            yield _to_message(row, cls or _COMMANDS[row["command"]])


def _in_microseconds(name: str) -> sql.Composed:
    return sql.SQL("(extract(epoch FROM {name}) * 1000000)::bigint AS {name}").format(
        name=sql.Identifier(name)
    )


def _to_message(row: dict[str, Any], cls: type[Payload]) -> RecordedMessage:
    origin = Origin(
        row["source_topic"],
        row["source_partition"],
        row["source_offset"],
        row["source_index"],
        row["sequence"],
        row["log_time"],
        row["event_time"] or 0,
    )
    fields = {field.name: row[field.name] for field in msgspec.structs.fields(cls)}
    return RecordedMessage(row["offset"], Decoded(origin, msgspec.convert(fields, cls), 0))


def _refuse_dropped(found: Sequence[tuple[Any, ...]], what: str) -> None:
    if found:
        day, first, last = found[0]
        raise HistoryLostError(
            f"{what}: offsets {first} to {last} were dropped with the day {day}; bring it back with"
            f" `outcry ledger restore {day} --from DIR`"
        )


def _require_archived(topic: str) -> None:
    if topic not in ARCHIVED:
        raise ConfigurationError(
            f"{topic} is not archived; those that are: {', '.join(sorted(ARCHIVED))}"
        )


def _away(error: psycopg.Error) -> RetriableError:
    return RetriableError(f"PostgreSQL is away: {' '.join(str(error).split())}; try again")

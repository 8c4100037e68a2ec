"""Which records PostgreSQL holds a row of."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, Protocol

from psycopg import sql

if TYPE_CHECKING:
    from psycopg import Connection

_FETCHED_ROWS: Final = 20_000

TABLES: Final = ("orders", "cancels", "amendments", "executions", "account_states", "trades")
"""Tables in which each row stands for one record of one topic."""

ARCHIVED: Final = ("controls", "accounts", "matching")
"""Topics whose every record is archived byte for byte."""


class Rows(Protocol):
    """A deployment's rows by the place of their records."""

    def of_table(self, table: str, partition: int, start: int, end: int) -> Iterator[int]:
        """Offsets of a table's rows, ascending, from `start` up to but without `end`."""

    def of_archive(self, topic: str, partition: int, start: int, end: int) -> Iterator[int]:
        """Offsets of a topic's archived records, likewise."""


class PostgresRows:
    """`Rows` in PostgreSQL, read in one snapshot of the database."""

    def __init__(self, database: "Connection", deployment: str) -> None:
        self._database = database
        self._deployment = deployment

    def of_table(self, table: str, partition: int, start: int, end: int) -> Iterator[int]:
        """Offsets of a table's rows."""
        query = sql.SQL(
            """
            SELECT "offset" FROM outcry.{}
            WHERE deployment_id =
                (SELECT deployment_id FROM outcry.deployments WHERE deployment = %s)
              AND partition = %s AND "offset" >= %s AND "offset" < %s
            ORDER BY "offset"
            """
        ).format(sql.Identifier(table))
        return self._offsets(query, (self._deployment, partition, start, end))

    def of_archive(self, topic: str, partition: int, start: int, end: int) -> Iterator[int]:
        """Offsets of a topic's archived records."""
        query = sql.SQL(
            """
            SELECT "offset" FROM outcry.archive
            WHERE deployment_id =
                (SELECT deployment_id FROM outcry.deployments WHERE deployment = %s)
              AND topic_number = (SELECT topic_number FROM outcry.archive_topics WHERE topic = %s)
              AND partition = %s AND "offset" >= %s AND "offset" < %s
            ORDER BY "offset"
            """
        )
        return self._offsets(query, (self._deployment, topic, partition, start, end))

    def _offsets(self, query: sql.SQL | sql.Composed, values: tuple[object, ...]) -> Iterator[int]:
        with self._database.cursor(name="reconcile") as cursor:
            cursor.itersize = _FETCHED_ROWS
            cursor.execute(query, values)
            for (offset,) in cursor:
                yield offset

"""The rows as PostgreSQL has them, read in one snapshot of the database by binary COPY."""

from collections.abc import Iterator
from typing import Final

import psycopg
from psycopg import sql

from services.runtime.errors import RetriableError
from services.tools.proof.audit.rows import COLUMNS, TABLES_OF
from services.wire.topics import BY_NAME

_HEADER_BYTES: Final = 19
"""Of a binary COPY: signature, flags and the length of an extension that is never there."""
_TRAILER: Final = b"\xff\xff"
_CONNECT_TIMEOUT_S: Final = 10
_DEPLOYMENT: Final = "(SELECT deployment_id FROM outcry.deployments WHERE deployment = {name})"
_TOPIC: Final = "(SELECT topic_number FROM outcry.archive_topics WHERE topic = {topic})"


class PostgresRows:
    """`rows.RowSource`. Each `refresh` sees the database as of that moment.

    Raises, from every method:
        RetriableError: PostgreSQL is away, or was never prepared.
    """

    def __init__(self, dsn: str, deployment: str) -> None:
        self._name = sql.Literal(deployment)
        self._deployment = deployment
        try:
            self._session = psycopg.connect(dsn, connect_timeout=_CONNECT_TIMEOUT_S)
        except psycopg.OperationalError as error:
            raise _away(error) from error
        self._session.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        self._session.read_only = True

    def refresh(self) -> None:
        """See what was added since; without it, all reads are of one moment."""
        try:
            self._session.rollback()
        except psycopg.Error as error:
            raise _away(error) from error

    def close(self) -> None:
        """Give up the connection."""
        self._session.close()

    def recorded(self, topic: str, partition: int) -> tuple[int, int] | None:
        """As the recorder notes it in the transaction that adds the rows."""
        query = (
            "SELECT first_offset, next_offset FROM outcry.recorder_offsets"
            " WHERE deployment = %s AND topic = %s AND partition = %s"
        )
        try:
            found = self._session.execute(query, (self._deployment, topic, partition)).fetchone()
        except psycopg.Error as error:
            raise _away(error) from error
        return None if found is None else (int(found[0]), int(found[1]))

    def packed(
        self, table: str, topic: str, partition: int, start: int, end: int
    ) -> Iterator[bytes]:
        """One row a piece, as the server sends them."""
        columns = sql.SQL(", ").join(sql.Identifier(column.name) for column in COLUMNS[table])
        query = sql.SQL(
            "COPY (SELECT {columns} FROM outcry.{table}"
            " WHERE deployment_id = {deployment}{of_topic}"
            ' AND partition = {partition} AND "offset" >= {start} AND "offset" < {end}'
            ' ORDER BY "offset") TO STDOUT (FORMAT binary)'
        ).format(
            columns=columns,
            table=sql.Identifier(table),
            deployment=sql.SQL(_DEPLOYMENT).format(name=self._name),
            of_topic=self._of_topic(topic) if table == "archive" else sql.SQL(""),
            partition=sql.Literal(partition),
            start=sql.Literal(start),
            end=sql.Literal(end),
        )
        return self._copy(query.as_bytes(self._session))

    def _copy(self, query: bytes) -> Iterator[bytes]:
        """Straight from libpq: a session's own iterator costs more than comparing the row does."""
        server = self._session.pgconn
        self._fetch(sql.SQL("SELECT 1").format())  # begins the transaction, or fails as all do
        status = server.exec_(query).status
        if status != psycopg.pq.ExecStatus.COPY_OUT:
            raise _away(psycopg.OperationalError(server.get_error_message()))
        head, length = _HEADER_BYTES, 0
        try:
            while True:
                length, data = server.get_copy_data(0)
                if length < 0:
                    return
                row = bytes(data[head:]) if head else bytes(data)
                head = 0
                if row and row != _TRAILER:
                    yield row
        except psycopg.Error as error:
            raise _away(error) from error
        finally:  # also where the reader stops half way: the session must be free again
            while length >= 0:
                length, _ = server.get_copy_data(0)
            while server.get_result() is not None:
                pass

    def _of_topic(self, topic: str) -> sql.Composed:
        return sql.SQL(" AND topic_number = {number}").format(
            number=sql.SQL(_TOPIC).format(topic=sql.Literal(topic))
        )

    def strays(self) -> Iterator[tuple[str, str, int, int]]:
        """Rows of partitions or archived topics that there are not."""
        for topic, tables in TABLES_OF.items():
            partitions = BY_NAME[topic].partitions
            for table in tables:
                query = sql.SQL(
                    'SELECT partition, "offset" FROM outcry.{table}'
                    " WHERE deployment_id = {deployment}{of_topic}"
                    " AND (partition < 0 OR partition >= {partitions})"
                ).format(
                    table=sql.Identifier(table),
                    deployment=sql.SQL(_DEPLOYMENT).format(name=self._name),
                    of_topic=self._of_topic(topic) if table == "archive" else sql.SQL(""),
                    partitions=sql.Literal(partitions),
                )
                for partition, offset in self._fetch(query):
                    yield table, topic, partition, offset
        unknown = sql.SQL(
            'SELECT topic_number, partition, "offset" FROM outcry.archive'
            " WHERE deployment_id = {deployment} AND NOT EXISTS ("
            "SELECT FROM outcry.archive_topics AS known"
            " WHERE known.topic_number = archive.topic_number) LIMIT 100"
        ).format(deployment=sql.SQL(_DEPLOYMENT).format(name=self._name))
        for number, partition, offset in self._fetch(unknown):
            yield "archive", f"topic number {number}", partition, offset

    def _fetch(self, query: sql.Composed) -> list[tuple[int, ...]]:
        try:
            return self._session.execute(query).fetchall()
        except psycopg.Error as error:
            raise _away(error) from error


def _away(error: psycopg.Error) -> RetriableError:
    reason = " ".join(str(error).split())[:200]
    return RetriableError(
        f"PostgreSQL does not give its rows ({reason}): start it with `outcry up`, check"
        " OUTCRY_PG_DSN, or leave it out with --no-database"
    )

"""The recorder's side of PostgreSQL: one session, one lock, one transaction a batch."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from hashlib import blake2b
from typing import Any, Final

import msgspec
import psycopg

from services.recorder.core import TABLES, Rows
from services.recorder.days import DayPartitions
from services.recorder.migrations import require_migrated
from services.recorder.tables import COPY_HEADER, COPY_TRAILER
from services.runtime.errors import ConfigurationError, FencedError
from services.runtime.ports import TopicPartition
from services.runtime.postgres_faults import one_line, postgres_fault

_CONNECT_TIMEOUT_S: Final = 10
_SERVER_VERSION_MIN: Final = 140_000
_COPY_STATEMENTS: Final = {table.name: table.copy_statement.encode() for table in TABLES}

_MOVE_OFFSETS: Final = b"""
UPDATE outcry.recorder_offsets AS recorded
SET next_offset = moved.next_offset
FROM unnest(%s::text[], %s::integer[], %s::bigint[], %s::bigint[])
    AS moved (topic, partition, previous, next_offset)
WHERE recorded.deployment = %s
    AND recorded.topic = moved.topic
    AND recorded.partition = moved.partition
    AND recorded.next_offset = moved.previous
"""


# Of a process that stands still the server ends the session, but not in the middle of a COPY: there
# it waits for more rows for ever, and only the end of the session can break in.
_EVICT_HOLDER: Final = b"""
SELECT pg_terminate_backend(pid)
FROM pg_locks JOIN pg_stat_activity AS holder USING (pid)
WHERE locktype = 'advisory' AND granted AND objsubid = 1
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND (classid::bigint << 32) | objid::bigint = %s
    AND holder.state = 'active'
    AND clock_timestamp() - holder.query_start > make_interval(secs => %s)
"""


class Move(msgspec.Struct, frozen=True, gc=False):
    """How far a batch takes a partition."""

    previous: int
    next_offset: int


class PostgresLedger:
    """Where the log is kept. One deployment's writer, if it holds the lock.

    Called from one thread; each method blocks. After a RetriableError: close, and make another.

    Raises, from every method:
        RetriableError: PostgreSQL is away, or what was asked failed for now. If this was the
            commit of `append`, it may have happened: the offsets will tell.
        ConfigurationError: the database is not one this code can use.
    """

    def __init__(self, dsn: str, deployment: str, session_timeout_s: int) -> None:
        self._deployment = deployment
        self._session_timeout_s = session_timeout_s
        name = f"outcry recorder {deployment}".encode()
        self._lock = int.from_bytes(blake2b(name, digest_size=8).digest(), signed=True)
        with _faults("connecting to PostgreSQL"):
            self._connection = psycopg.connect(
                dsn,
                autocommit=True,
                connect_timeout=_CONNECT_TIMEOUT_S,
                application_name=f"outcry recorder {deployment}",
                # A server whose machine is gone is noticed within these.
                tcp_user_timeout=session_timeout_s * 1_000,
                keepalives_idle=max(session_timeout_s // 3, 1),
                keepalives_interval=max(session_timeout_s // 6, 1),
                keepalives_count=3,
            )
        self._days = DayPartitions(self._connection)
        try:
            self._prepare()
        except BaseException:
            self.close()
            raise

    def _prepare(self) -> None:
        version = self._connection.info.server_version
        if version < _SERVER_VERSION_MIN:
            raise ConfigurationError(
                f"PostgreSQL {version // 10_000} is too old; the recorder needs 14 or later"
            )
        with _faults("preparing the session"):
            # The lock lives as long as the session. A process that stands still, in a
            # transaction or out of it, must lose both, so that another can go on.
            for setting in (
                "idle_session_timeout",
                "idle_in_transaction_session_timeout",
                "statement_timeout",
            ):
                self._connection.execute(
                    "SELECT set_config(%s, %s, false)", (setting, f"{self._session_timeout_s}s")
                )
            require_migrated(self._connection)

    def try_lock(self) -> bool:
        """Become the one writer of this deployment, if there is none that is alive."""
        with _faults("asking for the recorder's lock"):
            if self._row("SELECT pg_try_advisory_lock(%s)", self._lock)[0]:
                return True
            self._connection.execute(_EVICT_HOLDER, (self._lock, self._session_timeout_s))
            return False

    def remember_topic(self, topic: str, topic_id: str) -> str:
        """Note a topic's id when it is first seen; returns the one first seen."""
        with _faults("noting a topic's id"):
            self._connection.execute(
                "INSERT INTO outcry.topics VALUES (%s, %s, %s) ON CONFLICT DO NOTHING",
                (self._deployment, topic, topic_id),
            )
            return str(
                self._row(
                    "SELECT topic_id FROM outcry.topics WHERE deployment = %s AND topic = %s",
                    self._deployment,
                    topic,
                )[0]
            )

    def deployment_id(self) -> int:
        """The number of this deployment in the tables, given at first use."""
        with _faults("reading the deployment's number"):
            # Two statements: a conflicting insert would use up one of 32,767 numbers each time.
            for _ in range(2):
                found = self._connection.execute(
                    "SELECT deployment_id FROM outcry.deployments WHERE deployment = %s",
                    (self._deployment,),
                ).fetchone()
                if found is not None:
                    return int(found[0])
                self._connection.execute(
                    "INSERT INTO outcry.deployments (deployment) VALUES (%s)"
                    " ON CONFLICT DO NOTHING",
                    (self._deployment,),
                )
        raise AssertionError("a deployment that was inserted is not there")

    def offsets(self, partitions: Mapping[str, int]) -> dict[TopicPartition, int]:
        """The next offset to record, of each partition; 0 for one never seen.

        Args:
            partitions: how many each topic has.
        """
        with _faults("reading the recorded offsets"), self._connection.transaction():
            self._connection.cursor().executemany(
                "INSERT INTO outcry.recorder_offsets VALUES (%s, %s, %s, 0, 0)"
                " ON CONFLICT DO NOTHING",
                [
                    (self._deployment, topic, partition)
                    for topic, count in partitions.items()
                    for partition in range(count)
                ],
            )
            found = self._connection.execute(
                "SELECT topic, partition, next_offset FROM outcry.recorder_offsets"
                " WHERE deployment = %s",
                (self._deployment,),
            ).fetchall()
        return {
            TopicPartition(topic, partition): next_offset
            for topic, partition, next_offset in found
            if partition < partitions.get(topic, 0)
        }

    def append(self, rows: Rows, moves: Mapping[TopicPartition, Move]) -> None:
        """Add a batch's rows and move its offsets, in one transaction.

        The offsets move only from where this writer believes them to be: also a writer that
        lost its lock and does not know it can't add a row twice.

        The days that rows fall on are given partitions before, as far as that can be had.

        Raises:
            FencedError: another writer moved them; nothing was added.
        """
        with _faults("giving a day its partitions"):
            self._days.prepare(rows.days)
        with _faults("recording a batch"), self._connection.transaction():
            # First, since this also locks the offsets until the rows are in.
            self._move(moves)
            for name, packed in rows.by_table.items():
                with self._connection.cursor().copy(_COPY_STATEMENTS[name]) as copy:
                    copy.write(b"".join((COPY_HEADER, *packed, COPY_TRAILER)))

    def _move(self, moves: Mapping[TopicPartition, Move]) -> None:
        moved = self._connection.execute(
            _MOVE_OFFSETS,
            (
                [at.topic for at in moves],
                [at.partition for at in moves],
                [move.previous for move in moves.values()],
                [move.next_offset for move in moves.values()],
                self._deployment,
            ),
        ).rowcount
        if moved != len(moves):
            raise FencedError("another recorder moved the offsets; reading them again")

    def ping(self) -> None:
        """Keep the session alive, and see that it is."""
        with _faults("asking PostgreSQL whether it is there"):
            self._connection.execute("SELECT 1")

    def close(self) -> None:
        """Give up the session and its lock. Never raises."""
        self._connection.close()

    def _row(self, query: str, *values: object) -> Any:  # noqa: ANN401 - columns are the query's
        found = self._connection.execute(query.encode(), values).fetchone()
        assert found is not None
        return found


@contextmanager
def _faults(doing: str) -> Iterator[None]:
    """Say what to do about an error of PostgreSQL."""
    try:
        yield
    except psycopg.errors.UniqueViolation as error:
        raise ConfigurationError(
            f"{doing}: {one_line(error)}; outcry.recorder_offsets was moved back:"
            " set next_offset behind the last row of each table"
        ) from error
    except psycopg.Error as error:
        raise postgres_fault(error, doing) from error

"""Snapshots in PostgreSQL, written off the hot path."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

import msgspec
import psycopg
from psycopg.rows import class_row

from services.runtime.errors import NoTablesError, RetriableError
from services.runtime.ports import Snapshot

if TYPE_CHECKING:  # settings bring pydantic, which a process that only reads does without
    from services.runtime.settings import RoomSettings

_CONNECT_TIMEOUT_S: Final = 5
_STATEMENT_TIMEOUT_MS: Final = 30_000

_INSERT: Final = """
INSERT INTO outcry.snapshots (deployment, room, topic, partition, "offset", topic_id,
                              format_version, genesis_hash, state, state_hash)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (deployment, room, topic, partition, "offset") DO UPDATE
SET topic_id = excluded.topic_id, format_version = excluded.format_version,
    genesis_hash = excluded.genesis_hash, state = excluded.state,
    state_hash = excluded.state_hash, taken_at = now()
"""
_DELETE_OLD: Final = """
DELETE FROM outcry.snapshots AS gone USING (
    SELECT "offset", taken_at, row_number() OVER (ORDER BY "offset" DESC) AS place
    FROM outcry.snapshots
    WHERE deployment = %(deployment)s AND room = %(room)s AND topic = %(topic)s
      AND partition = %(partition)s) AS kept
WHERE deployment = %(deployment)s AND room = %(room)s AND topic = %(topic)s
  AND partition = %(partition)s AND gone."offset" = kept."offset"
  AND (place > %(kept)s
       OR (place > %(always_kept)s AND kept.taken_at < now() - make_interval(secs => %(age_s)s)))
"""
_SELECT_NEWEST: Final = """
SELECT room, topic, partition, "offset", topic_id, format_version, genesis_hash, state, state_hash
FROM outcry.snapshots
WHERE deployment = %s AND room = %s AND topic = %s AND partition = %s
ORDER BY "offset" DESC LIMIT %s
"""
_REMEMBER_TOPIC: Final = """
INSERT INTO outcry.topics (deployment, topic, topic_id) VALUES (%s, %s, %s)
ON CONFLICT DO NOTHING
"""
_SELECT_TOPIC: Final = "SELECT topic_id FROM outcry.topics WHERE deployment = %s AND topic = %s"
_REMEMBER_CLUSTER: Final = """
INSERT INTO outcry.clusters (deployment, cluster_id) VALUES (%s, %s) ON CONFLICT DO NOTHING
"""
_SELECT_CLUSTER: Final = "SELECT cluster_id FROM outcry.clusters WHERE deployment = %s"
_LIST: Final = """
SELECT room, topic, partition, "offset", topic_id, format_version, genesis_hash, state_hash,
       octet_length(state) AS state_bytes, extract(epoch FROM now() - taken_at)::float8 AS age_s
FROM outcry.snapshots WHERE deployment = %s
ORDER BY room, topic, partition, "offset" DESC
"""
_SELECT_ONE: Final = """
SELECT room, topic, partition, "offset", topic_id, format_version, genesis_hash, state, state_hash
FROM outcry.snapshots
WHERE deployment = %s AND room = %s AND topic = %s AND partition = %s AND "offset" = %s
"""
ALWAYS_KEPT: Final = 2
"""Of each partition whatever their age, so that a bad one has one before it."""


class KeptSnapshot(msgspec.Struct, frozen=True):
    """What is known of a stored snapshot without reading its state."""

    room: str
    topic: str
    partition: int
    offset: int
    topic_id: str
    format_version: int
    genesis_hash: str
    state_hash: str
    state_bytes: int
    age_s: float


class PostgresSnapshots:
    """`ports.Snapshots`. Calls are rare, so each makes a connection of its own.

    Args:
        kept: how many snapshots of a partition stay.
        age_s_max: older ones go when a newer one comes, but for the newest two.
    """

    def __init__(
        self, dsn: str, deployment: str, kept: int, age_s_max: float = 7 * 24 * 3_600.0
    ) -> None:
        self._dsn = dsn
        self._deployment = deployment
        self._kept = {"kept": kept, "always_kept": ALWAYS_KEPT, "age_s": age_s_max}

    def put(self, snapshot: Snapshot) -> None:
        """Keep it, and drop those too old to be kept, in one transaction."""
        place = {
            "deployment": self._deployment,
            "room": snapshot.room,
            "topic": snapshot.topic,
            "partition": snapshot.partition,
        }
        row = (
            snapshot.offset, snapshot.topic_id, snapshot.format_version, snapshot.genesis_hash,
            snapshot.state, snapshot.state_hash,
        )  # fmt: skip

        def write(connection: psycopg.Connection) -> None:
            connection.execute(_INSERT, (*place.values(), *row))
            connection.execute(_DELETE_OLD, place | self._kept)

        self._run(write)

    def newest(self, room: str, topic: str, partition: int, limit: int) -> Sequence[Snapshot]:
        """Highest offset first."""

        def read(connection: psycopg.Connection) -> list[Snapshot]:
            with connection.cursor(row_factory=class_row(Snapshot), binary=True) as cursor:
                cursor.execute(_SELECT_NEWEST, (self._deployment, room, topic, partition, limit))
                return cursor.fetchall()

        return self._run(read)

    def remember_topic(self, topic: str, topic_id: str) -> str:
        """The id this topic had when it was first seen."""

        def note(connection: psycopg.Connection) -> str:
            connection.execute(_REMEMBER_TOPIC, (self._deployment, topic, topic_id))
            row = connection.execute(_SELECT_TOPIC, (self._deployment, topic)).fetchone()
            assert row is not None, "just inserted"
            return str(row[0])

        return self._run(note)

    def remember_cluster(self, cluster_id: str) -> str:
        """The id of the Kafka cluster on which this deployment was first seen.

        Raises:
            RetriableError: the store is away.
            NoTablesError: it was never prepared.
        """

        def note(connection: psycopg.Connection) -> str:
            connection.execute(_REMEMBER_CLUSTER, (self._deployment, cluster_id))
            row = connection.execute(_SELECT_CLUSTER, (self._deployment,)).fetchone()
            assert row is not None, "just inserted"
            return str(row[0])

        return self._run(note)

    def listing(self) -> list[KeptSnapshot]:
        """Every snapshot of the deployment, newest first in each partition. Raises as `newest`."""

        def read(connection: psycopg.Connection) -> list[KeptSnapshot]:
            with connection.cursor(row_factory=class_row(KeptSnapshot)) as cursor:
                cursor.execute(_LIST, (self._deployment,))
                return cursor.fetchall()

        return self._run(read)

    def one(self, room: str, topic: str, partition: int, offset: int) -> Snapshot | None:
        """The snapshot of this position, if it is still kept. Raises as `newest`."""

        def read(connection: psycopg.Connection) -> Snapshot | None:
            with connection.cursor(row_factory=class_row(Snapshot), binary=True) as cursor:
                cursor.execute(_SELECT_ONE, (self._deployment, room, topic, partition, offset))
                return cursor.fetchone()

        return self._run(read)

    def close(self) -> None:
        """Nothing is held between calls."""

    def _run[T](self, work: Callable[[psycopg.Connection], T]) -> T:
        options = f"-c statement_timeout={_STATEMENT_TIMEOUT_MS}"
        try:
            with psycopg.connect(
                self._dsn, connect_timeout=_CONNECT_TIMEOUT_S, options=options
            ) as connection:
                return work(connection)
        except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName) as error:
            msg = f"PostgreSQL has no tables of Outcry ({_one_line(error)}); run `outcry up`"
            raise NoTablesError(msg) from error
        except psycopg.Error as error:
            raise RetriableError(f"PostgreSQL: {_one_line(error)}; snapshots wait") from error


def _one_line(error: psycopg.Error) -> str:
    return " ".join(str(error).split())[:300]


def open_postgres(settings: "RoomSettings") -> PostgresSnapshots | None:
    """The deployment's snapshots, for `run_room`; None where no PostgreSQL is configured."""
    if settings.pg_dsn is None:
        return None
    dsn = settings.pg_dsn.get_secret_value()
    return PostgresSnapshots(
        dsn, settings.deployment, settings.snapshots_kept, settings.snapshots_age_s_max
    )

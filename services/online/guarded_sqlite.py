"""Feast's SQLite online store, made safe: for threads, for late rows, for time zones.

The stock one shares one connection among all threads, and then answers with another entity's
values; it lets a late row overwrite a newer one; it keeps event times as whole seconds of the
machine's time zone. Here each thread has its own connection, a row replaces only what is not
newer, and times are microseconds since the Unix epoch. Its tables are the stock ones.
"""

import contextlib
import sqlite3
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, Literal

import services.online.unchecked_feast  # noqa: F401 - before Feast

# isort: split
from feast import FeatureView
from feast.infra.key_encoding_utils import serialize_entity_key
from feast.infra.online_stores.helpers import compute_table_id
from feast.infra.online_stores.sqlite import SqliteOnlineStore, SqliteOnlineStoreConfig
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value
from feast.repo_config import RepoConfig

from services.online.change_watch import ChangeWatch, file_id

BUSY_TIMEOUT_S: Final = 5.0
"""How long a writer waits for another one."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)

type _Name = Literal["services.online.guarded_sqlite.GuardedSqliteOnlineStore"]
"""Feast finds the class by it."""

type Row = tuple[EntityKey, dict[str, Value], datetime, datetime | None]
"""Entity, values by feature, event time and creation time (naive times are UTC)."""


class _ThreadsConnection(sqlite3.Connection):
    """Closes itself when its thread ends."""

    def __del__(self) -> None:
        with contextlib.suppress(sqlite3.ProgrammingError):  # ends elsewhere: C closes it then
            self.close()


class GuardedSqliteOnlineStoreConfig(SqliteOnlineStoreConfig):
    """The stock store's options, under this store's name."""

    type: _Name = "services.online.guarded_sqlite.GuardedSqliteOnlineStore"  # type: ignore[assignment]  # each store has its own


class GuardedSqliteOnlineStore(SqliteOnlineStore):
    """Any number of threads and processes may read and write at once."""

    def __init__(self) -> None:
        super().__init__()
        self._of_thread = threading.local()

    def _get_conn(self, config: RepoConfig) -> sqlite3.Connection:
        path = Path(self._get_db_path(config))
        known = getattr(self._of_thread, "connection", None)
        if known is not None:
            if self._of_thread.file == file_id(path):
                return known  # type: ignore[no-any-return]  # a thread's attribute has no type
            # Removed, or put in place of another: what is written to it now, nobody would see.
            known.close()
        path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(
            path, timeout=BUSY_TIMEOUT_S, isolation_level=None, factory=_ThreadsConnection
        )
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")
        self._of_thread.connection, self._of_thread.file = connection, file_id(path)
        return connection

    def watch(self, config: RepoConfig) -> ChangeWatch:
        """For who keeps what was read: tells of everybody's writes, this process's too."""
        return ChangeWatch(Path(self._get_db_path(config)))

    def online_write_batch(
        self,
        config: RepoConfig,
        table: FeatureView,
        data: list[Row],
        progress: Callable[[int], Any] | None,
    ) -> None:
        """Write rows, all or none; of an entity, a row older than what is there is passed over."""
        statement = (
            f'INSERT INTO "{_table_name(config, table)}"'  # noqa: S608 - a name that Feast made
            " (entity_key, feature_name, value, event_ts, created_ts) VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT (entity_key, feature_name) DO UPDATE SET value = excluded.value,"
            " event_ts = excluded.event_ts, created_ts = excluded.created_ts"
            " WHERE excluded.event_ts >= event_ts"
        )
        cells = [
            (key, feature, value.SerializeToString(), _to_us(event_time), _to_us(created))
            for entity, values, event_time, created in data
            for key in (_entity_bytes(config, entity),)
            for feature, value in values.items()
        ]
        connection = self._get_conn(config)
        connection.execute("BEGIN IMMEDIATE")
        try:
            connection.executemany(statement, cells)
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")
        if progress is not None:
            progress(len(data))

    def online_read(
        self,
        config: RepoConfig,
        table: FeatureView,
        entity_keys: list[EntityKey],
        requested_features: list[str] | None = None,
    ) -> list[tuple[datetime | None, dict[str, Value] | None]]:
        """Of each entity the event time and the values; (None, None) for one never written.

        Only values of the newest row count: a feature that it does not have is not there.
        """
        keys = [_entity_bytes(config, entity) for entity in entity_keys]
        wanted = set(requested_features or (field.name for field in table.features))
        found: dict[bytes, tuple[int, dict[str, Value]]] = {}
        marks = ", ".join("?" * len(keys))
        rows = self._get_conn(config).execute(
            "SELECT entity_key, feature_name, value, event_ts"  # noqa: S608 - as above
            f' FROM "{_table_name(config, table)}" WHERE entity_key IN ({marks})',
            keys,
        )
        for key, feature, value, event_us in rows:
            newest_us, values = found.get(key, (event_us, {}))
            if event_us > newest_us:
                newest_us, values = event_us, {}
            if event_us == newest_us and feature in wanted:
                values[feature] = Value.FromString(value)
            found[key] = (newest_us, values)
        return [_answer(found.get(key)) for key in keys]

    def teardown(
        self, config: RepoConfig, tables: Sequence[FeatureView], entities: Sequence[Any]
    ) -> None:
        """Remove the whole database."""
        del tables, entities
        connection = getattr(self._of_thread, "connection", None)
        if connection is not None:
            connection.close()
            del self._of_thread.connection
        path = Path(self._get_db_path(config))
        for name in (path.name, f"{path.name}-wal", f"{path.name}-shm"):
            path.with_name(name).unlink(missing_ok=True)


def _answer(
    found: tuple[int, dict[str, Value]] | None,
) -> tuple[datetime | None, dict[str, Value] | None]:
    if found is None:
        return None, None
    return _EPOCH + found[0] * _MICROSECOND, found[1]


def _table_name(config: RepoConfig, table: FeatureView) -> str:
    versioned = config.registry.enable_online_feature_view_versioning
    name: str = compute_table_id(config.project, table, versioned)
    return name.replace('"', '""')


def _entity_bytes(config: RepoConfig, entity: EntityKey) -> bytes:
    version = config.entity_key_serialization_version
    return bytes(serialize_entity_key(entity, entity_key_serialization_version=version))


def _to_us(time: datetime | None) -> int | None:
    """Exact, whatever the machine's time zone."""
    if time is None:
        return None
    aware = time.replace(tzinfo=UTC) if time.tzinfo is None else time
    return (aware - _EPOCH) // _MICROSECOND

"""How the exchange is: what its stages have yet to read, its newest snapshots, its last audit.

Kafka and PostgreSQL are asked, at most once in a while however many want to know, and never for
long. A part whose source does not answer is unknown and says why; the others are as they are.
"""

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec
import psycopg
from psycopg.rows import dict_row

from services.gateway.beginning import NO_DATABASE
from services.gateway.core.recorded import Beginning
from services.gateway.problems import HttpReason, problem
from services.gateway.stage_lag import GROUPS, RECORDED, Place, Reading, StageReader, behind
from services.gateway.views import View
from services.runtime.errors import RetriableError
from services.runtime.telemetry import Telemetry

_CONNECT_TIMEOUT_S: Final = 2
_OPTIONS: Final = "-c statement_timeout=2000 -c default_transaction_read_only=on"
_FIRST_WAIT_S: Final = 15.0
"""For who asks before there is any answer, while another is asking; longer than asking takes."""
_NS_PER_US: Final = 1_000

NO_KAFKA: Final = "Kafka does not answer"
DATABASE_AWAY: Final = "PostgreSQL does not answer"
NO_TABLES: Final = "the database lacks a table; `outcry up` makes it"
NOT_BEGUN: Final = "it has read nothing yet"

_RECORDED: Final = """
SELECT topic, partition, next_offset FROM outcry.recorder_offsets
WHERE deployment = %(deployment)s
"""
_SNAPSHOTS: Final = """
SELECT room, count(*) AS partitions,
       (extract(epoch FROM max(newest)) * 1000000)::bigint AS newest_at_us,
       (extract(epoch FROM min(newest)) * 1000000)::bigint AS oldest_at_us
FROM (SELECT room, topic, partition, max(taken_at) AS newest FROM outcry.snapshots
      WHERE deployment = %(deployment)s GROUP BY room, topic, partition) AS kept
GROUP BY room ORDER BY room
"""
_AUDIT: Final = """
SELECT (extract(epoch FROM audited_at) * 1000000)::bigint AS audited_at_us, holds, records,
       differences, from_snapshots, digest, next_offsets, first_difference
FROM outcry.audits WHERE deployment = %(deployment)s ORDER BY audit_id DESC LIMIT 1
"""


class _Unknown(msgspec.Struct, frozen=True):
    """Why a part can't be told."""

    reason: str


type _Rows = list[View]


class SystemStatus:
    """Tells the status of one deployment. Called from any thread; blocks.

    Args:
        dsn: of PostgreSQL; None: there is none here.
        age_s_max: how old an answer may be before the sources are asked again.
        telemetry: is told why a source did not answer; who asks is not, since it may be anybody.
        beginning: of this gateway's read model.
    """

    def __init__(
        self,
        stages: StageReader,
        dsn: str | None,
        deployment: str,
        age_s_max: float,
        telemetry: Telemetry,
        beginning: Callable[[], Beginning],
        *,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stages = stages
        self._dsn = dsn
        self._deployment = deployment
        self._age_s_max = age_s_max
        self._telemetry = telemetry
        self._beginning = beginning
        self._now_s = now_s
        self._asking = threading.Lock()
        self._said: View | None = None
        self._said_at_s = 0.0

    def show(self) -> View:
        """The newest answer; while somebody asks for a newer one, the one before.

        Raises:
            ProblemError: OVERLOADED: there is none yet, and asking takes too long.
        """
        said = self._said
        if said is not None and self._now_s() - self._said_at_s < self._age_s_max:
            return said
        # Whoever comes while one asks is not held up, as long as there is anything to tell.
        if not self._asking.acquire(timeout=_FIRST_WAIT_S if said is None else 0):
            if said is None:
                raise problem(HttpReason.OVERLOADED, "its sources are slow; ask again shortly")
            return said
        try:
            if self._said is None or self._said is said:
                self._said = self._ask()
                self._said_at_s = self._now_s()
            return self._said
        finally:
            self._asking.release()

    def _ask(self) -> View:
        recorded, snapshots, audits = self._ask_database()
        return {
            "asked_at_us": time.time_ns() // _NS_PER_US,
            "stages": _stages_view(self._ask_kafka(), recorded),
            "snapshots": _part("rooms", snapshots),
            "audit": _part("last", audits),
            "read_model": msgspec.structs.asdict(self._beginning()),
        }

    def _ask_kafka(self) -> Reading | _Unknown:
        try:
            return self._stages.read()
        except RetriableError as error:
            self._telemetry.log.warning("status_unknown", part="stages", error=str(error))
            return _Unknown(NO_KAFKA)

    def _ask_database(self) -> tuple[_Rows | _Unknown, ...]:
        """How far the recorder is, the snapshots, and the last audit."""
        statements = (_RECORDED, _SNAPSHOTS, _AUDIT)
        if self._dsn is None:
            return (_Unknown(NO_DATABASE),) * len(statements)
        try:
            with psycopg.connect(
                self._dsn,
                connect_timeout=_CONNECT_TIMEOUT_S,
                options=_OPTIONS,
                autocommit=True,
                row_factory=dict_row,
            ) as connection:
                return tuple(self._rows(connection, statement) for statement in statements)
        except psycopg.Error as error:
            self._note(error)
            return (_Unknown(DATABASE_AWAY),) * len(statements)

    def _rows(self, connection: psycopg.Connection[View], statement: str) -> _Rows | _Unknown:
        try:
            return connection.execute(
                statement.encode(), {"deployment": self._deployment}
            ).fetchall()
        except psycopg.errors.UndefinedTable:
            return _Unknown(NO_TABLES)
        except psycopg.Error as error:
            self._note(error)
            return _Unknown(DATABASE_AWAY)

    def _note(self, error: psycopg.Error) -> None:
        cause = " ".join(str(error).split())
        self._telemetry.log.warning("status_unknown", part="database", error=cause)


def _stages_view(reading: Reading | _Unknown, recorded: _Rows | _Unknown) -> View:
    if isinstance(reading, _Unknown):
        return {"state": "unknown", "reason": reading.reason, "stages": []}
    rows = [
        _stage(room, topic.name, behind(topic, reading.ends, reading.committed[room]), NOT_BEGUN)
        for room, topics in GROUPS.items()
        for topic in topics
    ]
    known: Mapping[Place, int] = {}
    if not isinstance(recorded, _Unknown):
        known = {(row["topic"], row["partition"]): row["next_offset"] for row in recorded}
    for topic in RECORDED:
        unread = None
        if not isinstance(recorded, _Unknown):
            unread = behind(topic, reading.ends, known)
        why = recorded.reason if isinstance(recorded, _Unknown) else NOT_BEGUN
        rows.append(_stage("recorder", topic.name, unread, why))
    return {"state": "known", "reason": None, "stages": rows}


def _stage(room: str, topic: str, unread: int | None, why: str) -> View:
    return {
        "room": room,
        "topic": topic,
        "behind": unread,
        "reason": why if unread is None else None,
    }


def _part(name: str, found: _Rows | _Unknown) -> View:
    is_last = name == "last"
    if isinstance(found, _Unknown):
        return {"state": "unknown", "reason": found.reason, name: None if is_last else []}
    rows: Any = found
    if is_last:
        rows = found[0] if found else None
    return {"state": "known", "reason": None, name: rows}

"""The read model's beginning from PostgreSQL: what the recorder has of `executions`.

Kafka keeps reports for a while only; an order that rests for longer is no less live. What is told
is the last word of each live order, of each holding and of each account before the offsets where
the topic is to be read from; ended orders, fills and what sockets resume from come with the topic.

It is carried on from the newest good snapshot of it, so a start asks for no more than what was said
since. Without a snapshot everything is asked for.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, Final

import msgspec
import psycopg
from psycopg.rows import dict_row

from services.domain.codes import EXEC_NEW, LIVE_STATUSES, NO_ORDER, REJECTED
from services.domain.events import AccountState, ExecutionReport
from services.domain.origin import Origin
from services.gateway.beginning import Bounds, NothingRecordedError
from services.gateway.core.recorded import Recorded, RecordedOrder, RecordedTicker
from services.gateway.core.report_state import ReportState, Stretch, StretchOrder
from services.gateway.report_questions import (
    DEPLOYMENT_ID,
    DROPPED,
    OFFSETS,
    TOPIC_ID,
    Questions,
    Range,
    questions,
)
from services.gateway.report_snapshots import ROOM, ReportSnapshots, Standing
from services.runtime.telemetry import Telemetry
from services.wire.codec import Codec
from services.wire.messages import Payload
from services.wire.topics import EXECUTIONS

_CONNECT_TIMEOUT_S: Final = 5
_WORK_MEMORY: Final = "64MB"
"""For an answer over a whole record, whose groups would go to disk otherwise."""
_KEPT_UP_TO: Final = """
SELECT partition, max("offset") AS newest FROM outcry.snapshots
WHERE deployment = %(deployment)s AND room = %(room)s AND topic = %(topic)s GROUP BY partition
"""
_TRY_LOCK: Final = """
SELECT pg_try_advisory_xact_lock(hashtext('outcry gateway'), hashtext(%(deployment)s)) AS is_ours
"""

DAYS_DROPPED: Final = "days were dropped from PostgreSQL: what rests since then is not known here"

type _Connection = psycopg.Connection[dict[str, Any]]


class Known(msgspec.Struct, frozen=True):
    """The states before some offsets."""

    topic_id: str

    ends: Mapping[int, int]
    """By partition."""
    states: Mapping[int, ReportState]
    """Of each partition whose end is not 0."""
    snapshots: Mapping[int, int]
    """Offsets of the snapshots that they were carried on from, where there were any."""
    lacks: str
    """Why something may be missing; empty: nothing is."""

    @property
    def asked(self) -> int:
        """How many offsets the database was asked about."""
        return sum(end - self.snapshots.get(place, 0) for place, end in self.ends.items())


class PostgresReports:
    """`beginning.ReportsBefore` from the recorder's tables, and the keeper of its snapshots.

    Args:
        tail: how many offsets of each partition to leave to the topic, if it has them.
        timeout_ms: longest wait for one answer of the database.
        telemetry: is told why there is none; who asks for the status is not, it may be anybody.
        snapshots: None: everything is asked for each time.
    """

    def __init__(
        self,
        dsn: str,
        deployment: str,
        codec: Codec,
        tail: int,
        timeout_ms: int,
        telemetry: Telemetry,
        snapshots: ReportSnapshots | None = None,
    ) -> None:
        self._dsn = dsn
        self._names = {"deployment": deployment, "topic": EXECUTIONS.name}
        self._codec = codec
        self._tail = tail
        self._timeout_ms = timeout_ms
        self._telemetry = telemetry
        self._snapshots = snapshots
        self._connection: _Connection | None = None
        self._found: Known | None = None
        """What was read last, until it is kept."""

    def read(self, bounds: Mapping[int, Bounds], topic_id: str) -> Recorded:
        """In one transaction, so that all of it is of the same moment."""
        with self._transaction(self._timeout_ms) as connection:
            if self._recorded_topic(connection) != topic_id:
                raise NothingRecordedError("what is recorded is of another topic `executions`")
            starts = self._starts(connection, bounds)
            if not any(starts.values()):
                return Recorded(starts)
            known = self._know(connection, starts, topic_id)
        self._telemetry.log.info(
            "reports_before", snapshots=dict(known.snapshots), asked_offsets=known.asked
        )
        self._found = known
        recorded = Recorded(starts, lacks=known.lacks)
        for state in known.states.values():
            recorded = state.add_to(recorded)
        return recorded

    def keep_snapshots(self, reports_min: int, timeout_ms: int) -> int:
        """Keep snapshots of where a gateway that starts now would begin; returns how many.

        Only if so many offsets were recorded since the last ones, and no other gateway is at it;
        only of states from which nothing is missing. At the first time it keeps what was read.

        Raises:
            NothingRecordedError: nothing can be told.
            OperatingError: the store is away, or has no tables.
        """
        found, self._found = self._found, None
        if found is not None and found.asked >= reports_min:
            return self._keep(found)
        with self._transaction(timeout_ms) as connection:
            topic_id = self._recorded_topic(connection)
            recorded = self._recorded_offsets(connection)
            ends = {place: max(0, end - self._tail) for place, end in recorded.items()}
            kept_up_to = self._kept_up_to(connection)
            since = sum(max(0, end - kept_up_to.get(place, 0)) for place, end in ends.items())
            if since < reports_min or not self._try_lock(connection):
                return 0
            return self._keep(self._know(connection, ends, topic_id))

    def cancel(self) -> None:
        """End what is being asked, from another thread; it raises there."""
        connection = self._connection
        if connection is not None:
            with suppress(psycopg.Error):  # it ends by its time limit then
                connection.cancel_safe(timeout=1)

    def _keep(self, known: Known) -> int:
        assert self._snapshots is not None, "made without"
        kept = 0
        for place, state in known.states.items():
            end = known.ends[place]
            if known.lacks or end <= known.snapshots.get(place, 0):
                continue
            size = self._snapshots.keep(place, Standing(end, state), known.topic_id)
            self._telemetry.log.info(
                "snapshot_stored", topic=EXECUTIONS.name, partition=place, offset=end,
                state_bytes=size,
            )  # fmt: skip
            kept += 1
        return kept

    # --- asking

    @contextmanager
    def _transaction(self, timeout_ms: int) -> Iterator[_Connection]:
        """One that reads; what goes wrong in it says so in a line."""
        options = (
            f"-c statement_timeout={timeout_ms} -c default_transaction_read_only=on"
            f" -c work_mem={_WORK_MEMORY}"
        )
        try:
            with psycopg.connect(
                self._dsn,
                connect_timeout=_CONNECT_TIMEOUT_S,
                row_factory=dict_row,
                options=options,
            ) as connection:
                self._connection = connection
                with connection.transaction():
                    connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
                    yield connection
        except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName) as error:
            raise NothingRecordedError(
                "the database lacks a table; `outcry up` makes it"
            ) from error
        except psycopg.errors.QueryCanceled as error:
            raise NothingRecordedError(
                f"PostgreSQL took longer than {timeout_ms} ms;"
                " see OUTCRY_GATEWAY_RECORDED_TIMEOUT_MS"
            ) from error
        except psycopg.Error as error:
            cause = " ".join(str(error).split())[:200]
            self._telemetry.log.warning("reports_before_unknown", cause=cause)
            raise NothingRecordedError("PostgreSQL does not answer") from error
        finally:
            self._connection = None

    def _recorded_topic(self, connection: _Connection) -> str:
        known = connection.execute(TOPIC_ID, self._names).fetchone()
        if known is None:
            raise NothingRecordedError("nothing of `executions` is recorded yet")
        return str(known["topic_id"])

    def _recorded_offsets(self, connection: _Connection) -> dict[int, int]:
        rows = connection.execute(OFFSETS, self._names)
        return {row["partition"]: row["next_offset"] for row in rows}

    def _starts(self, connection: _Connection, bounds: Mapping[int, Bounds]) -> dict[int, int]:
        """Where to read the topic from: as late as the tail allows, and as far as is recorded."""
        recorded = self._recorded_offsets(connection)
        starts = {}
        for partition, bound in bounds.items():
            wanted = max(bound.first, bound.end - self._tail)
            starts[partition] = min(wanted, recorded.get(partition, 0))
            if not bound.first <= starts[partition] <= bound.end:
                raise NothingRecordedError(
                    f"partition {partition} is recorded up to {starts[partition]}, and Kafka has it"
                    f" from {bound.first} to {bound.end}"
                )
        return starts

    def _kept_up_to(self, connection: _Connection) -> dict[int, int]:
        rows = connection.execute(_KEPT_UP_TO, self._names | {"room": ROOM})
        return {row["partition"]: row["newest"] for row in rows}

    def _try_lock(self, connection: _Connection) -> bool:
        """Whether no other gateway of the deployment keeps snapshots now, until the end."""
        row = connection.execute(_TRY_LOCK, self._names).fetchone()
        return row is not None and bool(row["is_ours"])

    def _know(self, connection: _Connection, ends: Mapping[int, int], topic_id: str) -> Known:
        """The states before these offsets, which must be recorded."""
        standings = {} if self._snapshots is None else self._snapshots.newest(ends, topic_id)
        snapshots = {place: standing.offset for place, standing in standings.items()}
        states = {place: standing.state for place, standing in standings.items()}
        states |= {
            place: ReportState() for place, end in ends.items() if end and place not in states
        }
        row = connection.execute(DEPLOYMENT_ID, self._names).fetchone()
        if row is None:
            raise NothingRecordedError("nothing of this deployment is recorded yet")
        deployment_id = row["deployment_id"]
        stretches = {
            place: (snapshots.get(place, 0), end)
            for place, end in ends.items()
            if snapshots.get(place, 0) < end
        }
        firsts = [snapshots.get(place, 0) for place in range(EXECUTIONS.partitions)]
        values = {"deployment_id": deployment_id, "firsts": firsts}
        dropped = connection.execute(DROPPED, values).fetchone()
        for place, stretch in self._stretches(connection, deployment_id, stretches, states):
            states[place].carry_on(stretch)
        lacks = DAYS_DROPPED if dropped is not None and dropped["count"] else ""
        return Known(topic_id, ends, states, snapshots, lacks)

    def _stretches(
        self,
        connection: _Connection,
        deployment_id: int,
        stretches: Mapping[int, Range],
        states: Mapping[int, ReportState],
    ) -> Iterator[tuple[int, Stretch]]:
        """What was said in each stretch, by partition."""
        if not stretches:
            return
        asked = questions(deployment_id, stretches)
        said = {place: _Said() for place in stretches}
        self._read_orders(connection, asked, states, said)
        values = {"no_order": NO_ORDER, "rejected": REJECTED, "exec_new": EXEC_NEW}
        for row in connection.execute(asked.held, values):
            kind = "accepted" if row["exec_type"] == EXEC_NEW else "other"
            held = said[row["of_partition"]].held.setdefault((row["account"], row["ticker"]), {})
            held[kind] = self._encode(row, ExecutionReport)
        for row in connection.execute(asked.states):
            value = self._encode(row, AccountState)
            said[row["of_partition"]].states.append((row["account"], value))
        for row in connection.execute(asked.sequences):
            said[row["partition"]].sequences[row["account"]] = row["newest"]
        for place, one in said.items():
            yield place, one.stretch()

    def _read_orders(
        self,
        connection: _Connection,
        asked: Questions,
        states: Mapping[int, ReportState],
        said: Mapping[int, "_Said"],
    ) -> None:
        values = {
            "live": sorted(LIVE_STATUSES),
            "no_order": NO_ORDER,
            "known": [order_id for place in said for order_id in states[place].live],
        }
        for row in connection.execute(asked.orders, values):
            one = said[row["of_partition"]]
            if not row["is_live"]:
                one.ended.append((row["of_account"], row["of_order"]))
                continue
            order = RecordedOrder(
                row["account"], row["order_id"], row["order_status"], row["first_sequence"],
                self._encode(row, ExecutionReport),
            )  # fmt: skip
            one.live.append(StretchOrder(order, row["has_ended"]))

    def _encode(self, row: Mapping[str, Any], cls: type[Payload]) -> bytes:
        """A row turned back into the record that it was made of."""
        origin = Origin(
            row["source_topic"],
            row["source_partition"],
            row["source_offset"],
            row["source_index"],
            row["sequence"],
            row["log_time_us"],
            row["event_time_us"] or 0,
        )
        fields = {field.name: row[field.name] for field in msgspec.structs.fields(cls)}
        return self._codec.encode(EXECUTIONS.name, origin, msgspec.convert(fields, cls))


class _Said:
    """A stretch of one partition while its rows are read."""

    def __init__(self) -> None:
        self.live: list[StretchOrder] = []
        self.ended: list[tuple[str, str]] = []
        self.held: dict[tuple[str, str], dict[str, bytes]] = {}
        self.states: list[tuple[str, bytes]] = []
        self.sequences: dict[str, int] = {}

    def stretch(self) -> Stretch:
        return Stretch(
            tuple(self.live),
            tuple(self.ended),
            tuple(
                RecordedTicker(*place, values.get("accepted"), values.get("other"))
                for place, values in self.held.items()
            ),
            tuple(self.states),
            self.sequences,
        )

"""The read model's beginning from PostgreSQL: what the recorder has of `executions`, in one read.

Kafka keeps reports for a while only; an order that rests for longer is no less live. What is read
is the last word of each live order, of each holding and of each account before the offsets where
the topic is to be read from; ended orders, fills and what sockets resume from come with the topic.
"""

from collections.abc import Mapping
from typing import Any, Final, LiteralString

import msgspec
import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from services.domain.codes import EXEC_NEW, LIVE_STATUSES, NO_ORDER, REJECTED
from services.domain.events import AccountState, ExecutionReport
from services.domain.origin import Origin
from services.gateway.beginning import Bounds, NothingRecordedError
from services.gateway.core.recorded import Recorded, RecordedOrder, RecordedTicker
from services.runtime.telemetry import Telemetry
from services.wire.codec import Codec
from services.wire.messages import Payload
from services.wire.topics import EXECUTIONS

_CONNECT_TIMEOUT_S: Final = 5

_OFFSETS: Final = """
SELECT partition, next_offset FROM outcry.recorder_offsets
WHERE deployment = %(deployment)s AND topic = %(topic)s
"""
_TOPIC_ID: Final = """
SELECT topic_id FROM outcry.topics WHERE deployment = %(deployment)s AND topic = %(topic)s
"""
_DROPPED: Final = """
SELECT count(*) FROM outcry.dropped_ranges JOIN outcry.deployments USING (deployment_id)
WHERE deployment = %(deployment)s AND table_name = 'executions'
"""
_BEFORE: Final = sql.SQL("""
    said.deployment_id = (SELECT deployment_id FROM outcry.deployments
                          WHERE deployment = %(deployment)s)
    AND said.account_sequence > 0
    AND said."offset" < (%(starts)s::bigint[])[said.partition + 1]
""")
"""Reports before the offsets, by partition; an account that nobody opened has no numbers."""

# An order is live if its last report with a status says so. Its first report is the first one
# after it last ended: an id may be used again.
_LIVE: Final = """
WITH orders AS (
    SELECT partition, account, order_id, max(account_sequence) AS newest,
        coalesce(
            max(account_sequence) FILTER (WHERE order_status <> ALL(%(live)s)), 0
        ) AS ended
    FROM outcry.executions AS said
    WHERE {before} AND order_status <> %(no_order)s
    GROUP BY partition, account, order_id
), live AS (
    SELECT orders.*, (
        SELECT min(said.account_sequence) FROM outcry.executions AS said
        WHERE {before} AND said.partition = orders.partition AND said.order_id = orders.order_id
            AND said.account = orders.account AND said.order_status <> %(no_order)s
            AND said.account_sequence > orders.ended
    ) AS first
    FROM orders WHERE newest > ended
)
SELECT live.first AS first_sequence, {columns}
FROM live JOIN outcry.executions AS said
    ON said.partition = live.partition AND said.order_id = live.order_id
    AND said.account = live.account AND said.account_sequence = live.newest AND {before}
ORDER BY said.account, live.first
"""
_HELD: Final = """
WITH newest AS (
    SELECT partition, account, ticker, exec_type = %(exec_new)s AS accepted,
        max("offset") AS "offset"
    FROM outcry.executions AS said
    WHERE {before} AND order_status <> ALL(ARRAY[%(no_order)s, %(rejected)s])
    GROUP BY partition, account, ticker, exec_type = %(exec_new)s
)
SELECT {columns} FROM newest JOIN outcry.executions AS said
    ON said.partition = newest.partition AND said."offset" = newest."offset" AND {before}
"""
_STATES: Final = """
SELECT DISTINCT ON (account) {columns}
FROM outcry.account_states AS said WHERE {before}
ORDER BY account, account_sequence DESC
"""
_SEQUENCES: Final = sql.SQL("""
SELECT account, max(account_sequence) AS newest FROM (
    SELECT account, account_sequence FROM outcry.executions AS said WHERE {before}
    UNION ALL
    SELECT account, account_sequence FROM outcry.account_states AS said WHERE {before}
) AS numbered
GROUP BY account
""").format(before=_BEFORE)


class PostgresReports:
    """`beginning.ReportsBefore` from the recorder's tables.

    Args:
        tail: how many offsets of each partition to leave to the topic, if it has them.
        timeout_ms: longest wait for one answer of the database.
        telemetry: is told why there is none; who asks for the status is not, it may be anybody.
    """

    def __init__(
        self,
        dsn: str,
        deployment: str,
        codec: Codec,
        tail: int,
        timeout_ms: int,
        telemetry: Telemetry,
    ) -> None:
        self._dsn = dsn
        self._deployment = deployment
        self._codec = codec
        self._tail = tail
        self._timeout_ms = timeout_ms
        self._telemetry = telemetry

    def read(self, bounds: Mapping[int, Bounds], topic_id: str) -> Recorded:
        """In one transaction, so that all of it is of the same moment."""
        try:
            with (
                psycopg.connect(
                    self._dsn,
                    connect_timeout=_CONNECT_TIMEOUT_S,
                    row_factory=dict_row,
                    options=f"-c statement_timeout={self._timeout_ms}"
                    " -c default_transaction_read_only=on",
                ) as connection,
                connection.transaction(),
            ):
                connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
                return self._read(connection, bounds, topic_id)
        except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName) as error:
            raise NothingRecordedError(
                "the database lacks a table; `outcry up` makes it"
            ) from error
        except psycopg.errors.QueryCanceled as error:
            raise NothingRecordedError(
                f"PostgreSQL took longer than {self._timeout_ms} ms;"
                " see OUTCRY_GATEWAY_RECORDED_TIMEOUT_MS"
            ) from error
        except psycopg.Error as error:
            cause = " ".join(str(error).split())[:200]
            self._telemetry.log.warning("reports_before_unknown", cause=cause)
            raise NothingRecordedError("PostgreSQL does not answer") from error

    def _read(
        self, connection: psycopg.Connection[Any], bounds: Mapping[int, Bounds], topic_id: str
    ) -> Recorded:
        names = {"deployment": self._deployment, "topic": EXECUTIONS.name}
        starts = self._starts(connection, bounds, topic_id, names)
        if not any(starts.values()):
            return Recorded(starts)
        values = names | {
            "starts": [starts[partition] for partition in sorted(starts)],
            "live": sorted(LIVE_STATUSES),
            "no_order": NO_ORDER,
            "rejected": REJECTED,
            "exec_new": EXEC_NEW,
        }
        dropped = connection.execute(_DROPPED.encode(), names).fetchone()
        lacks = "days were dropped from PostgreSQL: what rests since then is not known here"
        return Recorded(
            starts=starts,
            lacks=lacks if dropped is not None and dropped["count"] else "",
            orders=tuple(
                RecordedOrder(
                    row["account"],
                    row["order_id"],
                    row["order_status"],
                    row["first_sequence"],
                    self._encode(row, ExecutionReport),
                )
                for row in connection.execute(_select(_LIVE, ExecutionReport), values)
            ),
            tickers=self._held(connection.execute(_select(_HELD, ExecutionReport), values)),
            states=tuple(
                (row["account"], self._encode(row, AccountState))
                for row in connection.execute(_select(_STATES, AccountState), values)
            ),
            sequences={
                row["account"]: row["newest"] for row in connection.execute(_SEQUENCES, values)
            },
        )

    def _starts(
        self,
        connection: psycopg.Connection[Any],
        bounds: Mapping[int, Bounds],
        topic_id: str,
        names: Mapping[str, str],
    ) -> dict[int, int]:
        """Where to read the topic from: as late as the tail allows, and as far as is recorded."""
        known = connection.execute(_TOPIC_ID.encode(), names).fetchone()
        if known is None:
            raise NothingRecordedError("nothing of `executions` is recorded yet")
        if known["topic_id"] != topic_id:
            raise NothingRecordedError("what is recorded is of another topic `executions`")
        rows = connection.execute(_OFFSETS.encode(), names).fetchall()
        recorded = {row["partition"]: row["next_offset"] for row in rows}
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

    def _held(self, rows: psycopg.Cursor[Any]) -> tuple[RecordedTicker, ...]:
        found: dict[tuple[str, str], dict[str, bytes]] = {}
        for row in rows:
            kind = "accepted" if row["exec_type"] == EXEC_NEW else "other"
            values = found.setdefault((row["account"], row["ticker"]), {})
            values[kind] = self._encode(row, ExecutionReport)
        return tuple(
            RecordedTicker(*place, values.get("accepted"), values.get("other"))
            for place, values in found.items()
        )

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


_ORIGIN: Final = ("source_topic", "source_partition", "source_offset", "source_index", "sequence")


def _select(query: LiteralString, cls: type[Payload]) -> sql.Composed:
    columns = [*_ORIGIN, *(field.name for field in msgspec.structs.fields(cls))]
    times = [
        sql.SQL("(extract(epoch FROM said.{}) * 1000000)::bigint AS {}").format(
            sql.Identifier(name), sql.Identifier(f"{name}_us")
        )
        for name in ("log_time", "event_time")
    ]
    named = [sql.SQL("said.{}").format(sql.Identifier(name)) for name in columns]
    return sql.SQL(query).format(columns=sql.SQL(", ").join([*named, *times]), before=_BEFORE)

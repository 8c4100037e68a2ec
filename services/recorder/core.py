"""From records to rows, pure: which record becomes which row of which table, byte by byte.

Records of the inboxes go to the archive as they are, and nothing of them is decoded but the
commands that have tables of their own. A record that is no message of its topic, or holds what no
column can, is archived too, and reported as unreadable; it never stops anything.
"""

from collections.abc import Callable, Iterable, Sequence
from operator import itemgetter
from typing import Any, Final, Protocol

import msgspec

from services.domain.commands import (
    CancelAll,
    CancelOrder,
    PlaceOrder,
    ReduceOrder,
    ReplaceOrder,
)
from services.domain.events import AccountState, ExecutionReport, Trade
from services.domain.ids import make_order_id
from services.recorder.tables import (
    Column,
    Kind,
    Table,
    UnstorableError,
    pack_bigint,
    pack_bytes,
    pack_event_time,
    pack_jsonb,
    pack_text,
    to_pg_time,
)
from services.recorder.tally import Tally, Teller
from services.wire.codec import HEADER_BYTES, Codec, UndecodableError
from services.wire.messages import Payload
from services.wire.topics import ACCOUNTS, CONTROLS, EXECUTIONS, MATCHING, TRADES

RECORDED: Final = (CONTROLS, ACCOUNTS, MATCHING, EXECUTIONS, TRADES)
"""The topics the recorder reads."""

ARCHIVED: Final = frozenset({CONTROLS.name, ACCOUNTS.name, MATCHING.name})
"""Those whose every record is archived."""

ARCHIVE_NUMBERS: Final = {topic.name: number for number, topic in enumerate(RECORDED, start=1)}
"""The archive's number of each topic, as in outcry.archive_topics: for ever."""

_DAY_MS: Final = 86_400_000
_DAY_US: Final = 1_000 * _DAY_MS

NOT_STORABLE: Final = "NOT_STORABLE"
"""Cause, beside the codec's: a message with a value that no column can hold."""

# Codes of closed lists; all other ints of messages are prices, quantities, counts and offsets.
_CODES: Final = frozenset(
    {
        "exec_type", "liquidity", "order_status", "order_type", "reason", "self_trade_prevention",
        "side", "aggressor_side", "time_in_force",
    }
)  # fmt: skip

_KEY_COLUMNS: Final = (
    Column("deployment_id", "smallint"),
    Column("partition", "smallint"),
    Column("offset", "bigint"),
    Column("source_topic", "smallint"),
    Column("source_partition", "smallint"),
    Column("source_offset", "bigint"),
    Column("source_index", "integer"),
    Column("sequence", "bigint"),
    Column("log_time", "timestamptz"),
)
_EVENT_TIME: Final = Column("event_time", "timestamptz", nullable=True)


def _message_table(name: str, *columns: Column) -> Table:
    fixed = [column for column in columns if column.fixed]
    rest = [column for column in columns if not column.fixed]
    return Table(name, (*_KEY_COLUMNS, *fixed, _EVENT_TIME, *rest))


def _field_columns(cls: type[Payload]) -> list[Column]:
    kinds: dict[Any, Kind] = {str: "text", bool: "boolean", int: "bigint"}
    return [
        Column(
            field.name,
            "integer" if field.name in _CODES else kinds.get(field.type, "jsonb"),
        )
        for field in msgspec.structs.fields(cls)
    ]


ORDERS_TABLE: Final = _message_table(
    "orders", *_field_columns(PlaceOrder), Column("order_id", "text")
)
CANCELS_TABLE: Final = _message_table(
    "cancels",
    Column("command", "text"),
    Column("account", "text"),
    Column("client_command_id", "text"),
    Column("order_id", "text", nullable=True),
    Column("ticker", "text", nullable=True),
)
AMENDMENTS_TABLE: Final = _message_table(
    "amendments",
    Column("quantity", "bigint"),
    Column("price", "bigint", nullable=True),
    Column("command", "text"),
    Column("account", "text"),
    Column("client_command_id", "text"),
    Column("order_id", "text"),
)
EXECUTIONS_TABLE: Final = _message_table("executions", *_field_columns(ExecutionReport))
ACCOUNT_STATES_TABLE: Final = _message_table("account_states", *_field_columns(AccountState))
TRADES_TABLE: Final = _message_table("trades", *_field_columns(Trade))
ARCHIVE_TABLE: Final = Table(
    "archive",
    (
        Column("deployment_id", "smallint"),
        Column("topic_number", "smallint"),
        Column("partition", "smallint"),
        Column("offset", "bigint"),
        Column("timestamp_ms", "bigint"),
        Column("key", "bytea", nullable=True),
        Column("value", "bytea", nullable=True),
    ),
)

TABLES: Final = (
    ORDERS_TABLE,
    CANCELS_TABLE,
    AMENDMENTS_TABLE,
    EXECUTIONS_TABLE,
    ACCOUNT_STATES_TABLE,
    TRADES_TABLE,
    ARCHIVE_TABLE,
)
"""Every table the recorder adds rows to."""

type Values = tuple[Sequence[int], bytes]
"""A message's own values: those of fixed width, and the rest packed; no origin, no event time."""


class LogRecord(Protocol):
    """What rows need of a record; the runtime's `Record` is one."""

    @property
    def topic(self) -> str: ...
    @property
    def partition(self) -> int: ...
    @property
    def offset(self) -> int: ...
    @property
    def timestamp_ms(self) -> int: ...
    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...


class Unreadable(msgspec.Struct, frozen=True):
    """A record that is no message of its topic, or none that a table can hold. It is archived."""

    topic: str
    partition: int
    offset: int
    cause: str
    """One of the codec's causes, or NOT_STORABLE."""
    detail: str


class Rows(msgspec.Struct, frozen=True):
    """What one batch of records comes to."""

    by_table: dict[str, list[bytes]]
    """Rows as COPY wants them, in the order of the records; only tables that get any."""
    unreadable: list[Unreadable]
    days: frozenset[int] = frozenset()
    """Days since 1970 (UTC) that the rows fall on: each has partitions of its own."""
    tally: Tally = msgspec.field(default_factory=Tally)
    """What the messages come to, for the room's metrics."""


class RowMaker:
    """Makes the rows of one deployment's records. Keeps nothing that changes them.

    Args:
        deployment_id: of outcry.deployments.
    """

    def __init__(self, codec: Codec, deployment_id: int) -> None:
        self._codec = codec
        self._deployment_id = deployment_id
        self._teller = Teller()
        # By topic and the framing before the Avro body: what the records are, and who maps them.
        self._known: dict[tuple[str, bytes], _Mapping | None] = {}

    def rows(self, records: Iterable[LogRecord]) -> Rows:
        """Map a batch. Never raises on any bytes."""
        by_table: dict[str, list[bytes]] = {}
        unreadable: list[Unreadable] = []
        days: set[int] = set()
        for record in records:
            topic = record.topic
            to_archive = topic in ARCHIVED
            try:
                mapping = self._mapping_of(topic, record.value)
                if mapping is not None:
                    row = self._message_row(mapping, record, days)
                    by_table.setdefault(mapping.table.name, []).append(row)
            except UndecodableError as error:
                place = (topic, record.partition, record.offset)
                unreadable.append(Unreadable(*place, error.cause, error.detail))
                to_archive = True
            except UnstorableError as error:
                place = (topic, record.partition, record.offset)
                unreadable.append(Unreadable(*place, NOT_STORABLE, str(error)))
                to_archive = True
            if to_archive:
                by_table.setdefault(ARCHIVE_TABLE.name, []).append(self._archive_row(record))
                days.add(record.timestamp_ms // _DAY_MS)
        return Rows(by_table, unreadable, frozenset(days), self._teller.take())

    def _mapping_of(self, topic: str, value: bytes | None) -> "_Mapping | None":
        framing = (topic, value[:HEADER_BYTES] if value else b"")
        try:
            return self._known[framing]
        except KeyError:
            cls, _ = self._codec.writer_of(topic, value)
            # Only what was registered gets here: junk can't fill the table.
            mapping = self._known[framing] = _MAPPINGS.get((topic, cls))
            return mapping

    def _message_row(self, mapping: "_Mapping", record: LogRecord, days: set[int]) -> bytes:
        decoded = self._codec.decode(record.topic, record.value)
        origin = decoded.origin
        assert origin is not None, f"{record.topic} has records without an origin"
        # Told first: a message that no column can hold is no hole in its writer's sequence.
        place = (record.topic, record.partition)
        self._teller.note(place, record.timestamp_ms, origin, decoded.payload)
        own, rest = mapping.values(decoded.payload)
        key = (
            self._deployment_id,
            record.partition,
            record.offset,
            origin.topic,
            origin.partition,
            origin.offset,
            origin.index,
            origin.sequence,
            to_pg_time(origin.time_us),
        )
        row = mapping.table.pack((*key, *own), pack_event_time(origin.event_time_us) + rest)
        days.add(origin.time_us // _DAY_US)
        return row

    def _archive_row(self, record: LogRecord) -> bytes:
        key = (
            self._deployment_id,
            ARCHIVE_NUMBERS[record.topic],
            record.partition,
            record.offset,
            record.timestamp_ms,
        )
        return ARCHIVE_TABLE.pack(key, pack_bytes(record.key) + pack_bytes(record.value))


class _Mapping(msgspec.Struct, frozen=True):
    table: Table
    values: Callable[[Any], Values]


def _values_by_field(cls: type[Payload]) -> Callable[[Any], Values]:
    """For a table that has a column for each field: split by width, in the order of fields."""
    columns = _field_columns(cls)
    fixed = itemgetter(*[i for i, column in enumerate(columns) if column.fixed])
    texts = itemgetter(*[i for i, column in enumerate(columns) if column.kind == "text"])
    jsons = [i for i, column in enumerate(columns) if column.kind == "jsonb"]

    def values(payload: Payload) -> Values:
        all_values = msgspec.structs.astuple(payload)
        rest = b"".join([pack_text(text) for text in texts(all_values)])
        for i in jsons:
            rest += pack_jsonb(all_values[i])
        return fixed(all_values), rest

    return values


_order_fields: Final = _values_by_field(PlaceOrder)


def _order_values(order: PlaceOrder) -> Values:
    fixed, rest = _order_fields(order)
    order_id = make_order_id(order.account, order.client_order_id, order.ticker)
    return fixed, rest + pack_text(order_id)


def _pack_texts(*texts: str | None) -> bytes:
    return b"".join([pack_text(text) for text in texts])


def _cancel_values(cancel: CancelOrder) -> Values:
    command = "CancelOrder"
    return (), _pack_texts(command, cancel.account, cancel.client_command_id, cancel.order_id, None)


def _cancel_all_values(cancel: CancelAll) -> Values:
    command = "CancelAll"
    return (), _pack_texts(command, cancel.account, cancel.client_command_id, None, cancel.ticker)


def _reduce_values(change: ReduceOrder) -> Values:
    ids = (change.account, change.client_command_id, change.order_id)
    return (change.quantity,), pack_bigint(None) + _pack_texts("ReduceOrder", *ids)


def _replace_values(change: ReplaceOrder) -> Values:
    ids = (change.account, change.client_command_id, change.order_id)
    return (change.quantity,), pack_bigint(change.price) + _pack_texts("ReplaceOrder", *ids)


_MAPPINGS: Final[dict[tuple[str, type[Payload]], _Mapping]] = {
    (ACCOUNTS.name, PlaceOrder): _Mapping(ORDERS_TABLE, _order_values),
    (ACCOUNTS.name, CancelOrder): _Mapping(CANCELS_TABLE, _cancel_values),
    (ACCOUNTS.name, CancelAll): _Mapping(CANCELS_TABLE, _cancel_all_values),
    (ACCOUNTS.name, ReduceOrder): _Mapping(AMENDMENTS_TABLE, _reduce_values),
    (ACCOUNTS.name, ReplaceOrder): _Mapping(AMENDMENTS_TABLE, _replace_values),
    (EXECUTIONS.name, ExecutionReport): _Mapping(
        EXECUTIONS_TABLE, _values_by_field(ExecutionReport)
    ),
    (EXECUTIONS.name, AccountState): _Mapping(ACCOUNT_STATES_TABLE, _values_by_field(AccountState)),
    (TRADES.name, Trade): _Mapping(TRADES_TABLE, _values_by_field(Trade)),
}
"""The messages with a table of their own; all others of the inboxes are archived only."""

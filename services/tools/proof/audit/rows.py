"""PostgreSQL's rows, stated a second time: what each record must have become, byte by byte.

A row is what PostgreSQL's binary COPY gives for it, columns in the order of `COLUMNS`: those of
fixed width first. row_maker.py makes the expected bytes, which are compared as a whole.
"""

import json
import struct
from collections.abc import Callable, Iterator, Sequence
from itertools import zip_longest
from typing import Any, Final, NamedTuple, Protocol

from services.tools.proof.audit.schemas import Fields

_FIXED: Final = frozenset({"smallint", "integer", "bigint", "boolean", "timestamptz"})
PG_EPOCH_US: Final = 946_684_800_000_000
"""PostgreSQL counts time from 2000-01-01 (UTC); microseconds since the Unix epoch."""
_LENGTH: Final = struct.Struct(">i")

_ORIGIN: Final = (
    "offset bigint, source_topic smallint, source_partition smallint, source_offset bigint,"
    " source_index integer, sequence bigint, log_time timestamptz, event_time timestamptz?, "
)
ORIGIN_COLUMNS: Final = 7
"""Those of fixed width that every message has: its offset, and where it comes from."""
_TABLES: Final = {
    "orders": _ORIGIN + "account text, client_order_id text, ticker text, side integer,"
    " order_type integer, time_in_force integer, post_only boolean, price bigint, quantity bigint,"
    " self_trade_prevention integer, order_id text",
    "cancels": _ORIGIN + "command text, account text, client_command_id text, order_id text?,"
    " ticker text?",
    "amendments": _ORIGIN + "quantity bigint, price bigint?, command text, account text,"
    " client_command_id text, order_id text",
    "executions": _ORIGIN + "account text, account_sequence bigint, order_id text,"
    " client_order_id text, client_command_id text, ticker text, exec_type integer,"
    " order_status integer, side integer, order_type integer, price bigint, quantity bigint,"
    " last_quantity bigint, last_price bigint, liquidity integer, trade_id text,"
    " cumulative_quantity bigint, remaining_quantity bigint, cumulative_notional bigint,"
    " position bigint, position_worst bigint, notional_worst bigint, exposure_worst bigint,"
    " mark bigint, reason integer, accepted_offset bigint",
    "account_states": _ORIGIN + "account text, account_sequence bigint, client_command_id text,"
    " killed boolean, short_allowed boolean, exposure_max bigint, position_max bigint,"
    " notional_max bigint, tickers jsonb",
    "trades": _ORIGIN + "trade_id text, ticker text, price bigint, quantity bigint,"
    " aggressor_side integer, maker_order_id text, taker_order_id text, maker_account text,"
    " taker_account text, bid bigint, bid_quantity bigint, ask bigint, ask_quantity bigint",
    "archive": "offset bigint, timestamp_ms bigint, key bytea?, value bytea?",
}  # fmt: skip
"""Each table's columns and their types; a question mark: may be NULL."""


class Column(NamedTuple):
    """One column."""

    name: str
    kind: str
    nullable: bool

    @property
    def fixed(self) -> bool:
        """Whether every value has the same width."""
        return self.kind in _FIXED and not self.nullable


def _columns(text: str) -> tuple[Column, ...]:
    found = []
    for item in text.split(", "):
        name, kind = item.strip().split(" ")
        found.append(Column(name, kind.rstrip("?"), kind.endswith("?")))
    return tuple(sorted(found, key=lambda column: not column.fixed))


COLUMNS: Final = {table: _columns(text) for table, text in _TABLES.items()}
"""Every table's columns in the order in which its rows are compared."""

TABLES_OF: Final = {
    "controls": ("archive",),
    "accounts": ("archive", "orders", "cancels", "amendments"),
    "matching": ("archive",),
    "executions": ("archive", "executions", "account_states"),
    "trades": ("archive", "trades"),
}
"""The tables in which rows of each topic's records may be."""

ARCHIVED: Final = frozenset({"controls", "accounts", "matching"})
"""Topics whose every record is archived; of the others, only what no table holds."""


class RowSource(Protocol):
    """A deployment's rows, as of one moment."""

    def refresh(self) -> None:
        """See what was added since the last time; until then all reads are of one moment."""

    def recorded(self, topic: str, partition: int) -> tuple[int, int] | None:
        """First and next offset that the recorder notes for a partition; None: nothing yet."""

    def packed(
        self, table: str, topic: str, partition: int, start: int, end: int
    ) -> Iterator[bytes]:
        """Rows of records with start <= offset < end, ascending, each as binary COPY gives it.

        Columns as in `COLUMNS`; `topic` tells rows of the archive apart.
        """

    def strays(self) -> Iterator[tuple[str, str, int, int]]:
        """Rows that belong to no partition there is: table, topic or '', partition, offset."""


def table_of(topic: str, record: str) -> str:
    """The table that holds the messages of this name; empty: none does."""
    return _TABLE_OF.get((topic, record), "")


_TABLE_OF: Final = {
    ("accounts", "PlaceOrder"): "orders",
    ("accounts", "CancelOrder"): "cancels",
    ("accounts", "CancelAll"): "cancels",
    ("accounts", "ReduceOrder"): "amendments",
    ("accounts", "ReplaceOrder"): "amendments",
    ("executions", "ExecutionReport"): "executions",
    ("executions", "AccountState"): "account_states",
    ("trades", "Trade"): "trades",
}

# --- JSON as PostgreSQL has it


def canonical_json(value: object) -> bytes:
    """JSON as PostgreSQL prints a jsonb: names by length, then bytes, and spaces between."""
    return json.dumps(_sorted(value), ensure_ascii=False, separators=(", ", ": ")).encode()


def _sorted(value: object) -> object:
    if isinstance(value, dict):
        names = sorted(value, key=lambda name: (len(name.encode()), name.encode()))
        return {name: _sorted(value[name]) for name in names}
    return [_sorted(item) for item in value] if isinstance(value, list) else value


# --- reading rows


def unpack_row(table: str, row: bytes) -> Fields:
    """A row's values by column; times as microseconds since the Unix epoch, JSON as values."""
    values: Fields = {}
    at = 2
    for column in COLUMNS[table]:
        (length,) = _LENGTH.unpack_from(row, at)
        at += 4
        data = None if length < 0 else row[at : at + length]
        at += max(0, length)
        values[column.name] = None if data is None else _UNPACK[column.kind](data)
    return values


def row_offset(table: str, row: bytes) -> int:
    """The offset of the record that a row stands for."""
    return int(unpack_row(table, row)["offset"])


def _unpack_number(data: bytes) -> int:
    return int.from_bytes(data, signed=True)


_UNPACK: Final[dict[str, Callable[[bytes], Any]]] = {
    "smallint": _unpack_number,
    "integer": _unpack_number,
    "bigint": _unpack_number,
    "boolean": lambda data: data != b"\0",
    "timestamptz": lambda data: _unpack_number(data) + PG_EPOCH_US,
    "text": lambda data: data.decode(errors="replace"),
    "bytea": bytes,
    "jsonb": lambda data: json.loads(data[1:]),
}


def row_message(table: str, row: bytes) -> tuple[int, str, Fields]:
    """A row of `executions`, `account_states` or `trades` turned back: offset, record, fields."""
    values = unpack_row(table, row)
    origin = {
        "topic": values.pop("source_topic"),
        "partition": values.pop("source_partition"),
        "offset": values.pop("source_offset"),
        "index": values.pop("source_index"),
        "sequence": values.pop("sequence"),
        "time_us": values.pop("log_time"),
        "event_time_us": values.pop("event_time") or 0,
    }
    offset = values.pop("offset")
    return offset, _RECORD_OF[table], values | {"origin": origin}


_RECORD_OF: Final = {
    "executions": "ExecutionReport",
    "account_states": "AccountState",
    "trades": "Trade",
}


# --- comparing


class RowFault(NamedTuple):
    """The first row of a range that is not as it must be."""

    table: str
    offset: int
    expected: str
    found: str


def compare_rows(table: str, expected: Sequence[bytes], found: Sequence[bytes]) -> RowFault | None:
    """The first difference between the rows of a range, if there is one."""
    if expected == found:
        return None
    for wanted, row in zip_longest(expected, found):
        if wanted != row:
            break
    here = None if row is None else row_offset(table, row)
    due = None if wanted is None else row_offset(table, wanted)
    if due is None or (here is not None and here < due):
        assert here is not None, "one of the two differs"
        return RowFault(table, here, "no row", "a row of no such record")
    if here != due:
        return RowFault(table, due, "a row", "none")
    assert row is not None, "it has an offset"
    return RowFault(table, due, *_describe(table, wanted, row))


def _describe(table: str, wanted: bytes, found: bytes) -> tuple[str, str]:
    """The columns that differ, on both sides."""
    expected, actual = unpack_row(table, wanted), unpack_row(table, found)
    names = [name for name in expected if expected[name] != actual[name]]
    if not names:
        return wanted.hex(), found.hex()
    return (
        ", ".join(f"{name}={expected[name]!r}" for name in names),
        ", ".join(f"{name}={actual[name]!r}" for name in names),
    )

"""What PostgreSQL must hold for each record: the bytes that its binary COPY gives for the row."""

from hashlib import sha1
from typing import TYPE_CHECKING, Any, Final

from librt.strings import BytesWriter, write_i16_be, write_i32_be, write_i64_be

from services.runtime.ports import Record
from services.tools.proof.audit.rows import (
    COLUMNS,
    ORIGIN_COLUMNS,
    PG_EPOCH_US,
    Column,
    canonical_json,
)
from services.tools.proof.audit.schemas import Fields

if TYPE_CHECKING:
    from mypy_extensions import i64

_TIME_MAX_US: Final = 253_402_300_799_999_999
_NAMESPACE: Final = bytes.fromhex("6f9d5c0e93a45b0b9a7e0c72a1d3e5f1")

# What a column holds.
_SMALLINT: Final = 0
_INTEGER: Final = 1
_BIGINT: Final = 2
_BOOLEAN: Final = 3
_TEXT: Final = 4
_JSON: Final = 5
_KINDS: Final = {
    "smallint": _SMALLINT,
    "integer": _INTEGER,
    "bigint": _BIGINT,
    "boolean": _BOOLEAN,
    "text": _TEXT,
    "jsonb": _JSON,
}


class UnstorableError(Exception):
    """No table can hold the message; its record is archived instead."""


class _Cell:
    """One column of a message's own."""

    __slots__ = ("kind", "name")

    def __init__(self, column: Column) -> None:
        self.name = column.name
        self.kind = _KINDS[column.kind]


class _RowMaker:
    """Makes the rows of one table that holds messages."""

    __slots__ = ("_columns", "_fixed", "_rest")

    def __init__(self, table: str) -> None:
        columns = COLUMNS[table]
        fixed = [column for column in columns if column.fixed]
        self._columns = len(columns)
        self._fixed = [_Cell(column) for column in fixed[ORIGIN_COLUMNS:]]
        self._rest = [
            _Cell(column) for column in columns if not column.fixed and column.name != "event_time"
        ]

    def make(self, offset: int, fields: Fields) -> bytes:
        """The row's bytes.

        Raises:
            UnstorableError: a value fits no column.
        """
        out = BytesWriter()
        write_i16_be(out, self._columns)
        origin: dict[str, Any] = fields["origin"]
        _put_bigint(out, offset)
        _put_smallint(out, origin["topic"])
        _put_smallint(out, origin["partition"])
        _put_bigint(out, origin["offset"])
        _put_integer(out, origin["index"])
        _put_bigint(out, origin["sequence"])
        _put_time(out, origin["time_us"])
        for cell in self._fixed:
            _put(out, cell, fields[cell.name])
        event_time_us: i64 = origin["event_time_us"]
        if event_time_us:
            _put_time(out, event_time_us)
        else:
            write_i32_be(out, -1)
        for cell in self._rest:
            _put(out, cell, fields[cell.name])
        return out.getvalue()


def _put(out: BytesWriter, cell: _Cell, value: Any) -> None:  # noqa: ANN401 - what a schema says
    kind = cell.kind
    if value is None:
        write_i32_be(out, -1)
    elif kind == _BIGINT:
        _put_bigint(out, value)
    elif kind == _INTEGER:
        _put_integer(out, value)
    elif kind == _TEXT:
        _put_text(out, value)
    elif kind == _BOOLEAN:
        write_i32_be(out, 1)
        out.append(1 if value else 0)
    elif kind == _JSON:
        data = b"\x01" + canonical_json(value)
        if b"\\u0000" in data:
            raise UnstorableError("a text contains NUL")
        _put_bytes(out, data)
    else:
        _put_smallint(out, value)


def _put_smallint(out: BytesWriter, number: int) -> None:
    if number > 0x7FFF or number < -0x8000:
        raise UnstorableError(f"{number} is too large for a smallint")
    write_i32_be(out, 2)
    write_i16_be(out, number)


def _put_integer(out: BytesWriter, number: int) -> None:
    if number > 0x7FFF_FFFF or number < -0x8000_0000:
        raise UnstorableError(f"{number} is too large for an integer")
    write_i32_be(out, 4)
    write_i32_be(out, number)


def _put_bigint(out: BytesWriter, number: "i64") -> None:
    write_i32_be(out, 8)
    write_i64_be(out, number)


def _put_time(out: BytesWriter, time_us: "i64") -> None:
    if time_us < 0 or time_us > _TIME_MAX_US:
        raise UnstorableError(f"time {time_us} us is outside 1970..9999")
    _put_bigint(out, time_us - PG_EPOCH_US)


def _put_text(out: BytesWriter, text: str) -> None:
    if "\0" in text:
        raise UnstorableError("a text contains NUL")
    _put_bytes(out, text.encode())


def _put_bytes(out: BytesWriter, data: bytes | None) -> None:
    if data is None:
        write_i32_be(out, -1)
        return
    write_i32_be(out, len(data))
    out.write(data)


_MAKERS: Final[dict[str, _RowMaker]] = {
    table: _RowMaker(table) for table in COLUMNS if table != "archive"
}


def archive_row(record: Record) -> bytes:
    """The row of a record's own bytes."""
    out = BytesWriter()
    write_i16_be(out, 4)
    _put_bigint(out, record.offset)
    _put_bigint(out, record.timestamp_ms)
    _put_bytes(out, record.key)
    _put_bytes(out, record.value)
    return out.getvalue()


def message_row(table: str, record: str, offset: int, fields: Fields) -> bytes:
    """The row of a message, in the table that holds its kind.

    Raises:
        UnstorableError: no row can hold it.
    """
    if table == "orders":
        account, name, ticker = fields["account"], fields["client_order_id"], fields["ticker"]
        fields = {**fields, "order_id": make_order_id(account, name, ticker)}
    elif table in ("cancels", "amendments"):
        fields = {**_OPTIONAL[table], **fields, "command": record}
    return _MAKERS[table].make(offset, fields)


_OPTIONAL: Final[dict[str, Fields]] = {
    table: {c.name: None for c in COLUMNS[table] if c.nullable and c.name != "event_time"}
    for table in ("cancels", "amendments")
}


def make_order_id(account: str, client_order_id: str, ticker: str) -> str:
    """Ticker and a version 5 UUID of account NUL client order id, in a namespace fixed for ever."""
    digest = bytearray(sha1(_NAMESPACE + f"{account}\0{client_order_id}".encode()).digest()[:16])  # noqa: S324 - UUIDs of version 5 are made so
    digest[6] = digest[6] & 0x0F | 0x50
    digest[8] = digest[8] & 0x3F | 0x80
    text = digest.hex()
    return f"{ticker}-{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"

"""The tables of infra/postgres/0002_log.sql as this code fills and reads them; pure.

A row is made as PostgreSQL's binary COPY wants it, in C as far as possible: the recorder makes
some nine rows an order. Columns of fixed width go first, all in one `struct`, each behind its
length. The order of columns in COPY is free of that in the table.
"""

import struct
from collections.abc import Sequence
from typing import Any, Final, Literal

import msgspec

type FixedKind = Literal["smallint", "integer", "bigint", "boolean", "timestamptz"]
type Kind = Literal[FixedKind, "text", "bytea", "jsonb"]

COPY_HEADER: Final = b"PGCOPY\n\xff\r\n\0" + bytes(8)
COPY_TRAILER: Final = b"\xff\xff"

PG_EPOCH_US: Final = 946_684_800_000_000
"""PostgreSQL counts time from 2000-01-01 (UTC); microseconds since the Unix epoch."""

TIME_MAX_US: Final = 253_402_300_799_999_999
"""The last microsecond of the year 9999: many programs can't read later ones."""

_NULL: Final = b"\xff\xff\xff\xff"
_LENGTH: Final = struct.Struct(">i")
_BIGINT: Final = struct.Struct(">iq")
_JSONB_VERSION: Final = b"\x01"
_FORMATS: Final[dict[Kind, tuple[str, int]]] = {
    "smallint": ("h", 2),
    "integer": ("i", 4),
    "bigint": ("q", 8),
    "boolean": ("?", 1),
    "timestamptz": ("q", 8),
}


class UnstorableError(Exception):
    """A value no column can hold: out of range, or a text with NUL. One line."""


class Column(msgspec.Struct, frozen=True):
    """One column, by the name it has in SQL."""

    name: str
    kind: Kind
    nullable: bool = False

    @property
    def fixed(self) -> bool:
        """Whether each of its values takes the same number of bytes."""
        return self.kind in _FORMATS and not self.nullable


class Table:
    """A table of schema `outcry`.

    Args:
        columns: those of fixed width, never NULL, first.
    """

    def __init__(self, name: str, columns: Sequence[Column]) -> None:
        self.name = name
        self.columns = tuple(columns)
        fixed = [column for column in columns if column.fixed]
        assert list(self.columns[: len(fixed)]) == fixed, "columns of fixed width come first"
        formats = [_FORMATS[column.kind] for column in fixed]
        self._struct = struct.Struct(">h" + "".join("i" + code for code, _ in formats))
        self._template: list[int] = [len(columns)]
        for _, width in formats:
            self._template += [width, 0]
        self.column_list = ", ".join(f'"{column.name}"' for column in columns)
        self.copy_statement = f"COPY outcry.{name} ({self.column_list}) FROM STDIN (FORMAT binary)"

    def pack(self, fixed: Sequence[int], rest: bytes) -> bytes:
        """A row for COPY: the values of fixed width, and the packed rest, both in column order.

        Raises:
            UnstorableError: a number does not fit its column.
        """
        values = self._template.copy()
        values[2::2] = fixed
        try:
            return self._struct.pack(*values) + rest
        except struct.error as error:
            raise UnstorableError(f"a number is too large for {self.name}: {error}") from error


def pack_text(text: str | None) -> bytes:
    """A text column's value."""
    if text is None:
        return _NULL
    if "\0" in text:
        raise UnstorableError("a text contains NUL")
    data = text.encode()
    return _LENGTH.pack(len(data)) + data


def pack_bytes(data: bytes | None) -> bytes:
    """A bytea column's value."""
    return _NULL if data is None else _LENGTH.pack(len(data)) + data


def pack_jsonb(value: Any) -> bytes:  # noqa: ANN401 - anything that is JSON
    """A jsonb column's value."""
    data = msgspec.json.encode(value)
    if b"\\u0000" in data:
        raise UnstorableError("a text contains NUL")
    return _LENGTH.pack(len(data) + 1) + _JSONB_VERSION + data


def pack_bigint(number: int | None) -> bytes:
    """The value of a bigint column that may be NULL."""
    if number is None:
        return _NULL
    try:
        return _BIGINT.pack(8, number)
    except struct.error as error:
        raise UnstorableError(f"a number is too large: {error}") from error


def pack_event_time(time_us: int) -> bytes:
    """An event time; 0, which is none stated, is NULL."""
    return _BIGINT.pack(8, to_pg_time(time_us)) if time_us else _NULL


def to_pg_time(time_us: int) -> int:
    """Microseconds since the Unix epoch as a timestamptz has them.

    Raises:
        UnstorableError: before 1970 or after 9999.
    """
    if not 0 <= time_us <= TIME_MAX_US:
        raise UnstorableError(f"time {time_us} us is outside 1970..9999")
    return time_us - PG_EPOCH_US

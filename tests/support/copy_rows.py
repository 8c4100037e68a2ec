"""Rows of PostgreSQL's binary COPY, read back by the format's documentation alone."""

import json
import struct
from typing import Any, Final

from services.recorder.tables import Table

_PG_EPOCH_US: Final = 946_684_800_000_000


def read_copy_row(table: Table, row: bytes) -> dict[str, Any]:
    """The values of one row by column; times in microseconds since the Unix epoch."""
    (count,) = struct.unpack_from(">h", row)
    assert count == len(table.columns)
    place = 2
    values: dict[str, Any] = {}
    for column in table.columns:
        (length,) = struct.unpack_from(">i", row, place)
        place += 4
        data = row[place : place + max(length, 0)]
        place += max(length, 0)
        values[column.name] = None if length < 0 else _value(column.kind, data)
    assert place == len(row), "bytes are left over"
    return values


def _value(kind: str, data: bytes) -> object:
    match kind:
        case "text":
            return data.decode()
        case "bytea":
            return data
        case "jsonb":
            assert data[:1] == b"\x01"
            return json.loads(data[1:])
        case "boolean":
            assert len(data) == 1
            return data == b"\x01"
        case "timestamptz":
            assert len(data) == 8
            return int.from_bytes(data, signed=True) + _PG_EPOCH_US
        case _:
            assert len(data) == {"smallint": 2, "integer": 4, "bigint": 8}[kind]
            return int.from_bytes(data, signed=True)

"""Avro read byte by byte in plain Python, to judge what a stranger wrote.

A library forgives: it cuts numbers of more than 64 bits off and takes any byte for a boolean. Here
a record is a command only if its bytes are those that a writer of its schema writes. Arrays may be
written in blocks of any size, so a record that has one is read leniently, and only the ranges of
its numbers are held.
"""

from typing import Any, Final

from services.tools.proof.audit.schemas import Fields, Schema

MALFORMED: Final = "MALFORMED"
BEYOND_BITS: Final = "BEYOND_BITS"
NOT_CANONICAL: Final = "NOT_CANONICAL"
TRAILING: Final = "TRAILING"

_VARINT_BYTES_MAX: Final = 10
_UINT64: Final = 2**64
_INT32_MAX: Final = 2**31 - 1


class StrictAvroError(Exception):
    """These bytes are no record of the schema; `kind` is one of the words above."""

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.kind = kind


def read_record(schema: Schema, body: bytes) -> Fields:
    """Read one record that takes all of `body`.

    Raises:
        StrictAvroError: it is none.
    """
    reading = _Reading(body)
    fields = reading.record(schema, {})
    if reading.at != len(body):
        raise StrictAvroError(TRAILING)
    if reading.beyond_bits:
        raise StrictAvroError(BEYOND_BITS)
    if reading.sloppy and not reading.has_arrays:
        raise StrictAvroError(NOT_CANONICAL)
    return fields


def resolve(fields: Fields, newest: Schema) -> Fields:
    """What a reader of the newest version sees: its own fields, defaults where none was written."""
    return {
        field["name"]: fields[field["name"]] if field["name"] in fields else field["default"]
        for field in newest["fields"]
    }


class _Reading:
    """One pass over one body."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self.at = 0
        self.beyond_bits = False
        self.sloppy = False
        self.has_arrays = False

    def record(self, schema: Schema, named: dict[str, Schema]) -> Fields:
        named[f"{schema.get('namespace', '')}.{schema['name']}"] = schema
        named[schema["name"]] = schema
        return {field["name"]: self._value(field["type"], named) for field in schema["fields"]}

    def _value(self, kind: Any, named: dict[str, Schema]) -> object:  # noqa: ANN401 - JSON
        if kind == "string":
            return self._text()
        if kind == "long":
            return self._number()
        if kind == "int":
            number = self._number()
            if not ~_INT32_MAX <= number <= _INT32_MAX:
                self.beyond_bits = True
            return number
        if kind == "boolean":
            return self._boolean()
        if kind == "bytes":
            return self._bytes()
        if isinstance(kind, str):
            return self.record(named[kind], named)
        if kind["type"] == "array":
            self.has_arrays = True
            return self._array(kind["items"], named)
        assert kind["type"] == "record", f"no client writes a {kind['type']}"
        return self.record(kind, named)

    def _number(self) -> int:
        body, at = self._body, self.at
        if at < len(body) and body[at] < 0x80:  # most are small: lengths, codes, sides
            self.at = at + 1
            return (body[at] >> 1) ^ -(body[at] & 1)
        raw = shift = 0
        for count in range(1, _VARINT_BYTES_MAX + 1):
            if at >= len(body):
                raise StrictAvroError(MALFORMED)
            byte = body[at]
            at += 1
            raw |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                self.at = at
                if (byte == 0 and count > 1) or raw >= _UINT64:
                    self.sloppy = True
                    raw %= _UINT64
                return (raw >> 1) ^ -(raw & 1)
        raise StrictAvroError(MALFORMED)

    def _bytes(self) -> bytes:
        length = self._number()
        start = self.at
        if not 0 <= length <= len(self._body) - start:
            raise StrictAvroError(MALFORMED)
        self.at = start + length
        return self._body[start : self.at]

    def _text(self) -> str:
        try:
            return self._bytes().decode()
        except UnicodeDecodeError as error:
            raise StrictAvroError(MALFORMED) from error

    def _boolean(self) -> bool:
        if self.at >= len(self._body):
            raise StrictAvroError(MALFORMED)
        byte = self._body[self.at]
        self.at += 1
        if byte > 1:
            self.sloppy = True
        return byte != 0

    def _array(self, items: Any, named: dict[str, Schema]) -> list[object]:  # noqa: ANN401 - JSON
        found: list[object] = []
        while count := self._number():
            if count < 0:  # a block that states its size, too
                count = -count
                self._number()
            for _ in range(count):
                found.append(self._value(items, named))  # noqa: PERF401 - it raises half way
        return found

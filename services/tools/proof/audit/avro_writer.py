"""Avro written in plain Python, quicker here than a library.

An exchange says the same names, prices and quantities again and again, so that most values are
encoded already.
"""

from collections.abc import Callable
from functools import lru_cache
from operator import itemgetter
from typing import Any, Final

type Schema = dict[str, Any]
type Write = Callable[[Any], bytes]

_KEPT: Final = 1 << 16
"""Encoded values that are remembered, of numbers and of texts: some 10 MB each."""
_ONE_BYTE: Final = [bytes([value]) for value in range(128)]


def compile_writer(schema: Schema) -> Write:
    """What turns a record's fields into its Avro body."""
    return _record(schema, {})


def _record(schema: Schema, named: dict[str, Write]) -> Write:
    fields = schema["fields"]
    writers = [_writer(field["type"], named) for field in fields]
    values = itemgetter(*[field["name"] for field in fields])
    if len(fields) == 1:
        only = writers[0]
        return lambda record: only(values(record))

    def write(record: dict[str, Any]) -> bytes:
        return b"".join([w(v) for w, v in zip(writers, values(record), strict=True)])

    for name in (schema["name"], f"{schema.get('namespace', '')}.{schema['name']}"):
        named[name] = write
    return write


def _writer(kind: Any, named: dict[str, Write]) -> Write:  # noqa: ANN401 - JSON
    if isinstance(kind, str):
        return named.get(kind) or _PLAIN[kind]
    if kind["type"] == "array":
        return _array(_writer(kind["items"], named))
    return _record(kind, named)


def _array(item: Write) -> Write:
    def write(items: list[Any]) -> bytes:
        if not items:
            return b"\0"
        return b"".join([write_number(len(items)), *map(item, items), b"\0"])

    return write


@lru_cache(maxsize=_KEPT)
def write_number(number: int) -> bytes:
    """An int or a long: zigzag, then seven bits a byte, the low ones first."""
    left = (number << 1) ^ (number >> 63)
    if left < 128:
        return _ONE_BYTE[left]
    out = bytearray()
    while left > 127:
        out.append(left & 127 | 128)
        left >>= 7
    out.append(left)
    return bytes(out)


@lru_cache(maxsize=_KEPT)
def _write_text(text: str) -> bytes:
    data = text.encode()
    return write_number(len(data)) + data


def _write_bytes(data: bytes) -> bytes:
    return write_number(len(data)) + data


def _write_boolean(value: bool) -> bytes:  # noqa: FBT001 - a value, not an option
    return b"\x01" if value else b"\0"


_PLAIN: Final[dict[str, Write]] = {
    "int": write_number,
    "long": write_number,
    "string": _write_text,
    "bytes": _write_bytes,
    "boolean": _write_boolean,
}

"""Avro written by a code of the audit's own: what the rooms' library would get wrong shows."""

from typing import TYPE_CHECKING, Any

from librt.strings import BytesWriter

from services.tools.proof.audit.avro_steps import (
    BOOLEAN,
    BYTES,
    NUMBER,
    RECORD,
    SHORT_NUMBER,
    TEXT,
    Step,
)

if TYPE_CHECKING:
    from mypy_extensions import i64


def write_value(header: bytes, steps: list[Step], fields: dict[str, Any]) -> bytes:
    """A record's fields behind its header.

    Raises:
        KeyError: a field is missing.
    """
    out = BytesWriter()
    out.write(header)
    _write_fields(out, steps, fields)
    return out.getvalue()


def _write_fields(out: BytesWriter, steps: list[Step], fields: dict[str, Any]) -> None:
    for step in steps:
        if step.kind == NUMBER:  # most of what there is goes without a further call
            _write_number(out, fields[step.name])
        else:
            _write(out, step, fields[step.name])


def _write(out: BytesWriter, step: Step, value: Any) -> None:  # noqa: ANN401 - what a schema says
    kind = step.kind
    if kind in (NUMBER, SHORT_NUMBER):
        _write_number(out, value)
    elif kind == TEXT:
        text: str = value
        _write_bytes(out, text.encode())
    elif kind == RECORD:
        _write_fields(out, step.steps, value)
    elif kind == BOOLEAN:
        out.append(1 if value else 0)
    elif kind == BYTES:
        _write_bytes(out, value)
    else:
        items: list[Any] = value
        if items:
            _write_number(out, len(items))
            for item in items:
                _write(out, step.steps[0], item)
        out.append(0)


def _write_bytes(out: BytesWriter, data: bytes) -> None:
    _write_number(out, len(data))
    out.write(data)


def _write_number(out: BytesWriter, number: "i64") -> None:
    """Zigzag, then seven bits a byte, the low ones first."""
    left: i64 = (number << 1) ^ (number >> 63)
    while left > 127 or left < 0:
        byte: int = left & 127 | 128
        out.append(byte)
        # Of the number as 64 bits without a sign, as the compiled form has it with one.
        left = left >> 7 & 0x01FF_FFFF_FFFF_FFFF
    last: int = left
    out.append(last)

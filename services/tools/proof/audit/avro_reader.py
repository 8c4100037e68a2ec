"""Avro read by a code of the audit's own, and only as its writer writes it.

Whatever is written in another way (a number in more bytes than it needs, a boolean of 2), or is no
record at all, is None here: what to make of that is for the slower reading to say.
"""

from typing import TYPE_CHECKING, Any, Final

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

_SHORT_MAX: Final = 2**31 - 1
_LAST_SHIFT: Final = 63
"""Of a number's tenth byte, which holds its last bit."""


class UnusualError(Exception):
    """These bytes are not how the writer writes a record of the schema."""


class Reading:
    """One pass over one value."""

    __slots__ = ("_at", "_body", "_end")

    def __init__(self, body: bytes, start: int) -> None:
        self._body = body
        self._at: i64 = start
        self._end: i64 = len(body)

    def whole(self, steps: list[Step]) -> dict[str, Any] | None:
        """A record that takes all of the rest; None: there is none, or it is written oddly."""
        try:
            fields = self._fields(steps)
        except UnusualError:
            return None
        return fields if self._at == self._end else None

    def _fields(self, steps: list[Step]) -> dict[str, Any]:
        fields: dict[str, Any] = {}
        for step in steps:
            # Most of what there is goes without a further call.
            if step.kind == NUMBER:
                fields[step.name] = self._number()
            elif step.kind == TEXT:
                fields[step.name] = self._text()
            else:
                fields[step.name] = self._value(step)
        return fields

    def _value(self, step: Step) -> Any:  # noqa: ANN401 - what a schema says
        kind = step.kind
        if kind == NUMBER:
            return self._number()
        if kind == TEXT:
            return self._text()
        if kind == SHORT_NUMBER:
            number = self._number()
            if number > _SHORT_MAX or number < ~_SHORT_MAX:
                raise UnusualError
            return number
        if kind == RECORD:
            return self._fields(step.steps)
        if kind == BOOLEAN:
            return self._boolean()
        return self._bytes() if kind == BYTES else self._items(step.steps[0])

    def _number(self) -> "i64":
        at = self._at
        if at >= self._end:
            raise UnusualError
        byte: i64 = self._body[at]
        at += 1
        raw: i64 = byte & 0x7F
        shift: i64 = 0
        while byte > 0x7F:
            shift += 7
            if at >= self._end or shift > _LAST_SHIFT:
                raise UnusualError
            byte = self._body[at]
            at += 1
            raw |= (byte & 0x7F) << shift
        if shift and (byte == 0 or (shift == _LAST_SHIFT and byte > 1)):
            raise UnusualError  # in more bytes than it needs, or of more than 64 bits
        self._at = at
        # Halved without its sign, which the compiled form has and a Python number has not.
        return ((raw >> 1) & 0x7FFF_FFFF_FFFF_FFFF) ^ -(raw & 1)

    def _bytes(self) -> bytes:
        length: i64 = self._number()
        start = self._at
        if length < 0 or length > self._end - start:
            raise UnusualError
        self._at = start + length
        return self._body[start : start + length]

    def _text(self) -> str:
        try:
            return self._bytes().decode()
        except UnicodeDecodeError as error:
            raise UnusualError from error

    def _boolean(self) -> bool:
        at = self._at
        if at >= self._end or self._body[at] > 1:
            raise UnusualError
        self._at = at + 1
        return self._body[at] == 1

    def _items(self, item: Step) -> list[Any]:
        found: list[Any] = []
        count: i64 = self._number()
        while count > 0:
            for _ in range(count):
                found.append(self._value(item))  # noqa: PERF401 - it raises half way
            count = self._number()
        if count < 0:  # a block that states its size, too
            raise UnusualError
        return found

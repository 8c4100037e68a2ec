"""The fields of an execution report that the fold needs, read without decoding the rest.

An Avro record has no index: its fields stand one after the other. Those needed here stand first,
and reading up to them takes a tenth of the time of decoding all. The layout is held against the
schema of each version that arrives; a version that begins otherwise is decoded in full.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, Final, override

from services.domain.codes import NO_ORDER
from services.domain.events import AccountState, ExecutionReport
from services.wire.codec import HEADER_BYTES, MALFORMED_AVRO, Codec, UndecodableError
from services.wire.schemas import AvroSchema
from services.wire.topics import EXECUTIONS

type Head = tuple[str, int, str, int, int]
"""Account, account sequence, order id, order status, execution type; of an account state the last
three are empty, NO_ORDER and ACCOUNT_STATE."""

ACCOUNT_STATE: Final = -1
"""In place of an execution type, which an account state has not."""
ORIGIN_FIELDS: Final = 7
_ACCOUNT_STATE_LAYOUT: Final = (
    ("origin", "record"),
    ("account", "string"),
    ("account_sequence", "long"),
)
_REPORT_LAYOUT: Final = (
    *_ACCOUNT_STATE_LAYOUT,
    ("order_id", "string"),
    ("client_order_id", "string"),
    ("client_command_id", "string"),
    ("ticker", "string"),
    ("exec_type", "int"),
    ("order_status", "int"),
)
_SKIPPED_STRINGS: Final = 3
"""Strings between the order id and the execution type."""


class TopicHeads[H](ABC):
    """Reads heads of a topic's records, each schema version's in the way chosen for it once."""

    def __init__(self, codec: Codec) -> None:
        self._codec = codec
        self._parsers: dict[bytes, Callable[[bytes], H]] = {}
        """By framing header, which names the schema version."""

    def read(self, value: bytes) -> H:
        """The head of one record.

        Raises:
            UndecodableError: it is no record of the topic.
        """
        header = value[:HEADER_BYTES]
        parse = self._parsers.get(header)
        if parse is None:
            parse = self._parsers[header] = self._choose(value)
        try:
            return parse(value)
        except (IndexError, UnicodeDecodeError) as error:
            raise UndecodableError(MALFORMED_AVRO, "the record ends within its head") from error

    @abstractmethod
    def _choose(self, value: bytes) -> Callable[[bytes], H]:
        """How to read records written as this one; raises as `read`."""


class HeadReader(TopicHeads[Head]):
    """Of `executions`."""

    @override
    def read(self, value: bytes | None) -> Head:
        return super().read(value) if value else self._decode(b"")

    def _choose(self, value: bytes) -> Callable[[bytes], Head]:
        cls, schema = self._codec.writer_of(EXECUTIONS.name, value)
        if cls is ExecutionReport and begins_with(schema, _REPORT_LAYOUT):
            return _parse_report
        if cls is AccountState and begins_with(schema, _ACCOUNT_STATE_LAYOUT):
            return _parse_account_state
        return self._decode

    def _decode(self, value: bytes) -> Head:
        payload = self._codec.decode(EXECUTIONS.name, value).payload
        if isinstance(payload, ExecutionReport):
            return (
                payload.account,
                payload.account_sequence,
                payload.order_id,
                payload.order_status,
                payload.exec_type,
            )
        return payload.account, payload.account_sequence, "", NO_ORDER, ACCOUNT_STATE


def begins_with(schema: AvroSchema, layout: Sequence[tuple[str, str]]) -> bool:
    """Whether the schema's first fields are these, and an origin among them is all numbers."""
    fields: list[dict[str, Any]] = schema["fields"]
    if [(field["name"], _kind(field)) for field in fields[: len(layout)]] != list(layout):
        return False
    origin: list[dict[str, Any]] = fields[0]["type"]["fields"]
    return len(origin) == ORIGIN_FIELDS and all(_kind(f) in {"int", "long"} for f in origin)


def _kind(field: dict[str, Any]) -> str:
    kind = field["type"]
    return str(kind["type"]) if isinstance(kind, dict) else str(kind)


def _parse_report(value: bytes) -> Head:
    account, at = take_string(value, skip_longs(value, HEADER_BYTES, ORIGIN_FIELDS))
    sequence, at = take_long(value, at)
    order_id, at = take_string(value, at)
    for _ in range(_SKIPPED_STRINGS):
        length, at = take_long(value, at)
        at += length
    exec_type, at = take_long(value, at)
    status, _ = take_long(value, at)
    return account, sequence, order_id, status, exec_type


def _parse_account_state(value: bytes) -> Head:
    account, at = take_string(value, skip_longs(value, HEADER_BYTES, ORIGIN_FIELDS))
    sequence, _ = take_long(value, at)
    return account, sequence, "", NO_ORDER, ACCOUNT_STATE


def skip_longs(value: bytes, at: int, count: int) -> int:
    """The place after so many numbers."""
    for _ in range(count):
        while value[at] & 0x80:
            at += 1
        at += 1
    return at


def take_long(value: bytes, at: int) -> tuple[int, int]:
    """One variable-length zigzag number and the place after it."""
    byte = value[at]
    at += 1
    coded = byte & 0x7F
    shift = 7
    while byte & 0x80:
        byte = value[at]
        at += 1
        coded |= (byte & 0x7F) << shift
        shift += 7
    return (coded >> 1) ^ -(coded & 1), at


def take_string(value: bytes, at: int) -> tuple[str, int]:
    """One string and the place after it."""
    length, at = take_long(value, at)
    end = at + length
    if not at <= end <= len(value):
        raise IndexError(end)
    return value[at:end].decode(), end

"""Ingest's fold, stateless: one record of `orders` or `controls` in, messages out.

What can't be decoded, or breaks the schema's bounds, becomes a dead letter with one of these
causes; what is well-formed and wrong goes on, and risk refuses it with a reason.

EMPTY_VALUE         no value
WRONG_MAGIC         neither Confluent framing (first byte 0) nor JSON (first byte '{')
UNKNOWN_SCHEMA      a schema id that belongs to no record of this topic
MALFORMED_AVRO      the bytes end too early, or hold what no writer of the schema writes
TRAILING_BYTES      bytes are left over after the message
INVALID_JSON        not a JSON object, an unknown type or field, a value of the wrong shape
INVALID_ID          an account, client id, order id or ticker outside its bounds
INVALID_EVENT_TIME  an event time before 1970 or after the year 9999
INVALID_GENESIS     a genesis whose parameters contradict each other or the topics
"""

from collections.abc import Callable, Iterable
from hashlib import sha256
from typing import Final

from services.domain.commands import (
    CancelAll,
    CancelOrder,
    PlaceOrder,
    ReduceOrder,
    ReplaceOrder,
)
from services.domain.controls import (
    Deposit,
    Genesis,
    Halt,
    KillSwitch,
    OpenAccount,
    Resume,
    SetLimits,
    SetMark,
)
from services.domain.events import DeadLetter
from services.domain.genesis import find_genesis_fault
from services.domain.ids import TICKER_LENGTH_MAX, is_valid_id
from services.domain.origin import Origin
from services.wire.codec import Codec, UndecodableError
from services.wire.json_commands import InvalidCommandError, parse_command_bytes
from services.wire.messages import Message, Payload
from services.wire.partition import account_partition
from services.wire.topics import (
    ACCOUNT_PARTITIONS,
    ACCOUNTS,
    MATCHING,
    ORDERS,
    ORDERS_DLQ,
    ORIGIN_NUMBERS,
    TICKER_PARTITIONS,
)

INVALID_JSON: Final = "INVALID_JSON"
INVALID_ID: Final = "INVALID_ID"
INVALID_EVENT_TIME: Final = "INVALID_EVENT_TIME"
INVALID_GENESIS: Final = "INVALID_GENESIS"

DEAD_LETTER_HEAD_BYTES: Final = 64 * 1024
DETAIL_LENGTH_MAX: Final = 200
EVENT_TIME_MAX_US: Final = 253_402_300_799_999_999
"""The last microsecond of the year 9999."""

_JSON_START: Final = ord("{")

type _Ids = tuple[str, ...]


def ingest(
    codec: Codec, topic: str, partition: int, offset: int, time_us: int, value: bytes | None
) -> list[Message]:
    """Translate one record; `time_us` is its log time. Never raises on any bytes."""
    try:
        payload, event_time_us = _decode(codec, topic, value)
        _check_bounds(payload, event_time_us)
    except UndecodableError as error:
        origin = Origin(ORIGIN_NUMBERS[topic], partition, offset, 0, 0, time_us, 0)
        return [_bury(origin, partition, value or b"", error)]
    number = ORIGIN_NUMBERS[topic]
    return [
        Message(
            target, place, key, Origin(number, partition, offset, i, 0, time_us, event_time_us),
            payload,
        )
        for i, (target, place, key) in enumerate(_destinations(payload))
    ]  # fmt: skip


def _decode(codec: Codec, topic: str, value: bytes | None) -> tuple[Payload, int]:
    if topic == ORDERS.name and value and value[0] == _JSON_START:
        try:
            return parse_command_bytes(value)
        except InvalidCommandError as error:
            raise UndecodableError(INVALID_JSON, str(error)) from error
    decoded = codec.decode_foreign(topic, value)
    return decoded.payload, decoded.event_time_us


def _check_bounds(payload: Payload, event_time_us: int) -> None:
    if not 0 <= event_time_us <= EVENT_TIME_MAX_US:
        raise UndecodableError(INVALID_EVENT_TIME, f"{event_time_us} us is outside 1970..9999")
    ids, tickers = _IDS_OF[type(payload)](payload)
    for text in ids:
        if not is_valid_id(text):
            raise UndecodableError(INVALID_ID, f"{text[:40]!r} ({len(text)} characters) is no id")
    for ticker in tickers:
        if ticker and not (len(ticker) <= TICKER_LENGTH_MAX and is_valid_id(ticker)):
            raise UndecodableError(INVALID_ID, f"{ticker[:40]!r} is no ticker")
    if isinstance(payload, Genesis):
        fault = find_genesis_fault(payload, TICKER_PARTITIONS, ACCOUNT_PARTITIONS)
        if fault:
            raise UndecodableError(INVALID_GENESIS, fault)


_IDS_OF: Final[dict[type[Payload], Callable[..., tuple[_Ids, _Ids]]]] = {
    PlaceOrder: lambda p: ((p.account, p.client_order_id), (p.ticker,)),
    CancelOrder: lambda p: ((p.account, p.client_command_id, p.order_id), ()),
    ReduceOrder: lambda p: ((p.account, p.client_command_id, p.order_id), ()),
    ReplaceOrder: lambda p: ((p.account, p.client_command_id, p.order_id), ()),
    CancelAll: lambda p: ((p.account, p.client_command_id), (p.ticker,)),
    Genesis: lambda p: ((p.client_command_id, p.deployment), ()),
    OpenAccount: lambda p: ((p.account, p.client_command_id), ()),
    Deposit: lambda p: ((p.account, p.client_command_id), (p.ticker,)),
    SetLimits: lambda p: ((p.account, p.client_command_id), (p.ticker,)),
    SetMark: lambda p: ((p.client_command_id,), (p.ticker,)),
    Halt: lambda p: ((p.client_command_id,), (p.ticker,)),
    Resume: lambda p: ((p.client_command_id,), (p.ticker,)),
    KillSwitch: lambda p: ((p.account, p.client_command_id), ()),
}
"""The ids and the tickers of each record a client or an operator may write."""


def _destinations(payload: Payload) -> Iterable[tuple[str, int, str]]:
    """Topic, partition and key of each copy.

    Ingest knows no genesis, so what concerns a ticker goes to every partition of `matching`, and
    each matcher knows whether it is meant.
    """
    match payload:
        case Genesis():
            return [*_every_account_partition(), *_every_matching_partition()]
        case SetMark():
            return _every_account_partition()
        case Halt() | Resume():
            return _every_matching_partition()
        case _:
            account: str = payload.account  # type: ignore[attr-defined]  # all others have one
            return [(ACCOUNTS.name, account_partition(account, ACCOUNT_PARTITIONS), account)]


def _every_account_partition() -> list[tuple[str, int, str]]:
    return [(ACCOUNTS.name, partition, "") for partition in range(ACCOUNT_PARTITIONS)]


def _every_matching_partition() -> list[tuple[str, int, str]]:
    return [(MATCHING.name, partition, "") for partition in range(TICKER_PARTITIONS)]


def _bury(origin: Origin, partition: int, value: bytes, error: UndecodableError) -> Message:
    letter = DeadLetter(
        cause=error.cause,
        detail=error.detail[:DETAIL_LENGTH_MAX],
        value_length_bytes=len(value),
        value_sha256=sha256(value).hexdigest(),
        value_head=value[:DEAD_LETTER_HEAD_BYTES],
    )
    key = f"{origin.topic}-{partition}-{origin.offset}"
    return Message(ORDERS_DLQ.name, partition, key, origin, letter)

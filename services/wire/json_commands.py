"""Commands in JSON, for console tools and REST: one spelling at every door.

{"type": "PlaceOrder", "account": "alice", "client_order_id": "a-1", "ticker": "AAPL",
 "side": "BUY", "order_type": "LIMIT", "time_in_force": "GTC", "price": "187.25", "quantity": 100}

Prices are decimal strings of dollars; names of codes are those of domain/codes.py. A field that is
not known is refused, never ignored.
"""

from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from services.domain import codes
from services.domain.amounts import parse_price
from services.domain.commands import (
    CancelAll,
    CancelOrder,
    ClientCommand,
    PlaceOrder,
    ReduceOrder,
    ReplaceOrder,
)

INT64_MAX: Final = 2**63 - 1


class InvalidCommandError(Exception):
    """A JSON document that is no command. `field` names the member at fault (may be empty)."""

    def __init__(self, field: str, detail: str) -> None:
        super().__init__(f"{field}: {detail}" if field else detail)
        self.field = field
        self.detail = detail


type _Read = Callable[[object], object]


def _text(value: object) -> str:
    if not isinstance(value, str):
        msg = f"must be a string, not {_kind(value)}"
        raise ValueError(msg)  # noqa: TRY004 - one error type for a value at fault
    return value


def _integer(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        msg = f"must be a whole number, not {_kind(value)}"
        raise ValueError(msg)  # noqa: TRY004 - one error type for a value at fault
    if not -INT64_MAX <= value <= INT64_MAX:
        msg = "is beyond 64 bits"
        raise ValueError(msg)
    return value


def _boolean(value: object) -> bool:
    if not isinstance(value, bool):
        msg = f"must be true or false, not {_kind(value)}"
        raise ValueError(msg)  # noqa: TRY004 - one error type for a value at fault
    return value


def _price(value: object) -> int:
    if not isinstance(value, str):
        msg = f'must be a decimal string like "187.25", not {_kind(value)}'
        raise ValueError(msg)  # noqa: TRY004 - one error type for a value at fault
    return parse_price(value)


def _code(names: Mapping[int, str]) -> _Read:
    return lambda value: codes.code_of(names, _text(value))


class _Shape(msgspec.Struct, frozen=True):
    cls: type[ClientCommand]
    required: Mapping[str, _Read]
    optional: Mapping[str, tuple[_Read, object]]
    """Reader and default."""


_COMMAND: Final[Mapping[str, _Read]] = {"account": _text, "client_command_id": _text}

_SHAPES: Final[Mapping[str, _Shape]] = {
    "PlaceOrder": _Shape(
        PlaceOrder,
        {
            "account": _text,
            "client_order_id": _text,
            "ticker": _text,
            "side": _code(codes.SIDE_NAMES),
            "order_type": _code(codes.ORDER_TYPE_NAMES),
            "time_in_force": _code(codes.TIME_IN_FORCE_NAMES),
            "quantity": _integer,
        },
        {
            "price": (_price, 0),
            "post_only": (_boolean, False),
            "self_trade_prevention": (
                _code(codes.SELF_TRADE_PREVENTION_NAMES),
                codes.CANCEL_RESTING,
            ),
        },
    ),
    "CancelOrder": _Shape(CancelOrder, {**_COMMAND, "order_id": _text}, {}),
    "ReduceOrder": _Shape(
        ReduceOrder, {**_COMMAND, "order_id": _text, "quantity": _integer}, {}
    ),
    "ReplaceOrder": _Shape(
        ReplaceOrder,
        {**_COMMAND, "order_id": _text, "price": _price, "quantity": _integer},
        {},
    ),
    "CancelAll": _Shape(CancelAll, _COMMAND, {"ticker": (_text, "")}),
}  # fmt: skip

COMMAND_TYPES: Final = tuple(_SHAPES)


def parse_command(document: Mapping[str, object]) -> tuple[ClientCommand, int]:
    """Read one command; returns it with its event time in microseconds (0: none stated).

    Only shape is checked here: whether prices, quantities and ids are acceptable is said
    downstream, so that every door gets the same answer.

    Raises:
        InvalidCommandError: an unknown type or field, a missing field, a value of a wrong shape.
    """
    kind = document.get("type")
    shape = _SHAPES.get(kind) if isinstance(kind, str) else None
    if shape is None:
        raise InvalidCommandError("type", f"must be one of {', '.join(COMMAND_TYPES)}")
    known = {"type", "event_time_us", *shape.required, *shape.optional}
    for name in document:
        if name not in known:
            raise InvalidCommandError(str(name)[:64], f"is no field of {kind}")
    values: dict[str, object] = {}
    for name, read in shape.required.items():
        if name not in document:
            raise InvalidCommandError(name, "is missing")
        values[name] = _apply(read, name, document[name])
    for name, (read, default) in shape.optional.items():
        values[name] = _apply(read, name, document[name]) if name in document else default
    event_time = document.get("event_time_us", 0)
    event_time_us = _apply(_integer, "event_time_us", event_time)
    assert isinstance(event_time_us, int)
    return msgspec.convert(values, shape.cls), event_time_us


def parse_command_bytes(value: bytes) -> tuple[ClientCommand, int]:
    """Read one command from JSON text.

    Raises:
        InvalidCommandError: no JSON object, or no command.
    """
    try:
        document = msgspec.json.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidCommandError("", f"not JSON: {str(error)[:120]}") from error
    if not isinstance(document, dict):
        raise InvalidCommandError("", "not a JSON object")
    return parse_command(document)


def _apply(read: _Read, name: str, value: object) -> object:
    try:
        return read(value)
    except ValueError as error:
        raise InvalidCommandError(name, str(error)) from error


def _kind(value: object) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case int() | float():
            return "a number"
        case str():
            return "a string"
        case list():
            return "an array"
        case _:
            return "an object"

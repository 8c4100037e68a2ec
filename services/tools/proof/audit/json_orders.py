"""Commands in JSON, read a second time: which documents are commands, and why others are not.

Only the wording about JSON's own grammar is the library's; whether a document is a command, and
what it says, is decided here.
"""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from services.tools.proof.audit.schemas import Fields

_INT64_MAX: Final = 2**63 - 1
_DIGITS_MAX: Final = 40
_DECIMAL: Final = re.compile(r"(-?)([0-9]{1,12})(?:\.([0-9]{1,4}))?")

_SIDES: Final = {"BUY": 1, "SELL": -1}
_ORDER_TYPES: Final = {"MARKET": 1, "LIMIT": 2}
_TIMES_IN_FORCE: Final = {"GTC": 1, "IOC": 3, "FOK": 4}
_SELF_TRADE_PREVENTIONS: Final = {"CANCEL_RESTING": 0, "CANCEL_INCOMING": 1, "NONE": 2}


class NoCommandError(Exception):
    """The document is no command; the text says why, as a dead letter does."""


type _Read = Callable[[object], object]


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    raise ValueError(f"must be a string, not {_kind(value)}")


def _integer(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError(f"must be a whole number, not {_kind(value)}")  # noqa: TRY004 - a value
    if abs(value) > _INT64_MAX:
        raise ValueError("is beyond 64 bits")
    return value


def _boolean(value: object) -> bool:
    if isinstance(value, bool):
        return value
    raise ValueError(f"must be true or false, not {_kind(value)}")


def _price(value: object) -> int:
    if not isinstance(value, str):
        raise ValueError(  # noqa: TRY004 - a value
            f'must be a decimal string like "187.25", not {_kind(value)}'
        )
    found = _DECIMAL.fullmatch(value)
    if found is None:
        raise ValueError(f"{value[:40]!r} is not a decimal price like '187.25' (at most 4 places)")
    sign, whole, places = found.groups()
    return int(f"{sign}{whole}{(places or ''):0<4}")


def _one_of(names: Mapping[str, int]) -> _Read:
    def read(value: object) -> int:
        name = _text(value)
        if name not in names:
            raise ValueError(f"{name[:40]!r} is none of {', '.join(names)}")
        return names[name]

    return read


_IDS: Final[dict[str, _Read]] = {"account": _text, "client_command_id": _text}
_MUST: Final[dict[str, dict[str, _Read]]] = {
    "PlaceOrder": {
        "account": _text,
        "client_order_id": _text,
        "ticker": _text,
        "side": _one_of(_SIDES),
        "order_type": _one_of(_ORDER_TYPES),
        "time_in_force": _one_of(_TIMES_IN_FORCE),
        "quantity": _integer,
    },
    "CancelOrder": _IDS | {"order_id": _text},
    "ReduceOrder": _IDS | {"order_id": _text, "quantity": _integer},
    "ReplaceOrder": _IDS | {"order_id": _text, "price": _price, "quantity": _integer},
    "CancelAll": _IDS,
}
_MAY: Final[dict[str, dict[str, tuple[_Read, Any]]]] = {
    "PlaceOrder": {
        "price": (_price, 0),
        "post_only": (_boolean, False),
        "self_trade_prevention": (_one_of(_SELF_TRADE_PREVENTIONS), 0),
    },
    "CancelAll": {"ticker": (_text, "")},
}


def read_json_command(value: bytes) -> tuple[str, Fields]:
    """The record and its fields, `event_time_us` among them.

    Raises:
        NoCommandError: it is none.
    """
    document = _read_object(value)
    try:
        return _read_command(document)
    except NoCommandError as error:
        # Such as a number that no double holds: no command has one, and the library says it first.
        complaint = _grammar_complaint(value)
        if complaint:
            raise NoCommandError(f"not JSON: {complaint}") from error
        raise


def _read_command(document: Mapping[str, Any]) -> tuple[str, Fields]:
    kind = document.get("type")
    if not isinstance(kind, str) or kind not in _MUST:
        raise NoCommandError(f"type: must be one of {', '.join(_MUST)}")
    must, may = _MUST[kind], _MAY.get(kind, {})
    for name in document:
        if name not in must and name not in may and name not in ("type", "event_time_us"):
            raise NoCommandError(f"{name[:64]}: is no field of {kind}".removeprefix(": "))
    fields: Fields = {}
    for name, read in must.items():
        if name not in document:
            raise NoCommandError(f"{name}: is missing")
        fields[name] = _apply(read, name, document[name])
    for name, (read, default) in may.items():
        fields[name] = _apply(read, name, document[name]) if name in document else default
    fields["event_time_us"] = _apply(_integer, "event_time_us", document.get("event_time_us", 0))
    return kind, fields


def _read_object(value: bytes) -> dict[str, Any]:
    try:
        document = json.loads(
            value.decode(), parse_constant=_refuse_constant, parse_int=_bounded_integer
        )
        is_json = _is_whole(document)
    except (ValueError, RecursionError):
        is_json = False
    if not is_json:
        raise NoCommandError(f"not JSON: {_grammar_complaint(value)}")
    assert isinstance(document, dict), "it begins with a brace"
    return document


def _bounded_integer(text: str) -> int:
    """Python refuses to read thousands of digits; beyond 64 bits all are alike."""
    return int(text) if len(text) <= _DIGITS_MAX else _INT64_MAX + 1


def _refuse_constant(name: str) -> object:
    raise ValueError(name)


def _is_whole(value: object) -> bool:
    """No half of a surrogate pair, which no UTF-8 can hold."""
    if isinstance(value, str):
        return not any("\ud800" <= letter <= "\udfff" for letter in value)
    if isinstance(value, dict):
        return all(_is_whole(name) and _is_whole(held) for name, held in value.items())
    return not isinstance(value, list) or all(_is_whole(item) for item in value)


def _grammar_complaint(value: bytes) -> str:
    """What the library would say of these bytes; empty if it takes them."""
    try:
        msgspec.json.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return str(error)[:120]
    return ""


def _apply(read: _Read, name: str, value: object) -> object:
    try:
        return read(value)
    except ValueError as error:
        raise NoCommandError(f"{name}: {error}") from error


def _kind(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, int | float):
        return "a number"
    if isinstance(value, str):
        return "a string"
    return "an array" if isinstance(value, list) else "an object"

"""Records as people and programs read them: money as decimal strings, codes by their names. Pure.

Field names are those of the Avro schemas.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from services.domain import codes
from services.domain.amounts import format_price, parse_price
from services.domain.reasons import Reason

MONEY_FIELDS: Final = frozenset(
    {
        "ask",
        "bid",
        "cumulative_notional",
        "exposure_max",
        "exposure_worst",
        "last_price",
        "mark",
        "notional_max",
        "notional_worst",
        "price",
    }
)
"""Fields in 1/10000 dollar (or that times shares), wherever they occur."""

CODE_FIELDS: Final[Mapping[str, Mapping[int, str]]] = {
    "aggressor_side": codes.SIDE_NAMES,
    "exec_type": codes.EXEC_TYPE_NAMES,
    "liquidity": codes.LIQUIDITY_NAMES,
    "order_status": codes.ORDER_STATUS_NAMES,
    "order_type": codes.ORDER_TYPE_NAMES,
    "reason": {reason.value: reason.name for reason in Reason},
    "self_trade_prevention": codes.SELF_TRADE_PREVENTION_NAMES,
    "side": codes.SIDE_NAMES,
    "status": codes.TICKER_STATUS_NAMES,
    "time_in_force": codes.TIME_IN_FORCE_NAMES,
}


def spell(value: Any, field: str = "") -> Any:  # noqa: ANN401 - any record, and JSON out of it
    """A record, or a part of one that stands in `field`, ready for JSON."""
    match value:
        case msgspec.Struct():
            return spell(msgspec.structs.asdict(value))
        case Mapping():
            return {name: spell(part, str(name)) for name, part in value.items()}
        case list() | tuple():
            return [spell(part) for part in value]
        case bool():
            return value
        case int() if field in MONEY_FIELDS:
            return format_price(value)
        case int() if field in CODE_FIELDS:
            return CODE_FIELDS[field].get(value, str(value))
        case bytes():
            return value.hex()
        case _:
            return value


def average_price(cumulative_notional: int, cumulative_quantity: int) -> str:
    """Dollars a share to 4 places, rounded down; empty where nothing traded."""
    if not cumulative_quantity:
        return ""
    return format_price(cumulative_notional // cumulative_quantity)


def read_price(text: str) -> int:
    """A positive price from a command line, in 1/10000 dollar.

    Raises:
        ValueError: it is none; the message says what one looks like.
    """
    price = parse_price(text)
    if price <= 0:
        raise ValueError(f"{text!r} is not a positive price")
    return price


def read_amount(text: str) -> int:
    """Dollars from a command line, zero allowed, in 1/10000 dollar.

    Raises:
        ValueError: it is none; the message says what one looks like.
    """
    amount = parse_price(text)
    if amount < 0:
        raise ValueError(f"{text!r} is negative")
    return amount


def show_bytes(head: bytes, characters_max: int) -> str:
    """Bytes of unknown kind in one line: text where they are printable ASCII, else hexadecimal."""
    text = head.decode("ascii", errors="replace")
    shown = text if text.isprintable() and "\ufffd" not in text else f"0x{head.hex()}"
    return shown if len(shown) <= characters_max else f"{shown[: characters_max - 1]}…"

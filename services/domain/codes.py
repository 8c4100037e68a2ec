"""Small closed enumerations, as ints on the wire with their names in one table.

Ints and not Avro enums: a new enum symbol breaks readers of older schema versions.
The numbers are for ever; new ones may be added at the end.
"""

from collections.abc import Mapping
from typing import Final

# Side: also the sign of the position change.
BUY: Final = 1
SELL: Final = -1

# Order type (the numbers of FIX tag 40).
MARKET: Final = 1
LIMIT: Final = 2

# Time in force (the numbers of FIX tag 59).
GTC: Final = 1
IOC: Final = 3
FOK: Final = 4

# Self-trade prevention.
CANCEL_RESTING: Final = 0
CANCEL_INCOMING: Final = 1
ALLOW_SELF_TRADE: Final = 2

# Time source of a deployment, stated by its genesis.
TIME_FROM_LOG: Final = 0
TIME_FROM_EVENT: Final = 1

# Ticker status.
OPEN: Final = 0
HALTED: Final = 1

# Whether a fill's order was resting or aggressing.
MAKER: Final = 0
TAKER: Final = 1

# Order status.
PENDING_NEW: Final = 0
NEW: Final = 1
PARTIALLY_FILLED: Final = 2
FILLED: Final = 3
CANCELED: Final = 4
REJECTED: Final = 5
NO_ORDER: Final = 6
"""A report that touches no order's status (COMMAND_REJECTED of an order nobody knows)."""

# Execution type: what a report says happened (its order's status is a field of its own).
EXEC_NEW: Final = 0
EXEC_TRADE: Final = 1
EXEC_CANCELED: Final = 2
EXEC_REDUCED: Final = 3
EXEC_REPLACED: Final = 4
EXEC_REJECTED: Final = 5
EXEC_CANCEL_REJECTED: Final = 6
EXEC_REPLACE_REJECTED: Final = 7
"""A refused replace or reduce."""
EXEC_ORDER_STATUS: Final = 8
"""The answer to a resent command: the order's present status, nothing done."""
EXEC_COMMAND_REJECTED: Final = 9

SIDE_NAMES: Final[Mapping[int, str]] = {BUY: "BUY", SELL: "SELL"}
ORDER_TYPE_NAMES: Final[Mapping[int, str]] = {MARKET: "MARKET", LIMIT: "LIMIT"}
TIME_IN_FORCE_NAMES: Final[Mapping[int, str]] = {GTC: "GTC", IOC: "IOC", FOK: "FOK"}
SELF_TRADE_PREVENTION_NAMES: Final[Mapping[int, str]] = {
    CANCEL_RESTING: "CANCEL_RESTING",
    CANCEL_INCOMING: "CANCEL_INCOMING",
    ALLOW_SELF_TRADE: "NONE",
}
TIME_SOURCE_NAMES: Final[Mapping[int, str]] = {TIME_FROM_LOG: "log", TIME_FROM_EVENT: "event"}
TICKER_STATUS_NAMES: Final[Mapping[int, str]] = {OPEN: "OPEN", HALTED: "HALTED"}
LIQUIDITY_NAMES: Final[Mapping[int, str]] = {MAKER: "MAKER", TAKER: "TAKER"}
ORDER_STATUS_NAMES: Final[Mapping[int, str]] = {
    PENDING_NEW: "PENDING_NEW",
    NEW: "NEW",
    PARTIALLY_FILLED: "PARTIALLY_FILLED",
    FILLED: "FILLED",
    CANCELED: "CANCELED",
    REJECTED: "REJECTED",
    NO_ORDER: "NO_ORDER",
}
EXEC_TYPE_NAMES: Final[Mapping[int, str]] = {
    EXEC_NEW: "NEW",
    EXEC_TRADE: "TRADE",
    EXEC_CANCELED: "CANCELED",
    EXEC_REDUCED: "REDUCED",
    EXEC_REPLACED: "REPLACED",
    EXEC_REJECTED: "REJECTED",
    EXEC_CANCEL_REJECTED: "CANCEL_REJECTED",
    EXEC_REPLACE_REJECTED: "REPLACE_REJECTED",
    EXEC_ORDER_STATUS: "ORDER_STATUS",
    EXEC_COMMAND_REJECTED: "COMMAND_REJECTED",
}

LIVE_STATUSES: Final = frozenset({PENDING_NEW, NEW, PARTIALLY_FILLED})
"""Statuses of an order that can still trade."""


def code_of(names: Mapping[int, str], name: str) -> int:
    """The code with this name.

    Raises:
        ValueError: no such name; the message lists those there are.
    """
    for code, known in names.items():
        if known == name:
            return code
    msg = f"{name[:40]!r} is none of {', '.join(names.values())}"
    raise ValueError(msg)

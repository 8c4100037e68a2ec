"""Codes, reasons and bounds as the documents number them, stated here a second time."""

from typing import Final

# Where a message came from.
FROM_ACCOUNTS: Final = 2
FROM_MATCHING: Final = 3

# Side.
BUY: Final = 1
SELL: Final = -1
SIDES: Final = frozenset({1, -1})

# Order type and time in force (FIX 40 and 59).
MARKET: Final = 1
LIMIT: Final = 2
ORDER_TYPES: Final = frozenset({1, 2})
GTC: Final = 1
FOK: Final = 4
TIMES_IN_FORCE: Final = frozenset({1, 3, 4})
KINDS: Final = frozenset({(2, 1, False), (2, 1, True), (2, 3, False), (2, 4, False), (1, 3, False)})
"""Order type, time in force, post-only: limit GTC, post-only, IOC, FOK; market IOC."""

# Self-trade prevention.
CANCEL_RESTING: Final = 0
CANCEL_INCOMING: Final = 1
SELF_TRADE_POLICIES: Final = frozenset({0, 1, 2})

TIME_FROM_EVENT: Final = 1
OPEN: Final = 0
HALTED: Final = 1
MAKER: Final = 0
TAKER: Final = 1

# Order status; an order is live up to PARTIALLY_FILLED.
PENDING_NEW: Final = 0
NEW: Final = 1
PARTIALLY_FILLED: Final = 2
FILLED: Final = 3
CANCELED: Final = 4
REJECTED: Final = 5
NO_ORDER: Final = 6

# Execution type.
EXEC_NEW: Final = 0
EXEC_TRADE: Final = 1
EXEC_CANCELED: Final = 2
EXEC_REDUCED: Final = 3
EXEC_REPLACED: Final = 4
EXEC_REJECTED: Final = 5
EXEC_CANCEL_REJECTED: Final = 6
EXEC_REPLACE_REJECTED: Final = 7
EXEC_ORDER_STATUS: Final = 8
EXEC_COMMAND_REJECTED: Final = 9

# Reasons.
NO_GENESIS: Final = 1
UNKNOWN_ACCOUNT: Final = 2
UNKNOWN_TICKER: Final = 3
UNKNOWN_ORDER: Final = 4
INVALID_SIDE: Final = 6
INVALID_ORDER_TYPE: Final = 7
INVALID_TIME_IN_FORCE: Final = 8
INVALID_COMBINATION: Final = 9
INVALID_SELF_TRADE_PREVENTION: Final = 10
INVALID_PRICE: Final = 11
OFF_TICK: Final = 12
INVALID_QUANTITY: Final = 13
OFF_LOT: Final = 14
DUPLICATE_CONFLICT: Final = 15
ACCOUNT_EXISTS: Final = 17
INVALID_LIMITS: Final = 18
NO_MARK: Final = 30
PRICE_OUTSIDE_COLLAR: Final = 31
ORDER_TOO_LARGE: Final = 32
SHORT_NOT_ALLOWED: Final = 33
POSITION_LIMIT: Final = 34
NOTIONAL_LIMIT: Final = 35
EXPOSURE_LIMIT: Final = 36
ACCOUNT_KILLED: Final = 37
TOO_MANY_LIVE_ORDERS: Final = 38
TOO_MANY_ACCOUNTS: Final = 39
REPLACE_PENDING: Final = 40
ORDER_ENDED: Final = 41
TABLE_FULL: Final = 42
TICKER_HALTED: Final = 60
WOULD_CROSS: Final = 61
SPREAD_TOO_WIDE: Final = 62
NO_LIQUIDITY: Final = 63
ORDER_ID_LIVE: Final = 64
BELOW_FILLED: Final = 65
NOT_A_REDUCTION: Final = 66
BOOK_FULL: Final = 67
CANCEL_REQUESTED: Final = 80
IOC_REMAINDER: Final = 81
FOK_UNFILLED: Final = 82
SELF_TRADE: Final = 83
SWEEP_LIMIT: Final = 84

# Bounds.
DOLLAR: Final = 10_000
"""In price units."""
PRICE_MAX: Final = 1_000_000_000
QUANTITY_MAX: Final = 1_000_000_000
POSITION_MAX: Final = 1_000_000_000_000_000
BASIS_POINTS: Final = 10_000
SHOWN_MAX: Final = 9_223_372_036_854_775_807
"""The most that a report's field holds; more money at worst is shown as it."""
UNCHANGED: Final = -1
"""In SetLimits; and a ticker's limit that is the account's."""
FORGOTTEN_MAX: Final = 4
"""Most remembered orders and commands that one message forgets."""
ACCOUNT_PARTITIONS: Final = 4
"""Of `accounts`, before a genesis says so."""
DEPTH_LEVELS: Final = 10
"""Levels a side that `book` shows."""

"""Why something was refused or ended: one closed, numbered list, the same words everywhere.

The same words stand in Avro (the number), REST problems, metrics labels and docs.
Numbers are for ever; new reasons may be added with new numbers.
"""

from enum import IntEnum, unique


@unique
class Reason(IntEnum):
    """A reason code; 0 means none. Comments say who gives it and when."""

    NONE = 0

    # Risk: the command itself is not acceptable.
    NO_GENESIS = 1  # a command before the genesis control
    UNKNOWN_ACCOUNT = 2
    UNKNOWN_TICKER = 3
    UNKNOWN_ORDER = 4  # no such order of this account, or forgotten since it ended
    INVALID_SIDE = 6
    INVALID_ORDER_TYPE = 7
    INVALID_TIME_IN_FORCE = 8
    INVALID_COMBINATION = 9  # e.g. a market order that is GTC, or post-only with IOC
    INVALID_SELF_TRADE_PREVENTION = 10
    INVALID_PRICE = 11  # zero, negative, or above the highest price
    OFF_TICK = 12
    INVALID_QUANTITY = 13  # zero, negative, or above the highest quantity
    OFF_LOT = 14
    DUPLICATE_CONFLICT = 15  # the same client command id with a different payload
    ACCOUNT_EXISTS = 17
    INVALID_LIMITS = 18

    # Risk: the command is well-formed, and the account or the market does not allow it.
    NO_MARK = 30
    PRICE_OUTSIDE_COLLAR = 31
    ORDER_TOO_LARGE = 32
    SHORT_NOT_ALLOWED = 33
    POSITION_LIMIT = 34
    NOTIONAL_LIMIT = 35
    EXPOSURE_LIMIT = 36
    ACCOUNT_KILLED = 37
    TOO_MANY_LIVE_ORDERS = 38  # the table of live orders of this account is full
    TOO_MANY_ACCOUNTS = 39
    REPLACE_PENDING = 40  # one pending replace an order
    ORDER_ENDED = 41  # a cancel, reduce or replace that came too late
    TABLE_FULL = 42  # the shard's table of remembered commands is full

    # Matcher: refused on arrival at the book.
    TICKER_HALTED = 60
    WOULD_CROSS = 61  # post-only
    SPREAD_TOO_WIDE = 62  # market order
    NO_LIQUIDITY = 63  # market order against an empty side
    ORDER_ID_LIVE = 64
    BELOW_FILLED = 65  # reduce or replace to at most what is already filled
    NOT_A_REDUCTION = 66
    BOOK_FULL = 67

    # How an order ended.
    CANCEL_REQUESTED = 80
    IOC_REMAINDER = 81
    FOK_UNFILLED = 82
    SELF_TRADE = 83
    SWEEP_LIMIT = 84  # met as many resting orders as one command may

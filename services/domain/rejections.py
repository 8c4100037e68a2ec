"""What risk or the matcher says of a command that is durable, in words."""

from collections.abc import Mapping
from typing import Final

from services.domain.reasons import Reason

REJECTIONS: Final[Mapping[str, str]] = {
    Reason.NO_GENESIS.name: "The exchange is not set up yet",
    Reason.UNKNOWN_ACCOUNT.name: "There is no such account",
    Reason.UNKNOWN_TICKER.name: "The ticker is not traded here",
    Reason.UNKNOWN_ORDER.name: "The account has no such order",
    Reason.INVALID_COMBINATION.name: "These options do not go together",
    Reason.INVALID_PRICE.name: "The price is not acceptable",
    Reason.OFF_TICK.name: "The price is between two ticks",
    Reason.INVALID_QUANTITY.name: "The quantity is not acceptable",
    Reason.OFF_LOT.name: "The quantity is no whole number of lots",
    Reason.DUPLICATE_CONFLICT.name: "The id already names a command with other contents",
    Reason.NO_MARK.name: "The ticker has no mark yet",
    Reason.PRICE_OUTSIDE_COLLAR.name: "The price is too far from the mark",
    Reason.ORDER_TOO_LARGE.name: "The order is larger than one may be",
    Reason.SHORT_NOT_ALLOWED.name: "The account may not sell short",
    Reason.POSITION_LIMIT.name: "The account's limit of shares would be passed",
    Reason.NOTIONAL_LIMIT.name: "The account's limit of money in the ticker would be passed",
    Reason.EXPOSURE_LIMIT.name: "The account's limit of exposure would be passed",
    Reason.ACCOUNT_KILLED.name: "The account is shut off",
    Reason.TOO_MANY_LIVE_ORDERS.name: "The account has as many live orders as it may",
    Reason.REPLACE_PENDING.name: "Another replace of the order is under way",
    Reason.ORDER_ENDED.name: "The order has ended",
    Reason.TABLE_FULL.name: "Risk can't remember more commands",
    Reason.TICKER_HALTED.name: "Trading in the ticker is halted",
    Reason.WOULD_CROSS.name: "A post-only order would have traded",
    Reason.SPREAD_TOO_WIDE.name: "The spread is too wide for a market order",
    Reason.NO_LIQUIDITY.name: "The other side of the book is empty",
    Reason.ORDER_ID_LIVE.name: "The order's id is live in the book",
    Reason.BELOW_FILLED.name: "As much is filled already",
    Reason.NOT_A_REDUCTION.name: "The quantity is not lower",
    Reason.BOOK_FULL.name: "The book can't hold more orders",
}
"""The gateway's problem documents have it as title (422), the command line as its error."""

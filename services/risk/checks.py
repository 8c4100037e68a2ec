"""What is checked, in which order, and with which reason: the only place that says so.

Every command and control:
     1. NO_GENESIS             nothing is known yet
     2. UNKNOWN_ACCOUNT
     3. the same id was used before: same payload, the answer is the present state; another one,
        DUPLICATE_CONFLICT
     4. TABLE_FULL             (PlaceOrder, ReduceOrder, ReplaceOrder, Deposit) no further command
                               can be remembered. The others can be done twice without harm: they
                               pass all the same, and are then not remembered
These, UNKNOWN_ORDER, and whatever refuses a CancelAll or a control, are COMMAND_REJECTED: the
command touched nothing, is not remembered, and its id may be used again.

PlaceOrder goes on, and is REJECTED (and remembered) with the first of:
     5. ACCOUNT_KILLED
     6. UNKNOWN_TICKER
     7. INVALID_SIDE
     8. INVALID_ORDER_TYPE
     9. INVALID_TIME_IN_FORCE
    10. INVALID_COMBINATION    a market order is IOC, not post-only, without a price; a post-only
                               order is GTC
    11. INVALID_SELF_TRADE_PREVENTION
    12. INVALID_PRICE, OFF_TICK                            (limit orders)
    13. INVALID_QUANTITY, OFF_LOT, ORDER_TOO_LARGE
    14. NO_MARK
    15. PRICE_OUTSIDE_COLLAR                               (limit orders)
    16. TOO_MANY_LIVE_ORDERS
    17. SHORT_NOT_ALLOWED
    18. POSITION_LIMIT, NOTIONAL_LIMIT, EXPOSURE_LIMIT     (unless it raises neither W nor E)

CancelOrder: UNKNOWN_ORDER; ORDER_ENDED (CANCEL_REJECTED).
ReduceOrder: UNKNOWN_ORDER; then REPLACE_REJECTED with ORDER_ENDED, REPLACE_PENDING, or 13. Reduces
do not wait for each other's answers; while a replace waits for its own, neither is taken.
ReplaceOrder: as ReduceOrder up to REPLACE_PENDING; then 5, 12 to 15, 17 and 18, with the new terms
in place of the old.
CancelAll: UNKNOWN_TICKER.
OpenAccount: (instead of 2) ACCOUNT_EXISTS, TOO_MANY_ACCOUNTS; INVALID_LIMITS.
Deposit: UNKNOWN_TICKER; INVALID_QUANTITY; SHORT_NOT_ALLOWED, if it takes shares that open sells
need.
SetLimits: UNKNOWN_TICKER; INVALID_LIMITS, also if it forbids short selling while the account is
short, or would be once its open sells were filled.
"""

from typing import Final

from services.domain.amounts import BPS, PRICE_MAX, PRICE_SCALE, QUANTITY_MAX
from services.domain.codes import (
    BUY,
    FOK,
    GTC,
    IOC,
    LIMIT,
    MARKET,
    ORDER_TYPE_NAMES,
    SELF_TRADE_PREVENTION_NAMES,
    SIDE_NAMES,
    TIME_IN_FORCE_NAMES,
)
from services.domain.commands import PlaceOrder
from services.domain.controls import Instrument
from services.domain.reasons import Reason
from services.risk.accounts import Account, Market

_COMBINATIONS: Final = frozenset(
    {
        (LIMIT, GTC, False),
        (LIMIT, GTC, True),
        (LIMIT, IOC, False),
        (LIMIT, FOK, False),
        (MARKET, IOC, False),
    }
)
"""Order type, time in force and post-only, as they may go together."""


def find_form_fault(account: Account, market: Market | None, command: PlaceOrder) -> Reason:
    """Checks 5 to 13: whether it is an order at all, and one for this account and ticker."""
    if account.killed:
        return Reason.ACCOUNT_KILLED
    if market is None:
        return Reason.UNKNOWN_TICKER
    if command.side not in SIDE_NAMES:
        return Reason.INVALID_SIDE
    order_type = command.order_type
    if (order_type, command.time_in_force, command.post_only) not in _COMBINATIONS:
        if order_type not in ORDER_TYPE_NAMES:
            return Reason.INVALID_ORDER_TYPE
        if command.time_in_force not in TIME_IN_FORCE_NAMES:
            return Reason.INVALID_TIME_IN_FORCE
        return Reason.INVALID_COMBINATION
    if order_type == MARKET and command.price != 0:
        return Reason.INVALID_COMBINATION
    if command.self_trade_prevention not in SELF_TRADE_PREVENTION_NAMES:
        return Reason.INVALID_SELF_TRADE_PREVENTION
    if order_type == LIMIT and (fault := find_price_fault(market.rules, command.price)):
        return fault
    return find_quantity_fault(market.rules, command.quantity)


def find_price_fault(rules: Instrument, price: int) -> Reason:
    """Check 12."""
    if not 0 < price <= PRICE_MAX:
        return Reason.INVALID_PRICE
    if price % (rules.tick if price >= PRICE_SCALE else rules.sub_dollar_tick):
        return Reason.OFF_TICK
    return Reason.NONE


def find_quantity_fault(rules: Instrument, quantity: int) -> Reason:
    """Check 13."""
    if not 0 < quantity <= QUANTITY_MAX:
        return Reason.INVALID_QUANTITY
    if quantity % rules.lot:
        return Reason.OFF_LOT
    if quantity > rules.order_quantity_max:
        return Reason.ORDER_TOO_LARGE
    return Reason.NONE


def find_mark_fault(market: Market, price: int) -> Reason:
    """Checks 14 and 15; `price` is 0 for a market order."""
    mark = market.mark
    if not mark:
        return Reason.NO_MARK
    collar_bps = market.rules.price_collar_bps
    if collar_bps and price and abs(price - mark) * BPS > mark * collar_bps:
        return Reason.PRICE_OUTSIDE_COLLAR
    return Reason.NONE


def protection_price(market: Market, side: int) -> int:
    """Where a market order is stopped: mark x (1 ± band), rounded inwards to the tick.

    It stays within what any order may state: at least a tick, at most the highest price.
    """
    rules = market.rules
    band = rules.market_band_bps
    if side == BUY:
        price = min(market.mark * (BPS + band) // BPS, PRICE_MAX)
        tick = rules.tick if price >= PRICE_SCALE else rules.sub_dollar_tick
        return max(price - price % tick, tick)
    price = -(-market.mark * (BPS - band) // BPS)
    tick = rules.tick if price >= PRICE_SCALE else rules.sub_dollar_tick
    return -(-price // tick) * tick

"""What no book could take, whatever rests in it. Risk refuses all of it before it comes here."""

from typing import Final

from services.domain import codes
from services.domain.amounts import PRICE_MAX, QUANTITY_MAX
from services.domain.commands import EnterOrder
from services.domain.reasons import Reason

_COMBINATIONS: Final = frozenset(
    {
        (codes.LIMIT, codes.GTC, False),
        (codes.LIMIT, codes.GTC, True),
        (codes.LIMIT, codes.IOC, False),
        (codes.LIMIT, codes.FOK, False),
        (codes.MARKET, codes.IOC, False),
    }
)
"""Order type, time in force and post-only, as they may go together."""


def find_fault(command: EnterOrder) -> Reason:
    """What makes no sense in this order by itself; NONE if nothing."""
    if command.side not in (codes.BUY, codes.SELL):
        return Reason.INVALID_SIDE
    combination = (command.order_type, command.time_in_force, command.post_only)
    if combination not in _COMBINATIONS:
        if command.order_type not in codes.ORDER_TYPE_NAMES:
            return Reason.INVALID_ORDER_TYPE
        if command.time_in_force not in codes.TIME_IN_FORCE_NAMES:
            return Reason.INVALID_TIME_IN_FORCE
        return Reason.INVALID_COMBINATION
    if command.self_trade_prevention not in codes.SELF_TRADE_PREVENTION_NAMES:
        return Reason.INVALID_SELF_TRADE_PREVENTION
    return find_amount_fault(command.price, command.quantity)


def find_amount_fault(price: int, quantity: int) -> Reason:
    """Whether a price or a total quantity is outside what any order may state."""
    if not 0 < price <= PRICE_MAX:
        return Reason.INVALID_PRICE
    if not 0 < quantity <= QUANTITY_MAX:
        return Reason.INVALID_QUANTITY
    return Reason.NONE

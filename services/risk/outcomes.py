"""What the matcher says became of an order. Its word alone ends or changes a reservation.

The matcher speaks of orders that risk sent it, in order: an event that fits no live order is a
broken invariant and stops the process. Answers to commands are the exception: a cancel, reduce or
replace may come too late, and its refusal then finds an order that ended, or one forgotten since.
"""

from services.domain.codes import (
    BUY,
    CANCELED,
    EXEC_CANCEL_REJECTED,
    EXEC_CANCELED,
    EXEC_NEW,
    EXEC_REDUCED,
    EXEC_REJECTED,
    EXEC_REPLACE_REJECTED,
    EXEC_REPLACED,
    EXEC_TRADE,
    FILLED,
    NEW,
    PARTIALLY_FILLED,
    PENDING_NEW,
    REJECTED,
    TAKER,
)
from services.domain.events import (
    CancelRefused,
    MarkChanged,
    MatcherEvent,
    OrderAccepted,
    OrderCanceled,
    OrderFilled,
    OrderReduced,
    OrderRefused,
    OrderReplaced,
    ReplaceRefused,
)
from services.domain.reasons import Reason
from services.risk.accounts import Account, Holding, Order, Shard
from services.risk.outbox import Outbox
from services.risk.reports import report_forgotten, report_order


def order_accepted(shard: Shard, out: Outbox, event: OrderAccepted) -> None:
    """The matcher has it: now it is NEW, and the acceptance it stands on is told."""
    account, order = _find_live(shard, event)
    assert order.status == PENDING_NEW, f"{event}: accepted twice"
    order.status = NEW
    report_order(shard, out, account, order, EXEC_NEW, order.client_order_id)
    order.acceptance = None


def order_refused(shard: Shard, out: Outbox, event: OrderRefused) -> None:
    """It never was NEW: release it all."""
    account, order = _find_live(shard, event)
    assert order.status == PENDING_NEW, f"{event}: refused after it was accepted"
    shard.end(account, order, REJECTED, event.reason)
    command_id = order.client_order_id
    report_order(shard, out, account, order, EXEC_REJECTED, command_id, event.reason)


def order_filled(shard: Shard, out: Outbox, event: OrderFilled) -> None:
    """Shares changed hands: position up or down, reservation down, mark to the price."""
    account, order = _find_live(shard, event)
    assert order.status != PENDING_NEW, f"{event}: filled before it was accepted"
    quantity, price = event.quantity, event.price
    cumulative = order.cumulative_quantity + quantity
    assert order.cumulative_quantity < cumulative <= order.quantity, f"{event}: not open"
    holding = account.holdings[order.ticker]
    holding.market.mark = price
    holding.position += quantity if order.side == BUY else -quantity
    order.cumulative_quantity = cumulative
    order.cumulative_notional += quantity * price
    if cumulative == order.quantity:
        shard.end(account, order, FILLED, 0)
    else:
        order.status = PARTIALLY_FILLED
        _reserve_what_is_open(holding, order)
    cause_id = order.cause_id if event.liquidity == TAKER else ""
    report_order(shard, out, account, order, EXEC_TRADE, cause_id, 0, event)


def order_canceled(shard: Shard, out: Outbox, event: OrderCanceled) -> None:
    """The rest of it is gone: release it."""
    account, order = _find_live(shard, event)
    rest = order.quantity - order.cumulative_quantity
    assert event.quantity == rest, f"{event}: {rest} shares were open"
    shard.end(account, order, CANCELED, event.reason)
    command_id = event.client_command_id
    report_order(shard, out, account, order, EXEC_CANCELED, command_id, event.reason)


def order_reduced(shard: Shard, out: Outbox, event: OrderReduced) -> None:
    """Its total is lower: release the difference."""
    account, order = _find_live(shard, event)
    order.quantity = event.quantity
    _reserve_what_is_open(account.holdings[order.ticker], order)
    report_order(shard, out, account, order, EXEC_REDUCED, event.client_command_id)


def order_replaced(shard: Shard, out: Outbox, event: OrderReplaced) -> None:
    """It stands on new terms: reserve for these alone."""
    account, order = _find_live(shard, event)
    change = order.pending
    assert change is not None, f"{event}: nobody asked for it"
    assert change.client_command_id == event.client_command_id, f"{event}: {change} is pending"
    order.pending = None
    assert change.quantity == event.quantity, f"{event}: risk let {change.quantity} through"
    order.price = event.price
    order.quantity = event.quantity
    order.value = change.value
    order.accepted_offset = change.accepted_offset
    order.cause_id = change.client_command_id
    _reserve_what_is_open(account.holdings[order.ticker], order)
    report_order(shard, out, account, order, EXEC_REPLACED, event.client_command_id)


def cancel_refused(shard: Shard, out: Outbox, event: CancelRefused) -> None:
    """A cancel came too late."""
    _report_refusal(shard, out, event, EXEC_CANCEL_REJECTED)


def replace_refused(shard: Shard, out: Outbox, event: ReplaceRefused) -> None:
    """A reduce or replace was refused: the order stands as it was, the difference is released."""
    account = shard.accounts[event.account]
    order = account.live.get(event.order_id)
    if order is not None:
        change = order.pending
        # A change of an order that ended may be answered when its id already names a new one.
        if change is not None and change.client_command_id == event.client_command_id:
            order.pending = None
            _reserve_what_is_open(account.holdings[order.ticker], order)
    _report_refusal(shard, out, event, EXEC_REPLACE_REJECTED)


def mark_changed(shard: Shard, _: Outbox, event: MarkChanged) -> None:
    """The ticker trades elsewhere at this price."""
    shard.markets[event.ticker].mark = event.mark


def _find_live(shard: Shard, event: MatcherEvent) -> tuple[Account, Order]:
    assert not isinstance(event, MarkChanged)
    account = shard.accounts.get(event.account)
    assert account is not None, f"{event}: nobody opened this account"
    order = account.live.get(event.order_id)
    assert order is not None, f"{event}: this order is not live"
    return account, order


def _reserve_what_is_open(holding: Holding, order: Order) -> None:
    """What remains at the order's value or, while a replace is pending, the larger of both."""
    rest = order.quantity - order.cumulative_quantity
    quantity, value = rest, rest * order.value
    change = order.pending
    if change is not None:
        rest = change.quantity - order.cumulative_quantity
        quantity, value = max(quantity, rest), max(value, rest * change.value)
    holding.reserve(order, quantity, value)


def _report_refusal(
    shard: Shard, out: Outbox, event: CancelRefused | ReplaceRefused, exec_type: int
) -> None:
    account = shard.accounts[event.account]
    # The book knows only what rests in it; risk knows that there was such an order.
    known = event.reason == Reason.UNKNOWN_ORDER
    reason = int(Reason.ORDER_ENDED) if known else event.reason
    order = account.find_order(event.order_id)
    command_id = event.client_command_id
    if order is None:
        report_forgotten(out, account, event.order_id, command_id, exec_type, reason)
    else:
        report_order(shard, out, account, order, exec_type, command_id, reason)

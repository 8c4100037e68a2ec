"""What the matcher says became of an order; what does not fit the order is a fault."""

from typing import Any

from services.tools.proof.audit.model import numbers as n
from services.tools.proof.audit.model import said
from services.tools.proof.audit.model.accounts import Account, Holding, Order, Shard, weigh
from services.tools.proof.audit.model.reports import say_forgotten, say_order

type Live = tuple[Account, Holding, Order]


def _find_live(shard: Shard, event: dict[str, Any], what: str) -> Live | None:
    account = shard.accounts.get(event["account"])
    order = None if account is None else account.orders.get(event["order_id"])
    if account is None or order is None or order.status > n.PARTIALLY_FILLED:
        name = event["order_id"]
        shard.witness.report(said.UNKNOWN_ORDER, f"{name} is {what}, and no such order is live")
        return None
    return account, account.holdings[order.ticker], order


def _report_impossible(shard: Shard, order: Order, what: str) -> None:
    shard.witness.report(said.IMPOSSIBLE_EVENT, f"{order.order_id} {what}")


def order_accepted(shard: Shard, event: dict[str, Any]) -> None:
    """NEW."""
    found = _find_live(shard, event, "accepted")
    if found is None:
        return
    account, _, order = found
    if order.status != n.PENDING_NEW:
        _report_impossible(shard, order, "is accepted twice")
        return
    order.status = n.NEW
    say_order(shard, account, order, n.EXEC_NEW, order.client_order_id)
    order.acceptance = None


def order_refused(shard: Shard, event: dict[str, Any]) -> None:
    """REJECTED."""
    found = _find_live(shard, event, "refused")
    if found is None:
        return
    account, holding, order = found
    if order.status != n.PENDING_NEW:
        _report_impossible(shard, order, "is refused after it was accepted")
        return
    reason = event["reason"]
    shard.end(account, holding, order, n.REJECTED, reason)
    shard.counts.rejected += 1
    say_order(shard, account, order, n.EXEC_REJECTED, order.client_order_id, reason)


def order_filled(shard: Shard, event: dict[str, Any]) -> None:
    """Shares change hands, and the price is the ticker's mark."""
    found = _find_live(shard, event, "filled")
    if found is None:
        return
    account, holding, order = found
    quantity: int = event["quantity"]
    price: int = event["price"]
    left = order.quantity - order.filled
    is_open = order.status != n.PENDING_NEW and 0 < quantity <= left
    if not is_open or not 0 < price <= n.PRICE_MAX:
        what = f"fills {quantity} of {left} at {price}, status {order.status}"
        _report_impossible(shard, order, what)
        return
    holding.market.mark = price
    _move_shares(shard, account, holding, order, quantity)
    if quantity == left:
        # It ends with what it weighs now; its fills count from then on.
        shard.end(account, holding, order, n.FILLED, 0)
        shard.counts.filled += 1
        order.filled += quantity
    else:
        order.status = n.PARTIALLY_FILLED
        before = weigh(order)
        order.filled += quantity
        _reweigh(holding, order, before)
    order.filled_money += quantity * price
    cause_id = order.cause_id if event["liquidity"] == n.TAKER else ""
    say_order(shard, account, order, n.EXEC_TRADE, cause_id, 0, event)


def _move_shares(
    shard: Shard, account: Account, holding: Holding, order: Order, quantity: int
) -> None:
    if order.side == n.BUY:
        shard.counts.bought += quantity
        holding.bought += quantity
        holding.position += quantity
        return
    shard.counts.sold += quantity
    holding.sold += quantity
    holding.position -= quantity
    if holding.position < 0 and not account.short_allowed:
        shard.witness.report(
            said.SHORT, f"{order.order_id} leaves {account.name} with {holding.position} shares"
        )


def _reweigh(holding: Holding, order: Order, before: tuple[int, int]) -> None:
    after = weigh(order)
    holding.shift(order.side, after[0] - before[0], after[1] - before[1])


def order_canceled(shard: Shard, event: dict[str, Any]) -> None:
    """CANCELED: the rest is gone."""
    found = _find_live(shard, event, "canceled")
    if found is None:
        return
    account, holding, order = found
    left = order.quantity - order.filled
    if event["quantity"] != left:
        _report_impossible(shard, order, f"loses {event['quantity']} shares, {left} are open")
        return
    reason = event["reason"]
    shard.end(account, holding, order, n.CANCELED, reason)
    shard.counts.canceled += 1
    say_order(shard, account, order, n.EXEC_CANCELED, event["client_command_id"], reason)


def order_reduced(shard: Shard, event: dict[str, Any]) -> None:
    """The total is lower."""
    found = _find_live(shard, event, "reduced")
    if found is None:
        return
    account, holding, order = found
    quantity = event["quantity"]
    if not order.filled < quantity < order.quantity:
        _report_impossible(shard, order, f"is reduced from {order.quantity} to {quantity}")
        return
    before = weigh(order)
    order.quantity = quantity
    _reweigh(holding, order, before)
    say_order(shard, account, order, n.EXEC_REDUCED, event["client_command_id"])


def order_replaced(shard: Shard, event: dict[str, Any]) -> None:
    """It stands on the terms of the pending replace."""
    found = _find_live(shard, event, "replaced")
    if found is None:
        return
    account, holding, order = found
    change, command_id = order.pending, event["client_command_id"]
    price, quantity = event["price"], event["quantity"]
    is_asked = change is not None and change[:2] == (command_id, quantity)
    if change is None or not (is_asked and quantity > order.filled and 0 < price <= n.PRICE_MAX):
        what = f"is replaced by {command_id}: {quantity} at {price}; pending is {change}"
        _report_impossible(shard, order, what)
        return
    before = weigh(order)
    order.pending = None
    order.price = price
    order.quantity = quantity
    _, _, order.value, order.accepted_offset = change
    order.cause_id = command_id
    _reweigh(holding, order, before)
    say_order(shard, account, order, n.EXEC_REPLACED, command_id)


def cancel_refused(shard: Shard, event: dict[str, Any]) -> None:
    """CANCEL_REJECTED: it came too late."""
    _say_refused(shard, event, n.EXEC_CANCEL_REJECTED)


def replace_refused(shard: Shard, event: dict[str, Any]) -> None:
    """REPLACE_REJECTED: what its replace reserved beyond the order is free again."""
    account = shard.accounts.get(event["account"])
    order = None if account is None else account.orders.get(event["order_id"])
    if (
        account is not None
        and order is not None
        and order.pending is not None
        and order.pending[0] == event["client_command_id"]
    ):
        before = weigh(order)
        order.pending = None
        _reweigh(account.holdings[order.ticker], order, before)
    _say_refused(shard, event, n.EXEC_REPLACE_REJECTED)


def _say_refused(shard: Shard, event: dict[str, Any], exec_type: int) -> None:
    account = shard.accounts.get(event["account"])
    if account is None:
        shard.witness.report(
            said.UNKNOWN_ORDER, f"{event['order_id']} is refused, and of no account"
        )
        return
    # The book knows what rests in it; risk knows that there was such an order.
    reason = n.ORDER_ENDED if event["reason"] == n.UNKNOWN_ORDER else event["reason"]
    order = account.orders.get(event["order_id"])
    if order is None:
        say_forgotten(shard, account, event, exec_type, reason)
    else:
        say_order(shard, account, order, exec_type, event["client_command_id"], reason)


def mark_changed(shard: Shard, event: dict[str, Any]) -> None:
    """The ticker trades elsewhere at this price."""
    market = shard.markets.get(event["ticker"])
    if market is None or not 0 < event["mark"] <= n.PRICE_MAX:
        shard.witness.report(
            said.IMPOSSIBLE_EVENT, f"{event['ticker']!r} has the mark {event['mark']}"
        )
        return
    market.mark = event["mark"]

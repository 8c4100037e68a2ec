"""What clients ask for: the checks in their documented order, and what follows."""

from typing import Any

from services.tools.proof.audit.model import numbers as n
from services.tools.proof.audit.model.accounts import (
    Account,
    Done,
    Holding,
    Market,
    Order,
    Shard,
    weigh,
)
from services.tools.proof.audit.model.caps import check_acceptance
from services.tools.proof.audit.model.ids import order_id_of
from services.tools.proof.audit.model.reports import refuse, say_command, say_order
from services.tools.proof.audit.model.state import digest_command


def find_account(shard: Shard, record: str, command: dict[str, Any]) -> Account | None:
    """NO_GENESIS, UNKNOWN_ACCOUNT; None when one of them was said."""
    account = shard.accounts.get(command["account"])
    if account is None:
        reason = n.NO_GENESIS if shard.genesis is None else n.UNKNOWN_ACCOUNT
        refuse(shard, record, command, reason)
    return account


def remember(
    shard: Shard, account: Account, record: str, command: dict[str, Any], order_id: str
) -> None:
    """Keep a done command for the window, if there is room."""
    if not shard.is_full():
        command_id = command["client_command_id"]
        digest = digest_command(record, command)
        done = Done(account.name, command_id, order_id, digest, shard.now_us)
        account.known[command_id] = done
        shard.ended.append(done)


# --- PlaceOrder


def place_order(shard: Shard, command: dict[str, Any]) -> None:
    """Checks 1 to 18."""
    account = find_account(shard, "PlaceOrder", command)
    if account is None:
        return
    client_order_id = command["client_order_id"]
    known = account.known.get(client_order_id)
    if known is not None:
        if isinstance(known, Order) and _says_the_same(known, command):
            say_order(shard, account, known, n.EXEC_ORDER_STATUS, client_order_id, known.reason)
        else:
            refuse(shard, "PlaceOrder", command, n.DUPLICATE_CONFLICT)
        return
    if shard.is_full():
        refuse(shard, "PlaceOrder", command, n.TABLE_FULL)
        return
    shard.counts.submitted += 1
    ticker = command["ticker"]
    market = shard.markets.get(ticker)
    order = Order(
        account.name,
        order_id_of(account.name, client_order_id, ticker),
        ticker if market is None else market.ticker,
        command,
    )
    reason = _form_fault(account, market, order)
    if not reason and market is not None:
        reason = _let_through(shard, account, market, order)
    if reason:
        shard.counts.rejected += 1
        order.status = n.REJECTED
        order.reason = reason
        order.ended_us = shard.now_us
        account.known[client_order_id] = account.orders[order.order_id] = order
        shard.ended.append(order)
        say_order(shard, account, order, n.EXEC_REJECTED, client_order_id, reason)


def _says_the_same(order: Order, command: dict[str, Any]) -> bool:
    return (
        order.submitted_price,
        order.submitted_quantity,
        order.ticker,
        order.side,
        order.order_type,
        order.time_in_force,
        order.post_only,
        order.self_trade_prevention,
    ) == (
        command["price"],
        command["quantity"],
        command["ticker"],
        command["side"],
        command["order_type"],
        command["time_in_force"],
        command["post_only"],
        command["self_trade_prevention"],
    )


def _form_fault(account: Account, market: Market | None, order: Order) -> int:
    """Checks 5 to 13."""
    if account.killed:
        return n.ACCOUNT_KILLED
    if market is None:
        return n.UNKNOWN_TICKER
    if order.side not in n.SIDES:
        return n.INVALID_SIDE
    if order.order_type not in n.ORDER_TYPES:
        return n.INVALID_ORDER_TYPE
    if order.time_in_force not in n.TIMES_IN_FORCE:
        return n.INVALID_TIME_IN_FORCE
    is_limit = order.order_type == n.LIMIT
    if (order.order_type, order.time_in_force, order.post_only) not in n.KINDS or (
        not is_limit and order.price
    ):
        return n.INVALID_COMBINATION
    if order.self_trade_prevention not in n.SELF_TRADE_POLICIES:
        return n.INVALID_SELF_TRADE_PREVENTION
    reason = _price_fault(market, order.price) if is_limit else 0
    return reason or _quantity_fault(market, order.quantity)


def _price_fault(market: Market, price: int) -> int:
    if price < 1 or price > n.PRICE_MAX:
        return n.INVALID_PRICE
    return n.OFF_TICK if price % _tick(market, price) else 0


def _tick(market: Market, price: int) -> int:
    return market.sub_dollar_tick if price < n.DOLLAR else market.tick


def _quantity_fault(market: Market, quantity: int) -> int:
    if quantity < 1 or quantity > n.QUANTITY_MAX:
        return n.INVALID_QUANTITY
    if quantity % market.lot:
        return n.OFF_LOT
    return n.ORDER_TOO_LARGE if quantity > market.quantity_max else 0


def _mark_fault(market: Market, price: int) -> int:
    """Checks 14 and 15; a market order has price 0 here."""
    mark = market.mark
    if mark == 0:
        return n.NO_MARK
    collar = market.collar_bps
    if price and collar and n.BASIS_POINTS * abs(price - mark) > collar * mark:
        return n.PRICE_OUTSIDE_COLLAR
    return 0


def _protection_price(market: Market, side: int) -> int:
    """Mark x (1 +/- band), rounded inwards to the tick, within what any order may state."""
    band = market.band_bps
    if side == n.BUY:
        price = min((n.BASIS_POINTS + band) * market.mark // n.BASIS_POINTS, n.PRICE_MAX)
        tick = _tick(market, price)
        return max(price // tick * tick, tick)
    numerator = (n.BASIS_POINTS - band) * market.mark
    price = (numerator + n.BASIS_POINTS - 1) // n.BASIS_POINTS
    tick = _tick(market, price)
    return (price + tick - 1) // tick * tick


def _let_through(shard: Shard, account: Account, market: Market, order: Order) -> int:
    """Checks 14 to 18, then the acceptance."""
    if reason := _mark_fault(market, order.price):
        return reason
    if account.live_count >= shard.live_max:
        return n.TOO_MANY_LIVE_ORDERS
    mark, quantity = market.mark, order.quantity
    is_market = order.order_type == n.MARKET
    price = _protection_price(market, order.side) if is_market else order.price
    value = max(price, mark)
    holding = account.holding(market)
    reason, worst, money, exposure = _try_weight(
        account, holding, order.side, quantity, quantity * value
    )
    if reason:
        return reason
    order.price = price
    order.value = value
    order.accepted_offset = shard.sent.offset
    order.acceptance = (worst, min(money, n.SHOWN_MAX), min(exposure, n.SHOWN_MAX), mark)
    shard.checked += 1
    order.entry = shard.checked
    holding.shift(order.side, quantity, quantity * value)
    holding.live[order.order_id] = account.orders[order.order_id] = order
    account.known[order.client_order_id] = order
    account.live_count += 1
    shard.live_count += 1
    check_acceptance(shard, account, holding, order, (0, 0))
    fields = {
        "order_id": order.order_id,
        "account": account.name,
        "side": order.side,
        "order_type": order.order_type,
        "time_in_force": order.time_in_force,
        "post_only": order.post_only,
        "price": price,
        "quantity": quantity,
        "self_trade_prevention": order.self_trade_prevention,
    }
    shard.forward(market, "EnterOrder", fields)
    return 0


def _try_weight(
    account: Account, holding: Holding, side: int, shares: int, money: int
) -> tuple[int, int, int, int]:
    """Reason, W, E and exposure if a side of a holding weighed so much more."""
    worst_before, money_before = holding.worst()
    exposure_before = account.exposure()
    holding.shift(side, shares, money)
    worst, money_after = holding.worst()
    exposure = exposure_before - money_before + money_after
    reason = 0
    if side == n.SELL and holding.sells > holding.position and not account.short_allowed:
        reason = n.SHORT_NOT_ALLOWED
    elif worst > worst_before or money_after > money_before:
        if worst > account.position_limit(holding):
            reason = n.POSITION_LIMIT
        elif money_after > account.notional_limit(holding):
            reason = n.NOTIONAL_LIMIT
        elif exposure > account.exposure_max:
            reason = n.EXPOSURE_LIMIT
    holding.shift(side, -shares, -money)
    return reason, worst, money_after, exposure


# --- commands about orders


def _was_answered(shard: Shard, account: Account, record: str, command: dict[str, Any]) -> bool:
    """Check 3: an id that was used before is answered by how things are now."""
    command_id = command["client_command_id"]
    known = account.known.get(command_id)
    if known is None:
        return False
    if isinstance(known, Order) or known.digest != digest_command(record, command):
        refuse(shard, record, command, n.DUPLICATE_CONFLICT)
        return True
    order = account.orders.get(known.order_id)
    if order is None:
        say_command(shard, record, command, n.EXEC_ORDER_STATUS, 0, known.order_id)
    else:
        say_order(shard, account, order, n.EXEC_ORDER_STATUS, command_id, order.reason)
    return True


def _find_order(shard: Shard, record: str, command: dict[str, Any]) -> tuple[Account, Order] | None:
    """Checks 1 to 4 and UNKNOWN_ORDER; then the command is remembered."""
    account = find_account(shard, record, command)
    if account is None or _was_answered(shard, account, record, command):
        return None
    if record != "CancelOrder" and shard.is_full():
        refuse(shard, record, command, n.TABLE_FULL)
        return None
    order_id = command["order_id"]
    order = account.orders.get(order_id)
    if order is None:
        refuse(shard, record, command, n.UNKNOWN_ORDER)
        return None
    remember(shard, account, record, command, order_id)
    return account, order


def cancel_order(shard: Shard, command: dict[str, Any]) -> None:
    """Goes on to the matcher while the order is live."""
    found = _find_order(shard, "CancelOrder", command)
    if found is None:
        return
    account, order = found
    if order.status <= n.PARTIALLY_FILLED:
        _forward_cancel(shard, order, command["client_command_id"])
    else:
        command_id = command["client_command_id"]
        say_order(shard, account, order, n.EXEC_CANCEL_REJECTED, command_id, n.ORDER_ENDED)


def _forward_cancel(shard: Shard, order: Order, command_id: str) -> None:
    fields = {
        "account": order.account,
        "client_command_id": command_id,
        "order_id": order.order_id,
    }
    shard.forward(shard.markets[order.ticker], "CancelOrder", fields)


def cancel_all(shard: Shard, command: dict[str, Any]) -> None:
    """One command, a cancel for each live order."""
    account = find_account(shard, "CancelAll", command)
    if account is None or _was_answered(shard, account, "CancelAll", command):
        return
    ticker = command["ticker"]
    if ticker and ticker not in shard.markets:
        refuse(shard, "CancelAll", command, n.UNKNOWN_TICKER)
        return
    remember(shard, account, "CancelAll", command, "")
    if not cancel_every(shard, account, command["client_command_id"], ticker):
        say_command(shard, "CancelAll", command, n.EXEC_ORDER_STATUS, 0)


def cancel_every(shard: Shard, account: Account, command_id: str, ticker: str) -> int:
    """Forward a cancel for each live order in a ticker, or (empty) in all; how many."""
    if not ticker:
        orders = account.live_orders()
    elif ticker in account.holdings:
        orders = list(account.holdings[ticker].live.values())
    else:
        orders = []
    for order in orders:
        _forward_cancel(shard, order, command_id)
    return len(orders)


def reduce_order(shard: Shard, command: dict[str, Any]) -> None:
    """Goes on to the matcher while the order is live and no replace is pending."""
    found = _find_order(shard, "ReduceOrder", command)
    if found is None:
        return
    account, order = found
    reason = _change_fault(order)
    if not reason:
        market = shard.markets[order.ticker]
        reason = _quantity_fault(market, command["quantity"])
        if not reason:
            fields = {
                "account": account.name,
                "client_command_id": command["client_command_id"],
                "order_id": order.order_id,
                "quantity": command["quantity"],
            }
            shard.forward(market, "ReduceOrder", fields)
            return
    _reject_change(shard, account, order, command, reason)


def replace_order(shard: Shard, command: dict[str, Any]) -> None:
    """Reserves the larger of old and new, then goes on to the matcher."""
    found = _find_order(shard, "ReplaceOrder", command)
    if found is None:
        return
    account, order = found
    reason = _change_fault(order)
    if not reason:
        reason = _let_replace_through(shard, account, order, command)
    if reason:
        _reject_change(shard, account, order, command, reason)


def _change_fault(order: Order) -> int:
    if order.status > n.PARTIALLY_FILLED:
        return n.ORDER_ENDED
    return n.REPLACE_PENDING if order.pending is not None else 0


def _reject_change(
    shard: Shard, account: Account, order: Order, command: dict[str, Any], reason: int
) -> None:
    command_id = command["client_command_id"]
    say_order(shard, account, order, n.EXEC_REPLACE_REJECTED, command_id, reason)


def _let_replace_through(
    shard: Shard, account: Account, order: Order, command: dict[str, Any]
) -> int:
    """Checks 5, 12 to 15, 17 and 18 with the new terms, then the acceptance."""
    if account.killed:
        return n.ACCOUNT_KILLED
    market = shard.markets[order.ticker]
    price, quantity = command["price"], command["quantity"]
    reason = (
        _price_fault(market, price)
        or _quantity_fault(market, quantity)
        or _mark_fault(market, price)
    )
    if reason:
        return reason
    holding = account.holdings[order.ticker]
    before = weigh(order)
    command_id = command["client_command_id"]
    order.pending = (command_id, quantity, max(price, market.mark), shard.sent.offset)
    after = weigh(order)
    more = after[0] - before[0], after[1] - before[1]
    reason = _try_weight(account, holding, order.side, *more)[0]
    if reason:
        order.pending = None
        return reason
    holding.shift(order.side, *more)
    check_acceptance(shard, account, holding, order, before)
    fields = {
        "account": account.name,
        "client_command_id": command_id,
        "order_id": order.order_id,
        "price": price,
        "quantity": quantity,
    }
    shard.forward(market, "ReplaceOrder", fields)
    return 0

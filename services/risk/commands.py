"""What clients ask for. Each function checks everything in the order of checks.py, then acts."""

from services.domain.codes import (
    EXEC_CANCEL_REJECTED,
    EXEC_ORDER_STATUS,
    EXEC_REJECTED,
    EXEC_REPLACE_REJECTED,
    MARKET,
    PENDING_NEW,
    REJECTED,
)
from services.domain.commands import (
    CancelAll,
    CancelOrder,
    ClientCommand,
    EnterOrder,
    PlaceOrder,
    ReduceOrder,
    ReplaceOrder,
)
from services.domain.controls import Deposit, KillSwitch, SetLimits
from services.domain.ids import make_order_id
from services.domain.reasons import Reason
from services.risk.accounts import (
    Acceptance,
    Account,
    Holding,
    Market,
    Order,
    PendingChange,
    Shard,
    digest_payload,
)
from services.risk.checks import (
    find_form_fault,
    find_mark_fault,
    find_price_fault,
    find_quantity_fault,
    protection_price,
)
from services.risk.limits import INT64_MAX, value_of, weigh
from services.risk.outbox import Outbox
from services.risk.reports import (
    NO_OFFSET,
    refuse_command,
    report_command,
    report_order,
)


def admit(
    shard: Shard, out: Outbox, command: ClientCommand | Deposit | SetLimits | KillSwitch
) -> Account | None:
    """Checks 1 and 2: the command's account; None when it was refused."""
    if shard.genesis is None:
        refuse_command(shard, out, command, Reason.NO_GENESIS)
        return None
    account = shard.accounts.get(command.account)
    if account is None:
        refuse_command(shard, out, command, Reason.UNKNOWN_ACCOUNT)
    return account


# --- PlaceOrder


def place_order(shard: Shard, out: Outbox, command: PlaceOrder) -> None:
    """Let an order through to the matcher with its worst case reserved, or reject it."""
    account = admit(shard, out, command)
    if account is None:
        return
    command_id = command.client_order_id
    known = account.known.get(command_id)
    if known is not None:
        if isinstance(known, Order) and _is_same_order(known, command):
            report_order(shard, out, account, known, EXEC_ORDER_STATUS, command_id, known.reason)
        else:
            refuse_command(shard, out, command, Reason.DUPLICATE_CONFLICT)
        return
    if shard.is_full():
        refuse_command(shard, out, command, Reason.TABLE_FULL)
        return
    market = shard.markets.get(command.ticker)
    order = _make_order(account, market, command)
    reason = find_form_fault(account, market, command)
    if not reason and market is not None:
        reason = _try_accept(shard, out, account, market, order)
    if reason:
        order.status = REJECTED
        order.reason = int(reason)
        shard.remember_rejected(account, order)
        report_order(shard, out, account, order, EXEC_REJECTED, command_id, order.reason)


def _make_order(account: Account, market: Market | None, command: PlaceOrder) -> Order:
    return Order(
        account.name,
        make_order_id(account.name, command.client_order_id, command.ticker),
        command.client_order_id,
        command.ticker if market is None else market.rules.ticker,
        command.side,
        command.order_type,
        command.time_in_force,
        command.post_only,
        command.self_trade_prevention,
        command.price,
        command.quantity,
        command.price,
        command.quantity,
        0,
        PENDING_NEW,
        NO_OFFSET,
        command.client_order_id,
    )


def _is_same_order(order: Order, command: PlaceOrder) -> bool:
    return (
        order.ticker == command.ticker
        and order.side == command.side
        and order.order_type == command.order_type
        and order.time_in_force == command.time_in_force
        and order.post_only == command.post_only
        and order.submitted_price == command.price
        and order.submitted_quantity == command.quantity
        and order.self_trade_prevention == command.self_trade_prevention
    )


def _try_accept(
    shard: Shard, out: Outbox, account: Account, market: Market, order: Order
) -> Reason:
    """Checks 14 to 18, then the acceptance; the reason if it is not accepted."""
    if fault := find_mark_fault(market, order.price):
        return fault
    assert shard.genesis is not None
    if len(account.live) >= shard.genesis.live_orders_max:
        return Reason.TOO_MANY_LIVE_ORDERS
    mark, quantity = market.mark, order.quantity
    is_market = order.order_type == MARKET
    price = protection_price(market, order.side) if is_market else order.price
    value = value_of(price, mark)
    holding = account.holding(market)
    reason, worst, money, exposure = weigh(account, holding, order.side, quantity, quantity * value)
    if reason:
        return reason
    order.price = price
    order.value = value
    order.accepted_offset = out.offset
    # The bound is that of a report, which shows it.
    order.acceptance = Acceptance(worst, min(money, INT64_MAX), min(exposure, INT64_MAX), mark)
    holding.reserve(order, quantity, quantity * value)
    shard.enter(account, order)
    entered = EnterOrder(
        order.order_id,
        account.name,
        order.side,
        order.order_type,
        order.time_in_force,
        order.post_only,
        price,
        quantity,
        order.self_trade_prevention,
    )
    out.forward(market.rules.partition, order.ticker, entered)
    return Reason.NONE


# --- commands about an order


def cancel_order(shard: Shard, out: Outbox, command: CancelOrder) -> None:
    """Ask the matcher to cancel; the reservation stays until it answers."""
    found = _find_target(shard, out, command)
    if found is None:
        return
    account, order = found
    _remember(shard, account, command)
    if order.order_id in account.live:
        out.forward(shard.markets[order.ticker].rules.partition, order.ticker, command)
    else:
        ended = int(Reason.ORDER_ENDED)
        command_id = command.client_command_id
        report_order(shard, out, account, order, EXEC_CANCEL_REJECTED, command_id, ended)


def reduce_order(shard: Shard, out: Outbox, command: ReduceOrder) -> None:
    """Ask the matcher to reduce; the reservation stays until it answers."""
    found = _find_target(shard, out, command)
    if found is None:
        return
    account, order = found
    _remember(shard, account, command)
    reason = _find_change_fault(account, order)
    if not reason:
        rules = shard.markets[order.ticker].rules
        reason = find_quantity_fault(rules, command.quantity)
        if not reason:
            # Nothing is pending by it: it reserves nothing, so others may follow before its answer.
            out.forward(rules.partition, order.ticker, command)
            return
    _reject_change(shard, out, account, order, command, reason)


def replace_order(shard: Shard, out: Outbox, command: ReplaceOrder) -> None:
    """Ask the matcher to replace, with the larger of old and new reserved until it answers."""
    found = _find_target(shard, out, command)
    if found is None:
        return
    account, order = found
    _remember(shard, account, command)
    reason = _find_change_fault(account, order)
    if not reason:
        reason = _try_accept_replace(shard, out, account, order, command)
    if reason:
        _reject_change(shard, out, account, order, command, reason)


def cancel_all(shard: Shard, out: Outbox, command: CancelAll) -> None:
    """Ask the matchers to cancel every live order; with none, say so."""
    account = admit(shard, out, command)
    if account is None or answered_before(shard, out, account, command):
        return
    if command.ticker and command.ticker not in shard.markets:
        refuse_command(shard, out, command, Reason.UNKNOWN_TICKER)
        return
    _remember(shard, account, command)
    if not fan_out_cancels(shard, out, account, command.client_command_id, command.ticker):
        report_command(shard, out, command, EXEC_ORDER_STATUS, Reason.NONE)


def fan_out_cancels(
    shard: Shard, out: Outbox, account: Account, client_command_id: str, ticker: str
) -> bool:
    """Cancel live orders in order of entry, in one ticker or (empty) all; False: there are none."""
    any_sent = False
    for order in account.live.values():
        if not ticker or order.ticker == ticker:
            any_sent = True
            cancel = CancelOrder(account.name, client_command_id, order.order_id)
            out.forward(shard.markets[order.ticker].rules.partition, order.ticker, cancel)
    return any_sent


def answered_before(
    shard: Shard, out: Outbox, account: Account, command: CancelOrder | ReduceOrder
    | ReplaceOrder | CancelAll,
) -> bool:  # fmt: skip
    """Check 3: whether this command id was used; then it is answered here, and nothing done."""
    known = account.known.get(command.client_command_id)
    if known is None:
        return False
    if isinstance(known, Order) or known.digest != digest_payload(command):
        refuse_command(shard, out, command, Reason.DUPLICATE_CONFLICT)
        return True
    order = account.find_order(known.order_id)
    if order is None:
        order_id = known.order_id
        report_command(shard, out, command, EXEC_ORDER_STATUS, Reason.NONE, order_id)
    else:
        command_id = command.client_command_id
        report_order(shard, out, account, order, EXEC_ORDER_STATUS, command_id, order.reason)
    return True


def _find_target(
    shard: Shard, out: Outbox, command: CancelOrder | ReduceOrder | ReplaceOrder
) -> tuple[Account, Order] | None:
    """Checks 1 to 4 and UNKNOWN_ORDER; None when the command was answered."""
    account = admit(shard, out, command)
    if account is None or answered_before(shard, out, account, command):
        return None
    if shard.is_full() and not isinstance(command, CancelOrder):
        refuse_command(shard, out, command, Reason.TABLE_FULL)
        return None
    order = account.find_order(command.order_id)
    if order is None:
        refuse_command(shard, out, command, Reason.UNKNOWN_ORDER)
        return None
    return account, order


def _find_change_fault(account: Account, order: Order) -> Reason:
    if order.order_id not in account.live:
        return Reason.ORDER_ENDED
    if order.pending is not None:
        return Reason.REPLACE_PENDING
    return Reason.NONE


def _try_accept_replace(
    shard: Shard, out: Outbox, account: Account, order: Order, command: ReplaceOrder
) -> Reason:
    """The other checks of a replace, then its acceptance; the reason if it is not accepted."""
    market = shard.markets[order.ticker]
    price, quantity = command.price, command.quantity
    reason = (
        (Reason.ACCOUNT_KILLED if account.killed else Reason.NONE)
        or find_price_fault(market.rules, price)
        or find_quantity_fault(market.rules, quantity)
        or find_mark_fault(market, price)
    )
    if reason:
        return reason
    value = value_of(price, market.mark)
    holding: Holding = account.holdings[order.ticker]
    open_after = quantity - order.cumulative_quantity
    reserved_quantity = max(order.reserved_quantity, open_after)
    reserved_value = max(order.reserved_value, open_after * value)
    reason, _, _, _ = weigh(
        account,
        holding,
        order.side,
        reserved_quantity - order.reserved_quantity,
        reserved_value - order.reserved_value,
    )
    if reason:
        return reason
    order.pending = PendingChange(command.client_command_id, quantity, value, out.offset)
    holding.reserve(order, reserved_quantity, reserved_value)
    out.forward(market.rules.partition, order.ticker, command)
    return Reason.NONE


def _reject_change(
    shard: Shard, out: Outbox, account: Account, order: Order,
    command: ReduceOrder | ReplaceOrder, reason: Reason,
) -> None:  # fmt: skip
    command_id = command.client_command_id
    report_order(shard, out, account, order, EXEC_REPLACE_REJECTED, command_id, int(reason))


def _remember(
    shard: Shard, account: Account,
    command: CancelOrder | ReduceOrder | ReplaceOrder | CancelAll,
) -> None:  # fmt: skip
    order_id = "" if isinstance(command, CancelAll) else command.order_id
    shard.remember_command(account, command.client_command_id, order_id, digest_payload(command))

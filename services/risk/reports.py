"""What risk says in `executions`: one report builder for each kind of thing it can say.

Every report takes the account's next sequence; reports about an account that nobody opened carry
sequence 0. Side and order type are 0 where there is none, or where the client's makes no sense.
"""

from typing import Final

from services.domain import codes
from services.domain.codes import EXEC_NEW, LIVE_STATUSES, REJECTED
from services.domain.commands import (
    CancelOrder,
    ClientCommand,
    PlaceOrder,
    ReduceOrder,
    ReplaceOrder,
)
from services.domain.controls import Deposit, KillSwitch, OpenAccount, SetLimits
from services.domain.events import AccountState, ExecutionReport, OrderFilled, TickerLimits
from services.domain.ids import make_order_id
from services.domain.reasons import Reason
from services.risk.accounts import Account, Order, Shard
from services.risk.limits import (
    INT64_MAX,
    notional_max,
    position_max,
    worst_exposure,
    worst_money,
    worst_shares,
)
from services.risk.outbox import Outbox

type AccountControl = OpenAccount | Deposit | SetLimits | KillSwitch

NO_OFFSET: Final = -1

_WITHOUT_TICKER: Final = (CancelOrder, ReduceOrder, ReplaceOrder, OpenAccount, KillSwitch)


def _codes_of(order: Order) -> tuple[int, int]:
    """Side and order type; 0 for one that makes no sense, which may be why it was rejected."""
    side, order_type = order.side, order.order_type
    if order.status == REJECTED:
        side = side if side in codes.SIDE_NAMES else 0
        order_type = order_type if order_type in codes.ORDER_TYPE_NAMES else 0
    return side, order_type


def report_order(
    shard: Shard,
    out: Outbox,
    account: Account,
    order: Order,
    exec_type: int,
    client_command_id: str,
    reason: int = 0,
    fill: OrderFilled | None = None,
) -> None:
    """Say what happened to an order, and how it and its account stand after it."""
    account.sequence += 1
    holding = account.holdings.get(order.ticker)
    position = worst = money = 0
    if holding is not None:
        position, mark = holding.position, holding.market.mark
    else:
        market = shard.markets.get(order.ticker)
        mark = 0 if market is None else market.mark
    accepted = order.acceptance
    if exec_type == EXEC_NEW and accepted is not None:
        worst, money = accepted.position_worst, accepted.notional_worst
        exposure, mark = accepted.exposure_worst, accepted.mark
    else:
        exposure = worst_exposure(account)
        if holding is not None:
            worst, money = worst_shares(holding), worst_money(holding)
    side, order_type = _codes_of(order)
    status = order.status
    live = status in LIVE_STATUSES
    # By position: with 26 fields, names would double the time this takes.
    report = ExecutionReport(
        account.name,
        account.sequence,
        order.order_id,
        order.client_order_id,
        client_command_id,
        order.ticker,
        exec_type,
        status,
        side,
        order_type,
        order.price,
        order.quantity,
        0 if fill is None else fill.quantity,
        0 if fill is None else fill.price,
        0 if fill is None else fill.liquidity,
        "" if fill is None else fill.trade_id,
        order.cumulative_quantity,
        order.quantity - order.cumulative_quantity if live else 0,
        order.cumulative_notional,
        position,
        worst,
        min(INT64_MAX, money),
        min(INT64_MAX, exposure),
        mark,
        reason,
        order.accepted_offset,
    )
    out.say(account.name, report)


def report_command(
    shard: Shard,
    out: Outbox,
    command: ClientCommand | AccountControl,
    exec_type: int,
    reason: Reason,
    order_id: str = "",
) -> None:
    """Say something about a command that touches no order: refused, or nothing to do.

    A PlaceOrder's report names the order it would have been. Another command's names an order only
    when the caller knows it for the account's own: what it asks about may be somebody else's.
    """
    ticker = "" if isinstance(command, _WITHOUT_TICKER) else command.ticker
    side = order_type = price = quantity = 0
    client_order_id = ""
    if isinstance(command, PlaceOrder):
        command_id = client_order_id = command.client_order_id
        order_id = make_order_id(command.account, client_order_id, ticker)
        side = command.side if command.side in codes.SIDE_NAMES else 0
        order_type = command.order_type if command.order_type in codes.ORDER_TYPE_NAMES else 0
        price, quantity = command.price, command.quantity
    else:
        command_id = command.client_command_id
    account = shard.accounts.get(command.account)
    market = shard.markets.get(ticker)
    holding = None if account is None else account.holdings.get(ticker)
    if account is not None:
        account.sequence += 1
    report = ExecutionReport(
        account=command.account,
        account_sequence=0 if account is None else account.sequence,
        order_id=order_id,
        client_order_id=client_order_id,
        client_command_id=command_id,
        ticker=ticker,
        exec_type=exec_type,
        order_status=codes.NO_ORDER,
        side=side,
        order_type=order_type,
        price=price,
        quantity=quantity,
        last_quantity=0,
        last_price=0,
        liquidity=0,
        trade_id="",
        cumulative_quantity=0,
        remaining_quantity=0,
        cumulative_notional=0,
        position=0 if holding is None else holding.position,
        position_worst=0 if holding is None else worst_shares(holding),
        notional_worst=0 if holding is None else min(worst_money(holding), INT64_MAX),
        exposure_worst=0 if account is None else min(worst_exposure(account), INT64_MAX),
        mark=0 if market is None else market.mark,
        reason=int(reason),
        accepted_offset=NO_OFFSET,
    )
    out.say(command.account, report)


def refuse_command(
    shard: Shard, out: Outbox, command: ClientCommand | AccountControl, reason: Reason
) -> None:
    """COMMAND_REJECTED: touches no order's status, and is not remembered."""
    report_command(shard, out, command, codes.EXEC_COMMAND_REJECTED, reason)


def report_forgotten(
    out: Outbox, account: Account, order_id: str, client_command_id: str,
    exec_type: int, reason: int,
) -> None:  # fmt: skip
    """The matcher answers a command about an order that ended so long ago that it is forgotten."""
    account.sequence += 1
    report = ExecutionReport(
        account.name, account.sequence, order_id, "", client_command_id, "", exec_type,
        codes.NO_ORDER, 0, 0, 0, 0, 0, 0, 0, "", 0, 0, 0, 0, 0, 0,
        min(worst_exposure(account), INT64_MAX), 0, reason, NO_OFFSET,
    )  # fmt: skip
    out.say(account.name, report)


def report_account(shard: Shard, out: Outbox, account: Account, client_command_id: str) -> None:
    """ACCOUNT_STATE: limits and positions as they are now."""
    account.sequence += 1
    tickers = []
    for ticker in shard.markets:  # in genesis order
        holding = account.holdings.get(ticker)
        if holding is None:
            continue
        has_limit = holding.position_max >= 0 or holding.notional_max >= 0
        if holding.position or has_limit:
            limits = position_max(account, holding), notional_max(account, holding)
            tickers.append(TickerLimits(ticker, holding.position, *limits))
    state = AccountState(
        account=account.name,
        account_sequence=account.sequence,
        client_command_id=client_command_id,
        killed=account.killed,
        short_allowed=account.short_allowed,
        exposure_max=account.exposure_max,
        position_max=account.position_max,
        notional_max=account.notional_max,
        tickers=tuple(tickers),
    )
    out.say(account.name, state)

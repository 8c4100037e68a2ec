"""What must stand in `executions`: reports of orders, of commands, and of accounts."""

from typing import Any, Final

from services.tools.proof.audit.model import numbers as n
from services.tools.proof.audit.model.accounts import NO_OFFSET, Account, Order, Shard
from services.tools.proof.audit.model.ids import order_id_of

_NO_FILL: Final[dict[str, Any]] = {"quantity": 0, "price": 0, "liquidity": 0, "trade_id": ""}
_TICKERLESS: Final = frozenset(
    {"CancelOrder", "ReduceOrder", "ReplaceOrder", "OpenAccount", "KillSwitch"}
)


def say_order(
    shard: Shard,
    account: Account,
    order: Order,
    exec_type: int,
    command_id: str,
    reason: int = 0,
    fill: dict[str, Any] = _NO_FILL,
) -> None:
    """What happened to an order; on NEW, with what its acceptance knew."""
    holding = account.holdings.get(order.ticker)
    position = worst = money = 0
    if holding is not None:
        position, mark = holding.position, holding.market.mark
    else:
        market = shard.markets.get(order.ticker)
        mark = 0 if market is None else market.mark
    if exec_type == n.EXEC_NEW and order.acceptance is not None:
        worst, money, exposure, mark = order.acceptance
    else:
        exposure = account.exposure()
        if holding is not None:
            worst, money = holding.worst()
    status = order.status
    side, order_type = order.side, order.order_type
    if status == n.REJECTED:
        side = side if side in n.SIDES else 0
        order_type = order_type if order_type in n.ORDER_TYPES else 0
    account.sequence += 1
    fields = {
        "account": account.name,
        "account_sequence": account.sequence,
        "order_id": order.order_id,
        "client_order_id": order.client_order_id,
        "client_command_id": command_id,
        "ticker": order.ticker,
        "exec_type": exec_type,
        "order_status": status,
        "side": side,
        "order_type": order_type,
        "price": order.price,
        "quantity": order.quantity,
        "last_quantity": fill["quantity"],
        "last_price": fill["price"],
        "liquidity": fill["liquidity"],
        "trade_id": fill["trade_id"],
        "cumulative_quantity": order.filled,
        "remaining_quantity": (
            order.quantity - order.filled if status <= n.PARTIALLY_FILLED else 0
        ),
        "cumulative_notional": order.filled_money,
        "position": position,
        "position_worst": worst,
        "notional_worst": min(money, n.SHOWN_MAX),
        "exposure_worst": min(exposure, n.SHOWN_MAX),
        "mark": mark,
        "reason": reason,
        "accepted_offset": order.accepted_offset,
    }
    shard.say(account.name, "ExecutionReport", fields)


_ORDERLESS: Final[dict[str, Any]] = {
    "account": "",
    "account_sequence": 0,
    "order_id": "",
    "client_order_id": "",
    "client_command_id": "",
    "ticker": "",
    "exec_type": 0,
    "order_status": n.NO_ORDER,
    "side": 0,
    "order_type": 0,
    "price": 0,
    "quantity": 0,
    "last_quantity": 0,
    "last_price": 0,
    "liquidity": 0,
    "trade_id": "",
    "cumulative_quantity": 0,
    "remaining_quantity": 0,
    "cumulative_notional": 0,
    "position": 0,
    "position_worst": 0,
    "notional_worst": 0,
    "exposure_worst": 0,
    "mark": 0,
    "reason": 0,
    "accepted_offset": NO_OFFSET,
}


def say_command(
    shard: Shard, record: str, command: dict[str, Any], exec_type: int, reason: int,
    order_id: str = "",
) -> None:  # fmt: skip
    """Something about a command that touches no order; a PlaceOrder's names what it would be."""
    fields = _ORDERLESS.copy()
    name = command["account"]
    ticker = "" if record in _TICKERLESS else command["ticker"]
    fields["account"] = name
    fields["exec_type"] = exec_type
    fields["reason"] = reason
    fields["ticker"] = ticker
    fields["order_id"] = order_id
    if record == "PlaceOrder":
        client_order_id = command["client_order_id"]
        fields["client_order_id"] = fields["client_command_id"] = client_order_id
        fields["order_id"] = order_id_of(name, client_order_id, ticker)
        fields["side"] = command["side"] if command["side"] in n.SIDES else 0
        order_type = command["order_type"]
        fields["order_type"] = order_type if order_type in n.ORDER_TYPES else 0
        fields["price"], fields["quantity"] = command["price"], command["quantity"]
    else:
        fields["client_command_id"] = command["client_command_id"]
    market = shard.markets.get(ticker)
    if market is not None:
        fields["mark"] = market.mark
    account = shard.accounts.get(name)
    if account is not None:
        account.sequence += 1
        fields["account_sequence"] = account.sequence
        fields["exposure_worst"] = min(account.exposure(), n.SHOWN_MAX)
        holding = account.holdings.get(ticker)
        if holding is not None:
            fields["position"] = holding.position
            fields["position_worst"], money = holding.worst()
            fields["notional_worst"] = min(money, n.SHOWN_MAX)
    shard.say(name, "ExecutionReport", fields)


def refuse(shard: Shard, record: str, command: dict[str, Any], reason: int) -> None:
    """COMMAND_REJECTED."""
    say_command(shard, record, command, n.EXEC_COMMAND_REJECTED, reason)


def say_forgotten(
    shard: Shard, account: Account, event: dict[str, Any], exec_type: int, reason: int
) -> None:
    """The matcher answers about an order that is no longer remembered."""
    account.sequence += 1
    fields = _ORDERLESS.copy()
    fields["account"] = account.name
    fields["account_sequence"] = account.sequence
    fields["order_id"] = event["order_id"]
    fields["client_command_id"] = event["client_command_id"]
    fields["exec_type"] = exec_type
    fields["exposure_worst"] = min(account.exposure(), n.SHOWN_MAX)
    fields["reason"] = reason
    shard.say(account.name, "ExecutionReport", fields)


def say_account(shard: Shard, account: Account, command_id: str) -> None:
    """ACCOUNT_STATE: tickers with a position or a limit of their own, in genesis order."""
    account.sequence += 1
    tickers = []
    for ticker in shard.markets:
        holding = account.holdings.get(ticker)
        if holding is not None and (
            holding.position or holding.position_max >= 0 or holding.notional_max >= 0
        ):
            tickers.append(
                {
                    "ticker": ticker,
                    "position": holding.position,
                    "position_max": account.position_limit(holding),
                    "notional_max": account.notional_limit(holding),
                }
            )
    fields = {
        "account": account.name,
        "account_sequence": account.sequence,
        "client_command_id": command_id,
        "killed": account.killed,
        "short_allowed": account.short_allowed,
        "exposure_max": account.exposure_max,
        "position_max": account.position_max,
        "notional_max": account.notional_max,
        "tickers": tickers,
    }
    shard.say(account.name, "AccountState", fields)

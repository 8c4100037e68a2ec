"""Accounts, their holdings and orders, as one partition of `accounts` tells of them.

What an order reserves is not kept with it: it follows from its terms, `weigh` says how. A holding
keeps the orders that are open in it and running sums of their weights; caps.py adds them up anew.
"""

from collections import deque
from typing import Any, Final

from services.tools.proof.audit.model import numbers as n
from services.tools.proof.audit.model.said import Witness
from services.tools.proof.audit.model.trace import Sent

NO_OFFSET: Final = -1


class Order:
    """One order from its arrival until it is forgotten. It is live up to PARTIALLY_FILLED."""

    __slots__ = (
        "acceptance", "accepted_offset", "account", "cause_id", "client_order_id", "ended_us",
        "entry", "filled", "filled_money", "order_id", "order_type", "pending", "post_only",
        "price", "quantity", "reason", "self_trade_prevention", "side", "status",
        "submitted_price", "submitted_quantity", "ticker", "time_in_force", "value",
    )  # fmt: skip

    def __init__(self, account: str, order_id: str, ticker: str, command: dict[str, Any]) -> None:
        self.account = account
        self.order_id = order_id
        self.client_order_id: str = command["client_order_id"]
        self.ticker = ticker
        self.side: int = command["side"]
        self.order_type: int = command["order_type"]
        self.time_in_force: int = command["time_in_force"]
        self.post_only: bool = command["post_only"]
        self.self_trade_prevention: int = command["self_trade_prevention"]
        self.submitted_price: int = command["price"]
        self.submitted_quantity: int = command["quantity"]
        # Stated, since what comes out of a command is Any, and would be an object once compiled.
        self.price: int = self.submitted_price
        self.quantity: int = self.submitted_quantity
        self.cause_id: str = self.client_order_id
        """The command that last sent it into the book."""
        self.value = 0
        self.status = n.PENDING_NEW
        self.accepted_offset = NO_OFFSET
        self.reason = 0
        self.filled = 0
        self.filled_money = 0
        self.ended_us = 0
        self.acceptance: tuple[int, int, int, int] | None = None
        """W, E, exposure and mark of the acceptance, until NEW was said."""
        self.pending: tuple[str, int, int, int] | None = None
        """Command id, new total, value and offset of a replace the matcher has not answered."""
        self.entry = 0
        """Its place among all orders that were let through."""

    def row(self) -> list[Any]:
        """For a dump; see state.py."""
        live = self.status <= n.PARTIALLY_FILLED
        shares, money = weigh(self) if live else (0, 0)
        return [
            0, self.account, self.order_id, self.client_order_id, self.ticker, self.side,
            self.order_type, self.time_in_force, self.post_only, self.self_trade_prevention,
            self.submitted_price, self.submitted_quantity, self.price, self.quantity, self.value,
            self.status, self.accepted_offset, self.cause_id, self.reason, shares, money,
            self.filled, self.filled_money, self.ended_us, self.acceptance, self.pending,
        ]  # fmt: skip


def read_order(row: list[Any]) -> Order:
    """An order from a dump; what it reserves follows from its terms."""
    (
        _, account, order_id, client_order_id, ticker, side, order_type, time_in_force, post_only,
        self_trade_prevention, submitted_price, submitted_quantity, price, quantity, value, status,
        accepted_offset, cause_id, reason, _, _, filled, filled_money, ended_us, acceptance,
        pending,
    ) = row  # fmt: skip
    submitted = {
        "client_order_id": client_order_id,
        "side": side,
        "order_type": order_type,
        "time_in_force": time_in_force,
        "post_only": post_only,
        "self_trade_prevention": self_trade_prevention,
        "price": submitted_price,
        "quantity": submitted_quantity,
    }
    order = Order(account, order_id, ticker, submitted)
    order.price, order.quantity, order.value = price, quantity, value
    order.status, order.accepted_offset, order.cause_id = status, accepted_offset, cause_id
    order.reason, order.filled, order.filled_money = reason, filled, filled_money
    order.ended_us = ended_us
    order.acceptance = None if acceptance is None else tuple(acceptance)
    order.pending = None if pending is None else tuple(pending)
    return order


class Done:
    """A remembered command other than PlaceOrder."""

    __slots__ = ("account", "command_id", "digest", "ended_us", "order_id")

    def __init__(
        self, account: str, command_id: str, order_id: str, digest: bytes, ended_us: int
    ) -> None:
        self.account = account
        self.command_id = command_id
        self.order_id = order_id
        self.digest = digest
        self.ended_us = ended_us

    def row(self) -> list[Any]:
        """For a dump."""
        return [1, self.account, self.command_id, self.order_id, self.digest, self.ended_us]


def weigh(order: Order) -> tuple[int, int]:
    """Shares and money an open order can still come to: with a pending replace, the larger."""
    left = order.quantity - order.filled
    money = left * order.value
    change = order.pending
    if change is not None:
        other = change[1] - order.filled
        left, money = max(left, other), max(money, other * change[2])
    return left, money


class Market:
    """One ticker's rules, and its mark (0: none) as this partition knows it."""

    __slots__ = (
        "band_bps",
        "collar_bps",
        "lot",
        "mark",
        "partition",
        "quantity_max",
        "sub_dollar_tick",
        "tick",
        "ticker",
    )

    def __init__(self, rules: dict[str, Any]) -> None:
        self.ticker: str = rules["ticker"]
        self.partition: int = rules["partition"]
        self.tick: int = rules["tick"]
        self.sub_dollar_tick: int = rules["sub_dollar_tick"]
        self.lot: int = rules["lot"]
        self.collar_bps: int = rules["price_collar_bps"]
        self.band_bps: int = rules["market_band_bps"]
        self.quantity_max: int = rules["order_quantity_max"]
        self.mark = 0


class Holding:
    """One account in one ticker."""

    __slots__ = (
        "bought",
        "buys",
        "buys_money",
        "deposited",
        "live",
        "market",
        "notional_max",
        "position",
        "position_max",
        "sells",
        "sells_money",
        "sold",
    )

    def __init__(self, market: Market) -> None:
        self.market = market
        self.position = 0
        self.deposited = self.bought = self.sold = 0
        self.buys = self.sells = self.buys_money = self.sells_money = 0
        self.position_max = self.notional_max = n.UNCHANGED
        self.live: dict[str, Order] = {}

    def shift(self, side: int, shares: int, money: int) -> None:
        """The open orders of a side weigh so much more (or less) than before."""
        if side == n.BUY:
            self.buys += shares
            self.buys_money += money
        else:
            self.sells += shares
            self.sells_money += money

    def worst(self) -> tuple[int, int]:
        """W and E, by the running sums."""
        position = self.position
        held = position * self.market.mark
        return (
            max(position + self.buys, self.sells - position),
            max(held + self.buys_money, self.sells_money - held),
        )


class Account:
    """One account; `known` holds every remembered order and command by its client's id."""

    __slots__ = (
        "exposure_max",
        "holdings",
        "killed",
        "known",
        "live_count",
        "name",
        "notional_max",
        "orders",
        "position_max",
        "sequence",
        "short_allowed",
        "unread",
    )

    def __init__(self, fields: dict[str, Any]) -> None:
        self.name: str = fields["account"]
        self.sequence = 0
        self.killed = False
        self.short_allowed: bool = fields["short_allowed"]
        self.position_max: int = fields["position_max"]
        self.notional_max: int = fields["notional_max"]
        self.exposure_max: int = fields["exposure_max"]
        self.holdings: dict[str, Holding] = {}
        self.orders: dict[str, Order] = {}
        """Live and remembered ones, by order id."""
        self.known: dict[str, Order | Done] = {}
        self.live_count = 0
        self.unread = 0
        """Acceptances since its orders were last added up anew."""

    def holding(self, market: Market) -> Holding:
        """In this market, whether or not there was one."""
        held = self.holdings.get(market.ticker)
        if held is None:
            held = self.holdings[market.ticker] = Holding(market)
        return held

    def exposure(self) -> int:
        """The sum of E over all tickers, by the running sums."""
        total = 0
        for holding in self.holdings.values():
            held = holding.position * holding.market.mark
            long, short = held + holding.buys_money, holding.sells_money - held
            total += long if long > short else short  # noqa: FURB136 - half the time of max()
        return total

    def position_limit(self, holding: Holding) -> int:
        """The ticker's own limit, or the account's."""
        return self.position_max if holding.position_max < 0 else holding.position_max

    def notional_limit(self, holding: Holding) -> int:
        """The ticker's own limit, or the account's."""
        return self.notional_max if holding.notional_max < 0 else holding.notional_max

    def live_orders(self) -> list[Order]:
        """In order of entry, over all tickers."""
        if len(self.holdings) == 1:
            return [order for holding in self.holdings.values() for order in holding.live.values()]
        orders = [order for holding in self.holdings.values() for order in holding.live.values()]
        return sorted(orders, key=_entry)


def _entry(order: Order) -> int:
    return order.entry


class Shard:
    """Everything one partition of `accounts` tells; what it must say goes to `sent`."""

    __slots__ = (
        "accounts",
        "checked",
        "counts",
        "ended",
        "genesis",
        "live_count",
        "live_max",
        "markets",
        "now_us",
        "partition",
        "remember_us",
        "remembered_max",
        "said_us",
        "sent",
        "time_us",
        "witness",
    )

    def __init__(self, partition: int, witness: Witness) -> None:
        self.partition = partition
        self.witness = witness
        self.sent = Sent(n.FROM_ACCOUNTS, partition)
        self.genesis: dict[str, Any] | None = None
        self.remember_us = self.remembered_max = self.live_max = 0
        self.now_us = 0
        self.said_us = 0
        """What reports are stamped with."""
        self.time_us = 0
        """The present input's own log time, which goes on to the matcher."""
        self.markets: dict[str, Market] = {}
        self.accounts: dict[str, Account] = {}
        self.live_count = 0
        self.ended: deque[Order | Done] = deque()
        self.counts = Counts()
        self.checked = 0
        """Orders let through so far: the entry of the last one."""

    def begin(self, genesis: dict[str, Any]) -> None:
        """The first genesis."""
        self.genesis = genesis
        self.remember_us = genesis["remember_ended_us"]
        self.remembered_max = genesis["remembered_max"]
        self.live_max = genesis["live_orders_max"]
        self.markets = {rules["ticker"]: Market(rules) for rules in genesis["instruments"]}

    def advance(self, time_us: int) -> None:
        """Time is the highest seen. A little of what is remembered too long is forgotten."""
        self.now_us = max(self.now_us, time_us)
        self.said_us = self.now_us
        ended = self.ended
        if not ended:
            return
        kept_from_us = self.now_us - self.remember_us
        for _ in range(min(n.FORGOTTEN_MAX, len(ended))):
            gone = ended[0]
            if gone.ended_us >= kept_from_us:
                return
            ended.popleft()
            account = self.accounts[gone.account]
            if isinstance(gone, Order):
                del account.known[gone.client_order_id], account.orders[gone.order_id]
            else:
                del account.known[gone.command_id]

    def is_full(self) -> bool:
        """No further order or command can be remembered."""
        return self.live_count + len(self.ended) >= self.remembered_max

    def end(
        self, account: Account, holding: Holding, order: Order, status: int, reason: int
    ) -> None:
        """A live order ends, and all it reserved is free."""
        shares, money = weigh(order)
        holding.shift(order.side, -shares, -money)
        del holding.live[order.order_id]
        account.live_count -= 1
        self.live_count -= 1
        order.status = status
        order.reason = reason
        order.pending = order.acceptance = None
        order.ended_us = self.now_us
        self.ended.append(order)

    def say(self, account: str, record: str, fields: dict[str, Any]) -> None:
        """Into `executions`."""
        self.sent.put("executions", self.partition, account, record, fields, self.said_us)

    def forward(self, market: Market, record: str, fields: dict[str, Any]) -> None:
        """To the matcher of a ticker, with the command's own log time."""
        self.sent.put("matching", market.partition, market.ticker, record, fields, self.time_us)


class Counts:
    """How many orders and shares; see `RiskModel.totals`."""

    __slots__ = (
        "accepted",
        "added_up",
        "bought",
        "canceled",
        "filled",
        "rejected",
        "sold",
        "submitted",
    )

    def __init__(self) -> None:
        self.submitted = self.filled = self.canceled = self.rejected = 0
        self.accepted = self.added_up = 0
        self.bought = self.sold = 0

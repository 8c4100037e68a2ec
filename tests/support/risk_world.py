"""The accounts of one partition, folded the plainest way; see risk_oracle.py for what it is for.

It shares no code with services/risk: orders are a list, and a sum is made by adding up all of it.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Final

from services.domain.amounts import BPS, PRICE_MAX, PRICE_SCALE
from services.domain.commands import EnterOrder, PlaceOrder, ReplaceOrder
from services.domain.controls import (
    Deposit,
    Genesis,
    Instrument,
    KillSwitch,
    OpenAccount,
    SetLimits,
    SetMark,
)
from services.domain.events import (
    MarkChanged,
    OrderAccepted,
    OrderCanceled,
    OrderFilled,
    OrderReduced,
    OrderRefused,
    OrderReplaced,
    ReplaceRefused,
)
from services.wire.messages import Payload

LIVE: Final = ("PENDING_NEW", "NEW", "PARTIALLY_FILLED")


@dataclass(eq=False)
class Order:
    """One life of one order id."""

    account: str
    order_id: str
    ticker: str
    side: int
    total: int
    value: int
    status: str = "PENDING_NEW"
    filled: int = 0
    paid: int = 0
    pending: tuple[str, int, int] | None = None
    """A replace on its way: command id, new total, new value."""
    ended_us: int = 0

    @property
    def is_live(self) -> bool:
        return self.status in LIVE

    def reserves(self) -> tuple[int, int]:
        """Shares and money it counts for: while a replace is on its way, the larger of both."""
        terms = [(self.total - self.filled, self.value)]
        if self.pending is not None:
            terms.append((self.pending[1] - self.filled, self.pending[2]))
        return max(q for q, _ in terms), max(q * v for q, v in terms)


@dataclass
class Happened:
    """One message of `accounts`, what risk decided on it, and when."""

    payload: Payload
    now_us: int
    is_new: bool
    """It is not a command sent again."""
    entered: EnterOrder | None
    """What risk sent to the matcher for a PlaceOrder."""
    forwarded: bool
    """Risk passed something on."""
    taken: bool
    """A control that was answered by the account's state."""


@dataclass
class World:
    """Everything, as a fold of what happened gives it."""

    genesis: Genesis | None = None
    opened: dict[str, OpenAccount] = field(default_factory=dict)
    limits: dict[tuple[str, str, str], int] = field(default_factory=dict)
    """What SetLimits stated, by account, ticker (or empty) and name."""
    killed: dict[str, bool] = field(default_factory=dict)
    positions: Counter[tuple[str, str]] = field(default_factory=Counter)
    marks: dict[str, int] = field(default_factory=dict)
    open_orders: list[Order] = field(default_factory=list)
    """Every live order, in order of entry."""
    last_lives: dict[tuple[str, str], Order] = field(default_factory=dict)
    """The last life of each order that was sent to a matcher, by account and order id."""

    def find(self, account: str, order_id: str) -> Order | None:
        return self.last_lives.get((account, order_id))

    def live(self, account: str, ticker: str) -> list[Order]:
        """An account's live orders in one ticker or (empty) all, in order of entry."""
        return [
            order
            for order in self.open_orders
            if order.account == account and ticker in ("", order.ticker)
        ]

    def rules(self, ticker: str) -> Instrument:
        assert self.genesis is not None
        return next(i for i in self.genesis.instruments if i.ticker == ticker)

    def limit(self, account: str, ticker: str, name: str) -> int:
        """The ticker's own limit, or the account's later default, or the one it opened with."""
        own = self.limits.get((account, ticker, name), -1)
        default = self.limits.get((account, "", name), -1)
        opened_with = int(getattr(self.opened[account], name))
        return next(value for value in (own, default, opened_with) if value >= 0)

    def short_allowed(self, account: str) -> bool:
        return self.limit(account, "", "short_allowed") == 1

    def open_sums(self, account: str, ticker: str) -> tuple[int, int, int, int]:
        """B, S, VB and VS, by adding up the orders."""
        sums = Counter[str]()
        for order in self.live(account, ""):
            if order.ticker != ticker:
                continue
            quantity, money = order.reserves()
            sums[f"{order.side} shares"] += quantity
            sums[f"{order.side} money"] += money
        return sums["1 shares"], sums["-1 shares"], sums["1 money"], sums["-1 money"]

    def shares_at_worst(self, account: str, ticker: str) -> int:
        """W, word by word."""
        p = self.positions[account, ticker]
        b, s, _, _ = self.open_sums(account, ticker)
        return max(abs(p + b), abs(p - s))

    def money_at_worst(self, account: str, ticker: str) -> int:
        """E, word by word."""
        p, m = self.positions[account, ticker], self.marks.get(ticker, 0)
        _, _, vb, vs = self.open_sums(account, ticker)
        return max(abs(p * m + vb), abs(p * m - vs), abs(p) * m)

    def exposure(self, account: str) -> int:
        """The sum of E over all tickers."""
        assert self.genesis is not None
        return sum(self.money_at_worst(account, i.ticker) for i in self.genesis.instruments)

    def protection_price(self, ticker: str, side: int) -> int:
        """The last tick inside mark x (1 ± band), by trying one tick after the other."""
        rules, mark = self.rules(ticker), self.marks[ticker]
        edge = mark * (1 + side * Fraction(rules.market_band_bps, BPS))
        tick = rules.tick if edge >= PRICE_SCALE else rules.sub_dollar_tick
        price = int(edge) // tick * tick + side * -2 * tick
        while side * (price + side * tick) <= side * edge:
            price += side * tick
        return price

    def apply(self, happened: Happened) -> None:
        """Fold one more."""
        match happened.payload:
            case Genesis() as genesis:
                self.genesis = self.genesis or genesis
            case MarkChanged() | SetMark() as said:
                tickers = [i.ticker for i in self.genesis.instruments] if self.genesis else []
                if said.ticker in tickers and 0 < said.mark <= PRICE_MAX:
                    self.marks[said.ticker] = said.mark
            case OpenAccount() | Deposit() | SetLimits() | KillSwitch() as control:
                if happened.is_new and happened.taken:
                    self._apply_control(control)
            case PlaceOrder() as command:
                if happened.entered is not None:
                    self._enter(command, happened.entered)
            case ReplaceOrder() as command:
                order = self.find(command.account, command.order_id)
                if order is not None and happened.forwarded:
                    value = max(command.price, self.marks.get(order.ticker, 0))
                    order.pending = (command.client_command_id, command.quantity, value)
            case event:
                self._apply_event(event, happened.now_us)

    def _enter(self, command: PlaceOrder, entered: EnterOrder) -> None:
        ticker, quantity = command.ticker, command.quantity
        value = max(entered.price, self.marks.get(ticker, 0))
        order_id = entered.order_id
        order = Order(command.account, order_id, ticker, command.side, quantity, value)
        self.open_orders.append(order)
        self.last_lives[command.account, order_id] = order

    def _apply_control(self, control: OpenAccount | Deposit | SetLimits | KillSwitch) -> None:
        match control:
            case OpenAccount():
                self.opened.setdefault(control.account, control)
            case Deposit():
                self.positions[control.account, control.ticker] += control.quantity
            case KillSwitch():
                self.killed[control.account] = control.engaged
            case SetLimits():
                for name, ticker in (
                    ("position_max", control.ticker),
                    ("notional_max", control.ticker),
                    ("exposure_max", ""),
                    ("short_allowed", ""),
                ):
                    if (stated := getattr(control, name)) != -1:
                        self.limits[control.account, ticker, name] = stated

    def _apply_event(self, event: Payload, now_us: int) -> None:
        account, order_id = getattr(event, "account", ""), getattr(event, "order_id", "")
        order = self.find(account, order_id)
        if order is None or not order.is_live:
            return
        match event:
            case OrderAccepted():
                order.status = "NEW"
            case OrderRefused():
                order.status, order.ended_us = "REJECTED", now_us
            case OrderCanceled():
                order.status, order.ended_us = "CANCELED", now_us
            case OrderFilled():
                self.marks[order.ticker] = event.price
                self.positions[order.account, order.ticker] += order.side * event.quantity
                order.filled += event.quantity
                order.paid += event.price * event.quantity
                order.status = "PARTIALLY_FILLED"
                if order.filled == order.total:
                    order.status, order.ended_us = "FILLED", now_us
            case OrderReduced():
                order.total = event.quantity
            case OrderReplaced() if order.pending is not None:
                order.total, order.value = event.quantity, order.pending[2]
                order.pending = None
            case ReplaceRefused() if order.pending is not None:
                if order.pending[0] == event.client_command_id:
                    order.pending = None
            case _:
                pass
        if order.status not in LIVE:
            self.open_orders.remove(order)


def refold(history: Iterable[Happened]) -> World:
    """Everything from the beginning."""
    world = World()
    for happened in history:
        world.apply(happened)
    return world

"""A seeded flow of commands for one book, as risk would forward them."""

from random import Random
from typing import Any, Final

import msgspec

from services.domain import codes, origin
from services.domain.commands import CancelOrder, EnterOrder, ReduceOrder, ReplaceOrder
from services.domain.controls import Genesis, Instrument
from services.domain.events import (
    OrderAccepted,
    OrderCanceled,
    OrderFilled,
    OrderReduced,
    OrderReplaced,
)
from services.domain.ids import make_order_id
from services.domain.origin import Origin
from services.matcher.core import MatcherCore
from services.wire.codec import Decoded
from services.wire.messages import Payload
from services.wire.partition import account_partition

_MID_START: Final = 1_000_000
_ACCOUNTS: Final = 60
_RESTING_TARGET: Final = 2_000
_STEP_US_MAX: Final = 2_000
_START_US: Final = 1_700_000_000_000_000
_AGGRESSORS: Final = (
    (codes.LIMIT, codes.GTC),
    (codes.LIMIT, codes.GTC),
    (codes.LIMIT, codes.IOC),
    (codes.LIMIT, codes.FOK),
    (codes.MARKET, codes.IOC),
)


class Flow(msgspec.Struct, frozen=True):
    """Commands of one ticker; `warm_up` fills the book before anything is timed."""

    ticker: str
    partition: int
    warm_up: list[Decoded[Any]]
    commands: list[Decoded[Any]]
    orders: int
    """How many of `commands` enter an order."""


def make_flow(genesis: Genesis, instrument: Instrument, orders: int, seed: int) -> Flow:
    """A book of some 2,000 orders around a mid that wanders, then `orders` more orders.

    Of a hundred commands about sixty enter an order (fifteen of these reach across the spread:
    GTC, IOC, FOK and market), thirty-four cancel, six reduce or replace. The same arguments give
    the same flow.
    """
    crowd = _Crowd(genesis, instrument, seed)
    crowd.say(genesis)
    while len(crowd.left) < _RESTING_TARGET:
        crowd.place()
    warm_up, crowd.said = crowd.said, []
    placed = 0
    while placed < orders:
        placed += crowd.act()
    return Flow(instrument.ticker, instrument.partition, warm_up, crowd.said, orders)


class _Crowd:
    """Accounts at one book; it runs a matcher along to know which orders are alive."""

    def __init__(self, genesis: Genesis, instrument: Instrument, seed: int) -> None:
        self.said: list[Decoded[Any]] = []
        self.left: dict[str, int] = {}
        """Shares that remain of each live order."""
        self._orders: dict[str, EnterOrder] = {}
        self._ids: list[str] = []
        self._account_partitions = genesis.account_partitions
        self._instrument = instrument
        self._random = Random(f"{seed}/{instrument.ticker}")
        self._matcher = MatcherCore(instrument.partition)
        self._sequences: dict[int, int] = {}
        self._mid = _MID_START
        self._time_us = _START_US
        self._offset = -1

    def act(self) -> int:
        """One command; returns 1 if it entered an order."""
        random = self._random
        self._mid += self._instrument.tick * random.choice((-1, 0, 0, 0, 0, 0, 0, 1))
        crowded = min(max(len(self.left) / _RESTING_TARGET - 1, -1), 1)
        if random.random() < 0.6 - 0.3 * crowded:
            if random.random() < 0.75:
                self.place()
            else:
                self.take()
            return 1
        self._change(self._orders[self._pick()])
        return 0

    def place(self) -> None:
        """A limit order near the mid, on its own side."""
        side = self._random.choice((codes.BUY, codes.SELL))
        distance = 1 + min(int(self._random.expovariate(0.12)), 100)
        price = self._mid - side * distance * self._instrument.tick
        post_only = self._random.random() < 0.1
        self._enter(side, (codes.LIMIT, codes.GTC), price, post_only=post_only)

    def take(self) -> None:
        """An order that reaches across the spread."""
        side = self._random.choice((codes.BUY, codes.SELL))
        kind = self._random.choice(_AGGRESSORS)
        reach = 50 if kind[0] == codes.MARKET else self._random.randint(1, 6)
        self._enter(side, kind, self._mid + side * reach * self._instrument.tick, post_only=False)

    def _enter(self, side: int, kind: tuple[int, int], price: int, *, post_only: bool) -> None:
        account = f"trader-{self._random.randrange(_ACCOUNTS)}"
        order_id = make_order_id(account, str(self._offset), self._instrument.ticker)
        quantity = self._random.randint(1, 8) * 50
        prevention = self._random.choice(tuple(codes.SELF_TRADE_PREVENTION_NAMES))
        order = EnterOrder(order_id, account, side, *kind, post_only, price, quantity, prevention)
        self._orders[order_id] = order
        self.say(order)
        if order_id in self.left:
            self._ids.append(order_id)
        else:
            del self._orders[order_id]

    def _pick(self) -> str:
        """A live order; ended ones are forgotten when the draw hits them."""
        ids = self._ids
        while True:
            place = self._random.randrange(len(ids))
            if ids[place] in self.left:
                return ids[place]
            ids[place], ids[-1] = ids[-1], ids[place]
            del self._orders[ids.pop()]

    def _change(self, order: EnterOrder) -> None:
        ids = (order.account, f"c-{self._offset}", order.order_id)
        chance = self._random.random()
        if chance < 0.85:
            self.say(CancelOrder(*ids))
        elif chance < 0.92:
            self.say(ReduceOrder(*ids, order.quantity - 50))
        else:
            price = order.price + self._instrument.tick * self._random.randint(-3, 3)
            self.say(ReplaceOrder(*ids, price, order.quantity))

    def say(self, payload: Payload) -> None:
        """Send one command and note what the matcher makes of it."""
        self._offset += 1
        self._time_us += self._random.randrange(_STEP_US_MAX)
        command = Decoded(self._origin(payload), payload, 0)
        self.said.append(command)
        for message in self._matcher.handle(self._offset, command):
            match message.payload:
                case OrderAccepted(order_id=order_id):
                    self.left[order_id] = self._orders[order_id].quantity
                case OrderFilled(order_id=order_id, quantity=quantity):
                    self.left[order_id] -= quantity
                    if not self.left[order_id]:
                        del self.left[order_id]
                case OrderCanceled(order_id=order_id):
                    del self.left[order_id]
                case OrderReplaced(order_id=order_id, price=price):
                    order = self._orders[order_id]
                    self._orders[order_id] = msgspec.structs.replace(order, price=price)
                case OrderReduced(order_id=order_id, quantity=quantity):
                    order = self._orders[order_id]
                    self.left[order_id] -= order.quantity - quantity
                    self._orders[order_id] = msgspec.structs.replace(order, quantity=quantity)

    def _origin(self, payload: Payload) -> Origin:
        """Risk's four partitions send, each with its own sequence; the genesis is a control."""
        if isinstance(payload, Genesis):
            return Origin(origin.CONTROLS, 0, 0, 0, 0, self._time_us, 0)
        account: str = getattr(payload, "account", "")
        partition = account_partition(account, self._account_partitions)
        sequence = self._sequences[partition] = self._sequences.get(partition, 0) + 1
        return Origin(origin.ACCOUNTS, partition, self._offset, 0, sequence, self._time_us, 0)

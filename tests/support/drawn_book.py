"""One book to talk to in short words, which answers in short words and can be drawn.

    book = DrawnBook()
    book.sell("s1", 100, "10.01")
    assert book.buy("b1", 30, "10.01") == [
        "b1 accepted", "trade 30 @ 10.01", "s1 maker 30", "b1 taker 30",
    ]
    assert book.draw() == ["10.01: s1 70", "---"]

Drawn are the asks from the highest price down, a line, the bids from the best price down, and at
each price the orders in the order in which they will trade, with what remains of them.
"""

from typing import Any

import msgspec

from services.domain import codes, events
from services.domain.amounts import format_price, parse_price
from services.domain.commands import CancelOrder, EnterOrder, ReduceOrder, ReplaceOrder
from services.domain.controls import Genesis
from services.domain.genesis import default_genesis
from services.domain.origin import ACCOUNTS, CONTROLS, Origin
from services.domain.reasons import Reason
from services.matcher.core import MatcherCore
from services.wire.codec import Decoded
from services.wire.messages import Message, Payload

TICKER = "AAPL"
PREFIX = f"{TICKER}-"


class DrawnBook:
    """AAPL's matcher after its genesis (`genesis` changes fields of the shipped one)."""

    def __init__(self, *, begun: bool = True, partition: int = 0, **genesis: object) -> None:
        self.matcher = MatcherCore(partition)
        self.genesis = msgspec.structs.replace(default_genesis("test"), **genesis)
        self.time_us = 1_000_000
        self.event_time_us = 0
        self.messages: list[Message] = []
        """What the last command caused, as it goes out."""
        self._offset = -1
        self._accounts: dict[str, str] = {}
        if begun:
            self.send(self.genesis)

    def send(self, payload: Payload) -> list[str]:
        """Any command; what it caused, in short words, without marks."""
        self._offset += 1
        topic = CONTROLS if isinstance(payload, Genesis) else ACCOUNTS
        cause = Origin(topic, 0, self._offset, 0, 0, self.time_us, self.event_time_us)
        self.messages = self.matcher.handle(self._offset, Decoded(cause, payload, 0))
        told = [m for m in self.messages if not isinstance(m.payload, events.MarkChanged)]
        return [describe(message.payload) for message in told]

    def enter(self, name: str, side: int, quantity: int, price: str, **fields: object) -> list[str]:
        """An order; `fields` are EnterOrder's, its account is `owner-of-<name>` by itself."""
        plain: dict[str, object] = {
            "order_id": PREFIX + name,
            "account": f"owner-of-{name}",
            "side": side,
            "order_type": codes.LIMIT,
            "time_in_force": codes.GTC,
            "post_only": False,
            "price": parse_price(price),
            "quantity": quantity,
            "self_trade_prevention": codes.CANCEL_RESTING,
        }
        order = msgspec.convert(plain | fields, EnterOrder)
        self._accounts[name] = order.account
        return self.send(order)

    def buy(self, name: str, quantity: int, price: str, **fields: object) -> list[str]:
        """A limit order, good till canceled, unless the fields say otherwise."""
        return self.enter(name, codes.BUY, quantity, price, **fields)

    def sell(self, name: str, quantity: int, price: str, **fields: object) -> list[str]:
        """A limit order, good till canceled, unless the fields say otherwise."""
        return self.enter(name, codes.SELL, quantity, price, **fields)

    def cancel(self, name: str, account: str | None = None) -> list[str]:
        return self.send(CancelOrder(self._owner(name, account), "cancel-1", PREFIX + name))

    def reduce(self, name: str, quantity: int) -> list[str]:
        return self.send(ReduceOrder(self._owner(name), "reduce-1", PREFIX + name, quantity))

    def replace(self, name: str, quantity: int, price: str) -> list[str]:
        account = self._owner(name)
        order_id = PREFIX + name
        return self.send(ReplaceOrder(account, "replace-1", order_id, parse_price(price), quantity))

    def draw(self) -> list[str]:
        """See the module's docstring."""
        state = msgspec.msgpack.decode(self.matcher.dump())
        bids, asks = _draw_side(state[-2]), _draw_side(state[-1])
        return [*reversed(asks), "---", *bids]

    def marks(self) -> list[tuple[int, str]]:
        """Account partition and mark of each mark the last command sent."""
        return [
            (message.partition, format_price(message.payload.mark))
            for message in self.messages
            if isinstance(message.payload, events.MarkChanged)
        ]

    def trades(self) -> list[events.Trade]:
        """The trades of the last command."""
        return [m.payload for m in self.messages if isinstance(m.payload, events.Trade)]

    def _owner(self, name: str, account: str | None = None) -> str:
        return account or self._accounts.get(name, f"owner-of-{name}")


def describe(payload: Payload) -> str:
    """One message in short words."""
    name = getattr(payload, "order_id", "").removeprefix(PREFIX)
    match payload:
        case events.Trade(price=price, quantity=quantity):
            return f"trade {quantity} @ {format_price(price)}"
        case events.OrderAccepted():
            return f"{name} accepted"
        case events.OrderFilled(quantity=quantity, liquidity=liquidity):
            return f"{name} {'maker' if liquidity == codes.MAKER else 'taker'} {quantity}"
        case events.OrderCanceled(quantity=quantity, reason=reason):
            return f"{name} canceled {quantity} {Reason(reason).name}"
        case events.OrderReduced(quantity=quantity):
            return f"{name} reduced to {quantity}"
        case events.OrderReplaced(price=price, quantity=quantity):
            return f"{name} replaced by {quantity} @ {format_price(price)}"
        case (
            events.OrderRefused(reason=reason)
            | events.CancelRefused(reason=reason)
            | events.ReplaceRefused(reason=reason)
        ):
            kind = type(payload).__name__.removesuffix("Refused").lower()
            return f"{name} {kind} refused {Reason(reason).name}"
        case _:
            return repr(payload)


def _draw_side(rows: list[list[Any]]) -> list[str]:
    lines: dict[int, str] = {}
    for order_id, _, price, quantity, filled, _, _ in rows:
        line = lines.get(price, f"{format_price(price)}:")
        lines[price] = f"{line} {order_id.removeprefix(PREFIX)} {quantity - filled}"
    return list(lines.values())

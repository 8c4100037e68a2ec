"""The rules of a book as checks of what went in, what came out and what lay there before.

Each check takes one step of a matcher and returns what it finds wrong, in words; nothing is
shared with any matcher. `tests/property/matcher` plants faults and sees each check find one.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol

import msgspec

from services.domain import codes
from services.domain.commands import EnterOrder, ReduceOrder, ReplaceOrder
from services.domain.events import (
    OrderAccepted,
    OrderCanceled,
    OrderFilled,
    OrderReduced,
    OrderReplaced,
    Trade,
)
from services.domain.reasons import Reason
from services.wire.codec import Decoded
from services.wire.messages import Message, Payload


class Rest(NamedTuple):
    """A row of a dump."""

    order_id: str
    account: str
    price: int
    quantity: int
    filled: int
    post_only: bool
    self_trade_prevention: int

    @property
    def left(self) -> int:
        return self.quantity - self.filled


class Books(NamedTuple):
    """Both sides of a dump, each in the order in which it would trade."""

    bids: list[Rest]
    asks: list[Rest]

    def orders(self) -> dict[str, Rest]:
        return {rest.order_id: rest for rest in self.bids + self.asks}


class Step(NamedTuple):
    """One command: the book before it, what it caused, the book after it."""

    command: Payload
    before: Books
    said: list[Payload]
    after: Books


class Matcher(Protocol):
    """What every matcher here has."""

    def handle(self, offset: int, decoded: Decoded[Any]) -> list[Message]: ...

    def dump(self) -> bytes: ...


def read_books(matcher: Matcher) -> Books:
    """The orders that rest, from the dump."""
    *_, bids, asks = msgspec.msgpack.decode(matcher.dump())
    return Books([Rest(*row) for row in bids], [Rest(*row) for row in asks])


def walk(matcher: Matcher, stream: list[Decoded[Any]]) -> Iterator[Step]:
    """Fold a stream, step by step."""
    before = read_books(matcher)
    for offset, decoded in enumerate(stream):
        said = [message.payload for message in matcher.handle(offset, decoded)]
        after = read_books(matcher)
        yield Step(decoded.payload, before, said, after)
        before = after


def find_crossed(step: Step) -> str:
    """Never crossed, never locked, and sorted by price."""
    bids = [rest.price for rest in step.after.bids]
    asks = [rest.price for rest in step.after.asks]
    if bids and asks and bids[0] >= asks[0]:
        return f"crossed: bid {bids[0]}, ask {asks[0]}"
    if bids != sorted(bids, reverse=True) or asks != sorted(asks):
        return "the prices of a side are out of order"
    return ""


def find_unfair(step: Step) -> str:
    """Each trade is with the first order of the side, at that order's price, within its size."""
    trades = [said for said in step.said if isinstance(said, Trade)]
    if not trades:
        return ""
    side = trades[0].aggressor_side
    queue = list(step.before.asks if side == codes.BUY else step.before.bids)
    left = {rest.order_id: rest.left for rest in queue}
    for said in step.said:
        if isinstance(said, OrderCanceled) and said.order_id in left:
            queue = [rest for rest in queue if rest.order_id != said.order_id]
        if not isinstance(said, Trade):
            continue
        first = queue[0] if queue else None
        if first is None or said.maker_order_id != first.order_id:
            return f"traded with {said.maker_order_id}, but {first} was first"
        if said.price != first.price:
            return f"traded at {said.price}, the maker's price was {first.price}"
        left[first.order_id] -= said.quantity
        if left[first.order_id] < 0:
            return f"{first.order_id} gave more than it had"
        if left[first.order_id] == 0:
            queue.pop(0)
    return ""


def find_beyond_limit(step: Step) -> str:
    """Nobody pays more, or gets less, than the limit of the order that came."""
    if not isinstance(step.command, EnterOrder | ReplaceOrder):
        return ""
    limit = step.command.price
    for said in step.said:
        if isinstance(said, Trade) and said.aggressor_side * (said.price - limit) > 0:
            return f"traded at {said.price}, beyond the limit {limit}"
    return ""


def find_two_sided(step: Step) -> str:
    """Each trade is told to its maker and its taker, with the same price and size."""
    for trade in (said for said in step.said if isinstance(said, Trade)):
        fills = [
            (said.order_id, said.account, said.price, said.quantity, said.liquidity)
            for said in step.said
            if isinstance(said, OrderFilled) and said.trade_id == trade.trade_id
        ]
        how_much = (trade.price, trade.quantity)
        if fills != [
            (trade.maker_order_id, trade.maker_account, *how_much, codes.MAKER),
            (trade.taker_order_id, trade.taker_account, *how_much, codes.TAKER),
        ]:
            return f"{trade.trade_id} was told as {fills}"
    return ""


def find_half_filled_fok(step: Step) -> str:
    """A fill-or-kill order fills whole, or ends at once and leaves the book as it was."""
    command = step.command
    is_fok = isinstance(command, EnterOrder) and command.time_in_force == codes.FOK
    if not is_fok or not any(isinstance(said, OrderAccepted) for said in step.said):
        return ""
    assert isinstance(command, EnterOrder)
    filled = sum(said.quantity for said in step.said if isinstance(said, Trade))
    if filled == command.quantity:
        return ""
    ended = [said for said in step.said if isinstance(said, OrderCanceled)]
    if filled or step.after != step.before or [e.reason for e in ended] != [Reason.FOK_UNFILLED]:
        return f"a fill-or-kill order of {command.quantity} filled {filled} and changed the book"
    return ""


def find_lost_priority(step: Step) -> str:
    """A reduction, asked for as such or by a replace at the same price, moves nobody."""
    reduced = isinstance(step.command, ReduceOrder)
    if isinstance(step.command, ReplaceOrder):
        was = step.before.orders().get(step.command.order_id)
        reduced = was is not None and (
            step.command.price == was.price and step.command.quantity < was.quantity
        )
    if not reduced:
        return ""
    for before, after in zip(step.before, step.after, strict=True):
        if [rest.order_id for rest in before] != [rest.order_id for rest in after]:
            return "a reduction changed the order of the queue"
    return ""


def find_queue_jumped(step: Step) -> str:
    """Who was in the book before and stays untouched keeps its place among the others."""
    moved = getattr(step.command, "order_id", "")
    for before, after in zip(step.before, step.after, strict=True):
        there = {rest.order_id for rest in after}
        stayed = [r.order_id for r in before if r.order_id in there and r.order_id != moved]
        now = [r.order_id for r in after if r.order_id != moved]
        if stayed != now:
            return f"the queue was {stayed} and is {now}"
        here = [rest for rest in after if rest.order_id == moved]
        came = moved not in {rest.order_id for rest in before}
        if here and came and here[0] != [r for r in after if r.price == here[0].price][-1]:
            return f"{moved} came and is not last at its price"
    return ""


def find_leak(step: Step) -> str:
    """Shares are conserved: before + entered = filled + canceled + after, order by order."""
    balance = {order_id: rest.left for order_id, rest in step.before.orders().items()}
    totals = {order_id: rest.quantity for order_id, rest in step.before.orders().items()}
    for said in step.said:
        match said:
            case OrderAccepted(order_id=order_id):
                assert isinstance(step.command, EnterOrder)
                balance[order_id] = step.command.quantity
            case OrderFilled(order_id=order_id, quantity=quantity):
                balance[order_id] -= quantity
            case OrderCanceled(order_id=order_id, quantity=quantity):
                balance[order_id] -= quantity
            case (
                OrderReduced(order_id=order_id, quantity=quantity)
                | OrderReplaced(order_id=order_id, quantity=quantity)
            ):
                balance[order_id] += quantity - totals[order_id]
    after = {order_id: rest.left for order_id, rest in step.after.orders().items()}
    remaining = {order_id: left for order_id, left in balance.items() if left}
    if after != remaining:
        return f"{remaining} should rest, {after} does"
    return ""


def find_long_sweep(step: Step, orders_max: int) -> str:
    """Nothing meets more orders than one command may, and only at that many is it cut short."""
    trades = sum(isinstance(said, Trade) for said in step.said)
    ends = [said for said in step.said if isinstance(said, OrderCanceled)]
    moved = getattr(step.command, "order_id", "")
    met = trades + sum(end.order_id != moved for end in ends)
    if met > orders_max:
        return f"{moved} met {met} orders, {orders_max} are allowed"
    if any(end.reason == Reason.SWEEP_LIMIT for end in ends) and met != orders_max:
        return f"{moved} was cut short after {met} orders, {orders_max} are allowed"
    return ""


CHECKS = (
    find_crossed,
    find_unfair,
    find_beyond_limit,
    find_two_sided,
    find_half_filled_fok,
    find_lost_priority,
    find_queue_jumped,
    find_leak,
)


def find_broken_rule(step: Step) -> str:
    """The first rule that a step breaks; empty if it keeps them all."""
    return next((finding for check in CHECKS if (finding := check(step))), "")

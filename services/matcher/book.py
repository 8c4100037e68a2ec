"""One ticker's resting orders, in price-time priority.

Each side keeps its prices in a sorted list whose last is the best (bids as they are, asks
negated), a level for each price, and in each level its orders as a doubly linked list in order of
arrival. So the best order is at hand, and entering, filling or canceling an order costs the same
however many wait at its price; a price that comes or goes moves the end of a short list.
"""

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from services.domain.codes import ALLOW_SELF_TRADE, BUY, CANCEL_INCOMING, SELL
from services.domain.events import Level

type OrderRow = tuple[str, str, int, int, int, bool, int]
"""One resting order in a dump: the first fields of Order, without its side."""


class Order(msgspec.Struct, eq=False):
    """One resting order. It is in exactly one book."""

    order_id: str
    account: str
    side: int
    price: int
    quantity: int
    """Total, filled part included."""
    filled: int
    post_only: bool
    self_trade_prevention: int
    level: "PriceLevel | None" = None
    ahead: "Order | None" = None
    """The order before it at its price."""
    behind: "Order | None" = None


class PriceLevel:
    """The orders at one price of one side, first come first."""

    __slots__ = ("first", "last", "orders", "price", "quantity")

    def __init__(self, price: int) -> None:
        self.price = price
        self.quantity = 0
        """Shares that remain, of all orders together."""
        self.orders = 0
        self.first: Order | None = None
        self.last: Order | None = None


class BookSide:
    """The orders of one side. `best` is the level that trades first; None while it is empty."""

    __slots__ = ("_keys", "_levels", "_sign", "best")

    def __init__(self, side: int) -> None:
        self.best: PriceLevel | None = None
        self._sign: Final = side
        self._keys: list[int] = []
        self._levels: dict[int, PriceLevel] = {}

    def append(self, order: Order) -> None:
        """Put an order last at its price."""
        price = order.price
        level = self._levels.get(price)
        if level is None:
            level = self._levels[price] = PriceLevel(price)
            keys = self._keys
            key = price * self._sign
            insort(keys, key)
            if keys[-1] == key:
                self.best = level
        last = level.last
        if last is None:
            level.first = order
        else:
            last.behind = order
            order.ahead = last
        level.last = order
        level.quantity += order.quantity - order.filled
        level.orders += 1
        order.level = level

    def remove(self, order: Order) -> None:
        """Take an order out, wherever it stands."""
        level = order.level
        assert level is not None, f"{order.order_id} does not rest here"
        ahead, behind = order.ahead, order.behind
        if ahead is None:
            level.first = behind
        else:
            ahead.behind = behind
            order.ahead = None
        if behind is None:
            level.last = ahead
        else:
            behind.ahead = ahead
            order.behind = None
        order.level = None
        level.quantity -= order.quantity - order.filled
        level.orders -= 1
        if level.first is None:
            self._drop(level)

    def _drop(self, level: PriceLevel) -> None:
        assert level.quantity == 0, f"{level.quantity} shares of nobody at {level.price}"
        del self._levels[level.price]
        keys = self._keys
        if level is self.best:
            keys.pop()
            self.best = self._levels[keys[-1] * self._sign] if keys else None
        else:
            del keys[bisect_left(keys, level.price * self._sign)]

    def levels(self) -> Iterator[PriceLevel]:
        """From the best price on."""
        sign = self._sign
        return (self._levels[key * sign] for key in reversed(self._keys))

    def orders(self) -> Iterator[Order]:
        """In the order in which they would trade."""
        for level in self.levels():
            order = level.first
            while order is not None:
                yield order
                order = order.behind

    def depth(self, levels_max: int) -> tuple[Level, ...]:
        """The best levels, as the `book` topic shows them."""
        sign = self._sign
        levels = [self._levels[key * sign] for key in self._keys[: -levels_max - 1 : -1]]
        return tuple(Level(level.price, level.quantity, level.orders) for level in levels)


class Book:
    """Both sides of one ticker, and every resting order by its id."""

    __slots__ = ("asks", "bids", "orders")

    def __init__(self) -> None:
        self.bids: Final = BookSide(BUY)
        self.asks: Final = BookSide(SELL)
        self.orders: Final[dict[str, Order]] = {}

    def side(self, side: int) -> BookSide:
        """The bids for BUY, the asks for SELL."""
        return self.bids if side == BUY else self.asks

    def add(self, order: Order) -> None:
        """Let an order rest, last at its price. Its id must not be live."""
        self.orders[order.order_id] = order
        (self.bids if order.side == BUY else self.asks).append(order)

    def remove(self, order: Order) -> None:
        """Take an order out."""
        del self.orders[order.order_id]
        (self.bids if order.side == BUY else self.asks).remove(order)

    def fill(self, order: Order, quantity: int) -> None:
        """Fill some of what remains of an order; it leaves when nothing does."""
        order.filled += quantity
        level = order.level
        assert level is not None, f"{order.order_id} does not rest here"
        level.quantity -= quantity
        if order.filled == order.quantity:
            self.remove(order)

    def reduce(self, order: Order, quantity: int) -> None:
        """Lower an order's total quantity; it keeps its place."""
        assert order.filled < quantity < order.quantity, f"{order.order_id}: no reduction"
        level = order.level
        assert level is not None, f"{order.order_id} does not rest here"
        level.quantity -= order.quantity - quantity
        order.quantity = quantity

    def would_cross(self, side: int, price: int) -> bool:
        """Whether an order with this limit would trade on arrival."""
        best = (self.asks if side == BUY else self.bids).best
        return best is not None and side * best.price <= side * price

    def can_fill(
        self,
        side: int,
        price: int,
        quantity: int,
        account: str,
        self_trade_prevention: int,
        orders_max: int,
    ) -> bool:
        """Whether an order would fill entirely, orders of its own account counted by its policy.

        Own orders that it would cancel on its way are no liquidity, yet count among the at most
        `orders_max` that it may meet; one that would cancel it ends the count.
        """
        orders_left = orders_max
        for level in self.side(-side).levels():
            if side * level.price > side * price:
                return False
            if self_trade_prevention == ALLOW_SELF_TRADE and quantity > level.quantity:
                # It would take them all and still want more. The last level is counted by order.
                quantity -= level.quantity
                orders_left -= level.orders
                if orders_left <= 0:
                    return False
                continue
            order = level.first
            while order is not None:
                if orders_left == 0:
                    return False
                orders_left -= 1
                if order.account != account or self_trade_prevention == ALLOW_SELF_TRADE:
                    quantity -= order.quantity - order.filled
                    if quantity <= 0:
                        return True
                elif self_trade_prevention == CANCEL_INCOMING:
                    return False
                order = order.behind
        return False

    def rows(self, side: int) -> list[OrderRow]:
        """A side's orders in the order in which they would trade, for a dump."""
        return [
            (
                order.order_id,
                order.account,
                order.price,
                order.quantity,
                order.filled,
                order.post_only,
                order.self_trade_prevention,
            )
            for order in self.side(side).orders()
        ]

    def load(self, side: int, rows: Iterable[OrderRow]) -> None:
        """Enter a dump's rows into an empty side."""
        for order_id, account, price, quantity, filled, post_only, prevention in rows:
            self.add(Order(order_id, account, side, price, quantity, filled, post_only, prevention))

"""One ticker's book: for each price of a side, its orders by id as they arrived.

Which order is next is known twice: the first order of the best level, which trades; and the top of
a heap of (price, arrival) over all that rest, by which each trade is checked.
"""

from bisect import bisect_left, insort
from collections.abc import Iterator
from heapq import heapify, heappop, heappush
from typing import Any, Final

from services.tools.proof.audit.model import numbers as n

_STALE_MIN: Final = 1_024
"""Below so many entries a heap is not cleared of orders that are gone."""


class Resting:
    """One order that rests, or a replaced one on its way through the book."""

    __slots__ = (
        "account", "arrival", "filled", "order_id", "post_only", "price", "quantity",
        "self_trade_prevention", "side",
    )  # fmt: skip

    def __init__(
        self, order_id: str, account: str, side: int, price: int, quantity: int, filled: int,
        *, post_only: bool, self_trade_prevention: int,
    ) -> None:  # fmt: skip
        self.order_id = order_id
        self.account = account
        self.side = side
        self.price = price
        self.quantity = quantity
        self.filled = filled
        self.post_only = post_only
        self.self_trade_prevention = self_trade_prevention
        self.arrival = 0
        """Its place in time among all that ever rested here."""


class Level:
    """One price."""

    __slots__ = ("orders", "price", "shares")

    def __init__(self, price: int) -> None:
        self.price = price
        self.orders: dict[str, Resting] = {}
        self.shares = 0
        """What remains, of all of them."""


class Side:
    """The bids or the asks; `keys` ascend from the best: the negated price of bids."""

    __slots__ = ("_heap", "_keys", "_levels", "_orders", "sign")

    def __init__(self, side: int, orders: dict[str, Resting]) -> None:
        self.sign = -side
        """Key = price x this."""
        self._keys: list[int] = []
        self._levels: dict[int, Level] = {}
        self._heap: list[tuple[int, int, str]] = []
        self._orders = orders

    def best(self) -> Level | None:
        """The level that trades first."""
        return self._levels[self._keys[0]] if self._keys else None

    def levels(self) -> Iterator[Level]:
        """From the best on."""
        return map(self._levels.__getitem__, self._keys)

    def insert(self, order: Resting) -> None:
        """Last at its price."""
        key = order.price * self.sign
        level = self._levels.get(key)
        if level is None:
            level = self._levels[key] = Level(order.price)
            insort(self._keys, key)
        level.orders[order.order_id] = order
        level.shares += order.quantity - order.filled
        heappush(self._heap, (key, order.arrival, order.order_id))

    def change(self, order: Resting, shares: int) -> None:
        """What remains of an order changes by so much; it keeps its place."""
        self._levels[order.price * self.sign].shares += shares

    def delete(self, order: Resting) -> None:
        """Wherever it stands."""
        key = order.price * self.sign
        level = self._levels[key]
        del level.orders[order.order_id]
        level.shares -= order.quantity - order.filled
        if not level.orders:
            del self._levels[key], self._keys[bisect_left(self._keys, key)]

    def oldest_at_best(self) -> str:
        """Id of the order that price-time priority names; empty if none rests."""
        heap, orders = self._heap, self._orders
        while heap:
            _, arrival, order_id = heap[0]
            order = orders.get(order_id)
            if order is not None and order.arrival == arrival:
                return order_id
            heappop(heap)
        return ""

    def clear_stale(self) -> None:
        """Keep the heap within a few times what rests."""
        heap, orders = self._heap, self._orders
        if len(heap) > _STALE_MIN + 4 * len(orders):
            heap[:] = [
                entry
                for entry in heap
                if (order := orders.get(entry[2])) is not None and order.arrival == entry[1]
            ]
            heapify(heap)

    def depth(self) -> list[dict[str, int]]:
        """The levels that `book` shows, added up from their orders."""
        return [
            {
                "price": level.price,
                "quantity": sum(o.quantity - o.filled for o in level.orders.values()),
                "orders": len(level.orders),
            }
            for level, _ in zip(self.levels(), range(n.DEPTH_LEVELS), strict=False)
        ]

    def rows(self) -> list[list[Any]]:
        """For a dump; see state.py."""
        return [
            [
                order.order_id, order.account, order.price, order.quantity, order.filled,
                order.post_only, order.self_trade_prevention,
            ]
            for level in self.levels()
            for order in level.orders.values()
        ]  # fmt: skip


class Book:
    """Both sides, and every resting order by its id."""

    __slots__ = ("_arrivals", "asks", "bids", "orders")

    def __init__(self) -> None:
        self.orders: dict[str, Resting] = {}
        self.bids = Side(n.BUY, self.orders)
        self.asks = Side(n.SELL, self.orders)
        self._arrivals = 0

    def side(self, side: int) -> Side:
        """Where orders of this side rest."""
        return self.bids if side == n.BUY else self.asks

    def insert(self, order: Resting) -> None:
        """Let it rest behind all others at its price."""
        self._arrivals += 1
        order.arrival = self._arrivals
        self.orders[order.order_id] = order
        self.side(order.side).insert(order)

    def delete(self, order: Resting) -> None:
        """It no longer rests."""
        del self.orders[order.order_id]
        side = self.side(order.side)
        side.delete(order)
        side.clear_stale()

    def is_crossed(self) -> bool:
        """Whether a bid stands at or above an ask."""
        bid, ask = self.bids.best(), self.asks.best()
        return bid is not None and ask is not None and bid.price >= ask.price

    def crosses(self, side: int, price: int) -> bool:
        """Whether an order with this limit meets the other side."""
        other = self.side(-side).best()
        if other is None:
            return False
        return other.price <= price if side == n.BUY else other.price >= price

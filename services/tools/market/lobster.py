"""LOBSTER messages as commands: what an exchange would have been told for its book to do the same.

A file shows a window of the book: orders older than the file, and orders that were placed while
their level was outside the window, have no message of their own. The rules that fill the gap:

1. The first book row is seeded as one synthetic order a level; its message is part of it.
2. A new order is placed, a reduction reduces, a deletion cancels, an execution is an aggressing
   IOC order of the other side at the maker's price. Hidden executions, crosses and halts show
   nothing of the book: skipped and counted.
3. A message about an order never seen acts on the synthetic one of its level.
4. A reduction or deletion that names more than is left of its order takes the rest from orders
   that the file says are gone, then from synthetic ones.
5. Orders in levels beyond the window are canceled.
6. A level that enters at the far end of the window is placed as a synthetic order.

Without an orderbook file there is no window and nothing synthetic: 2 alone, for orders seen.

The adapter keeps a plain book of its own to decide by, and never waits for the exchange.
"""

from bisect import bisect_left, insort
from collections.abc import Iterator
from typing import Final

import msgspec

from services.domain.amounts import PRICE_MAX
from services.domain.codes import ALLOW_SELF_TRADE, BUY, GTC, IOC, LIMIT, SELL
from services.domain.commands import CancelOrder, ClientCommand, PlaceOrder, ReduceOrder
from services.domain.ids import make_order_id
from services.tools.market.lobster_files import (
    CROSS,
    EXECUTION,
    HALT,
    HIDDEN_EXECUTION,
    NEW_ORDER,
    BookRow,
    LobsterMessage,
)

ACCOUNT: Final = "lobster"
"""The one account of a replay: risk's shards never race for priority."""

ANY_SYNTHETIC: Final = "*"
"""In `Step.maker`: the file names an order never seen, so a synthetic one stands for it."""


class Step(msgspec.Struct, frozen=True, gc=False):
    """The commands of one row."""

    row: int
    """From 0, as the files' rows."""
    time_us: int
    """Event time, microseconds after midnight."""
    commands: tuple[ClientCommand, ...]
    keys: tuple[str, ...]
    """How `matching` names each command: the order id of an entry, else the client command id."""
    synthetic: int
    """How many of the last commands place synthetic orders."""
    maker: str
    """Of an execution: the order id of the maker the file names, or ANY_SYNTHETIC; else empty."""


class Skipped(msgspec.Struct):
    """How many messages led to no command of their own, by cause."""

    hidden_executions: int = 0
    crosses: int = 0
    halts: int = 0
    outside: int = 0
    """About orders that are in no level of the window (or, without one, never were seen)."""


class _Order:
    """One resting order, as the adapter believes it."""

    __slots__ = ("file_remaining", "key", "order_id", "remaining", "side", "synthetic", "total")

    def __init__(self, order_id: str, side: int, key: int, shares: int, *, synthetic: bool) -> None:
        self.order_id = order_id
        self.side = side
        self.key = key
        self.remaining = shares
        self.total = shares
        self.file_remaining = shares
        self.synthetic = synthetic


class _Side:
    """Levels by a key that is smaller the better the price: price x -side."""

    __slots__ = ("keys", "levels")

    def __init__(self) -> None:
        self.keys: list[int] = []
        self.levels: dict[int, dict[str, _Order]] = {}

    def add(self, order: _Order) -> None:
        level = self.levels.get(order.key)
        if level is None:
            insort(self.keys, order.key)
            level = self.levels[order.key] = {}
        level[order.order_id] = order

    def remove(self, order: _Order) -> None:
        level = self.levels[order.key]
        del level[order.order_id]
        if not level:
            del self.levels[order.key]
            del self.keys[bisect_left(self.keys, order.key)]


class Adapter:
    """Decides the commands of each row, in file order.

    Args:
        ticker: the book that the commands go to.
        levels: the window's levels a side; 0: no orderbook file, no window.
    """

    def __init__(self, ticker: str, levels: int) -> None:
        self.skipped = Skipped()
        self._ticker = ticker
        self._levels = levels
        self._sides = {BUY: _Side(), SELL: _Side()}
        self._seen: dict[int, _Order] = {}
        self._row = -1
        self._synthetic_placed = 0
        self._withdrawals = 0
        self._commands: list[ClientCommand] = []
        self._keys: list[str] = []

    def step(self, message: LobsterMessage, row: BookRow | None) -> Step:
        """The commands of the next message; `row` is the book after it (None: no window)."""
        self._row += 1
        self._commands, self._keys = [], []
        maker = ""
        if row is None or self._row > 0:
            maker = self._follow(message)
        else:
            self._count_if_skipped(message.kind)
        synthetic = 0
        if row is not None:
            self._cancel_beyond_window()
            synthetic = self._place_far_end(BUY, row.bids) + self._place_far_end(SELL, row.asks)
        return Step(
            self._row, message.time_us, tuple(self._commands), tuple(self._keys), synthetic, maker
        )

    def depth(self) -> BookRow:
        """The adapter's own book."""
        return BookRow(tuple(self._depth_of(BUY)), tuple(self._depth_of(SELL)))

    # --- one message ---------------------------------------------------------------------

    def _follow(self, message: LobsterMessage) -> str:
        """Command what the message says; the maker it names, if it is an execution."""
        if self._count_if_skipped(message.kind):
            return ""
        if message.price > PRICE_MAX:  # a stub quote
            self.skipped.outside += 1
            return ""
        if message.kind == EXECUTION:
            return self._execute(message)
        if message.kind == NEW_ORDER:
            self._enter(message)
        else:
            self._withdraw_named(message)
        return ""

    def _count_if_skipped(self, kind: int) -> bool:
        if kind == HIDDEN_EXECUTION:
            self.skipped.hidden_executions += 1
        elif kind == CROSS:
            self.skipped.crosses += 1
        elif kind == HALT:
            self.skipped.halts += 1
        return kind >= HIDDEN_EXECUTION

    def _enter(self, message: LobsterMessage) -> None:
        client_order_id = str(message.order_id)
        if message.order_id in self._seen:  # ids are unique in a day; a file may hold more
            client_order_id = f"{message.order_id}.{self._row}"
        self._seen[message.order_id] = self._place(
            client_order_id, message.side, message.price, message.size, synthetic=False
        )

    def _withdraw_named(self, message: LobsterMessage) -> None:
        named, level = self._find(message)
        if level is None:
            return
        left = message.size
        for order in _in_order_of_blame(level, named, left):
            shares = min(left, order.remaining)
            self._withdraw(order, shares)
            left -= shares
            if not left:
                break

    def _execute(self, message: LobsterMessage) -> str:
        named, level = self._find(message)
        if level is None:
            return ""
        client_order_id = f"x{self._row}"
        self._send(
            self._order(client_order_id, -message.side, IOC, message.price, message.size),
            make_order_id(ACCOUNT, client_order_id, self._ticker),
        )
        self._hit(message.side, message.price, message.size)
        return ANY_SYNTHETIC if named is None else named.order_id

    def _find(self, message: LobsterMessage) -> tuple[_Order | None, dict[str, _Order] | None]:
        """The order named, if ever seen, and its level; no level: the message is skipped."""
        named = self._seen.get(message.order_id)
        if named is not None:
            named.file_remaining -= message.size
        level = self._sides[message.side].levels.get(-message.side * message.price)
        if level is None or (named is None and not self._levels):
            self.skipped.outside += 1
            return named, None
        return named, level

    # --- the window ----------------------------------------------------------------------

    def _cancel_beyond_window(self) -> None:
        for side in self._sides.values():
            for key in side.keys[self._levels :]:
                for order in tuple(side.levels[key].values()):
                    self._withdraw(order, order.remaining)

    def _place_far_end(self, side: int, levels: tuple[tuple[int, int], ...]) -> int:
        """Place the levels that the window gained beyond our worst one; how many."""
        keys = self._sides[side].keys
        entering = levels[len(keys) :]
        placed = 0
        for price, shares in entering:
            if keys and -side * price <= keys[-1]:
                continue  # not at the far end: a difference, for the oracle to show
            self._synthetic_placed += 1
            self._place(f"s{self._synthetic_placed}", side, price, shares, synthetic=True)
            placed += 1
        return placed

    # --- commands and the plain book ------------------------------------------------------

    def _place(
        self, client_order_id: str, side: int, price: int, shares: int, *, synthetic: bool
    ) -> _Order:
        order_id = make_order_id(ACCOUNT, client_order_id, self._ticker)
        self._send(self._order(client_order_id, side, GTC, price, shares), order_id)
        order = _Order(order_id, side, -side * price, shares, synthetic=synthetic)
        order.remaining = self._hit(-side, price, shares)
        if order.remaining:
            self._sides[side].add(order)
        return order

    def _withdraw(self, order: _Order, shares: int) -> None:
        self._withdrawals += 1
        command_id = f"c{self._withdrawals}"
        order.remaining -= shares
        if order.remaining:
            order.total -= shares
            self._send(ReduceOrder(ACCOUNT, command_id, order.order_id, order.total), command_id)
        else:
            self._sides[order.side].remove(order)
            self._send(CancelOrder(ACCOUNT, command_id, order.order_id), command_id)

    def _hit(self, side: int, price: int, shares: int) -> int:
        """Fill what rests on `side` at `price` or better, oldest first; shares not filled."""
        book = self._sides[side]
        while shares and book.keys and book.keys[0] <= -side * price:
            order = next(iter(book.levels[book.keys[0]].values()))
            filled = min(shares, order.remaining)
            order.remaining -= filled
            shares -= filled
            if not order.remaining:
                book.remove(order)
        return shares

    def _order(
        self, client_order_id: str, side: int, time_in_force: int, price: int, shares: int
    ) -> PlaceOrder:
        return PlaceOrder(
            account=ACCOUNT,
            client_order_id=client_order_id,
            ticker=self._ticker,
            side=side,
            order_type=LIMIT,
            time_in_force=time_in_force,
            post_only=False,
            price=price,
            quantity=shares,
            self_trade_prevention=ALLOW_SELF_TRADE,
        )

    def _send(self, command: ClientCommand, key: str) -> None:
        self._commands.append(command)
        self._keys.append(key)

    def _depth_of(self, side: int) -> Iterator[tuple[int, int]]:
        book = self._sides[side]
        for key in book.keys:
            yield -side * key, sum(order.remaining for order in book.levels[key].values())


def _in_order_of_blame(level: dict[str, _Order], named: _Order | None, shares: int) -> list[_Order]:
    """Whose shares a reduction takes: its order's, then gone ones', then synthetic ones'."""
    own = [] if named is None or named.order_id not in level else [named]
    if own and own[0].remaining >= shares:
        return own
    others = [order for order in level.values() if order is not named]
    gone = [order for order in others if not order.synthetic and order.file_remaining <= 0]
    return own + gone + [order for order in others if order.synthetic]

"""A session in LOBSTER's format, made from a seed: for newcomers, the demo and tests.

Nothing in it is anybody's data. Like a real file it shows a window: the book is older than the
first row, orders wait beyond the window and come into it, and what changes nothing in the window
has no row.
"""

import gzip
from bisect import bisect_left, insort
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Final

import msgspec

from services.domain.codes import BUY, SELL
from services.tools.market.lobster_files import (
    DELETION,
    EMPTY_LEVEL_PRICE,
    EXECUTION,
    HIDDEN_EXECUTION,
    NEW_ORDER,
    REDUCTION,
    BookRow,
    LobsterMessage,
)

FILE_NAME: Final = "{ticker}_2026-01-02_34200000_37800000_{kind}_{levels}.csv.gz"

SAMPLE_TICKER: Final = "AAPL"

_MID: Final = 187_25_00
_TICK: Final = 100
_DEPTH: Final = 25
"""Levels a side of the opening book."""
_OPENING_US: Final = 34_200_000_000
_GAP_US: Final = 40_000
_REACH: Final = 30
"""New orders come at most so many ticks behind the best price of the other side."""
_EMPTY_SHARES: Final = 0


class Session(msgspec.Struct, frozen=True):
    """Messages, and the window's levels after each."""

    messages: tuple[LobsterMessage, ...]
    rows: tuple[BookRow, ...]
    levels: int


class _Order:
    __slots__ = ("order_id", "price", "shares", "side")

    def __init__(self, order_id: int, side: int, price: int, shares: int) -> None:
        self.order_id = order_id
        self.side = side
        self.price = price
        self.shares = shares


class _Market:
    """A whole book, in which somebody does something now and then."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)
        self._levels: dict[int, dict[int, list[_Order]]] = {BUY: {}, SELL: {}}
        self._keys: dict[int, list[int]] = {BUY: [], SELL: []}
        self._last_id = 1_000
        for step in range(1, _DEPTH + 1):
            for side in (BUY, SELL):
                for _ in range(1 + self._draw(2)):
                    self._enter(side, _MID - side * step * _TICK, self._shares())

    def act(self, time_us: int) -> LobsterMessage:
        """Somebody enters, reduces, deletes or executes."""
        share = self._draw(100)
        if share < 2:
            side, price = self._side(), _MID + self._draw(_TICK)
            return LobsterMessage(time_us, HIDDEN_EXECUTION, 0, self._shares(), price, side)
        side = self._side()
        is_thin = len(self._keys[side]) < _DEPTH // 2
        if share < 52 or is_thin:
            best = side * self._keys[-side][0] if self._keys[-side] else _MID
            price = best - side * (1 + self._draw(_REACH)) * _TICK
            order = self._enter(side, price, self._shares())
            return self._message(time_us, NEW_ORDER, order, order.shares)
        if share < 62:
            first = self._levels[side][self._keys[side][0]][0]
            shares = min(first.shares, self._shares())
            return self._take(time_us, EXECUTION, first, shares)
        level = self._levels[side][self._pick_key(side)]
        order = level[self._draw(len(level))]
        if share < 66 and order.shares > 1:
            return self._take(time_us, REDUCTION, order, 1 + self._draw(order.shares - 1))
        return self._take(time_us, DELETION, order, order.shares)

    def window(self, levels: int) -> BookRow:
        """The best levels a side."""
        return BookRow(tuple(self._best(BUY, levels)), tuple(self._best(SELL, levels)))

    def _best(self, side: int, levels: int) -> Iterator[tuple[int, int]]:
        for key in self._keys[side][:levels]:
            yield -side * key, sum(order.shares for order in self._levels[side][key])

    def _enter(self, side: int, price: int, shares: int) -> _Order:
        self._last_id += 1 + self._draw(5)
        order = _Order(self._last_id, side, price, shares)
        key = -side * price
        if key not in self._levels[side]:
            insort(self._keys[side], key)
            self._levels[side][key] = []
        self._levels[side][key].append(order)
        return order

    def _take(self, time_us: int, kind: int, order: _Order, shares: int) -> LobsterMessage:
        order.shares -= shares
        if order.shares == 0:
            key = -order.side * order.price
            level = self._levels[order.side][key]
            level.remove(order)
            if not level:
                del self._levels[order.side][key]
                del self._keys[order.side][bisect_left(self._keys[order.side], key)]
        return self._message(time_us, kind, order, shares)

    def _message(self, time_us: int, kind: int, order: _Order, shares: int) -> LobsterMessage:
        return LobsterMessage(time_us, kind, order.order_id, shares, order.price, order.side)

    def _pick_key(self, side: int) -> int:
        keys = self._keys[side]
        return keys[min(self._draw(len(keys)), self._draw(len(keys)))]

    def _side(self) -> int:
        return BUY if self._draw(2) else SELL

    def _shares(self) -> int:
        return 10 * (1 + self._draw(30))

    def _draw(self, below: int) -> int:
        return int(self._random.random() * below)


def make_session(seed: int, rows: int, levels: int) -> Session:
    """A session of so many rows; the same seed gives the same session."""
    market = _Market(seed)
    time_us = _OPENING_US
    messages: list[LobsterMessage] = []
    shown: list[BookRow] = []
    before = market.window(levels)
    while len(messages) < rows:
        time_us += _GAP_US
        message = market.act(time_us)
        after = market.window(levels)
        if after != before or message.kind == HIDDEN_EXECUTION:
            messages.append(message)
            shown.append(after)
        before = after
    return Session(tuple(messages), tuple(shown), levels)


def write_session(session: Session, folder: Path, ticker: str) -> tuple[Path, Path]:
    """Write a session's two files as LOBSTER would; their paths, message file first."""
    paths = tuple(
        folder / FILE_NAME.format(ticker=ticker, kind=kind, levels=session.levels)
        for kind in ("message", "orderbook")
    )
    lines = (
        [_message_line(m) for m in session.messages],
        [_row_line(r, session.levels) for r in session.rows],
    )
    for path, text in zip(paths, lines, strict=True):
        path.write_bytes(gzip.compress("".join(text).encode("ascii"), mtime=0))
    return paths[0], paths[1]


def _message_line(message: LobsterMessage) -> str:
    seconds, fraction = divmod(message.time_us, 1_000_000)
    fields = (message.kind, message.order_id, message.size, message.price, message.side)
    return f"{seconds}.{fraction:06d},{','.join(str(field) for field in fields)}\n"


def _row_line(row: BookRow, levels: int) -> str:
    fields: list[int] = []
    for i in range(levels):
        fields += row.asks[i] if i < len(row.asks) else (EMPTY_LEVEL_PRICE, _EMPTY_SHARES)
        fields += row.bids[i] if i < len(row.bids) else (-EMPTY_LEVEL_PRICE, _EMPTY_SHARES)
    return ",".join(str(field) for field in fields) + "\n"

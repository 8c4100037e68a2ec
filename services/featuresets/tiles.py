"""A ticker's trades, one tile a second: the fold that every set of trade features is made of.

A tile holds running totals up to its last trade, so the sum over any window of whole seconds is
one subtraction: the newest tile's total less that of the last tile before the window. The same
tile says what the price and the book were when the window began. Where no trade is known before
a window, nobody can say whether it is seen whole, and the set gives None.

Totals are counted from wherever this fold began. Only differences of them reach a row or a state,
which is why a fold that began later, at a row's rewind offset, comes to the same bytes.
"""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from services.featuresets.grid import SECOND_US, GridRow, closed_seconds
from services.featuresets.integers import divide
from services.featuresets.ticks import Tick

RETURN_SCALE: Final = 1_000_000_000
_SPARE_TILES: Final = 512
"""Tiles that no window needs are dropped together, once there are so many."""


class Tile(msgspec.Struct, gc=False):
    """The last trade of a second that had one, and the totals up to it."""

    second: int
    offset: int
    time_us: int
    price: int
    bid: int
    bid_quantity: int
    ask: int
    ask_quantity: int
    trades: int = 0
    volume: int = 0
    signed_volume: int = 0
    notional: int = 0
    """Of price times quantity, 1/10000 dollar."""
    order_flow: int = 0
    """Of what each trade's book says against the book of the trade before it, shares."""
    squared_returns: int = 0
    """Of each tile's last price against the last price of the tile before it, 1e-18."""
    bookless: int = 0
    """Trades whose book was empty on both sides, or was not told by a history."""


type RowValues = Callable[[int, Tile, Sequence[Tile | None]], tuple[int | None, ...]]
"""Values at a grid time (us), from the last tile and the last tile before each window, if any."""


class TileFold:
    """Tiles of one ticker, as far back as the longest window reaches, and the rows on the grid."""

    def __init__(self, windows_s: Sequence[int], row_values: RowValues) -> None:
        self._windows_s = tuple(windows_s)
        self._longest_s = max(windows_s)
        self._row_values = row_values
        self._tiles: list[Tile] = []
        self._seconds: list[int] = []
        self._open: Tile | None = None
        """Of the newest trade's second; it may still grow, and no row has known it yet."""
        self._first_offset = 0

    def step(self, tick: Tick) -> list[GridRow]:
        """The rows that this trade closes. Only then does it count."""
        tile = self._open
        second = tick.time_us // SECOND_US
        if tile is None:
            self._first_offset = tick.offset
            self._open = Tile(
                second, tick.offset, tick.time_us, tick.price,
                tick.bid, tick.bid_quantity, tick.ask, tick.ask_quantity,
                1, tick.quantity, tick.side * tick.quantity, tick.price * tick.quantity,
                bookless=0 if tick.bid or tick.ask else 1,
            )  # fmt: skip
            return []
        assert tick.offset > tile.offset, f"offset {tick.offset} after {tile.offset}"
        assert tick.time_us >= tile.time_us, f"time {tick.time_us} after {tile.time_us}"
        rows: list[GridRow] = []
        if second != tile.second:
            rows = self._close(tile, second)
            tile = self._open = msgspec.structs.replace(tile, second=second)
        tile.order_flow += _order_flow(tile, tick)
        tile.offset = tick.offset
        tile.time_us = tick.time_us
        tile.price = tick.price
        tile.bid = tick.bid
        tile.bid_quantity = tick.bid_quantity
        tile.ask = tick.ask
        tile.ask_quantity = tick.ask_quantity
        tile.trades += 1
        tile.volume += tick.quantity
        tile.signed_volume += tick.side * tick.quantity
        tile.notional += tick.price * tick.quantity
        if not (tick.bid or tick.ask):
            tile.bookless += 1
        return rows

    def state(self) -> bytes:
        """The last trade before the longest window of the next row, and the tiles after it."""
        if self._open is None:
            return b"[]"
        place = self._place_before(self._open.second + 1 - self._longest_s)
        seen = [*self._tiles[max(place, 0) :], self._open]
        if place < 0:
            return msgspec.json.encode([self._first_offset, *seen])
        start = seen[0]
        return msgspec.json.encode([start.offset, *(_since(start, tile) for tile in seen)])

    def _close(self, tile: Tile, closing_s: int) -> list[GridRow]:
        if self._tiles:
            before = self._tiles[-1].price
            change = divide((tile.price - before) * RETURN_SCALE, before)
            tile.squared_returns += change * change
        self._tiles.append(tile)
        self._seconds.append(tile.second)
        rows = [self._row(second) for second in closed_seconds(tile.second, closing_s)]
        # Rows that are still to come begin at this trade's second or later.
        spare = self._place_before(closing_s + 1 - self._longest_s)
        if spare > _SPARE_TILES:
            del self._tiles[:spare], self._seconds[:spare]
        return rows

    def _row(self, second: int) -> GridRow:
        last = self._tiles[-1]
        tiles = self._tiles
        before: list[Tile | None] = []
        for window_s in self._windows_s:
            place = self._place_before(second - window_s)
            before.append(tiles[place] if place >= 0 else None)
        place = self._place_before(second - self._longest_s)
        rewind_offset = tiles[place].offset if place >= 0 else self._first_offset
        grid_time_us = second * SECOND_US
        return GridRow(grid_time_us, rewind_offset, self._row_values(grid_time_us, last, before))

    def _place_before(self, second: int) -> int:
        """Of the last closed tile whose trades are all before this second; -1: there is none."""
        return bisect_left(self._seconds, second) - 1


def _order_flow(before: Tile, tick: Tick) -> int:
    """What joined the queues at the top less what left them, bid less ask, in shares.

    Each side is compared with itself at the trade before: at a better price all of it joined, at
    a worse one all of the old left, at the same price the difference did. An empty bid (0) is
    below every price by itself; an empty ask is above every price.
    """
    flow = 0
    if tick.bid >= before.bid:
        flow += tick.bid_quantity
    if tick.bid <= before.bid:
        flow -= before.bid_quantity
    if tick.ask == before.ask:
        return flow - tick.ask_quantity + before.ask_quantity
    if before.ask == 0 or 0 < tick.ask < before.ask:
        return flow - tick.ask_quantity
    return flow + before.ask_quantity


def _since(start: Tile, tile: Tile) -> Tile:
    """The tile with its totals counted from the end of another."""
    return msgspec.structs.replace(
        tile,
        trades=tile.trades - start.trades,
        volume=tile.volume - start.volume,
        signed_volume=tile.signed_volume - start.signed_volume,
        notional=tile.notional - start.notional,
        order_flow=tile.order_flow - start.order_flow,
        squared_returns=tile.squared_returns - start.squared_returns,
        bookless=tile.bookless - start.bookless,
    )

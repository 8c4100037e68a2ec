"""Tiles of a second and the rows that stand on them, as arrays."""

from functools import cached_property

import numpy as np

from services.featuresets.grid import SECOND_US, SILENCE_MAX_S
from services.tools.vectorfold.columns import TradeColumns
from services.tools.vectorfold.integers import Bools, Ints


class TileGrid:
    """One ticker's tiles, and for each row the place of the last tile that it knows."""

    def __init__(self, trades: TradeColumns) -> None:
        second = trades.time_us // SECOND_US
        is_first = np.append(True, second[1:] != second[:-1])
        self.trades = trades
        self.starts: Ints = np.flatnonzero(is_first)
        self.ends: Ints = np.append(self.starts[1:], len(second)) - 1
        self.second: Ints = second[self.starts]
        gaps = np.diff(self.second)
        points = np.minimum(gaps, SILENCE_MAX_S) + (gaps > SILENCE_MAX_S)
        self.last: Ints = np.repeat(np.arange(len(gaps)), points)
        """Place of each row's last tile; the tile after it closed the row."""
        step = np.arange(len(self.last)) - np.repeat(np.cumsum(points) - points, points) + 1
        self.row_second: Ints = np.where(
            step > SILENCE_MAX_S, self.second[self.last + 1], self.second[self.last] + step
        )
        self._before: dict[int, Ints] = {}

    def before(self, window_s: int) -> Ints:
        """Place of the last tile before each row's window; -1: there is none."""
        if window_s not in self._before:
            places = np.searchsorted(self.second, self.row_second - window_s, side="left") - 1
            self._before[window_s] = places.astype(np.int64)
        return self._before[window_s]

    def at_ends(self, column: Ints) -> Ints:
        """Of each tile's last trade."""
        return column[self.ends]

    def total(self, column: Ints) -> Ints:
        """Up to and with each tile's last trade."""
        running: Ints = np.cumsum(column)
        return running[self.ends]

    def since(self, totals: Ints, window_s: int) -> Ints:
        """What a total grew by in each row's window; anything where no tile is before it."""
        return totals[self.last] - totals[self.before(window_s)]

    def known(self, window_s: int) -> Bools:
        """Whether a trade is known before each row's window."""
        known: Bools = self.before(window_s) >= 0
        return known

    @cached_property
    def order_flow(self) -> Ints:
        """Of each trade's book against that of the trade before it; 0 for the first."""
        t = self.trades
        flow = np.zeros(len(t.bid), dtype=np.int64)
        bid, old_bid = t.bid[1:], t.bid[:-1]
        no_ask = np.iinfo(np.int64).max
        ask = np.where(t.ask == 0, no_ask, t.ask)
        ask, old_ask = ask[1:], ask[:-1]
        flow[1:] = (
            np.where(bid >= old_bid, t.bid_quantity[1:], 0)
            - np.where(bid <= old_bid, t.bid_quantity[:-1], 0)
            - np.where(ask <= old_ask, t.ask_quantity[1:], 0)
            + np.where(ask >= old_ask, t.ask_quantity[:-1], 0)
        )
        return flow

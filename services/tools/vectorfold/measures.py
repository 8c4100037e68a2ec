"""Each feature of trades over all rows at once, and what its integers may grow to.

Before anything is computed from a column, its bound is checked in Python's integers or with a
margin in floats; `TooLargeError` then sends the trades through the fold, which knows no bounds.
"""

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Final

import numpy as np

from services.featuresets.grid import SECOND_US
from services.featuresets.measures import MICROPRICE_SCALE, RATIO_SCALE
from services.featuresets.tiles import RETURN_SCALE
from services.tools.vectorfold.columns import Column, TradeColumns
from services.tools.vectorfold.grid import TileGrid
from services.tools.vectorfold.integers import (
    BILLION_STEPS,
    Bools,
    Ints,
    divide,
    divide_scaled,
    square_root,
)

_ROOM: Final = 2**62
_SCALED_ROOM: Final = 2**53
"""Times the largest of BILLION_STEPS it is still below 2**63."""


class TooLargeError(Exception):
    """64 bits might not hold what lies between these trades and their features."""


class Measures:
    """The features of one ticker's trades; each is computed when it is asked for."""

    def __init__(self, trades: TradeColumns) -> None:
        self.grid = TileGrid(trades)
        self._trades = trades
        ends = self.grid.at_ends
        self._price, self._bid, self._ask = ends(trades.price), ends(trades.bid), ends(trades.ask)
        self._bid_quantity = ends(trades.bid_quantity)
        self._ask_quantity = ends(trades.ask_quantity)
        quantity_max = _largest(trades.quantity, trades.bid_quantity, trades.ask_quantity)
        price_max = _largest(trades.price, trades.bid, trades.ask)
        _fits(price_max * quantity_max, _ROOM)
        # Every total of quantities; a trade changes the order flow by four quantities at most.
        _fits(4 * quantity_max * len(trades.price), _ROOM)
        _fits(2 * price_max * max(RETURN_SCALE, 2 * RATIO_SCALE), 2**63 - 1)
        _fits(2 * quantity_max * RATIO_SCALE, _ROOM)

    def price_return(self, window_s: int) -> Column:
        """Last trade price against that at the window's start."""
        return self._change(self._price, window_s, self.grid.known(window_s))

    def mid_return(self, window_s: int) -> Column:
        """Mid against that at the window's start."""
        both = self._booked
        defined = self.grid.known(window_s) & both[self.grid.last]
        return self._change(
            self._bid + self._ask, window_s, defined & both[self.grid.before(window_s)]
        )

    def realised_volatility(self, window_s: int) -> Column:
        """Root of the sum of squared returns from tile to tile."""
        squares = self.grid.since(self._squared_returns, window_s)
        known = self.grid.known(window_s)
        return Column(square_root(np.where(known, squares, 0)), known)

    def trade_count(self, window_s: int) -> Column:
        """Trades in the window."""
        return Column(self.grid.since(self.grid.ends, window_s), self.grid.known(window_s))

    def signed_volume(self, window_s: int) -> Column:
        """Shares bought less shares sold."""
        return Column(self.grid.since(self._signed_volume, window_s), self.grid.known(window_s))

    def order_flow_imbalance(self, window_s: int) -> Column:
        """Order flow at the top of the book."""
        grid = self.grid
        bookless = grid.since(self._bookless, window_s) > 0
        start = ((self._bid == 0) & (self._ask == 0))[grid.before(window_s)]
        return Column(
            grid.since(self._order_flow, window_s), grid.known(window_s) & ~bookless & ~start
        )

    def vwap_distance(self, window_s: int) -> Column:
        """Last trade price against the window's volume-weighted average."""
        grid = self.grid
        known = grid.known(window_s)
        notional = np.where(known, grid.since(self._notional, window_s), 0)
        volume = np.where(known, grid.since(self._volume, window_s), 0)
        price = self._price[grid.last]
        _fits(_largest(notional), _SCALED_ROOM)
        _fits(_largest(price) * _largest(volume), _ROOM)
        defined: Bools = notional != 0
        distance = price * volume - notional
        return Column(
            divide_scaled(distance, BILLION_STEPS, np.where(defined, notional, 1)), defined
        )

    def spread(self) -> Column:
        """Ask less bid."""
        return self._of_last(self._ask - self._bid, self._booked)

    def relative_spread(self) -> Column:
        """Spread over mid."""
        both = np.maximum(self._bid + self._ask, 1)
        spread = (self._ask - self._bid) * (2 * RATIO_SCALE)
        return self._of_last(divide(spread, both), self._booked)

    def queue_imbalance(self) -> Column:
        """Bid less ask quantity over their sum."""
        both = self._bid_quantity + self._ask_quantity
        more = (self._bid_quantity - self._ask_quantity) * RATIO_SCALE
        return self._of_last(divide(more, np.maximum(both, 1)), both != 0)

    def microprice_minus_mid(self) -> Column:
        """Half the spread times the queue imbalance."""
        spread, more = self._ask - self._bid, self._bid_quantity - self._ask_quantity
        _fits(_largest(spread) * _largest(more) * MICROPRICE_SCALE, _ROOM)
        twice = 2 * (self._bid_quantity + self._ask_quantity)
        return self._of_last(
            divide(spread * more * MICROPRICE_SCALE, np.maximum(twice, 1)), self._booked
        )

    def time_since_last_trade(self, unit_us: int) -> Column:
        """From the last trade to the grid time."""
        since = (
            self.grid.row_second * SECOND_US - self._trades.time_us[self.grid.ends][self.grid.last]
        )
        return Column(divide(since, unit_us), np.ones(len(since), dtype=np.bool_))

    def mid(self) -> Column:
        """Bid plus ask."""
        return self._of_last(self._bid + self._ask, self._booked)

    @cached_property
    def _booked(self) -> Bools:
        booked: Bools = (self._bid != 0) & (self._ask != 0)
        return booked

    @cached_property
    def _volume(self) -> Ints:
        return self.grid.total(self._trades.quantity)

    @cached_property
    def _signed_volume(self) -> Ints:
        return self.grid.total(self._trades.side * self._trades.quantity)

    @cached_property
    def _notional(self) -> Ints:
        price, quantity = self._trades.price, self._trades.quantity
        _fits(int(np.dot(price.astype(np.float64), quantity.astype(np.float64))), _ROOM)
        return self.grid.total(price * quantity)

    @cached_property
    def _order_flow(self) -> Ints:
        return self.grid.total(self.grid.order_flow)

    @cached_property
    def _bookless(self) -> Ints:
        bookless = (self._trades.bid == 0) & (self._trades.ask == 0)
        return self.grid.total(bookless.astype(np.int64))

    @cached_property
    def _squared_returns(self) -> Ints:
        change = np.zeros(len(self._price), dtype=np.int64)
        old = self._price[:-1]
        change[1:] = divide((self._price[1:] - old) * RETURN_SCALE, old)
        _fits(int(np.sum(change.astype(np.float64) ** 2)), 2**59)
        squares: Ints = np.cumsum(change * change)
        return squares

    def _change(self, level: Ints, window_s: int, defined: Bools) -> Column:
        now, then = level[self.grid.last], level[self.grid.before(window_s)]
        then = np.where(defined, then, 1)
        return Column(divide((now - then) * RETURN_SCALE, then), defined)

    def _of_last(self, values: Ints, defined: Bools) -> Column:
        return Column(values[self.grid.last], defined[self.grid.last])


def _largest(*columns: Ints) -> int:
    return max(int(np.abs(column).max(initial=0)) for column in columns)


def _fits(value: int, room: int) -> None:
    if value > room:
        raise TooLargeError(f"{value} may come up where only {room} fits")


type Make = Callable[[Measures], tuple[Column, ...]]


def _v1(of: Measures) -> tuple[Column, ...]:
    return (
        *(of.price_return(window_s) for window_s in (1, 5, 30, 60)),
        of.realised_volatility(60),
        of.trade_count(5),
        of.trade_count(60),
        of.signed_volume(5),
        of.signed_volume(60),
        of.order_flow_imbalance(5),
        of.order_flow_imbalance(60),
        of.spread(),
        of.queue_imbalance(),
        of.microprice_minus_mid(),
        of.vwap_distance(60),
        of.time_since_last_trade(1),
        of.mid(),
    )


def _v2(of: Measures) -> tuple[Column, ...]:
    return (
        *(of.mid_return(window_s) for window_s in (1, 5, 30, 60, 300)),
        of.realised_volatility(60),
        of.realised_volatility(300),
        of.trade_count(5),
        of.trade_count(60),
        of.signed_volume(5),
        of.signed_volume(60),
        of.order_flow_imbalance(5),
        of.order_flow_imbalance(60),
        of.relative_spread(),
        of.queue_imbalance(),
        of.microprice_minus_mid(),
        of.vwap_distance(60),
        of.vwap_distance(300),
        of.time_since_last_trade(1_000),
        of.mid(),
    )


MAKERS: Final[Mapping[str, Make]] = {"microstructure_v1": _v1, "microstructure_v2": _v2}
"""By feature set."""

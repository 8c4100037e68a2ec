"""The features of trades again, slowly: each row from the whole list of trades, in fractions.

Shares nothing with the folds, not even a constant; what a feature means is said a second time.
"""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from fractions import Fraction
from math import isqrt

from services.featuresets.ticks import Tick

type Values = tuple[int | None, ...]
type PlainRow = tuple[int, int, Values]
"""Grid time (us), rewind offset, values."""


def plain_rows(name: str, ticks: Sequence[Tick]) -> list[PlainRow]:
    """Every row of a set made of trades, for one ticker."""
    longest_s, values_at = _SETS[name]
    times = [tick.time_us for tick in ticks]
    rows: list[PlainRow] = []
    for i in range(1, len(ticks)):
        for grid_us in _points(times[i - 1], times[i]):
            # By time, not by place: the trades before g are these and no others.
            past = [tick for tick in ticks if tick.time_us < grid_us]
            moment = _Moment(grid_us, past)
            anchor = moment.as_of(longest_s)
            rewind = ticks[0].offset if anchor is None else anchor.offset
            rows.append((grid_us, rewind, values_at(moment)))
    return rows


def _points(last_us: int, closing_us: int) -> list[int]:
    first = last_us // 10**6 * 10**6 + 10**6
    points = list(range(first, closing_us + 1, 10**6))
    return [g for g in points if g - last_us <= 120 * 10**6 or g == points[-1]]


class _Moment:
    """All trades before a grid time, and what windows that end there hold."""

    def __init__(self, grid_us: int, past: Sequence[Tick]) -> None:
        self.grid_us = grid_us
        self.past = past
        self.last = past[-1]
        self._times = [tick.time_us for tick in past]

    def as_of(self, ago_s: int) -> Tick | None:
        return self._before(self.grid_us - ago_s * 10**6)

    def _before(self, time_us: int) -> Tick | None:
        place = bisect_left(self._times, time_us)
        return self.past[place - 1] if place else None

    def window(self, window_s: int) -> list[Tick] | None:
        """The trades in it; None: it is not known whether these are all."""
        start_us = self.grid_us - window_s * 10**6
        if self.as_of(window_s) is None:
            return None
        return [tick for tick in self.past if tick.time_us >= start_us]

    def price_return(self, window_s: int) -> int | None:
        old = self.as_of(window_s)
        if old is None:
            return None
        return round((Fraction(self.last.price, old.price) - 1) * 10**9)

    def mid_return(self, window_s: int) -> int | None:
        old = self.as_of(window_s)
        if old is None or _mid(old) is None or _mid(self.last) is None:
            return None
        return round((Fraction(_mid(self.last) or 0) / Fraction(_mid(old) or 0) - 1) * 10**9)

    def volatility(self, window_s: int) -> int | None:
        trades = self.window(window_s)
        if trades is None:
            return None
        total = 0
        for start_us in sorted({tick.time_us // 10**6 * 10**6 for tick in trades}):
            old, new = self._before(start_us), self._before(start_us + 10**6)
            assert old is not None
            assert new is not None
            total += round((Fraction(new.price, old.price) - 1) * 10**9) ** 2
        return plain_root(Fraction(total))

    def count(self, window_s: int) -> int | None:
        trades = self.window(window_s)
        return None if trades is None else len(trades)

    def signed(self, window_s: int) -> int | None:
        trades = self.window(window_s)
        return None if trades is None else sum(tick.quantity * tick.side for tick in trades)

    def order_flow(self, window_s: int) -> int | None:
        trades, old = self.window(window_s), self.as_of(window_s)
        if trades is None or old is None:
            return None
        if any(tick.bid == tick.ask == 0 for tick in (old, *trades)):
            return None
        start_us = self.grid_us - window_s * 10**6
        return sum(
            _queue_change(old.bid, old.bid_quantity, new.bid, new.bid_quantity)
            - _queue_change(
                -_or_beyond(old.ask), old.ask_quantity, -_or_beyond(new.ask), new.ask_quantity
            )
            for old, new in zip(self.past, self.past[1:], strict=False)
            if new.time_us >= start_us
        )

    def vwap_distance(self, window_s: int) -> int | None:
        trades = self.window(window_s)
        if not trades:
            return None
        volume = sum(tick.quantity for tick in trades)
        vwap = Fraction(sum(tick.price * tick.quantity for tick in trades), volume)
        return round((self.last.price / vwap - 1) * 10**9)

    def imbalance(self) -> Fraction | None:
        both = self.last.bid_quantity + self.last.ask_quantity
        return Fraction(self.last.bid_quantity - self.last.ask_quantity, both) if both else None

    def microprice_minus_mid(self) -> int | None:
        last, mid = self.last, _mid(self.last)
        if mid is None:
            return None
        micro = Fraction(
            last.bid * last.ask_quantity + last.ask * last.bid_quantity,
            last.bid_quantity + last.ask_quantity,
        )
        return round((micro - mid) * 10**4)


def _mid(tick: Tick) -> Fraction | None:
    return Fraction(tick.bid + tick.ask, 2) if tick.bid > 0 and tick.ask > 0 else None


def _or_beyond(ask: int) -> int:
    return ask or 10**18


def _queue_change(old: int, old_quantity: int, new: int, new_quantity: int) -> int:
    """Of a queue whose higher price is the better one."""
    if new > old:
        return new_quantity
    return -old_quantity if new < old else new_quantity - old_quantity


def _micro(value: Fraction | None) -> int | None:
    return None if value is None else round(value * 10**6)


def plain_root(value: Fraction) -> int:
    """The integer nearest to the root, halves up."""
    root = isqrt(int(value))
    while (2 * root + 1) ** 2 <= 4 * value:
        root += 1
    return root


def _v1(at: _Moment) -> Values:
    mid = _mid(at.last)
    return (
        *(at.price_return(window) for window in (1, 5, 30, 60)),
        at.volatility(60),
        at.count(5),
        at.count(60),
        at.signed(5),
        at.signed(60),
        at.order_flow(5),
        at.order_flow(60),
        None if mid is None else at.last.ask - at.last.bid,
        _micro(at.imbalance()),
        at.microprice_minus_mid(),
        at.vwap_distance(60),
        at.grid_us - at.last.time_us,
        None if mid is None else int(2 * mid),
    )


def _v2(at: _Moment) -> Values:
    mid = _mid(at.last)
    return (
        *(at.mid_return(window) for window in (1, 5, 30, 60, 300)),
        at.volatility(60),
        at.volatility(300),
        at.count(5),
        at.count(60),
        at.signed(5),
        at.signed(60),
        at.order_flow(5),
        at.order_flow(60),
        None if mid is None else _micro((at.last.ask - at.last.bid) / mid),
        _micro(at.imbalance()),
        at.microprice_minus_mid(),
        at.vwap_distance(60),
        at.vwap_distance(300),
        round(Fraction(at.grid_us - at.last.time_us, 1_000)),
        None if mid is None else int(2 * mid),
    )


_SETS: dict[str, tuple[int, Callable[[_Moment], Values]]] = {
    "microstructure_v1": (60, _v1),
    "microstructure_v2": (300, _v2),
}

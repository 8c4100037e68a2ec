"""Trades folded to candles: what a ticker did in each second, minute and day of log time.

An interval without a trade has no candle. Days are those of UTC.
"""

from collections import deque
from collections.abc import Mapping
from itertools import islice
from typing import Final

import msgspec

_SECOND_US: Final = 1_000_000
INTERVALS_US: Final[Mapping[str, int]] = {
    "1s": _SECOND_US,
    "1m": 60 * _SECOND_US,
    "1d": 86_400 * _SECOND_US,
}
"""Their lengths by name; each begins at a multiple of its length since the epoch."""


class Candle(msgspec.Struct, gc=False):
    """Prices in 1/10000 dollar."""

    open_time_us: int
    """When its interval began, microseconds since the epoch (UTC)."""
    open: int
    high: int
    low: int
    close: int
    volume: int
    """Shares."""
    trades: int
    is_partial: bool
    """Whether trades of its interval came before the first one that was read."""


class Candles:
    """The newest candles of each ticker and interval.

    Args:
        kept: of each ticker and interval; the oldest is forgotten first.
    """

    def __init__(self, kept: int) -> None:
        self._kept = kept
        self._tapes: dict[str, _Tape] = {}

    def note(self, ticker: str, sequence: int, time_us: int, price: int, quantity: int) -> None:
        """Fold one trade.

        The matcher's time never goes back within a ticker; a record whose time does is a
        stranger's, and changes nothing.
        """
        tape = self._tapes.get(ticker)
        if tape is None:
            tape = self._tapes[ticker] = _Tape(self._kept, is_partial=sequence > 1)
        if time_us >= tape.time_us:
            tape.note(sequence, time_us, price, quantity)

    def of(self, ticker: str, interval: str, limit: int) -> list[Candle]:
        """The ticker's newest candles, oldest first; the last one may still be growing."""
        tape = self._tapes.get(ticker)
        if tape is None:
            return []
        found = list(islice(reversed(tape.candles[interval]), limit))
        found.reverse()
        return found

    def sequence_of(self, ticker: str) -> int | None:
        """The number of the last trade that was folded; None: there was none."""
        tape = self._tapes.get(ticker)
        return None if tape is None else tape.sequence


class _Tape:
    """One ticker's candles."""

    def __init__(self, kept: int, *, is_partial: bool) -> None:
        self.candles: dict[str, deque[Candle]] = {
            interval: deque(maxlen=kept) for interval in INTERVALS_US
        }
        self.sequence = 0
        self.time_us = 0
        self._is_partial = is_partial

    def note(self, sequence: int, time_us: int, price: int, quantity: int) -> None:
        self.sequence, self.time_us = sequence, time_us
        for interval, length_us in INTERVALS_US.items():
            candles = self.candles[interval]
            open_time_us = time_us - time_us % length_us
            if candles and candles[-1].open_time_us == open_time_us:
                candle = candles[-1]
                candle.high = max(candle.high, price)
                candle.low = min(candle.low, price)
                candle.close = price
                candle.volume += quantity
                candle.trades += 1
            else:
                is_partial = self._is_partial and not candles
                candles.append(
                    Candle(open_time_us, price, price, price, price, quantity, 1, is_partial)
                )

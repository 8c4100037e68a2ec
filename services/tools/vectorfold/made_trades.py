"""Trades that nobody made: seeded random walks with a book, and silences in them."""

from typing import Final

import numpy as np

from services.tools.vectorfold.columns import TradeColumns

_START_US: Final = 1_790_000_000_000_000
_TICK: Final = 100
_SILENCES: Final = 0.000_1


def make_trades(seed: int, count: int, mean_gap_us: int) -> TradeColumns:
    """One ticker's trades; one in ten thousand comes after some minutes of silence."""
    rng = np.random.default_rng(seed)
    gaps = rng.exponential(mean_gap_us, count).astype(np.int64)
    silent = rng.random(count) < _SILENCES
    gaps += np.where(silent, rng.integers(60_000_000, 400_000_000, count), 0)
    # Far enough from zero that no walk of this length comes near it.
    price = 5_000_000 + _TICK * np.cumsum(rng.integers(-1, 2, count))
    below, above = rng.integers(0, 2, count), rng.integers(0, 2, count)
    side = np.where(rng.random(count) < 0.5, 1, -1)
    return TradeColumns(
        offset=np.arange(count, dtype=np.int64) * 2,
        time_us=_START_US + np.cumsum(gaps),
        price=price,
        quantity=rng.integers(1, 500, count),
        side=side,
        bid=price - _TICK * (below + (side > 0)),
        bid_quantity=rng.integers(1, 2_000, count),
        ask=price + _TICK * (above + (side < 0)),
        ask_quantity=rng.integers(1, 2_000, count),
    )

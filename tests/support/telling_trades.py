"""Trades of people who know what is to come: their sides tell where the mid will be ten seconds on.

The mid itself walks at random and the queues are drawn apart from it, so that neither the last move
nor the imbalance tells anything: a model that looks at sides beats every baseline.
"""

from typing import Final

import numpy as np

from services.tools.vectorfold.columns import TradeColumns

START_US: Final = 1_790_000_000 * 1_000_000
SECONDS: Final = 1_300
"""What three folds need of `microstructure_v1` at ten seconds, and little more."""

_CENT: Final = 100
_AHEAD_S: Final = 10
_TRUTHFUL: Final = 0.9
"""So many of the trades have the side of the move that is to come."""


def telling_trades(seed: int = 1, seconds: int = SECONDS) -> TradeColumns:
    """One trade a second, a little after it, with quotes around it."""
    rng = np.random.default_rng(seed)
    walk = np.cumsum(rng.integers(-1, 2, seconds + _AHEAD_S))
    mid = 5_000_000 + _CENT * walk[:seconds]
    is_up = walk[_AHEAD_S:] > walk[:seconds]
    side = np.where(is_up == (rng.random(seconds) < _TRUTHFUL), 1, -1)
    return TradeColumns(
        offset=np.arange(seconds, dtype=np.int64),
        time_us=START_US + 1_000_000 * np.arange(seconds) + rng.integers(1, 900_000, seconds),
        price=mid + side * _CENT,
        quantity=rng.integers(1, 5, seconds) * 100,
        side=side,
        bid=mid - _CENT,
        bid_quantity=rng.integers(1, 9, seconds) * 100,
        ask=mid + _CENT,
        ask_quantity=rng.integers(1, 9, seconds) * 100,
    )

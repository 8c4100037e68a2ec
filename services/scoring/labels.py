"""Labels: where the mid of a row's ticker is, one horizon after the row's time, against the row's.

The row at exactly g + horizon decides, and it alone: nothing at or before g but the row's own mid,
nothing later. Where there is no such row, or a mid is not defined, there is no label.
"""

from typing import Final, NamedTuple

import numpy as np

from services.featuresets.grid import SECOND_US
from services.models.classes import DOWN, FLAT, UP
from services.scoring.arrays import Bools, Classes, Codes, Ints

REASONS: Final = (
    "labelled",
    "no_mid",
    "horizon_not_passed",
    "silent_at_horizon",
    "no_mid_at_horizon",
)
"""Why a row has no label; the first: it has one. `silent_at_horizon`: its ticker has later rows,
and none at that time."""


class RowLabels(NamedTuple):
    """Of each row that was given, in the same order."""

    reason: Codes
    """Place in REASONS."""
    label: Classes
    """Anything where there is none; so is the move."""
    move: Ints
    """Of the mid over the horizon, 1/20000 dollar."""


def label_rows(
    ticker: Codes, grid_time_us: Ints, mid: Ints, has_mid: Bools, horizon_s: int, threshold: int
) -> RowLabels:
    """Labels of rows in any order, no two of one ticker and time.

    Args:
        ticker: a number a ticker, from 0.
        grid_time_us: whole seconds.
        mid: 1/20000 dollar; anything where there is none.
        has_mid: where there is one.
        horizon_s: from 1.
        threshold: 1/20000 dollar; a move must be greater to be one.
    """
    second = grid_time_us // SECOND_US
    if len(second) == 0:
        nothing = np.zeros(0, dtype=np.int64)
        return RowLabels(nothing.astype(np.int16), nothing.astype(np.int8), nothing)
    first = int(second.min())
    # Tickers one after the other, so far apart that no horizon reaches into the next one.
    span = int(second.max()) - first + horizon_s + 1
    key = ticker.astype(np.int64) * span + (second - first)
    order = np.argsort(key, kind="stable")
    ordered = key[order]
    place = np.minimum(np.searchsorted(ordered, key + horizon_s), len(key) - 1)
    later = order[place]
    is_there = ordered[place] == key + horizon_s
    newest = np.full(int(ticker.max()) + 1, first - 1, dtype=np.int64)
    np.maximum.at(newest, ticker, second)
    move = mid[later] - mid
    reason = np.select(
        [
            ~has_mid,
            second + horizon_s > newest[ticker],
            ~is_there,
            ~has_mid[later],
        ],
        [1, 2, 3, 4],
        0,
    )
    label = np.select([move < -threshold, move > threshold], [DOWN, UP], FLAT).astype(np.int8)
    return RowLabels(reason.astype(np.int16), label, move)

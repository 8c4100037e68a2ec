"""How long what a score is made of remembers, so that blocks drawn anew are news.

A model's score is mostly noise of a horizon's length. What it remembers for longer is a small part
of that noise, yet most of what differs from window to window; in the score's own correlations it
is not seen. It is seen in what the score is made of: which classes came, and which were said. So
their shares over stretches of one horizon, all tickers together, are asked for their integrated
autocorrelation times (`slowness`), and a block is as long as the slowest of them.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np

from services.drift.core.arrays import Floats, Ints
from services.drift.core.slowness import WINDOW_TIMES, autocorrelation_times, autocovariance
from services.models.classes import CLASSES

BLOCK_MEMORIES: Final = 1.5
"""Autocorrelation times in a block. Of what forgets exponentially, means of such blocks show two
thirds of the variance that long ones would; most of a score forgets within a horizon, and of that
they show all (docs/performance.md has what it comes to)."""


def block_seconds(gap_s: int, memory_s: int | None, seconds: int) -> int:
    """How long a block must be, in seconds with rows.

    Args:
        gap_s: of the manifest, horizon and longest window: rows so near share what they are of.
        memory_s: of `memory_seconds`; None: a block is as long as all rows, and alone says nothing.
        seconds: that have rows.
    """
    if memory_s is None:
        return max(gap_s, seconds)
    return max(gap_s, int(np.ceil(BLOCK_MEMORIES * memory_s)))


def memory_seconds(time_us: Ints, classes: Sequence[Ints], stretch_s: int) -> int | None:
    """The longest integrated autocorrelation time, whole seconds with rows.

    Args:
        time_us: of rows, in any order.
        classes: what came, and what each predictor said, row by row.
        stretch_s: the horizon; successive distinct seconds that are looked at together.

    Returns:
        None: it is longer than these rows can show.
    """
    _, place, count = np.unique(time_us, return_inverse=True, return_counts=True)
    stretch = place // stretch_s
    whole = len(count) // stretch_s
    if whole < 2:
        return None
    rows = np.bincount(stretch)[:whole]
    shares = [
        np.bincount(stretch[of == at], minlength=whole)[:whole] / rows
        for of in classes
        for at in range(CLASSES)
    ]
    series: Floats = np.stack(shares, axis=1)[:, None, :]
    series -= series.mean(axis=0)
    lags = whole // 2
    longest = float(np.max(autocorrelation_times(autocovariance(series, lags))))
    # Correlations are counted from the rows' own mean, which takes a piece off each of them, and so
    # many were added up (the correction of Wolff's "Monte Carlo errors with less errors").
    left = 1 - (2 * WINDOW_TIMES * longest + 1) / whole
    if left <= 0:
        return None
    return int(np.ceil(longest / left * stretch_s))

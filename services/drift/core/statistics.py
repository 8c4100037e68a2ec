"""How far a stretch is from a reference, column by column: a difference for each kind of change."""

from typing import Final, NamedTuple

import numpy as np

from services.drift.core.arrays import Bools, Floats
from services.drift.core.outcomes import Family
from services.drift.core.sums import Marks, Sums

FAMILIES: Final = tuple(Family)
SIGNED: Final = frozenset(
    {Family.LOCATION, Family.SCALE, Family.MISSING, Family.STALE, Family.CORRELATION}
)
"""Both directions count; of the others only greater is worse."""
PRESENT_MIN: Final = 30
"""Values of a column in a stretch; with fewer it has no mean or spread worth the name."""
_SCALE_MIN: Final = 0.01
"""Of the reference's standard deviation: what a stretch without any movement counts as."""
_CORRELATION_MAX: Final = 0.999
"""Beyond it Fisher's transform says nothing but rounding."""
_FAR: Final = 5.0
"""Spreads; a feature further away says no more of whose it is."""

type Differences = dict[Family, Floats]
"""[stretches, tickers, columns]: measured columns; numbers for SCALE, SHAPE and STALE; pairs for
CORRELATION; one for SWAP. NaN where a stretch has too few values."""


class Moments(NamedTuple):
    """[stretches, tickers, ...] of the standardised values."""

    mean: Floats
    spread: Floats
    correlation: Floats
    """Of pairs of numbers, by Fisher's transform."""
    pooled_mean: Floats
    missing: Floats
    stale: Floats


def moments_of(sums: Sums, marks: Marks) -> Moments:
    """Means and spreads from sums."""
    enough = sums.present >= PRESENT_MIN
    count = np.where(enough, sums.present, np.nan)
    mean = sums.first / count
    spread = np.sqrt(np.maximum(sums.second / count - mean * mean, 0.0))
    paired = np.where(sums.paired >= PRESENT_MIN, sums.paired, np.nan)
    return Moments(
        mean,
        spread,
        _fisher(sums, marks, enough),
        sums.pooled / count,
        1.0 - sums.present / sums.seconds[:, None, None],
        sums.repeated / paired,
    )


def differences_of(stretches: Sums, references: Sums, marks: Marks) -> Differences:
    """Each stretch against its reference (or all against the one).

    SWAP is not among them: it needs to know how far stretches usually are (`swaps_of`).
    """
    numbers = len(marks.numbers)
    here, there = moments_of(stretches, marks), moments_of(references, marks)
    return {
        Family.LOCATION: here.mean - there.mean,
        Family.SCALE: (_log(here.spread) - _log(there.spread))[:, :, :numbers],
        Family.SHAPE: distances_of(stretches.histogram, references.histogram),
        Family.MISSING: here.missing - there.missing,
        Family.STALE: (here.stale - there.stale)[:, :, :numbers],
        Family.CORRELATION: here.correlation - there.correlation,
    }


def swaps_of(stretches: Sums, references: Sums, marks: Marks, usual: Floats) -> Floats:
    """[stretches, tickers, other tickers]: how much nearer a ticker is to the other's reference.

    Args:
        stretches: of every ticker.
        references: one a stretch, or one for all.
        marks: of the reference.
        usual: [columns], how far a stretch's pooled mean is from its own reference's; NaN leaves
            the column out. In these the distance is measured.
    """
    here = moments_of(stretches, marks).pooled_mean[:, :, None, :]
    there = moments_of(references, marks).pooled_mean[:, None, :, :]
    away = np.minimum(np.abs(here - there) / usual, _FAR)
    known = ~np.isnan(away)
    count = np.maximum(known.sum(axis=3), 1)
    distance = np.where(known, away, 0.0).sum(axis=3) / count
    own = np.diagonal(distance, axis1=1, axis2=2)
    nearer: Floats = own[:, :, None] - distance
    nearer[:, np.arange(nearer.shape[1]), np.arange(nearer.shape[1])] = -np.inf
    return nearer


def _fisher(sums: Sums, marks: Marks, enough: Bools) -> Floats:
    """A missing value is one at the mean here, so that every pair has all seconds."""
    numbers = len(marks.numbers)
    first, second = marks.pairs
    count = sums.seconds[:, None, None]
    mean = sums.first[:, :, :numbers] / count
    spread = np.sqrt(np.maximum(sums.second[:, :, :numbers] / count - mean * mean, 0.0))
    spread = np.where(enough[:, :, :numbers] & (spread > _SCALE_MIN), spread, np.nan)
    covariance = sums.products / count - mean[:, :, first] * mean[:, :, second]
    correlation = covariance / (spread[:, :, first] * spread[:, :, second])
    turned: Floats = np.arctanh(np.clip(correlation, -_CORRELATION_MAX, _CORRELATION_MAX))
    return turned


def distances_of(here: Floats, there: Floats) -> Floats:
    """Kolmogorov and Smirnov's, at the edges of the bins."""
    with np.errstate(invalid="ignore", divide="ignore"):
        apart = np.abs(_cumulated(here) - _cumulated(there))
    greatest: Floats = apart.max(axis=3)
    return greatest


def _cumulated(histogram: Floats) -> Floats:
    upto = np.cumsum(histogram, axis=3)
    count = upto[:, :, :, -1:]
    return upto / np.where(count >= PRESENT_MIN, count, np.nan)


def _log(spread: Floats) -> Floats:
    logarithm: Floats = np.log(spread + _SCALE_MIN)
    return logarithm

"""What stretches of a reference differ by among themselves, and how far one is beyond that."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from services.drift.core.arrays import Bools, Floats, Ints
from services.drift.core.outcomes import Family
from services.drift.core.statistics import (
    FAMILIES,
    SIGNED,
    Differences,
    differences_of,
    moments_of,
    swaps_of,
)
from services.drift.core.sums import Marks, Sums

TYPICAL_MIN: Final = 2.5
"""Standard deviations: what a family's greatest usually is, at least; one that never moved (no
value is ever missing) would have none."""
FLOORS: Final = {
    Family.LOCATION: 0.01,
    Family.SCALE: 0.01,
    Family.SHAPE: 0.005,
    Family.MISSING: 0.005,
    Family.STALE: 0.005,
    Family.CORRELATION: 0.01,
    Family.SWAP: 0.01,
}
"""Least standard deviation of a difference: half a hundredth of a share, a hundredth of the
reference's standard deviation. What moves by less from stretch to stretch is worth no alarm."""
_SWAP_FAR: Final = 5.0
"""A lone ticker has no other that it could be near to."""
_STRETCHES_MIN: Final = 3
"""With a value, beside the one that is judged: two have no deviation to speak of."""


@dataclass(frozen=True)
class Usual:
    """Of one family: where the differences of stretches lie."""

    centre: Floats
    """[tickers, columns]"""
    deviation: Floats
    """NaN: not judged, since too few stretches have a value or the column is left out."""
    typical: float
    """The greatest number of deviations in a stretch, on average."""


def compared(
    stretches: Sums, references: Sums, marks: Marks, slow: Bools, distances: Floats
) -> Differences:
    """Differences of all families; NaN in columns that can't be judged.

    Args:
        stretches: one or more.
        references: as many, or one for all.
        marks: of the reference.
        slow: columns that remember too long: [tickers, measured].
        distances: see `usual_distance`.
    """
    found = differences_of(stretches, references, marks)
    nearer = swaps_of(stretches, references, marks, distances)
    found[Family.SWAP] = np.maximum(nearer.max(axis=2, keepdims=True), -_SWAP_FAR)
    numbers = len(marks.numbers)
    first, second = marks.pairs
    left_out = slow | marks.is_constant
    of_number = left_out[:, :numbers]
    for family, left in (
        (Family.LOCATION, left_out),
        (Family.SCALE, of_number),
        (Family.SHAPE, of_number),
        (Family.STALE, marks.is_constant[:, :numbers]),
        (Family.CORRELATION, of_number[:, first] | of_number[:, second]),
        (Family.MISSING, np.broadcast_to(_repeats_a_column(marks), left_out.shape)),
        (Family.SWAP, np.full((len(left_out), 1), len(left_out) < 2)),
    ):
        found[family] = np.where(left, np.nan, found[family])
    return found


def usual_distance(stretches: Sums, rest: Sums, marks: Marks, slow: Bools) -> Floats:
    """[measured]: how far a stretch's pooled mean is from its own ticker's, over all tickers.

    NaN: the column is left out.
    """
    apart = moments_of(stretches, marks).pooled_mean - moments_of(rest, marks).pooled_mean
    apart = np.where(slow | marks.is_constant, np.nan, apart)
    known = ~np.isnan(apart)
    count = known.sum(axis=(0, 1))
    square = np.where(known, apart * apart, 0.0).sum(axis=(0, 1))
    usual = np.sqrt(square / np.maximum(count, 1))
    return np.where(count > 1, np.maximum(usual, FLOORS[Family.SWAP]), np.nan)


def usual_of(differences: Differences) -> tuple[dict[Family, Usual], Floats, Ints]:
    """What is usual, and each stretch's excess with the family that it comes from.

    A stretch is judged by the centre, the deviation and the typical greatest of the others: with
    itself among them it could never be far away, and a window, which is not among them, could.
    """
    usual: dict[Family, Usual] = {}
    greatest = np.empty((len(differences[Family.LOCATION]), len(FAMILIES)))
    for at, family in enumerate(FAMILIES):
        difference = differences[family]
        known = ~np.isnan(difference)
        count = known.sum(axis=0)
        value = np.where(known, difference, 0.0)
        judged = (count > _STRETCHES_MIN) & (2 * count >= len(difference))
        centre = value.sum(axis=0) / np.maximum(count, 1)
        value = np.where(known, difference - centre, 0.0)
        square = (value * value).sum(axis=0)
        floor = FLOORS[family]
        deviation = np.sqrt(square / np.maximum(count - 1, 1))
        # The same without the one: its centre moves by a part, and its square goes.
        fewer = np.maximum(count - 1, 1)
        moved = -value / fewer
        squares = square - value * value - fewer * moved * moved
        spread = np.sqrt(np.maximum(squares, 0.0) / np.maximum(count - 2, 1))
        z = (value - moved) / np.maximum(spread, floor)
        z = np.where(known & judged, np.abs(z) if family in SIGNED else z, 0.0)
        greatest[:, at] = z.reshape(len(z), -1).max(axis=1, initial=0.0)
        usual[family] = Usual(
            centre,
            np.where(judged, np.maximum(deviation, floor), np.nan),
            max(float(greatest[:, at].mean()), TYPICAL_MIN),
        )
    others = (greatest.sum(axis=0) - greatest) / max(len(greatest) - 1, 1)
    excesses = greatest / np.maximum(others, TYPICAL_MIN)
    return usual, excesses.max(axis=1), excesses.argmax(axis=1).astype(np.int64)


def ratios_of(
    differences: Differences, usual: dict[Family, Usual], threshold: float
) -> dict[Family, tuple[Floats, Floats, float]]:
    """By family: deviations, ratios to the threshold, and the threshold, of one window.

    NaN where there is no judgement.
    """
    found = {}
    for family in FAMILIES:
        known = usual[family]
        z = (differences[family][0] - known.centre) / known.deviation
        z = np.abs(z) if family in SIGNED else np.where(np.isnan(z), z, np.maximum(z, 0.0))
        bound = known.typical * threshold
        found[family] = (z, z / bound, bound)
    return found


def _repeats_a_column(marks: Marks) -> Bools:
    """[measured]: classes of one column are missing together; the first one says it."""
    places = [place for place, _ in marks.classes]
    repeats = [place in places[:at] for at, place in enumerate(places)]
    return np.array([False] * len(marks.numbers) + repeats, dtype=np.bool_)

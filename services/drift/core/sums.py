"""What a stretch of seconds is remembered by: sums, so that stretches can be put together.

Values are held between two bounds first (winsorised), which the reference sets: one order of a
million shares would otherwise be the whole mean. They are counted from the reference's mean, in
its standard deviations, so that sums of squares lose no digits.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from services.drift.core.arrays import Bools, Floats, Ints
from services.drift.core.panel import Column, Panel

TAIL_SHARE: Final = 0.005
"""Of a column's values below the lower bound, and as many above the upper one."""
BINS: Final = 64
"""Of each number's distribution, about equally full in the reference."""
_SECONDS_AT_ONCE: Final = 8_192
"""Memory stays small however long a reference is."""


@dataclass(frozen=True)
class Marks:
    """Where the reference's values lie; `measured` columns are numbers, then single classes."""

    numbers: Ints
    """Places of the numbers among a panel's columns."""
    classes: tuple[tuple[int, int], ...]
    """Place of a column among the panel's, and a class of it."""
    names: tuple[str, ...]
    """Of the measured columns."""
    low: Floats
    """[tickers, measured], as all that follows."""
    high: Floats
    centre: Floats
    scale: Floats
    edges: Floats
    """[tickers, numbers, BINS - 1]"""
    is_constant: Bools
    """All values are one value, which is `centre`."""
    has_values: Bools

    @property
    def pairs(self) -> tuple[Ints, Ints]:
        """First and second of each pair of numbers."""
        first, second = np.triu_indices(len(self.numbers), 1)
        return first.astype(np.int64), second.astype(np.int64)


class Sums(NamedTuple):
    """Of one or more stretches: the first axis of each field."""

    seconds: Floats
    """[stretches]"""
    present: Floats
    """Seconds with a value: [stretches, tickers, measured], as the next five."""
    first: Floats
    """Of the values, winsorised and in standard deviations from the reference's mean."""
    second: Floats
    """Of their squares."""
    pooled: Floats
    """Of the values between bounds that all tickers share, counted from one centre."""
    paired: Floats
    """Seconds with a value whose predecessor has one, too."""
    repeated: Floats
    """Those of them where both are the same number."""
    histogram: Floats
    """[stretches, tickers, numbers, BINS]"""
    products: Floats
    """[stretches, tickers, pairs of numbers]; a missing value counts as the mean."""

    def each(self, change: Callable[[Floats], Floats]) -> "Sums":
        """The same done to every field."""
        return Sums(*(change(field) for field in self))

    def total(self) -> "Sums":
        """All stretches put together, as one."""
        return self.each(lambda field: field.sum(axis=0, keepdims=True))

    def less(self, other: "Sums") -> "Sums":
        """Without what the other holds."""
        return Sums(*(mine - theirs for mine, theirs in zip(self, other, strict=True)))

    def drawn(self, counts: Floats) -> "Sums":
        """Put together anew: [drawn, stretches], how often each stretch is in each."""
        return self.each(lambda field: np.tensordot(counts, field, axes=1))


def marks_of(reference: Panel) -> Marks:
    """Where its values lie."""
    columns = reference.columns
    numbers = np.array(
        [place for place, column in enumerate(columns) if not column.classes], dtype=np.int64
    )
    classes = tuple(
        (place, number)
        for place, column in enumerate(columns)
        for number in range(len(column.classes))
    )
    measured = len(numbers) + len(classes)
    shape = (len(reference.tickers), measured)
    low, high, centre = np.zeros(shape), np.ones(shape), np.zeros(shape)
    scale, has_values = np.ones(shape), np.zeros(shape, dtype=np.bool_)
    is_constant = np.zeros(shape, dtype=np.bool_)
    edges = np.zeros((shape[0], len(numbers), BINS - 1))
    for ticker in range(shape[0]):
        for at in range(measured):
            of_column = _measured(reference.values[:, ticker], numbers, classes, at)
            present = np.sort(of_column[~np.isnan(of_column)])
            if len(present) == 0:
                continue
            has_values[ticker, at] = True
            is_constant[ticker, at] = present[0] == present[-1]
            if at < len(numbers):
                edges[ticker, at] = present[np.arange(1, BINS) * len(present) // BINS]
                low[ticker, at], high[ticker, at] = _bounds(present)
            held = np.clip(present, low[ticker, at], high[ticker, at])
            centre[ticker, at] = present[0] if is_constant[ticker, at] else held.mean()
            scale[ticker, at] = 1.0 if is_constant[ticker, at] else held.std()
    names = tuple(columns[place].name for place in numbers) + tuple(
        f"{columns[place].name}={columns[place].classes[number]}" for place, number in classes
    )
    return Marks(numbers, classes, names, low, high, centre, scale, edges, is_constant, has_values)


def sums_by(panel: Panel, marks: Marks, length: int) -> Sums:
    """Sums of successive stretches, `length` seconds each; what is over at the beginning is left.

    Raises:
        AssertionError: the panel is shorter than one.
    """
    assert 0 < length <= len(panel), f"no stretch of {length} s in {len(panel)} s"
    begin = len(panel) % length
    at_once = max(1, _SECONDS_AT_ONCE // length) * length
    parts = []
    for start in range(begin, len(panel), at_once):
        end = min(start + at_once, len(panel))
        # One more second in front, to see whether the first is a repetition.
        before = max(start - 1, 0)
        values = measured_values(panel.values[before:end], marks)
        parts.append(_sums(values, start - before, length, marks))
    return Sums(*(np.concatenate(fields) for fields in zip(*parts, strict=True)))


def measured_values(values: Floats, marks: Marks) -> Floats:
    """[seconds, tickers, measured]: numbers as they are, a class as 1 where it is, else 0."""
    measured = np.empty((*values.shape[:2], len(marks.names)))
    count = len(marks.numbers)
    measured[:, :, :count] = values[:, :, marks.numbers]
    for at, (place, number) in enumerate(marks.classes, count):
        of_column = values[:, :, place]
        measured[:, :, at] = np.where(np.isnan(of_column), np.nan, of_column == number)
    return measured


def standardised(values: Floats, marks: Marks) -> Floats:
    """Measured values, winsorised, in standard deviations from the mean; missing is 0."""
    held = np.clip(values, marks.low, marks.high)
    held -= marks.centre
    held /= marks.scale
    return np.nan_to_num(held, copy=False)


def classes_of(columns: tuple[Column, ...], marks: Marks) -> dict[int, list[int]]:
    """Places among the measured columns of each class of a column."""
    found: dict[int, list[int]] = {at: [] for at, column in enumerate(columns) if column.classes}
    for at, (place, _) in enumerate(marks.classes, len(marks.numbers)):
        found[place].append(at)
    return found


def _measured(
    of_ticker: Floats, numbers: Ints, classes: tuple[tuple[int, int], ...], at: int
) -> Floats:
    if at < len(numbers):
        return of_ticker[:, numbers[at]]
    place, number = classes[at - len(numbers)]
    of_column = of_ticker[:, place]
    return np.where(np.isnan(of_column), np.nan, of_column == number)


def _bounds(ascending: Floats) -> tuple[float, float]:
    tail = int(len(ascending) * TAIL_SHARE)
    low, high = float(ascending[tail]), float(ascending[-1 - tail])
    if low == high:  # Rarely anything but one value: the rare ones are what there is to see.
        return float(ascending[0]), float(ascending[-1])
    return low, high


def _sums(values: Floats, skipped: int, length: int, marks: Marks) -> Sums:
    """Of whole stretches; the values' first `skipped` seconds are only looked back at."""
    before = values[:-1] if skipped else np.concatenate([np.full_like(values[:1], np.nan), values])
    before = before[: len(values) - skipped]
    values = values[skipped:]
    is_present = ~np.isnan(values)
    is_paired = is_present & ~np.isnan(before)
    z = standardised(values, marks)
    low, high = marks.low.min(axis=0), marks.high.max(axis=0)
    pooled = np.nan_to_num(
        (np.clip(values, low, high) - marks.centre.mean(axis=0)) / marks.scale.mean(axis=0)
    )

    def by_stretch(per_second: Floats | Bools) -> Floats:
        return per_second.reshape(-1, length, *per_second.shape[1:]).sum(axis=1, dtype=np.float64)

    count = len(marks.numbers)
    first, second = marks.pairs
    stretches = len(values) // length
    # The number of stretches is stated, since a panel of classes alone has no value to tell it by.
    across = z[:, :, :count].reshape(stretches, length, z.shape[1], count).transpose(0, 2, 1, 3)
    across = np.ascontiguousarray(across)
    products = across.transpose(0, 1, 3, 2) @ across
    return Sums(
        np.full(stretches, length, dtype=np.float64),
        by_stretch(is_present),
        by_stretch(z),
        by_stretch(z * z),
        by_stretch(pooled),
        by_stretch(is_paired),
        by_stretch(is_paired & (values == before)),
        _histogram(values[:, :, :count], length, marks.edges),
        products[:, :, first, second],
    )


def _histogram(values: Floats, length: int, edges: Floats) -> Floats:
    seconds, tickers, numbers = values.shape
    stretches = seconds // length
    counts = np.empty((stretches, tickers, numbers, BINS))
    stretch = np.repeat(np.arange(stretches) * BINS, length)
    for ticker in range(tickers):
        for at in range(numbers):
            of_column = values[:, ticker, at]
            is_present = ~np.isnan(of_column)
            place = np.searchsorted(edges[ticker, at], of_column[is_present])
            place += stretch[is_present]
            counted = np.bincount(place, minlength=stretches * BINS)
            counts[:, ticker, at] = counted.reshape(stretches, BINS)
    return counts

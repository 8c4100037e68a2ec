"""Columns in, columns out: one ticker's trades, and the rows of a feature set made of them."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from services.featuresets.definitions import EXACT_MAX, FeatureSet
from services.featuresets.grid import GridRow
from services.featuresets.ticks import Tick
from services.tools.vectorfold.integers import Bools, Ints


class TradeColumns(NamedTuple):
    """One ticker's trades in order; the fields of a Tick, each a column."""

    offset: Ints
    time_us: Ints
    price: Ints
    quantity: Ints
    side: Ints
    bid: Ints
    bid_quantity: Ints
    ask: Ints
    ask_quantity: Ints

    def ticks(self) -> Iterator[Tick]:
        """The same, one by one."""
        for values in zip(*(column.tolist() for column in self), strict=True):
            yield Tick(*values)

    def between(self, start: int, end: int) -> "TradeColumns":
        """Those from one place up to another."""
        return TradeColumns(*(column[start:end] for column in self))

    def check(self) -> None:
        """Assert what the fold asserts of each trade.

        Raises:
            AssertionError: columns differ in length, or an offset or a time falls.
        """
        assert len({len(column) for column in self}) == 1, "columns of different lengths"
        assert bool(np.all(np.diff(self.offset) > 0)), "an offset does not rise"
        assert bool(np.all(np.diff(self.time_us) >= 0)), "a time falls"
        assert bool(np.all(self.price > 0)), "a price is not one"


def trade_columns(ticks: Sequence[Tick]) -> TradeColumns:
    """Columns of these trades."""
    return TradeColumns(
        *(
            np.array([getattr(tick, field) for tick in ticks], dtype=np.int64)
            for field in TradeColumns._fields
        )
    )


class Column(NamedTuple):
    """One feature over all rows."""

    values: Ints
    """Anything where it is not defined."""
    defined: Bools


class RowColumns(NamedTuple):
    """Rows of one ticker, in order of their grid times."""

    grid_time_us: Ints
    rewind_offset: Ints
    closing: Ints
    """Place among the given trades of the one that closed the row."""
    features: tuple[Column, ...]
    """In the order of the set's features."""

    def between(self, start: int, end: int) -> "RowColumns":
        """Those from one place up to another."""
        features = tuple(Column(c.values[start:end], c.defined[start:end]) for c in self.features)
        return RowColumns(
            self.grid_time_us[start:end],
            self.rewind_offset[start:end],
            self.closing[start:end],
            features,
        )

    def after(self, grid_time_us: int) -> "RowColumns":
        """Those later than a grid time."""
        start = np.searchsorted(self.grid_time_us, grid_time_us, side="right")
        return self.between(int(start), len(self.grid_time_us))

    def rows(self) -> Iterator[GridRow]:
        """The same, one by one, as the fold gives them."""
        values = [
            [
                value if known else None
                for value, known in zip(c.values.tolist(), c.defined.tolist(), strict=True)
            ]
            for c in self.features
        ]
        times, offsets = self.grid_time_us.tolist(), self.rewind_offset.tolist()
        for time_us, offset, *row in zip(times, offsets, *values, strict=True):
            yield GridRow(time_us, offset, tuple(row))

    def reals(self, feature_set: FeatureSet[Tick]) -> list[NDArray[np.float64]]:
        """Each feature as the lake holds it; NaN where it is not defined, which no value is.

        Raises:
            AssertionError: an integer is too large to be exact as a float.
        """
        reals = []
        for feature, (values, defined) in zip(feature_set.features, self.features, strict=True):
            known = np.where(defined, values, 0)
            assert bool(np.all(np.abs(known) < EXACT_MAX)), f"{feature.name} is not exact"
            reals.append(np.where(defined, known / feature.scale, np.nan))
        return reals

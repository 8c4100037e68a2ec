"""What a feature is, and what a set of them is. The folds stand beside, one module a set."""

from collections.abc import Callable
from typing import Final, Literal, Protocol

import msgspec

from services.featuresets.grid import GridRow

EXACT_MAX: Final = 2**53
"""Every integer below this has a float of its own."""


class Feature(msgspec.Struct, frozen=True):
    """One number of a row, and everything a reader must know to use it."""

    name: str
    doc: str
    unit: str
    """Of the real number: the integer in the row divided by `scale`."""
    scale: int
    source: Literal["trades", "bars"]
    window_s: int = 0
    """How far back it looks from the grid time; 0: at the last trade alone."""
    window_bars: int = 0
    """How many bars it looks at, the row's own included; 0: it is made of trades."""

    def real(self, value: int | None) -> float | None:
        """The number as the lake and the online store hold it: one IEEE division, or None.

        Raises:
            AssertionError: the integer is too large to be exact as a float.
        """
        if value is None:
            return None
        assert -EXACT_MAX < value < EXACT_MAX, f"{self.name}: {value} is not exact as a float"
        return value / self.scale


class Fold[Input](Protocol):
    """The state of ONE ticker, and the rows that follow from it."""

    def step(self, given: Input, /) -> list[GridRow]:
        """Rows which this input makes final, in the order of their grid times.

        Raises:
            AssertionError: the input's offset or time falls behind the one before.
        """
        ...

    def state(self) -> bytes:
        """What any later row depends on, in one canonical form: equal states, equal bytes."""
        ...


class FeatureSet[Input](msgspec.Struct, frozen=True):
    """Features that are made together, under one name with its version."""

    name: str
    source: Literal["trades", "bars"]
    features: tuple[Feature, ...]
    module: str
    """Where the fold stands; the fingerprint follows its imports from here."""
    new_fold: Callable[[], Fold[Input]]

    @property
    def longest_window_s(self) -> int:
        """No row depends on more than the trades in it and the one trade before it."""
        return max(feature.window_s for feature in self.features)

    @property
    def longest_window_bars(self) -> int:
        """No row depends on more bars than these."""
        return max(feature.window_bars for feature in self.features)

    @property
    def columns(self) -> tuple[str, ...]:
        """The features' names, in the order of a row's values."""
        return tuple(feature.name for feature in self.features)

"""Changes of stated sizes, planted into windows of which nothing else has changed.

All but two befall one column of one ticker, which is the hardest to see among many.
"""

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np

from services.drift.core.arrays import Floats
from services.drift.core.panel import Column, Panel

MISSING_SHARE: Final = 0.05
STALE_SHARE: Final = 0.25
REGIME_VARIANCE: Final = 1.5

type Shift = Callable[[Floats, Floats, Floats], None]
"""Changes a window's values [seconds, tickers, columns] in place; the reference's means and
standard deviations, [tickers, columns], say how far."""


def shifted(window: Panel, shift: Shift, mean: Floats, spread: Floats) -> Panel:
    """A changed copy."""
    values = window.values.copy()
    shift(values, mean, spread)
    return Panel(window.tickers, window.columns, window.time_us, values)


def _mean(by: float) -> Shift:
    def shift(values: Floats, _: Floats, spread: Floats) -> None:
        values[:, 0, 0] += by * spread[0, 0]

    return shift


def _mean_everywhere(values: Floats, _: Floats, spread: Floats) -> None:
    values[:, :, 0] += 0.5 * spread[:, 0]


def _variance(times: float) -> Shift:
    def shift(values: Floats, mean: Floats, _: Floats) -> None:
        values[:, 0, 0] = mean[0, 0] + np.sqrt(times) * (values[:, 0, 0] - mean[0, 0])

    return shift


def _correlation(values: Floats, mean: Floats, spread: Floats) -> None:
    """The last column goes the other way than it did: its correlations turn round."""
    values[:, 0, -1] = 2 * mean[0, -1] - values[:, 0, -1]
    del spread


def _regime(values: Floats, mean: Floats, _: Floats) -> None:
    values[:] = mean + np.sqrt(REGIME_VARIANCE) * (values - mean)


def _missing(values: Floats, _: Floats, __: Floats) -> None:
    values[: int(len(values) * MISSING_SHARE), 0, 0] = np.nan


def _swap(values: Floats, _: Floats, __: Floats) -> None:
    values[:, [0, 1]] = values[:, [1, 0]]


def _stale(values: Floats, _: Floats, __: Floats) -> None:
    frozen = int(len(values) * STALE_SHARE)
    values[-frozen:, 0, 0] = values[-frozen - 1, 0, 0]


def _last_class(of: int) -> Shift:
    """Every so many seconds it is the last class, whatever it was."""

    def shift(values: Floats, _: Floats, __: Floats) -> None:
        classes = values[:, 0, 0]
        classes[::of] = np.nanmax(classes)

    return shift


def shifts_for(columns: Sequence[Column]) -> "dict[str, Shift]":
    """Those that mean something for a panel of such columns."""
    return CLASS_SHIFTS if all(column.classes for column in columns) else SHIFTS


SHIFTS: Final[dict[str, Shift]] = {
    "mean by 0.25 sd": _mean(0.25),
    "mean by 0.5 sd": _mean(0.5),
    "mean by 1 sd": _mean(1.0),
    "mean by 0.5 sd, every ticker": _mean_everywhere,
    "variance x 1.5": _variance(1.5),
    "variance x 2": _variance(2.0),
    "one column's correlations turned": _correlation,
    "regime: variance x 1.5 everywhere": _regime,
    "5 % missing": _missing,
    "two tickers swapped": _swap,
    "stale for a quarter": _stale,
}
"""By what people read."""
CLASS_SHIFTS: Final[dict[str, Shift]] = {
    "the last class in each 20th row": _last_class(20),
    "the last class in each 10th row": _last_class(10),
    "the last class in each 5th row": _last_class(5),
    "5 % missing": _missing,
}

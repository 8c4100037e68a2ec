"""Rows as one table of seconds, tickers and columns, or the reason why they can't be one."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from services.drift.core.arrays import Floats, Ints
from services.drift.core.outcomes import Outcome, Refusal

SECOND_US: Final = 1_000_000
LEAP_S_MAX: Final = 7 * 86_400
"""Between two successive seconds with rows; the longest weekend of an exchange is four days."""
ROWS_MAX: Final = 20_000_000
COLUMNS_MAX: Final = 200
CLASSES_MAX: Final = 32


@dataclass(frozen=True)
class Column:
    """A number, or a class."""

    name: str
    classes: tuple[str, ...] = ()
    """Names of the classes 0, 1, 2 ...; a number has none."""


@dataclass(frozen=True)
class Panel:
    """Rows of all tickers side by side."""

    tickers: tuple[str, ...]
    columns: tuple[Column, ...]
    time_us: Ints
    """Rising: each second of the grid in which any ticker has a row. So nights take no place."""
    values: Floats
    """[seconds, tickers, columns]; NaN where there is no value, no row, or no finite number."""

    def __len__(self) -> int:
        """How many seconds there are."""
        return len(self.time_us)

    def part(self, begin: int, end: int) -> "Panel":
        """Seconds from the one place up to the other."""
        return Panel(self.tickers, self.columns, self.time_us[begin:end], self.values[begin:end])


def panel_of(
    tickers: Sequence[str],
    columns: Sequence[Column],
    ticker: Ints,
    time_us: Ints,
    values: Floats,
    versions: Sequence[object] = (),
) -> Panel | Refusal:
    """Put rows side by side.

    Args:
        tickers: names; rows that name none of them are a broken invariant.
        columns: of `values`.
        ticker: place in `tickers`, one a row; rows may stand in any order.
        time_us: grid time of each row, microseconds.
        values: [rows, columns]; NaN where there is no value; a class is its number.
        versions: the model's, of all the rows that have one.
    """
    assert values.shape == (len(ticker), len(columns)), "one value a row and column"
    assert len(ticker) <= ROWS_MAX, f"{len(ticker):,} rows; {ROWS_MAX:,} are allowed"
    assert len(columns) <= COLUMNS_MAX, f"{len(columns)} columns; {COLUMNS_MAX} are allowed"
    assert all(len(column.classes) <= CLASSES_MAX for column in columns), "too many classes"
    if len(ticker) == 0:
        return Refusal(Outcome.EMPTY_WINDOW, "no rows")
    different = sorted({str(version) for version in versions})
    if len(different) > 1:
        return Refusal(Outcome.TWO_MODELS, f"rows of versions {', '.join(different[:5])}")
    if np.any(time_us % SECOND_US):
        off = int(time_us[np.flatnonzero(time_us % SECOND_US)[0]])
        return Refusal(Outcome.CLOCK_JUMP, f"{off} us is no whole second")
    times, place = np.unique(time_us, return_inverse=True)
    leaps = np.diff(times) > LEAP_S_MAX * SECOND_US
    if np.any(leaps):
        at = int(np.flatnonzero(leaps)[0])
        leap_s = int(times[at + 1] - times[at]) // SECOND_US
        return Refusal(Outcome.CLOCK_JUMP, f"{leap_s} s from {times[at]} us to the next row")
    cell = place * len(tickers) + ticker
    last = np.full(len(times) * len(tickers), -1, dtype=np.int64)
    last[cell] = np.arange(len(cell))
    again = np.flatnonzero(last[cell] != np.arange(len(cell)))
    if len(again) and not np.array_equal(values[again], values[last[cell[again]]], equal_nan=True):
        return Refusal(Outcome.CLOCK_JUMP, "one second of a ticker has two rows that differ")
    table = np.full((len(times) * len(tickers), len(columns)), np.nan)
    table[cell] = values
    table[~np.isfinite(table)] = np.nan
    shape = (len(times), len(tickers), len(columns))
    return Panel(tuple(tickers), tuple(columns), times, table.reshape(shape))

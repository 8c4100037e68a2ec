"""Rows folded again from the trades before their time: the proof that they know nothing later.

For a sample of rows the fold takes the lake's trades strictly before the row's time, and then a
trade that never was, at that time, which closes the row. What comes out must be the row, with `==`.
A row that holds anything of the real trade that closed it, or of a later one, differs.

Only rows whose trades the lake has can be looked at: those that were closed on a day of which the
lake has their ticker's trades. Rows of the live stream are made from the log, and their trades are
in the lake only if they were ingested, too.
"""

from collections import OrderedDict
from datetime import date
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa

from services.featuresets.definitions import FeatureSet
from services.featuresets.grid import SECOND_US
from services.featuresets.ticks import Tick
from services.lake.files import read_file
from services.lake.places import Lake, day_of
from services.lake.ticks import ticks_of, with_sides
from services.scoring.arrays import Bools, Ints
from services.trainer.dataset import MID, MID_SCALE, Dataset

SAMPLE_ROWS: Final = 256
_SEED: Final = 6
_DAYS_IN_MEMORY: Final = 3
_DAY_US: Final = 86_400 * SECOND_US


class Truncated(NamedTuple):
    """What came of it."""

    compared: int
    not_checkable: int
    """Rows of the data set whose trades are not in the lake."""
    difference: str | None
    """The first, as a sentence."""


def truncated_rows(
    dataset: Dataset, lake: Lake | None, feature_set: FeatureSet[Any], sample_rows: int
) -> Truncated:
    """Fold a sample again, as many rows of each ticker, and compare.

    Raises:
        LakeError: a file of trades is damaged or another's.
    """
    if lake is None or feature_set.source != "trades":
        return Truncated(0, len(dataset), None)
    rng = np.random.default_rng(_SEED)
    compared, not_checkable = 0, 0
    for number, ticker in enumerate(dataset.tickers):
        rows = np.flatnonzero(dataset.ticker == number)
        history = _History(lake, ticker)
        is_covered = history.has_days_of(dataset.created_us[rows])
        not_checkable += int(np.count_nonzero(~is_covered))
        rows = rows[is_covered]
        wanted = min(len(rows), max(1, sample_rows // len(dataset.tickers)))
        for row in np.sort(rng.choice(rows, wanted, replace=False)).tolist():
            ticks = history.ticks_before(int(dataset.grid_time_us[row]), feature_set)
            if ticks is None:
                not_checkable += 1
                continue
            compared += 1
            difference = _difference(dataset, row, feature_set, history, ticks)
            if difference is not None:
                at = np.datetime64(int(dataset.grid_time_us[row]), "us")
                return Truncated(compared, not_checkable, f"{ticker} at {at}Z: {difference}")
    return Truncated(compared, not_checkable, None)


def _difference(
    dataset: Dataset,
    row: int,
    feature_set: FeatureSet[Any],
    history: "_History",
    ticks: list[Tick],
) -> str | None:
    grid_time_us = int(dataset.grid_time_us[row])
    closing_us = history.next_time_us(grid_time_us)
    if closing_us != int(dataset.created_us[row]):
        return (
            f"it was closed at {int(dataset.created_us[row])} us, and the lake's first trade from"
            f" its time on is at {closing_us} us: it was made from other trades"
        )
    fold = feature_set.new_fold()
    for tick in ticks:
        fold.step(tick)
    closed = {made.grid_time_us: made for made in fold.step(_closing(grid_time_us, ticks))}
    made = closed.get(grid_time_us)
    if made is None:
        return "the trades before it give no row at its time"
    values = [f.real(v) for f, v in zip(feature_set.features, made.values, strict=True)]
    expected = dict(zip(feature_set.columns, values, strict=True))
    stored = dict(zip(dataset.columns, dataset.inputs[row].tolist(), strict=True))
    stored[MID] = int(dataset.mid[row]) / MID_SCALE
    for name in feature_set.columns:
        if stored[name] != expected[name]:
            return (
                f"{name} is {stored[name]!r}, and {expected[name]!r} from the trades before it"
                " alone: it knows something later, or other trades"
            )
    return None


def _closing(grid_time_us: int, ticks: list[Tick]) -> Tick:
    """A trade at the row's time that is unlike any; the row must not know it."""
    return Tick(ticks[-1].offset + 1, grid_time_us, 1, 1, 1, 0, 0, 0, 0)


class _History:
    """A ticker's trades in the lake, a few days of them in memory."""

    def __init__(self, lake: Lake, ticker: str) -> None:
        self._lake = lake
        self._ticker = ticker
        self._days = lake.days("trades", ticker)
        self._loaded: OrderedDict[date, tuple[pa.Table, Ints]] = OrderedDict()

    def has_days_of(self, times_us: Ints) -> Bools:
        """Of each time whether the lake has the ticker's trades of its day."""
        epoch = date(1970, 1, 1)
        days = np.array([(day - epoch).days for day in self._days], dtype=np.int64)
        covered: Bools = np.isin(times_us // _DAY_US, days)
        return covered

    def ticks_before(self, time_us: int, feature_set: FeatureSet[Any]) -> list[Tick] | None:
        """What a row at this time depends on, in order; None: the lake does not reach so far."""
        begin_us = time_us - feature_set.longest_window_s * SECOND_US
        parts: list[pa.Table] = []
        for day in reversed(self._days):
            if day > day_of(time_us):
                continue
            table, times = self._day(day)
            end = int(np.searchsorted(times, time_us))
            # The last trade before the longest window says what was there when it began.
            first = int(np.searchsorted(times, begin_us)) - 1
            parts.append(table.slice(max(first, 0), end - max(first, 0)))
            if first >= 0:
                return list(ticks_of(pa.concat_tables(reversed(parts)), 0))
        return None

    def next_time_us(self, time_us: int) -> int | None:
        """Of the first trade at this time or later."""
        for day in self._days:
            if day >= day_of(time_us):
                _, times = self._day(day)
                place = int(np.searchsorted(times, time_us))
                if place < len(times):
                    return int(times[place])
        return None

    def _day(self, day: date) -> "tuple[pa.Table, Ints]":
        if day not in self._loaded:
            table = with_sides(read_file(self._lake.trades(self._ticker, day), "trades"))
            times: Ints = table.column("time").cast(pa.int64()).to_numpy()
            self._loaded[day] = (table, times)
            if len(self._loaded) > _DAYS_IN_MEMORY:
                self._loaded.popitem(last=False)
        return self._loaded[day]

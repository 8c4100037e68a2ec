"""What the checks said of a batch of feature rows: `<home>/lake/quality/features/<batch>.json`.

A batch is one backfill, or the streamed days that one compaction merged.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final, Literal

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from services.featuresets.definitions import FeatureSet
from services.featuresets.fingerprint import fingerprint
from services.featuresets.grid import SECOND_US
from services.lake.errors import LakeError
from services.lake.places import Lake
from services.tools.history.quality import put_document
from services.tools.history.times import spell_time

FORMAT: Final = 1
KIND: Final = "features"
_DAY_US: Final = 86_400_000_000

type Origin = Literal["backfill", "stream"]


class ColumnFigures(msgspec.Struct):
    """One feature of one ticker."""

    nulls: int = 0
    least: float | None = None
    most: float | None = None


class TickerFigures(msgspec.Struct):
    """One ticker's rows."""

    rows: int = 0
    first: str = ""
    last: str = ""
    gaps: int = 0
    """Steps that leave out points of the grid: silences; of daily rows weekends too."""
    longest_gap_s: int = 0
    features: dict[str, ColumnFigures] = {}


class Check(msgspec.Struct, frozen=True):
    """One rule, asked of every row of a batch."""

    rule: str
    what: str
    count: int
    passed: bool


class FeatureBatch(msgspec.Struct, frozen=True):
    """The results of one batch."""

    format: int
    batch: str
    at: str
    feature_set: str
    fingerprint: str
    origin: Origin
    tickers: dict[str, TickerFigures]
    checks: tuple[Check, ...]


class Gathered:
    """What is to be said of a batch, row by row as they are written."""

    def __init__(self, feature_set: FeatureSet[Any], origin: Origin) -> None:
        self._set = feature_set
        self._origin: Origin = origin
        self._step_us = SECOND_US if feature_set.source == "trades" else _DAY_US
        self._tickers: dict[str, TickerFigures] = {}
        self._last_us: dict[str, int] = {}
        self._counts = dict.fromkeys(RULES, 0)

    def add(self, ticker: str, table: pa.Table) -> None:
        """Some more rows of a ticker, in order of time."""
        if table.num_rows == 0:
            return
        times = table.column("event_timestamp").cast(pa.int64()).to_numpy()
        created = table.column("created").cast(pa.int64()).to_numpy()
        figures = self._tickers.setdefault(ticker, TickerFigures(first=spell_time(int(times[0]))))
        steps = np.diff(times, prepend=self._last_us.get(ticker, times[0] - self._step_us))
        gaps = steps[steps > self._step_us]
        figures.rows += table.num_rows
        figures.last = spell_time(int(times[-1]))
        figures.gaps += len(gaps)
        figures.longest_gap_s = max(figures.longest_gap_s, int(gaps.max(initial=0)) // SECOND_US)
        self._last_us[ticker] = int(times[-1])
        self._counts["falling_time"] += int((steps <= 0).sum())
        self._counts["off_grid"] += int((times % self._step_us != 0).sum())
        self._counts["closed_early"] += int((created < times).sum())
        for name in self._set.columns:
            self._add_column(figures.features.setdefault(name, ColumnFigures()), table.column(name))

    def _add_column(self, figures: ColumnFigures, column: pa.ChunkedArray) -> None:
        figures.nulls += column.null_count
        finite = pc.is_finite(column)
        self._counts["not_finite"] += int(pc.sum(pc.invert(finite)).as_py() or 0)
        found = pc.min_max(column.filter(finite)).as_py()
        if found["min"] is not None:
            figures.least = min(
                found["min"], found["min"] if figures.least is None else figures.least
            )
            figures.most = max(found["max"], found["max"] if figures.most is None else figures.most)

    def keep(self, lake: Lake) -> FeatureBatch | None:
        """Write the results; None: there was no row.

        Raises:
            LakeError: the disk does not take them.
        """
        if not self._tickers:
            return None
        at = datetime.now(UTC)
        counts = self._counts | {"never_defined": self._never_defined()}
        batch = FeatureBatch(
            FORMAT,
            f"{at:%Y%m%dT%H%M%S%f}Z-{self._set.name}",
            at.isoformat(),
            self._set.name,
            fingerprint(self._set),
            self._origin,
            self._tickers,
            tuple(Check(rule, RULES[rule], n, n == 0) for rule, n in counts.items()),
        )
        put_document(lake.quality(KIND) / f"{batch.batch}.json", batch)
        return batch

    def _never_defined(self) -> int:
        return sum(
            of_feature.nulls == figures.rows
            for figures in self._tickers.values()
            for of_feature in figures.features.values()
        )


RULES: Final[Mapping[str, str]] = {
    "falling_time": "rows whose grid time is not after that of the row before",
    "off_grid": "rows whose time is no point of the grid",
    "closed_early": "rows that were known before their grid time",
    "not_finite": "values that are no finite number",
    "never_defined": "features that no row of a ticker has, as where quotes were not told",
}
"""Name, and what it counts."""


def feature_batches(lake: Lake) -> list[FeatureBatch]:
    """All of them, oldest first.

    Raises:
        LakeError: one is damaged.
    """
    found: list[FeatureBatch] = []
    for path in sorted(lake.quality(KIND).glob("*.json")):
        try:
            found.append(msgspec.json.decode(path.read_bytes(), type=FeatureBatch))
        except (OSError, msgspec.MsgspecError) as error:
            raise LakeError(f"{path} is damaged ({error}); remove it") from error
    return found

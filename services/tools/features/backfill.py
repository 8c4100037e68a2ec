"""Rows of history into the lake: computed by the fold that runs live, written once.

A set's rows that the live room has written come into the lake from `features`, and only from
there. What is filled here is what the stream does not have: history that was ingested, and trades
on the log before the set's first row.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from itertools import groupby
from pathlib import Path
from typing import Any, Final

import msgspec
import pyarrow as pa

from services.featuresets.definitions import FeatureSet
from services.featuresets.fingerprint import fingerprint
from services.lake.files import read_file, write_file
from services.lake.places import Lake, backfill_file, day_of
from services.lake.schemas import feature_schema
from services.tools.features.errors import FeaturesError
from services.tools.features.inputs import ExpectedRow, reals

_TIMES: Final = ("event_timestamp", "created")


class Days(msgspec.Struct, frozen=True):
    """Which days of grid time are asked for; None: no bound. Both are included."""

    first: date | None = None
    last: date | None = None

    def hold(self, day: date) -> bool:
        """Whether a day is asked for."""
        return (self.first is None or day >= self.first) and (self.last is None or day <= self.last)


class Filled(msgspec.Struct):
    """What a backfill did."""

    computed: int = 0
    """Rows of the days asked for."""
    written: int = 0
    kept: int = 0
    """Rows that were in the lake already, and are the same."""
    files: int = 0


def fill(
    lake: Lake, feature_set: FeatureSet[Any], rows: Iterable[ExpectedRow], *, replace: bool = False
) -> Filled:
    """Write rows, in order of time in each ticker, day by day. Hold the lake's lock for backfills.

    Args:
        lake: where to.
        feature_set: whose rows they are.
        rows: of any tickers, one after the other.
        replace: put the rows in the place of other backfilled ones of their days.

    Raises:
        FeaturesError: the lake has other rows at these times.
        LakeError: a file is damaged, or the disk does not take one.
    """
    filled = Filled()
    made_by = fingerprint(feature_set)
    for (ticker, day), group in groupby(rows, key=lambda r: (r.ticker, day_of(r.grid_time_us))):
        fresh = list(group)
        filled.computed += len(fresh)
        table = _table(feature_set, made_by, fresh)
        folder = lake.features(feature_set.name, ticker, day)
        present = _present(folder)
        if present:
            missing, same = _compare(table, [rows for _, rows in present], folder, replace=replace)
            filled.kept += same
            if missing.num_rows == 0:
                continue
            table = missing
        path = folder / backfill_file(*_span(table)).name
        write_file(path, feature_schema(feature_set.columns), [table])
        if replace:
            _remove_others(present, path)
        filled.written += table.num_rows
        filled.files += 1
    return filled


def _present(folder: Path) -> list[tuple[Path, pa.Table]]:
    return [(path, read_file(path, "features")) for path in sorted(folder.glob("*.parquet"))]


def _remove_others(present: Sequence[tuple[Path, pa.Table]], written: Path) -> None:
    for path, _ in present:
        if path.name.startswith("backfill-") and path != written:
            path.unlink()


def _compare(
    table: pa.Table, present: Sequence[pa.Table], folder: Path, *, replace: bool
) -> tuple[pa.Table, int]:
    """The rows that are not there yet, and how many are there with the same values."""
    there = {cells[0]: cells for stored in present for cells in _cells(stored, table.column_names)}
    missing, same, differ = [], 0, 0
    for place, cells in enumerate(_cells(table, table.column_names)):
        stored_cells = there.get(cells[0])
        if stored_cells is None:
            missing.append(place)
        elif stored_cells == cells:
            same += 1
        else:
            differ += 1
    if replace and differ:
        return table, 0
    if differ:
        raise FeaturesError(
            f"{folder} has {differ:,} rows with other values than these inputs give now; where the"
            " inputs were corrected, run it again with --replace"
        )
    return table.take(pa.array(missing, pa.int64())), same


def _cells(table: pa.Table, names: Sequence[str]) -> Iterator[tuple[Any, ...]]:
    """Each row without `processed`, beginning with its grid time."""
    order = [*_TIMES, *(n for n in names if n not in (*_TIMES, "processed"))]
    columns = [
        (table.column(n).cast(pa.int64()) if n in _TIMES else table.column(n)).to_pylist()
        for n in order
    ]
    return zip(*columns, strict=True)


def _span(table: pa.Table) -> tuple[int, int]:
    offsets = table.column("trade_offset")
    return offsets[0].as_py(), offsets[-1].as_py()


def _table(feature_set: FeatureSet[Any], made_by: str, rows: Sequence[ExpectedRow]) -> pa.Table:
    table: dict[str, list[Any]] = {
        "ticker": [row.ticker for row in rows],
        "event_timestamp": [row.grid_time_us for row in rows],
        "created": [row.created_us for row in rows],
        "processed": [None] * len(rows),
        "trade_offset": [row.closing_offset for row in rows],
        "fingerprint": [made_by] * len(rows),
    }
    values = [reals(feature_set, row) for row in rows]
    for place, name in enumerate(feature_set.columns):
        table[name] = [of_row[place] for of_row in values]
    schema = feature_schema(feature_set.columns)
    return pa.table({n: pa.array(cells, schema.field(n).type) for n, cells in table.items()})

"""Rows of history into the lake: computed by the fold that runs live, written once.

A set's rows that the live room has written come into the lake from `features`, and only from
there. What is filled here is what the stream does not have: history that was ingested, and trades
on the log before the set's first row.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from itertools import groupby
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa

from services.featuresets.definitions import FeatureSet
from services.featuresets.fingerprint import fingerprint
from services.lake.files import read_file, write_file
from services.lake.places import Lake, backfill_file, day_of
from services.lake.schemas import feature_schema
from services.tools.features.errors import FeaturesError
from services.tools.features.inputs import ExpectedRow, reals
from services.tools.features.quality import Gathered
from services.tools.vectorfold.columns import RowColumns, TradeColumns

_TIMES: Final = ("event_timestamp", "created")
_DAY_US: Final = 86_400_000_000


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
    unprovable: int = 0
    """Rows that may depend on trades that retention took from the log; not computed."""


class DayRows(NamedTuple):
    """Some rows of one day, as the lake has them."""

    ticker: str
    day: date
    table: pa.Table


def fill(
    lake: Lake, feature_set: FeatureSet[Any], rows: Iterable[DayRows], *, replace: bool = False
) -> Filled:
    """Write rows, in order of time in each ticker, day by day; keep what the checks say of them.

    Hold the lake's lock for backfills.

    Args:
        lake: where to.
        feature_set: whose rows they are.
        rows: of any tickers, one after the other; see `day_rows` and `day_columns`.
        replace: put the rows in the place of other backfilled ones of their days.

    Raises:
        FeaturesError: the lake has other rows at these times.
        LakeError: a file is damaged, or the disk does not take one.
    """
    filled = Filled()
    quality = Gathered(feature_set, "backfill")
    for (ticker, day), group in groupby(rows, key=lambda r: (r.ticker, r.day)):
        table = pa.concat_tables([some.table for some in group])
        filled.computed += table.num_rows
        quality.add(ticker, table)
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
    quality.keep(lake)
    return filled


def day_rows(feature_set: FeatureSet[Any], rows: Iterable[ExpectedRow]) -> Iterator[DayRows]:
    """Rows one by one, as days of the lake."""
    for (ticker, day), group in groupby(rows, key=lambda r: (r.ticker, day_of(r.grid_time_us))):
        of_day = list(group)
        columns: dict[str, Sequence[Any]] = {
            "event_timestamp": [row.grid_time_us for row in of_day],
            "created": [row.created_us for row in of_day],
            "trade_offset": [row.closing_offset for row in of_day],
        }
        values = zip(*(reals(feature_set, row) for row in of_day), strict=True)
        columns |= dict(zip(feature_set.columns, values, strict=True))
        yield DayRows(ticker, day, _table(feature_set, ticker, columns))


def day_columns(
    feature_set: FeatureSet[Any], ticker: str, rows: RowColumns, trades: TradeColumns
) -> Iterator[DayRows]:
    """Rows that whole columns of trades gave, as days of the lake."""
    days = rows.grid_time_us // _DAY_US
    edges = np.flatnonzero(np.diff(days)) + 1
    for start, end in zip([0, *edges], [*edges, len(days)], strict=True):
        of_day = rows.between(start, end)
        if len(of_day.closing):
            columns = {
                "event_timestamp": of_day.grid_time_us,
                "created": trades.time_us[of_day.closing],
                "trade_offset": trades.offset[of_day.closing],
                **dict(zip(feature_set.columns, of_day.reals(feature_set), strict=True)),
            }
            day = day_of(int(of_day.grid_time_us[0]))
            yield DayRows(ticker, day, _table(feature_set, ticker, columns))


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


def _table(feature_set: FeatureSet[Any], ticker: str, columns: Mapping[str, Any]) -> pa.Table:
    """The lake's columns; NaN says of a feature that it is not defined, which no value is."""
    schema = feature_schema(feature_set.columns)
    count = len(columns["created"])
    whole = {
        **columns,
        "ticker": pa.repeat(ticker, count),
        "processed": pa.nulls(count),
        "fingerprint": pa.repeat(fingerprint(feature_set), count),
    }
    arrays = {}
    for field in schema:
        cells = whole[field.name]
        if not isinstance(cells, pa.Array):
            cells = pa.array(cells, from_pandas=True)
        arrays[field.name] = cells.cast(field.type)
    return pa.table(arrays)

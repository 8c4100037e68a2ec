"""A set's features as they were known at given times: what models are trained on.

Joined a ticker and a day at a time, the newest day first: each label meets the rows of its own day,
and goes on to the day before only if none of them is old enough. So a day is read once, days that
nobody asks for are not read, and memory holds the answer and the rows of one day.
"""

from datetime import date
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from services.featuresets.definitions import FeatureSet
from services.featuresets.fingerprint import fingerprint
from services.lake.files import read_file
from services.lake.places import Lake, day_bounds_us, parse_feature_file

LABELS: Final = pa.schema([("ticker", pa.string()), ("time_us", pa.int64())])
"""What is asked for: a ticker, and a time in microseconds since the Unix epoch."""

_NEVER_US: Final = np.iinfo(np.int64).min
"""Before every row: the time of a label that has none."""
_GRID_TIME: Final = pa.field("grid_time_us", pa.int64())

type _Ints = NDArray[np.int64]

_NOBODY: Final[_Ints] = np.empty(0, np.int64)


def features_as_of(lake: Lake, feature_set: FeatureSet[Any], labels: "pa.Table") -> "pa.Table":
    """Of each label the newest row of its ticker whose grid time is not after its time.

    A row knows the trades before its grid time, so nothing at or after a label's time gets in.
    Rows of other definitions of the set don't count. The answer has the labels' columns and order,
    then `grid_time_us` (null: no row is that old) and one column a feature, null where it is not
    defined.

    Raises:
        LakeError: a file is damaged or another's.
    """
    labels = labels.select(LABELS.names).cast(LABELS)
    time_us = labels.column("time_us").fill_null(_NEVER_US).to_numpy()
    waiting = _by_ticker(labels, time_us)
    answer = _Answer(feature_set, labels.num_rows)
    dataset = f"features/{feature_set.name}"
    for ticker in lake.tickers(dataset):
        places = waiting.get(ticker, _NOBODY)
        times = time_us[places]
        for day in reversed(lake.days(dataset, ticker)):
            begin = int(np.searchsorted(times, day_bounds_us(day)[0]))
            if begin == len(places):
                continue
            rows = _rows_of_day(lake, feature_set, ticker, day)
            if rows is None:
                continue
            missed = begin + answer.fill(places[begin:], times[begin:], rows)
            places, times = places[:missed], times[:missed]
    return answer.table(labels)


class _Answer:
    """A column a feature, filled row by row in any order."""

    def __init__(self, feature_set: FeatureSet[Any], count: int) -> None:
        self._grid_time_us = np.zeros(count, np.int64)
        self._found = np.zeros(count, np.bool_)
        # No value of the lake is NaN: it stands for what is not defined.
        self._features = {name: np.full(count, np.nan) for name in feature_set.columns}

    def fill(self, places: _Ints, time_us: _Ints, rows: "pa.Table") -> int:
        """Give labels the newest of these rows that is not after them; how many got none.

        Those are the first ones: they are older than all rows.

        Args:
            places: of the labels, in order of their times.
            time_us: their times.
            rows: in order of `grid_time_us`.
        """
        grid_time_us = rows.column("grid_time_us").to_numpy()
        missed = int(np.searchsorted(time_us, grid_time_us[0]))
        answered = places[missed:]
        chosen = np.searchsorted(grid_time_us, time_us[missed:], side="right") - 1
        self._found[answered] = True
        self._grid_time_us[answered] = grid_time_us[chosen]
        taken = rows.take(pa.array(chosen))
        for name, column in self._features.items():
            column[answered] = taken.column(name).to_numpy()
        return missed

    def table(self, labels: "pa.Table") -> "pa.Table":
        """The labels with what was found; this is empty then, so that nothing is held twice."""
        fields = [*LABELS, _GRID_TIME]
        columns = [*labels.columns, pa.array(self._grid_time_us, mask=~self._found)]
        while self._features:
            name = next(iter(self._features))
            values = self._features.pop(name)
            fields.append(pa.field(name, pa.float64()))
            columns.append(pa.array(values, mask=np.isnan(values)))
        return pa.table(columns, schema=pa.schema(fields))


def _by_ticker(labels: "pa.Table", time_us: _Ints) -> dict[str | None, _Ints]:
    """Places of each ticker's labels, in order of their times."""
    tickers = labels.column("ticker").combine_chunks().dictionary_encode(null_encoding="encode")
    numbers = tickers.indices.to_numpy()
    order = np.lexsort((time_us, numbers))
    ends = np.cumsum(np.bincount(numbers, minlength=len(tickers.dictionary)))
    return dict(zip(tickers.dictionary.to_pylist(), np.split(order, ends)[:-1], strict=True))


def _rows_of_day(
    lake: Lake, feature_set: FeatureSet[Any], ticker: str, day: date
) -> "pa.Table | None":
    """Grid times and features of the rows of these definitions, in order; None: there are none."""
    made_by = fingerprint(feature_set)
    columns = ["event_timestamp", "fingerprint", *feature_set.columns]
    parts = []
    for path in sorted(lake.features(feature_set.name, ticker, day).glob("*.parquet")):
        parse_feature_file(path)  # Refuses what is not the lake's.
        rows = read_file(path, "features", columns)
        is_ours = pc.equal(rows.column("fingerprint"), made_by)
        parts.append(rows if pc.all(is_ours).as_py() else rows.filter(is_ours))
    rows = pa.concat_tables(parts) if parts else None
    if not rows:
        return None
    times = rows.column("event_timestamp").cast(pa.int64())
    rows = rows.drop_columns(["event_timestamp", "fingerprint"]).append_column(_GRID_TIME, times)
    # Files of a stream may overlap: what was written again after a failure comes late.
    in_order = bool(np.all(np.diff(times.to_numpy()) >= 0))
    return rows if in_order else rows.sort_by("grid_time_us")

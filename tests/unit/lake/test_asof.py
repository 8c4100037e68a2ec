"""Joins as of a time: nothing from a label's future, nothing of other definitions."""

from pathlib import Path

import msgspec
import pyarrow as pa
import pytest

from services.featuresets import SETS
from services.lake.asof import LABELS, features_as_of
from services.lake.errors import LakeError
from services.lake.files import read_file, write_file
from services.lake.places import Lake, day_of
from tests.support.lake_of_rows import START_US, put_rows, walk_rows

SECOND_US = 1_000_000
V1 = SETS["microstructure_v1"]


def labels(*asked: tuple[str, int]) -> "pa.Table":
    tickers, times = [ticker for ticker, _ in asked], [time_us for _, time_us in asked]
    return pa.table({"ticker": tickers, "time_us": times}, schema=LABELS)


def test_each_label_gets_the_newest_row_that_is_not_after_it(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    rows = {ticker: walk_rows(V1, seed, 400) for seed, ticker in enumerate(("AAPL", "MSFT"))}
    for ticker, of_ticker in rows.items():
        put_rows(lake, V1, ticker, of_ticker)
    asked = []
    for ticker, of_ticker in rows.items():
        for row in of_ticker[::7]:
            asked += [(ticker, row.grid_time_us + by_us) for by_us in (-1, 0, 1, 400_000)]
    asked.reverse()
    found = features_as_of(lake, V1, labels(*asked)).to_pylist()
    assert [(row["ticker"], row["time_us"]) for row in found] == asked
    for answer in found:
        past = [r for r in rows[answer["ticker"]] if r.grid_time_us <= answer["time_us"]]
        assert answer["grid_time_us"] == (past[-1].grid_time_us if past else None)
        expected = past[-1].values if past else (None,) * len(V1.features)
        for feature, value in zip(V1.features, expected, strict=True):
            assert answer[feature.name] == feature.real(value)


def test_without_rows_every_label_is_answered_with_nothing(tmp_path: Path) -> None:
    found = features_as_of(Lake(tmp_path), V1, labels(("AAPL", START_US), ("MSFT", 5)))
    assert found.column("grid_time_us").to_pylist() == [None, None]
    assert found.column_names == ["ticker", "time_us", "grid_time_us", *V1.columns]


def test_rows_of_other_definitions_do_not_count(tmp_path: Path) -> None:
    lake, rows = Lake(tmp_path), walk_rows(V1, 1, 60)
    put_rows(lake, V1, "AAPL", rows, made_by="of an earlier version")
    found = features_as_of(lake, V1, labels(("AAPL", rows[-1].grid_time_us)))
    assert found.column("grid_time_us").to_pylist() == [None]
    put_rows(lake, V1, "AAPL", rows[:5])
    found = features_as_of(lake, V1, labels(("AAPL", rows[-1].grid_time_us)))
    assert found.column("grid_time_us").to_pylist() == [rows[4].grid_time_us]


def test_a_damaged_file_is_told(tmp_path: Path) -> None:
    lake, rows = Lake(tmp_path), walk_rows(V1, 1, 60)
    put_rows(lake, V1, "AAPL", rows)
    path = next(tmp_path.rglob("*.parquet"))
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(LakeError, match="half-written or damaged"):
        features_as_of(lake, V1, labels(("AAPL", rows[-1].grid_time_us)))


def test_a_label_goes_back_over_days_without_a_row_that_counts(tmp_path: Path) -> None:
    """The day before is of other definitions, and the one before that begins too late for one."""
    lake, day_us = Lake(tmp_path), 86_400 * SECOND_US
    rows = walk_rows(V1, 1, 60)
    first, last = rows[0].grid_time_us, rows[-1].grid_time_us
    put_rows(lake, V1, "AAPL", rows)
    foreign = [msgspec.structs.replace(r, grid_time_us=r.grid_time_us + day_us) for r in rows]
    put_rows(lake, V1, "AAPL", foreign, made_by="of an earlier version")
    newest = [msgspec.structs.replace(r, grid_time_us=r.grid_time_us + 2 * day_us) for r in rows]
    put_rows(lake, V1, "AAPL", newest)
    asked = [last + 30 * day_us, first + 2 * day_us, first + 2 * day_us - 1, first, first - 1]
    expected = [last + 2 * day_us, first + 2 * day_us, last, first, None]
    found = features_as_of(lake, V1, labels(*(("AAPL", time_us) for time_us in asked)))
    assert found.column("grid_time_us").to_pylist() == expected


def test_rows_that_came_late_and_in_several_files_count_by_their_times(tmp_path: Path) -> None:
    lake, rows = Lake(tmp_path), walk_rows(V1, 1, 60)
    put_rows(lake, V1, "AAPL", rows[1::2])
    put_rows(lake, V1, "AAPL", rows[0::2])
    files = [*tmp_path.rglob("*.parquet")]
    assert len(files) > len({day_of(row.grid_time_us) for row in rows})
    found = features_as_of(lake, V1, labels(*(("AAPL", row.grid_time_us) for row in rows)))
    assert found.column("grid_time_us").to_pylist() == [row.grid_time_us for row in rows]
    mids = [V1.features[-1].real(row.values[-1]) for row in rows]
    assert found.column(V1.columns[-1]).to_pylist() == mids


def test_a_label_without_a_ticker_or_a_time_gets_nothing(tmp_path: Path) -> None:
    lake, rows = Lake(tmp_path), walk_rows(V1, 1, 60)
    put_rows(lake, V1, "AAPL", rows)
    asked = pa.table({"ticker": [None, "AAPL"], "time_us": [START_US, None]}, schema=LABELS)
    found = features_as_of(lake, V1, asked)
    assert found.select(["ticker", "time_us"]).equals(asked)
    assert found.column("grid_time_us").to_pylist() == [None, None]
    assert features_as_of(lake, V1, asked.slice(0, 0)).num_rows == 0


def test_a_file_without_a_column_of_the_set_is_told(tmp_path: Path) -> None:
    lake, rows = Lake(tmp_path), walk_rows(V1, 1, 60)
    put_rows(lake, V1, "AAPL", rows)
    path = next(tmp_path.rglob("*.parquet"))
    table = read_file(path, "features").drop_columns([V1.columns[3]])
    write_file(path, table.schema, [table])
    with pytest.raises(LakeError, match=f"no column {V1.columns[3]}"):
        features_as_of(lake, V1, labels(("AAPL", rows[-1].grid_time_us)))

"""The benchmark of joins: its lake is what it says, every way agrees, and a wrong value shows."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from services.featuresets.microstructure_v1 import MICROSTRUCTURE_V1
from services.lake.asof import features_as_of
from services.lake.files import read_file
from services.lake.places import Lake
from services.tools.bench.join import (
    JoinFigures,
    JoinOrder,
    JoinTry,
    JoinWay,
    compare_answers,
    expired,
    join_table,
    run_join_bench,
)
from services.tools.bench.join_lake import JoinLake, make_labels, make_lake

SMALL = JoinLake(rows=12_345, seed=5)
VALUES_EACH = len(MICROSTRUCTURE_V1.columns)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("join") / "home"
    make_lake(folder, SMALL, lambda _rows, _of: None)
    return folder


@pytest.fixture(scope="module")
def ours(home: Path) -> "pa.Table":
    return features_as_of(Lake(home), MICROSTRUCTURE_V1, make_labels(SMALL, 2_000))


def test_the_lake_has_the_rows_asked_for_and_is_not_made_twice(home: Path) -> None:
    files = {path: path.stat().st_mtime_ns for path in home.rglob("*.parquet")}
    tables = [read_file(path, "features") for path in files]
    assert sum(table.num_rows for table in tables) == SMALL.rows
    assert len(files) == 5
    told: list[int] = []
    make_lake(home, SMALL, lambda rows, _of: told.append(rows))
    assert told == []
    assert {path: path.stat().st_mtime_ns for path in home.rglob("*.parquet")} == files


def test_a_folder_with_something_else_is_refused(home: Path) -> None:
    with pytest.raises(FileExistsError, match="not empty"):
        make_lake(home, JoinLake(rows=12_345, seed=6), lambda _rows, _of: None)


def test_a_lake_of_several_days_has_rows_on_weekdays_alone() -> None:
    days = JoinLake(rows=10_000_000, seed=1).days
    assert len(days) == 86
    assert {day.weekday() for day in days} == set(range(5))


def test_most_labels_have_a_row_and_those_before_the_first_have_none(ours: "pa.Table") -> None:
    unanswered = ours.column("grid_time_us").null_count
    assert 0 < unanswered < ours.num_rows // 2


@pytest.mark.timeout(400)  # Feast alone takes ten seconds to be imported
@pytest.mark.long
def test_every_way_gives_the_same_values(home: Path) -> None:
    told: list[str] = []
    figures = run_join_bench(JoinOrder(home, SMALL.rows, 2_000, 30, 1, SMALL.seed), told.append)
    assert [(way.way, way.failed, way.other) for way in figures.ways] == [
        ("ours", "", 0),
        ("polars", "", 0),
        ("feast", "", 0),
    ]
    ours, polars, feast = figures.ways
    assert ours.equal == polars.equal == 2_000 * (VALUES_EACH + 2)
    assert feast.equal == 30 * VALUES_EACH
    assert all(one.peak_mib >= one.before_mib > 0 for way in figures.ways for one in way.tries)
    assert len(join_table(figures).columns) == 1 + 3
    assert len(told) == 3


def test_a_way_that_gave_no_answer_says_why_beside_the_others() -> None:
    order = JoinOrder(None, 1_000, 10, 5, 1, 7)
    one = JoinTry(wall_s=1.5, cpu_s=2.5, peak_mib=300, before_mib=100)
    ways = [JoinWay("ours", 10, [one], 190, 0, ""), JoinWay("feast", 5, [], 0, 0, "out of memory")]
    table = join_table(JoinFigures(order, (1.0, 1.5), ways))
    assert [*table.columns[1].cells][:2] == ["10", "1.50 (1.50–1.50)"]
    assert [*table.columns[2].cells][:3] == ["5", "out of memory", ""]


def test_a_wrong_value_and_a_missing_one_are_counted(ours: "pa.Table") -> None:
    place = int(np.flatnonzero(ours.column("spread").is_valid().to_numpy())[0])
    for wrong in (ours.column("spread")[place].as_py() + 1e-9, None):
        spread = ours.column("spread").to_pylist()
        spread[place] = wrong
        at = ours.column_names.index("spread")
        theirs = ours.set_column(at, "spread", pa.array(spread, pa.float64()))
        equal, other = compare_answers(ours, theirs)
        assert other == 1
        assert equal == ours.num_rows * (VALUES_EACH + 2) - 1


def test_answers_in_another_order_are_not_compared(ours: "pa.Table") -> None:
    with pytest.raises(RuntimeError, match="other labels"):
        compare_answers(ours, ours.sort_by("ticker"))


def test_rows_older_than_feasts_time_to_live_count_as_none() -> None:
    day_us = 86_400_000_000
    columns: dict[str, list[object]] = {
        "ticker": ["AAPL"] * 3,
        "time_us": [day_us, day_us + 1, 5],
        "grid_time_us": [0, 0, None],
    }
    columns |= {name: [1.5, 1.5, None] for name in MICROSTRUCTURE_V1.columns}
    assert expired(pa.table(columns)).column("mid").to_pylist() == [1.5, None, None]

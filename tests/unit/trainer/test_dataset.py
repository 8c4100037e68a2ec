"""Data sets of tables and lakes: what counts, what is left out and why, what is refused."""

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from services.featuresets import TRADE_SETS
from services.lake.errors import LakeError
from services.lake.files import read_file
from services.lake.places import Lake
from services.scoring.errors import TooLittleDataError
from services.trainer import dataset as dataset_module
from services.trainer.dataset import DatasetPlan, dataset_of_table, load_dataset
from services.trainer.errors import DamagedRowsError, PlanError
from services.trainer.splits import walk_forward
from tests.support.made_datasets import changed
from tests.support.markets import (
    CLOSING_LAG_US,
    SECOND_US,
    START_US,
    V1,
    null_market,
    put_table,
)

PLAN = DatasetPlan(V1.name)
ROWS = 2_000


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path)


def test_rows_stand_in_order_of_time_with_every_input_but_the_level() -> None:
    made = dataset_of_table(null_market(ROWS), PLAN)
    assert made.columns == tuple(name for name in V1.columns if name != "mid")
    assert made.inputs.shape == (len(made), len(made.columns))
    assert np.isfinite(made.inputs).all()
    order = np.lexsort((made.ticker, made.grid_time_us))
    assert np.array_equal(order, np.arange(len(made)))
    assert np.array_equal(made.created_us, made.grid_time_us + CLOSING_LAG_US)
    assert set(made.half_spread.tolist()) == {200}
    assert made.gap_us == 70 * SECOND_US


def test_every_row_is_used_or_left_out_for_one_reason() -> None:
    made = dataset_of_table(null_market(ROWS), PLAN)
    assert made.rows_read == ROWS
    assert len(made) + sum(made.left_out.values()) == ROWS
    assert made.left_out["horizon_not_passed"] == 5 * 10
    assert made.left_out["null_input"] == made.nulls["return_60s"] == 5 * 60


def test_the_same_rows_from_a_lake_make_the_same_data_set(lake: Lake) -> None:
    put_table(lake, null_market(ROWS))
    assert load_dataset(lake, PLAN).sha256 == dataset_of_table(null_market(ROWS), PLAN).sha256


def test_a_row_with_an_undefined_input_is_left_out_and_labels_others() -> None:
    table = null_market(ROWS, tickers=("AAPL",))
    whole = dataset_of_table(table, PLAN)
    cells = table.column("spread").to_pylist()
    cells[500] = None
    made = dataset_of_table(changed(table, "spread", cells), PLAN)
    gone = START_US + 500 * SECOND_US
    assert set(whole.grid_time_us.tolist()) - set(made.grid_time_us.tolist()) == {gone}
    assert made.left_out["null_input"] == whole.left_out["null_input"] + 1
    assert made.nulls["spread"] == 1
    labelled_by_it = made.grid_time_us == gone - 10 * SECOND_US
    assert made.label[labelled_by_it] == whole.label[whole.grid_time_us == gone - 10 * SECOND_US]


def test_rows_without_a_mid_neither_have_nor_give_a_label() -> None:
    table = null_market(ROWS, tickers=("AAPL",))
    cells = table.column("mid").to_pylist()
    cells[500] = None
    left_out = dataset_of_table(changed(table, "mid", cells), PLAN).left_out
    assert (left_out["no_mid"], left_out["no_mid_at_horizon"]) == (1, 1)


def test_a_row_whose_ticker_is_silent_at_the_horizon_has_no_label() -> None:
    table = null_market(ROWS, tickers=("AAPL",))
    table = pa.concat_tables([table.slice(0, 500), table.slice(501)])
    assert dataset_of_table(table, PLAN).left_out["silent_at_horizon"] == 1


def test_nothing_after_the_last_time_is_looked_at() -> None:
    table = null_market(ROWS)
    until = START_US + 200 * SECOND_US
    plan = msgspec.structs.replace(PLAN, last_us=until)
    made = dataset_of_table(table, plan)
    assert int(made.grid_time_us.max()) + 10 * SECOND_US == until
    early = table.filter(pc.less_equal(table.column("event_timestamp").cast(pa.int64()), until))
    assert dataset_of_table(early, plan).sha256 == made.sha256


def test_rows_of_other_definitions_are_counted_and_not_read(lake: Lake) -> None:
    table = null_market(ROWS)
    others = changed(table.slice(0, 70), "fingerprint", ["of another version"] * 70)
    put_table(lake, table)
    put_table(lake, others, is_stream=True)
    made = load_dataset(lake, PLAN)
    assert made.other_fingerprint == 70
    assert made.sha256 == dataset_of_table(table, PLAN).sha256


def test_of_a_streamed_row_and_a_backfilled_one_the_streamed_offset_stays(lake: Lake) -> None:
    table = null_market(ROWS)
    put_table(lake, table)
    offsets = [9_000_000 + n for n in range(ROWS)]
    put_table(lake, changed(table, "trade_offset", offsets), is_stream=True)
    made = load_dataset(lake, PLAN)
    assert made.duplicates == ROWS
    assert int(made.trade_offset.min()) >= 9_000_000
    assert made.sha256 == dataset_of_table(table, PLAN).sha256


def test_each_set_of_trades_states_a_half_spread_of_a_cent() -> None:
    v2 = TRADE_SETS["microstructure_v2"]
    made = dataset_of_table(null_market(4_000, feature_set=v2), DatasetPlan(v2.name))
    assert made.longest_window_s == 300
    # The set states its spread in millionths of the mid, here 0.0005 dollar each.
    assert np.abs(made.half_spread - 200).max() <= 10
    assert made.gap_us == 310 * SECOND_US


def test_one_ticker_will_do_where_it_is_named(lake: Lake) -> None:
    put_table(lake, null_market(ROWS, tickers=("AAPL",)))
    with pytest.raises(PlanError, match=r"rows of AAPL alone.*--ticker AAPL"):
        load_dataset(lake, PLAN)
    made = load_dataset(lake, msgspec.structs.replace(PLAN, tickers=("AAPL",)))
    assert made.tickers == ("AAPL",)


def test_a_lake_without_rows_says_how_to_make_some(lake: Lake) -> None:
    with pytest.raises(TooLittleDataError, match="features backfill --set microstructure_v1"):
        load_dataset(lake, PLAN)


def test_a_lake_with_rows_of_other_definitions_alone_says_so(lake: Lake) -> None:
    table = null_market(ROWS)
    put_table(lake, changed(table, "fingerprint", ["of another version"] * ROWS))
    with pytest.raises(TooLittleDataError, match=r"all 2,000 rows .* other definitions.*--replace"):
        load_dataset(lake, PLAN)


def test_tickers_and_times_without_rows_are_named(lake: Lake) -> None:
    put_table(lake, null_market(ROWS, tickers=("AAPL", "MSFT")))
    with pytest.raises(PlanError, match="no rows of NVDA; it has AAPL, MSFT"):
        load_dataset(lake, msgspec.structs.replace(PLAN, tickers=("NVDA",)))
    with pytest.raises(TooLittleDataError, match="in the time asked for"):
        load_dataset(lake, msgspec.structs.replace(PLAN, last_us=START_US - SECOND_US))
    late = msgspec.structs.replace(PLAN, first_us=START_US, last_us=START_US - 1)
    with pytest.raises(PlanError, match="turn them round"):
        load_dataset(lake, late)
    table = null_market(ROWS, tickers=("AAPL",))
    with pytest.raises(TooLittleDataError, match="no row of MSFT"):
        dataset_of_table(table, msgspec.structs.replace(PLAN, tickers=("AAPL", "MSFT")))


@pytest.mark.parametrize(
    "change,complaint",
    [
        ({"horizon_s": 0}, "a horizon of 0 s: .* whole number from 1"),
        ({"horizon_s": -10}, "a horizon of -10 s"),
        ({"horizon_s": 2.5}, "a horizon of 2.5 s: rows stand on whole seconds"),
        ({"horizon_s": float("nan")}, "a horizon of nan s"),
        ({"horizon_s": 10**9}, "from 1 to 86400"),
        ({"threshold": -1}, "a threshold of -1"),
        ({"threshold": 0.5}, "a threshold of 0.5"),
        ({"feature_set": "microstructure_v9"}, "no feature set 'microstructure_v9'"),
        ({"feature_set": "daily_v1"}, "daily_v1 has no mid and spread.*microstructure_v1"),
    ],
)
def test_a_plan_that_can_not_be_is_refused(
    lake: Lake, change: dict[str, Any], complaint: str
) -> None:
    plan = msgspec.structs.replace(PLAN, **change)
    with pytest.raises(PlanError, match=complaint):
        dataset_of_table(null_market(500), plan)
    with pytest.raises(PlanError, match=complaint):
        load_dataset(lake, plan)


def test_a_horizon_longer_than_the_data_is_told_with_its_length() -> None:
    with pytest.raises(TooLittleDataError, match=r"500 s is longer .*span 399 s"):
        dataset_of_table(null_market(ROWS), msgspec.structs.replace(PLAN, horizon_s=500))


def test_labels_of_one_class_are_nothing_to_learn() -> None:
    with pytest.raises(TooLittleDataError, match=r"every label is 'flat'.*smaller threshold"):
        dataset_of_table(null_market(ROWS), msgspec.structs.replace(PLAN, threshold=10**9))


def test_rows_that_can_not_be_used_are_counted_by_reason() -> None:
    with pytest.raises(
        TooLittleDataError, match=r"none of 300 rows .*horizon_not_passed 50, null_input 250"
    ):
        dataset_of_table(null_market(300), PLAN)


def test_too_few_rows_for_the_folds_are_told_with_the_fold() -> None:
    made = dataset_of_table(null_market(600), PLAN)
    with pytest.raises(TooLittleDataError, match=r"fold 1 of 3 has 0 rows to train on, and 30"):
        walk_forward(made)
    for folds in (0, -1, 51):
        with pytest.raises(PlanError, match=f"{folds} folds"):
            walk_forward(made, folds)


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_a_number_that_is_none_is_refused_with_its_row(number: float) -> None:
    table = null_market(ROWS)
    cells = table.column("queue_imbalance").to_pylist()
    cells[1_234] = number
    with pytest.raises(DamagedRowsError, match=r"queue_imbalance of NVDA at 2026-.*backfill"):
        dataset_of_table(changed(table, "queue_imbalance", cells), PLAN)


@pytest.mark.parametrize("mid", [0.00001, -5.0, 0.0])
def test_a_mid_that_no_book_has_is_refused(mid: float) -> None:
    table = null_market(ROWS)
    cells = table.column("mid").to_pylist()
    cells[7] = mid
    with pytest.raises(DamagedRowsError, match="no positive multiple"):
        dataset_of_table(changed(table, "mid", cells), PLAN)


@pytest.mark.parametrize("column", ["created", "queue_imbalance", "mid"])
def test_two_rows_of_one_time_that_differ_are_refused(lake: Lake, column: str) -> None:
    table = null_market(ROWS)
    put_table(lake, table)
    cells = table.column(column).cast(pa.int64() if column == "created" else pa.float64())
    other = changed(table, column, pc.add(cells, 1))
    put_table(lake, other.slice(3, 1), is_stream=True)
    with pytest.raises(DamagedRowsError, match=r"AAPL at 2026-.* two rows of this time differ"):
        load_dataset(lake, PLAN)


def test_a_row_between_two_points_of_the_grid_is_refused() -> None:
    table = null_market(ROWS)
    times = table.column("event_timestamp").cast(pa.int64()).to_pylist()
    times[9] += 1
    with pytest.raises(DamagedRowsError, match="no whole second"):
        dataset_of_table(changed(table, "event_timestamp", times), PLAN)


def test_rows_of_this_fingerprint_without_a_column_are_refused() -> None:
    table = null_market(ROWS).drop_columns(["spread"])
    with pytest.raises(DamagedRowsError, match="without spread"):
        dataset_of_table(table, PLAN)


def test_a_damaged_file_is_named(lake: Lake) -> None:
    put_table(lake, null_market(ROWS))
    path = next(lake.root.rglob("*.parquet"))
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(LakeError, match=path.name):
        load_dataset(lake, PLAN)


def test_a_compaction_in_between_is_read_again(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    table = null_market(ROWS)
    put_table(lake, table, rows_per_file=100)
    moved: list[Path] = []

    def compacting(path: Path, kind: str) -> "pa.Table":
        if not moved:
            moved.append(path)
            put_table(lake, table)
            path.unlink()
        return read_file(path, kind)

    monkeypatch.setattr(dataset_module, "read_file", compacting)
    assert load_dataset(lake, PLAN).sha256 == dataset_of_table(table, PLAN).sha256
    assert moved

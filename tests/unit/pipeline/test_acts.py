"""Outcry's own steps, on a small lake: from trades to a registered model."""

import re
import shutil
from pathlib import Path

import pyarrow as pa
import pytest

from services.featuresets import SETS
from services.lake.files import read_file, write_file
from services.lake.places import Lake
from services.lake.schemas import feature_schema
from services.models.registry import Registry
from services.tools.features.backfill import Days
from services.tools.features.run import backfill_from_lake
from services.tools.history.errors import HistoryError
from services.tools.pipeline.acts import needed_s, steps_of
from services.tools.pipeline.errors import PipelineError, StepFailedError
from services.tools.pipeline.order import GivenFile, PipelineOrder
from services.tools.pipeline.rows import hold_parity
from services.tools.pipeline.steps import Done, Earlier, Step, Values, run_steps
from services.tools.vectorfold.made_trades import make_trades
from services.trainer.dataset import DatasetPlan
from services.trainer.service import TrainingPlan
from tests.support.markets import put_trades
from tests.support.telling_trades import telling_trades

SET = SETS["microstructure_v1"]
NAMES = [
    "ingest", "backfill", "parity", "dataset", "train", "evaluate", "register", "promote", "reload",
]  # fmt: skip


def fill(home: Path, count: int = 6_000) -> Lake:
    lake = Lake(home)
    for number, ticker in enumerate(("AAPL", "MSFT")):
        put_trades(lake, ticker, make_trades(number, count, 300_000))
    return lake


def order_of(home: Path, *files: GivenFile) -> PipelineOrder:
    plan = TrainingPlan(DatasetPlan(SET.name), "majority", budget=1)
    return PipelineOrder(home, plan, files)


def run(order: PipelineOrder) -> dict[str, Done]:
    def silent(_line: str) -> None:
        pass

    done = run_steps(order.home / "pipeline" / "one", steps_of(order, silent), silent)
    return {item.record.step: item for item in done}


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Done]]:
    home = tmp_path_factory.mktemp("pipeline")
    fill(home)
    return home, run(order_of(home))


def test_trades_become_a_registered_model_and_a_poor_one_is_not_promoted(
    first: tuple[Path, dict[str, Done]],
) -> None:
    home, done = first
    assert list(done) == NAMES
    outputs = {name: item.record.outputs for name, item in done.items()}
    assert outputs["backfill"]["computed"] == outputs["parity"]["matched"]["lake"] > 1_000
    assert outputs["train"]["dataset_sha256"] == outputs["dataset"]["sha256"]
    assert not outputs["evaluate"]["beats_baseline"]
    assert not outputs["promote"]["promoted"]
    assert "a gate is closed: baseline" in outputs["promote"]["why"]
    assert outputs["reload"] == {"reloaded": False, "why": "no inference service was named"}
    registry = Registry(home)
    assert [version.version for version in registry.versions()] == [outputs["register"]["version"]]
    assert registry.alias() is None


def test_a_run_that_is_taken_up_again_does_nothing_twice(
    first: tuple[Path, dict[str, Done]],
) -> None:
    home, done = first
    again = run(order_of(home))
    assert all(item.kept for item in again.values())
    assert {n: i.record for n, i in again.items()} == {n: i.record for n, i in done.items()}
    assert len(Registry(home).versions()) == 1


def test_another_model_is_trained_on_the_same_rows(first: tuple[Path, dict[str, Done]]) -> None:
    home, _ = first
    plan = TrainingPlan(DatasetPlan(SET.name), "imbalance", budget=1)
    done = run(PipelineOrder(home, plan))
    assert [name for name, item in done.items() if item.kept] == NAMES[:4]
    assert done["register"].record.outputs["version"] == 2


def test_a_row_that_the_trades_do_not_give_stops_the_run_before_anything_is_trained(
    tmp_path: Path,
) -> None:
    lake = fill(tmp_path, 2_000)
    order = order_of(tmp_path)

    def silent(_line: str) -> None:
        pass

    run_steps(tmp_path / "pipeline" / "one", steps_of(order, silent)[:2], silent)
    path = lake.files(f"features/{SET.name}")[0]
    table = read_file(path, "features")
    place = table.schema.get_field_index("spread")
    spreads = table.column(place).to_pylist()
    spreads[7] = 12.34
    changed = table.set_column(place, table.schema.field(place), pa.array(spreads, pa.float64()))
    write_file(path, feature_schema(SET.columns), [changed])
    with pytest.raises(PipelineError, match="step parity: lake of microstructure_v1: 1 mismatched"):
        run(order)
    assert not (tmp_path / "models").exists()


def test_a_champion_that_can_not_be_read_is_told_and_does_not_stop_the_run(
    first: tuple[Path, dict[str, Done]], tmp_path: Path
) -> None:
    home = shutil.copytree(first[0], tmp_path / "home")
    registry = Registry(home)
    registry.promote(1, force=True, why="the first one")
    path = registry.folder_of(1) / "model.json"
    held = bytearray(path.read_bytes())
    held[-3] ^= 1
    path.write_bytes(held)
    lines: list[str] = []
    plan = TrainingPlan(DatasetPlan(SET.name), "last_move", budget=1)
    steps = steps_of(PipelineOrder(home, plan), lines.append)
    done = {d.record.step: d.record for d in run_steps(home / "pipeline" / "one", steps, print)}
    assert done["register"].outputs["version"] == registry.versions()[0].version > 1
    assert any("the champion is not compared: the model is refused (wrong_sha256)" in line
               for line in lines)  # fmt: skip
    assert not done["promote"].outputs["promoted"]


def test_a_ticker_that_was_not_asked_for_is_not_held_against_the_rows(tmp_path: Path) -> None:
    lake = fill(tmp_path, 2_000)
    plan = TrainingPlan(DatasetPlan(SET.name, tickers=("AAPL",)), "majority", budget=1)
    steps = steps_of(PipelineOrder(tmp_path, plan), lambda _line: None)[:3]
    done = run_steps(tmp_path / "pipeline" / "one", steps, lambda _line: None)
    assert done[2].record.outputs["matched"] == {"lake": done[1].record.outputs["computed"]}
    assert lake.tickers(f"features/{SET.name}") == ["AAPL"]


def test_rows_that_are_missing_name_the_ticker_and_the_next_step(tmp_path: Path) -> None:
    lake = fill(tmp_path, 2_000)
    order = order_of(tmp_path)
    run_steps(tmp_path / "pipeline" / "one", steps_of(order, print)[:2], print)
    for path in lake.files(f"features/{SET.name}"):
        if "ticker=MSFT" in str(path):
            path.unlink()
    with pytest.raises(PipelineError) as caught:
        hold_parity(lake, order)
    assert re.search(
        r"step parity: lake of microstructure_v1: [\d,]+ behind; MSFT: [\d,]+ rows are later than"
        r" the newest one in the lake; make the rows anew \(`outcry features backfill --set"
        r" microstructure_v1 --replace`\) and run it again",
        str(caught.value),
    )


def test_rows_that_come_while_it_runs_are_not_trained_on(tmp_path: Path) -> None:
    lake = fill(tmp_path)
    steps = steps_of(order_of(tmp_path), lambda _line: None)

    def grown(earlier: Earlier) -> Values:
        described = steps[3].act(earlier)
        late = make_trades(9, 4_000, 300_000)
        put_trades(lake, "NVDA", late)
        backfill_from_lake(lake, SET.name, Days(), ["NVDA"], replace=False)
        return described

    changed = [*steps[:3], Step("dataset", steps[3].inputs, grown), *steps[4:]]
    folder = tmp_path / "pipeline" / "one"
    done = {d.record.step: d.record for d in run_steps(folder, changed, lambda _line: None)}
    assert done["train"].outputs["dataset_sha256"] == done["dataset"].outputs["sha256"]
    again = run(order_of(tmp_path))
    assert not again["dataset"].kept
    assert again["dataset"].record.outputs["tickers"] == ["AAPL", "MSFT", "NVDA"]


def test_an_empty_lake_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(StepFailedError, match="step backfill: the lake has no trades: ingest some"):
        run(order_of(tmp_path))


def test_a_market_that_began_just_now_is_told_how_long_to_trade_and_where_to_get_history(
    tmp_path: Path,
) -> None:
    short, enough = tmp_path / "short", tmp_path / "enough"
    needed = int(needed_s(DatasetPlan(SET.name), SET.longest_window_s))
    for home, seconds in ((short, needed - 300), (enough, needed + 30)):
        lake = Lake(home)
        for seed, ticker in enumerate(("AAPL", "MSFT")):
            put_trades(lake, ticker, telling_trades(seed, seconds))
    with pytest.raises(PipelineError, match=r"step train: .*Some 21 minutes.*history simulate"):
        run(order_of(short))
    assert run(order_of(enough))["train"].record.outputs["folder"]


def test_a_file_that_is_no_trade_file_stops_the_run_and_names_itself(tmp_path: Path) -> None:
    path = tmp_path / "weather.csv"
    path.write_text("day,rain\n2026-01-05,3\n")
    with pytest.raises(PipelineError, match=r"step ingest: weather\.csv"):
        run(order_of(tmp_path, GivenFile("trades", path)))
    assert not Lake(tmp_path).files("trades")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    gone = tmp_path / "gone.csv"
    with pytest.raises(StepFailedError, match=r"step ingest: .*gone\.csv") as caught:
        run(order_of(tmp_path, GivenFile("trades", gone)))
    assert isinstance(caught.value.__cause__, HistoryError)

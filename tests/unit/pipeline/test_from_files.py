"""Files of history go through the pipeline: a LOBSTER session, and a simulated crowd's trades."""

from datetime import UTC, datetime
from pathlib import Path

from services.lake.places import Lake
from services.models.artifact import read_model
from services.tools.history.simulated import SimulatedHistory, write_history
from services.tools.market.sample import make_session, write_session
from services.tools.pipeline.acts import steps_of
from services.tools.pipeline.order import GivenFile, PipelineOrder
from services.tools.pipeline.steps import Values, run_steps
from services.trainer.dataset import DatasetPlan
from services.trainer.service import TrainingPlan


def silent(_line: str) -> None:
    pass


def run(order: PipelineOrder, until: str) -> dict[str, Values]:
    steps = steps_of(order, silent)
    count = [step.name for step in steps].index(until) + 1
    done = run_steps(order.home / "pipeline" / "one", steps[:count], silent)
    return {item.record.step: item.record.outputs for item in done}


def test_a_lobster_session_becomes_a_data_set(tmp_path: Path) -> None:
    message, _book = write_session(make_session(3, 12_000, 5), tmp_path, "AAPL")
    plan = TrainingPlan(DatasetPlan("microstructure_v1", 5, tickers=("AAPL",)))
    order = PipelineOrder(tmp_path / "home", plan, (GivenFile("lobster", message),))
    said = run(order, "dataset")
    (file,) = said["ingest"]["files"]
    assert file["file"] == message.name
    assert 0 < file["kept"] <= file["read"]
    assert said["parity"]["matched"]["lake"] == said["backfill"]["computed"] > 300
    assert said["dataset"]["tickers"] == ["AAPL"]


def test_a_simulated_crowds_trades_become_trees_and_are_not_taken_in_twice(tmp_path: Path) -> None:
    crowd = tmp_path / "crowd.csv.gz"
    begin = datetime(2026, 1, 5, 14, 30, tzinfo=UTC)
    made = write_history(crowd, SimulatedHistory(7, 0.4, 10, begin))
    plan = TrainingPlan(DatasetPlan("microstructure_v1"), "xgboost", budget=1)
    order = PipelineOrder(tmp_path / "home", plan, (GivenFile("trades", crowd),))
    said = run(order, "evaluate")
    assert said["ingest"]["files"][0]["kept"] == made.trades
    model = read_model(tmp_path / "home" / said["train"]["folder"])
    assert model.predictor.kind == "xgboost"
    assert model.manifest.data.sha256 == said["dataset"]["sha256"]
    assert set(said["evaluate"]["metrics"]) >= {"macro_f1", "log_loss"}
    before = Lake(order.home).files("trades")
    assert run(order, "evaluate") == said
    assert Lake(order.home).files("trades") == before

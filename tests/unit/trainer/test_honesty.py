"""The falsifiers: nothing is found where nothing is, what is planted is found, a leak stops."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

import pyarrow as pa
import pytest

from services.models.rules import beats_baselines
from services.scoring.baselines import CHANCE
from services.trainer.dataset import Dataset, DatasetPlan, dataset_of_table
from services.trainer.errors import LeakError
from services.trainer.evaluate import Evaluation, evaluate
from services.trainer.service import TrainingPlan, train_on
from services.trainer.splits import walk_forward
from tests.support.hidden_signal import bent_market, moved_market
from tests.support.markets import leaky_market, null_market

PLAN: Final = DatasetPlan("microstructure_v1")
TICKERS: Final = ("AAPL", "MSFT")
ROWS: Final = 4_000
NULL_SEEDS: Final = 8

type Market = Callable[[int], "pa.Table"]


def of(table: "pa.Table") -> Dataset:
    return dataset_of_table(table, PLAN)


def evaluated(table: "pa.Table", model: str, seed: int = 1) -> Evaluation:
    dataset = of(table)
    return evaluate(dataset, walk_forward(dataset), model, seed, budget=1)


@pytest.mark.parametrize("model", ["xgboost", "logistic"])
def test_nothing_is_found_where_nothing_is(model: str) -> None:
    beaten, above_chance = 0, 0
    for seed in range(NULL_SEEDS):
        found = evaluated(null_market(ROWS, 100 + seed, TICKERS), model, seed)
        beaten += beats_baselines(found.metrics, found.baselines).holds
        chance = next(c for c in found.baselines if c.name == CHANCE)
        above_chance += chance.macro_f1_margin.low > 0
        assert found.metrics.macro_f1.low < 1 / 3
    # One in forty would be above any single baseline by chance, and the best one is harder.
    assert beaten == 0
    assert above_chance <= 1


@pytest.mark.parametrize(
    "model,market",
    [("xgboost", bent_market), ("xgboost", moved_market), ("logistic", moved_market)],
)
def test_what_is_planted_is_found(model: str, market: Market) -> None:
    found = evaluated(market(6_000), model)
    ahead = {c.name: c.macro_f1_margin.low for c in found.baselines if c.name != "logistic"}
    assert min(ahead.values()) > 0
    assert found.metrics.macro_f1.low > 1 / 3
    assert found.metrics.pnl_per_row.low > 0


def test_trees_beat_a_line_too_where_the_signal_is_bent() -> None:
    found = evaluated(bent_market(6_000), "xgboost")
    assert beats_baselines(found.metrics, found.baselines).holds
    assert {c.name for c in found.baselines} == {
        "majority", "last_move", "imbalance", "logistic", "chance",
    }  # fmt: skip


def test_a_line_beats_every_baseline_where_the_signal_is_straight() -> None:
    found = evaluated(moved_market(6_000), "logistic")
    assert "logistic" not in {c.name for c in found.baselines}
    assert beats_baselines(found.metrics, found.baselines).holds


def test_a_planted_leak_stops_the_run_before_anything_is_trained(tmp_path: Path) -> None:
    said: list[str] = []
    dataset = of(leaky_market(ROWS, tickers=TICKERS))
    with pytest.raises(LeakError, match="signed_volume_5s alone tells the label"):
        train_on(dataset, None, tmp_path, TrainingPlan(PLAN), tell=said.append)
    assert said == [f"{len(dataset):,} rows: checking for leaks"]
    assert list(tmp_path.iterdir()) == []

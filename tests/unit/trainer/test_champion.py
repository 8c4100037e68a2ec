"""A champion is beaten, or not, on rows that it was not trained on."""

from pathlib import Path
from typing import Final

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from services.models.artifact import LoadedModel, read_model
from services.models.manifest import Comparison, ModelManifest
from services.models.predictors import XGBoostPredictor
from services.models.rules import beats_champion
from services.trainer.dataset import Dataset, DatasetPlan, dataset_of_table
from services.trainer.service import Trained, TrainingPlan, train_on
from services.trainer.splits import walk_forward
from tests.support.hidden_signal import moved_market
from tests.support.markets import SECOND_US, START_US, null_market

PLAN: Final = DatasetPlan("microstructure_v1")
TICKERS: Final = ("AAPL", "MSFT")
ROWS: Final = 3_400
GROWN_ROWS: Final = 8_000


def nothing(rows: int) -> "pa.Table":
    """The first rows of one market."""
    table = null_market(GROWN_ROWS, 7, TICKERS)
    times = table.column("event_timestamp").cast(pa.int64())
    return table.filter(pc.less(times, START_US + rows // len(TICKERS) * SECOND_US))


def learnt(table: "pa.Table", into: Path, model: str, champion: LoadedModel | None) -> Trained:
    plan = TrainingPlan(PLAN, model, 2 if champion else 1, 1)
    return train_on(dataset_of_table(table, PLAN), None, into, plan, champion)


@pytest.fixture(scope="module")
def of_nothing(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    """A champion that learnt the chances of the first rows of a market by heart."""
    import xgboost

    rows = _of(nothing(ROWS))
    data = xgboost.DMatrix(rows.inputs, rows.label, feature_names=list(rows.columns), nthread=1)
    booster = xgboost.train(
        {"objective": "multi:softprob", "num_class": 3, "max_depth": 8, "nthread": 1}, data, 30
    )
    into = tmp_path_factory.mktemp("champion")
    made = read_model(learnt(nothing(ROWS), into, "majority", None).folder)
    return msgspec.structs.replace(made, predictor=XGBoostPredictor(booster))


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory, of_nothing: LoadedModel) -> Trained:
    """Trained on the same market, later."""
    into = tmp_path_factory.mktemp("grown")
    return learnt(nothing(GROWN_ROWS), into, "logistic", of_nothing)


def test_a_champion_looks_splendid_on_rows_that_it_was_trained_on(of_nothing: LoadedModel) -> None:
    """The fault that is kept out: nothing honest comes near such a figure."""
    rows = _of(nothing(ROWS))
    seen = of_nothing.predictor.probabilities(rows.inputs).argmax(axis=1)
    assert (seen == rows.label).mean() > 0.9


def test_a_champion_that_was_trained_on_all_test_rows_is_not_compared_row_by_row(
    of_nothing: LoadedModel, tmp_path: Path
) -> None:
    again = learnt(nothing(ROWS), tmp_path, "logistic", of_nothing)
    assert again.manifest.champion is None
    assert "the champion was trained on all test rows but 0 distinct" in again.beside.why_not
    card = (again.folder / "card.md").read_text()
    assert "Not compared row by row: the champion was trained on all test rows" in card
    verdict = beats_champion(again.manifest, of_nothing.manifest)
    assert "in its own walk-forward tests" in verdict.why


def test_where_nothing_is_to_be_learnt_a_champion_shows_no_more_than_chance(
    grown: Trained,
) -> None:
    found = _compared(grown.manifest)
    assert found.metrics.macro_f1.low < 1 / 3
    assert found.metrics.mcc.low < 0 < found.metrics.mcc.high
    assert not grown.manifest.beats_baseline


def test_both_are_scored_on_the_rows_from_a_gap_after_the_champions_last_one(
    of_nothing: LoadedModel, grown: Trained
) -> None:
    found, dataset = _compared(grown.manifest), _of(nothing(GROWN_ROWS))
    fresh = found.fresh
    assert fresh is not None
    since_us = of_nothing.manifest.data.last_grid_us + 70 * 1_000_000
    tested = np.concatenate([fold.test for fold in walk_forward(dataset)])
    chosen = tested[dataset.grid_time_us[tested] >= since_us]
    assert fresh.first_grid_us == dataset.grid_time_us[chosen[0]] >= since_us
    assert fresh.rows == len(chosen) < len(tested)
    said = of_nothing.predictor.probabilities(dataset.inputs[chosen])
    came = said[np.arange(len(chosen)), dataset.label[chosen]]
    assert found.metrics.log_loss is not None
    assert found.metrics.log_loss.value == pytest.approx(-np.log(came).mean())
    margin = fresh.own.macro_f1.value - found.metrics.macro_f1.value
    assert found.macro_f1_margin.value == pytest.approx(margin)
    assert f"Of the {fresh.rows:,} test rows from" in (grown.folder / "card.md").read_text()


@pytest.mark.parametrize("rows,where", [(GROWN_ROWS, "new to it"), (ROWS, "in its own walk")])
def test_a_model_that_is_honestly_better_beats_the_champion(
    of_nothing: LoadedModel, rows: int, where: str, tmp_path: Path
) -> None:
    better = learnt(moved_market(rows), tmp_path, "logistic", of_nothing)
    verdict = beats_champion(better.manifest, of_nothing.manifest)
    assert verdict.holds
    assert where in verdict.why


def test_a_champion_of_other_labels_is_not_compared(
    of_nothing: LoadedModel, tmp_path: Path
) -> None:
    label = msgspec.structs.replace(of_nothing.manifest.label, horizon_s=60)
    manifest = msgspec.structs.replace(of_nothing.manifest, label=label)
    other = msgspec.structs.replace(of_nothing, manifest=manifest)
    trained = learnt(nothing(ROWS), tmp_path, "majority", other)
    assert trained.manifest.champion is None
    assert trained.beside.why_not == "the champion has other inputs or other labels"


def _of(table: "pa.Table") -> Dataset:
    return dataset_of_table(table, PLAN)


def _compared(manifest: ModelManifest) -> Comparison:
    assert manifest.champion is not None
    return manifest.champion

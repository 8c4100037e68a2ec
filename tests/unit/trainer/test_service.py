"""A run from a plan to a folder, and what stops it."""

import re
from pathlib import Path
from typing import Final

import msgspec
import pyarrow.parquet as pq
import pytest

from services.lake.places import Lake
from services.models.artifact import read_model
from services.models.manifest import ModelManifest
from services.scoring.errors import TooLittleDataError
from services.trainer.dataset import Dataset, DatasetPlan, dataset_of_table
from services.trainer.errors import NotTheSameError, PlanError
from services.trainer.fit import MODELS, SEED_MAX
from services.trainer.service import (
    Trained,
    TrainingPlan,
    plan_of,
    repeat,
    require_plan,
    train,
    train_on,
)
from tests.support.hidden_signal import moved_market
from tests.support.markets import null_market, put_table

DATA: Final = DatasetPlan("microstructure_v1", tickers=("AAPL", "MSFT"))
ROWS: Final = 4_000


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    made = Lake(tmp_path_factory.mktemp("home"))
    put_table(made, moved_market(ROWS))
    return made


@pytest.fixture(scope="module")
def trained(lake: Lake, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return train(lake, tmp_path_factory.mktemp("models"), TrainingPlan(DATA, "logistic", 5, 2))


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return dataset_of_table(null_market(ROWS, 3, ("AAPL", "MSFT")), DATA)


def test_the_folder_holds_a_model_that_everybody_can_read(trained: Trained) -> None:
    loaded = read_model(trained.folder)
    assert loaded.manifest == trained.manifest
    assert loaded.predictor.kind == "linear"
    assert {path.name for path in trained.folder.iterdir()} == {
        "manifest.json", "model.json", "golden.json", "schema.json", "reference.parquet", "card.md",
        "card.html",
        "macro_f1.png", "confusion.png", "calibration.png", "importance.png",
    }  # fmt: skip


def test_the_manifest_says_where_the_model_came_from(lake: Lake, trained: Trained) -> None:
    manifest = trained.manifest
    assert manifest.parameters["model"] == "logistic"
    assert (manifest.seed, manifest.parameters["budget"]) == (5, 2)
    assert manifest.data.sha256 == _dataset_of(lake).sha256
    assert set(manifest.data.offsets) == {"AAPL", "MSFT"}
    assert manifest.data.offsets["AAPL"].first < manifest.data.offsets["AAPL"].last
    assert re.match(r"[0-9a-f]{40}|\d", manifest.code_version)
    assert {"numpy", "scikit-learn", "xgboost-cpu"} <= set(manifest.libraries)
    assert manifest.beats_baseline
    assert trained.verdict.holds


def _dataset_of(lake: Lake) -> Dataset:
    from services.trainer.dataset import load_dataset

    return load_dataset(lake, DATA)


def test_the_reference_is_of_training_rows_with_what_the_model_says(trained: Trained) -> None:
    table = pq.read_table(trained.folder / "reference.parquet")
    manifest, predictor = trained.manifest, read_model(trained.folder).predictor
    assert set(manifest.columns) < set(table.column_names)
    assert table.column("grid_time_us")[-1].as_py() < manifest.data.last_grid_us
    inputs = table.select(manifest.columns).to_pandas().to_numpy()
    stated = table.select(["down", "flat", "up"]).to_pandas().to_numpy()
    assert (predictor.probabilities(inputs) == stated).all()


def test_a_run_that_is_repeated_finds_its_own_folder(lake: Lake, trained: Trained) -> None:
    again = train(lake, trained.folder.parent, TrainingPlan(DATA, "logistic", 5, 2))
    assert again.folder == trained.folder
    assert again.manifest == trained.manifest
    assert len(list(trained.folder.parent.iterdir())) == 1


def test_a_repeat_gives_the_same_file_though_the_lake_has_grown(
    trained: Trained, tmp_path: Path
) -> None:
    grown = Lake(tmp_path)
    longer = moved_market(ROWS)
    put_table(grown, longer)
    later = null_market(2 * ROWS, 9, ("AAPL", "MSFT", "NVDA"))
    cut = trained.manifest.data.last_grid_us + 11_000_000
    import pyarrow as pa
    import pyarrow.compute as pc

    after = pc.greater(later.column("event_timestamp").cast(pa.int64()), cut)
    put_table(grown, later.filter(after))
    again = repeat(grown, tmp_path / "models", trained.manifest)
    assert again.manifest.model_sha256 == trained.manifest.model_sha256
    assert again.manifest.metrics == trained.manifest.metrics


def test_a_repeat_on_other_rows_is_refused(trained: Trained, tmp_path: Path) -> None:
    other = Lake(tmp_path)
    put_table(other, moved_market(ROWS, seed=2))
    with pytest.raises(NotTheSameError, match=r"the lake.s rows hash to .* it was made from"):
        repeat(other, tmp_path / "models", trained.manifest)


def test_a_repeat_that_comes_out_otherwise_says_what_changed(
    lake: Lake, trained: Trained, tmp_path: Path
) -> None:
    planted = msgspec.structs.replace(
        trained.manifest,
        files={**trained.manifest.files, "model.json": "0" * 64},
        libraries={**trained.manifest.libraries, "numpy": "1.0.0"},
    )
    with pytest.raises(NotTheSameError, match=r"manifest says 000000000000: numpy 1\.0\.0 is now"):
        repeat(lake, tmp_path, planted)


def test_a_manifest_that_nobody_trained_is_refused(trained: Trained) -> None:
    planted = msgspec.structs.replace(trained.manifest, parameters={"rounds": 3})
    with pytest.raises(PlanError, match="not made by `outcry train`"):
        plan_of(planted)


@pytest.mark.parametrize("model", [name for name in MODELS if name != "logistic"])
def test_every_model_goes_through_and_does_not_beat_on_nothing(
    dataset: Dataset, model: str, tmp_path: Path
) -> None:
    trained = train_on(dataset, None, tmp_path, TrainingPlan(DATA, model, 1, 1))
    manifest: ModelManifest = read_model(trained.folder).manifest
    assert not manifest.beats_baseline
    assert model not in {baseline.name for baseline in manifest.baselines}
    assert "It does not beat its best baseline" in (trained.folder / "card.md").read_text()


@pytest.mark.parametrize(
    "plan,complaint",
    [
        (TrainingPlan(DATA, "oracle"), r"no model 'oracle'; there are: xgboost, logistic"),
        (TrainingPlan(DATA, seed=-1), r"a seed of -1: ask for a whole number from 0 to 2,147"),
        (TrainingPlan(DATA, seed=SEED_MAX + 1), r"a seed of 2147483648"),
        (TrainingPlan(DATA, budget=0), r"a budget of 0: ask for 1 to 64"),
        (TrainingPlan(DatasetPlan("microstructure_v1", horizon_s=0)), r"horizon"),
    ],
)
def test_a_plan_that_can_not_be_is_refused_before_anything_is_read(
    plan: TrainingPlan, complaint: str, tmp_path: Path
) -> None:
    with pytest.raises(PlanError, match=complaint):
        require_plan(plan)
    with pytest.raises(PlanError, match=complaint):
        train(Lake(tmp_path), tmp_path / "models", plan)


def test_an_unknown_set_and_a_set_of_bars_are_refused(lake: Lake, tmp_path: Path) -> None:
    for name, complaint in (("orders_v9", "no feature set"), ("daily_v1", "labels and costs")):
        with pytest.raises(PlanError, match=complaint):
            train(lake, tmp_path, TrainingPlan(DatasetPlan(name)))


def test_too_few_rows_are_refused_with_what_would_do(tmp_path: Path) -> None:
    put_table(Lake(tmp_path), null_market(900, 1, ("AAPL", "MSFT")))
    with pytest.raises(TooLittleDataError, match=r"take more history|backfill more"):
        train(Lake(tmp_path), tmp_path / "models", TrainingPlan(DATA))


def test_rows_of_one_class_are_refused(lake: Lake, tmp_path: Path) -> None:
    never = DatasetPlan("microstructure_v1", 10, 10_000_000, DATA.tickers)
    with pytest.raises(TooLittleDataError, match="every label is 'flat'"):
        train(lake, tmp_path, TrainingPlan(never))

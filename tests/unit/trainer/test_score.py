"""A model over rows of the lake: each with its way back to the log and to the model."""

from pathlib import Path
from typing import Final

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from services.lake.files import read_file
from services.lake.places import Lake
from services.models.artifact import LoadedModel, read_model
from services.models.errors import ModelRefusedError
from services.models.vector import make_vector
from services.scoring.errors import TooLittleDataError
from services.trainer.errors import PlanError
from services.trainer.score import Scored, score, write_scored
from tests.support.markets import START_US, null_market, put_table
from tests.support.model_kit import linear_model, put_model

TICKERS: Final = ("AAPL", "MSFT")


@pytest.fixture(scope="module")
def market() -> "pa.Table":
    return null_market(400, 1, TICKERS)


@pytest.fixture(scope="module")
def lake(market: "pa.Table", tmp_path_factory: pytest.TempPathFactory) -> Lake:
    made = Lake(tmp_path_factory.mktemp("home"))
    put_table(made, market)
    return made


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    folder = tmp_path_factory.mktemp("models") / "linear"
    put_model(folder, linear_model())
    return read_model(folder)


@pytest.fixture(scope="module")
def scored(lake: Lake, model: LoadedModel) -> Scored:
    return score(lake, model, 7)


def test_every_row_that_has_all_inputs_is_scored_up_to_the_newest(
    market: "pa.Table", scored: Scored
) -> None:
    # The newest rows have no label yet: whoever scores does not need one.
    newest = pc.max(market.column("event_timestamp"))
    assert pc.max(scored.table.column("event_timestamp")) == newest
    assert scored.table.num_rows + scored.null_input == market.num_rows
    assert scored.null_input == 2 * 60


def test_a_row_says_what_the_model_says_of_its_vector(
    market: "pa.Table", model: LoadedModel, scored: Scored
) -> None:
    for said in scored.table.slice(0, 5).to_pylist():
        is_row = pc.and_(
            pc.equal(market.column("ticker"), said["ticker"]),
            pc.equal(market.column("event_timestamp"), said["event_timestamp"]),
        )
        (row,) = market.filter(is_row).to_pylist()
        values = {name: row[name] for name in model.manifest.columns}
        vector = np.array([make_vector(model.manifest.columns, values)])
        expected = model.predictor.probabilities(vector)[0].tolist()
        assert [said["down"], said["flat"], said["up"]] == expected
        assert said["class"] == ("down", "flat", "up")[int(np.argmax(expected))]
        assert said["trade_offset"] == row["trade_offset"]


def test_a_row_names_its_model(model: LoadedModel, scored: Scored) -> None:
    first = scored.table.slice(0, 1).to_pylist()[0]
    assert (first["model_name"], first["model_version"]) == ("direction_10s", 7)
    assert first["model_sha256"] == model.manifest.model_sha256
    assert first["fingerprint"] == model.manifest.fingerprint


def test_a_range_and_tickers_are_kept_to(lake: Lake, model: LoadedModel) -> None:
    first_us, last_us = START_US + 100_000_000, START_US + 120_000_000
    found = score(lake, model, 1, ["MSFT"], first_us, last_us).table
    times = found.column("event_timestamp").cast(pa.int64())
    assert (times[0].as_py(), times[-1].as_py()) == (first_us, last_us)
    assert found.column("ticker").unique().to_pylist() == ["MSFT"]
    assert found.num_rows == 21


def test_rows_are_written_whole_and_twice_is_once(scored: Scored, tmp_path: Path) -> None:
    path = tmp_path / "out" / "scored.parquet"
    write_scored(path, scored)
    before = path.read_bytes()
    write_scored(path, scored)
    assert path.read_bytes() == before
    assert read_file(path, "scored").equals(scored.table)
    assert pq.read_table(path).num_rows == scored.table.num_rows


def test_nothing_to_score_is_an_error_that_says_what_to_do(
    lake: Lake, model: LoadedModel, tmp_path: Path
) -> None:
    with pytest.raises(TooLittleDataError, match="no rows of microstructure_v1 to score"):
        score(lake, model, 1, (), START_US - 20, START_US - 10)
    with pytest.raises(TooLittleDataError, match="outcry features backfill"):
        score(Lake(tmp_path), model, 1)
    with pytest.raises(PlanError, match="no rows of TSLA; it has AAPL, MSFT"):
        score(lake, model, 1, ["TSLA"])
    with pytest.raises(PlanError, match="turn them round"):
        score(lake, model, 1, (), 2, 1)


def test_a_model_of_other_features_is_refused(lake: Lake, model: LoadedModel) -> None:
    manifest = msgspec.structs.replace(model.manifest, fingerprint="0" * 64)
    with pytest.raises(ModelRefusedError, match="train again"):
        score(lake, msgspec.structs.replace(model, manifest=manifest), 1)

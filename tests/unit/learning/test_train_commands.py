"""`outcry train` and `outcry predict` as people type them, on a lake and registry of their own."""

import json
from pathlib import Path
from typing import Any, Final

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner, Result

from services.cli import EXPECTED, app
from services.lake.places import Lake
from services.models.registry import Registry
from tests.support.hidden_signal import moved_market
from tests.support.markets import leaky_market, null_market, put_table
from tests.support.mlflow_template import put_database

ROWS: Final = 3_400

type Document = dict[str, Any]


def outcry(home: Path, *arguments: str) -> Result:
    environment = {"OUTCRY_HOME": str(home), "OUTCRY_MLFLOW_URL": ""}
    return CliRunner().invoke(app, [*arguments], env=environment)


def document(home: Path, *arguments: str) -> Document:
    answer = outcry(home, *arguments, "--json")
    assert answer.exit_code == 0, (answer.output, answer.exception)
    said: Document = json.loads(answer.stdout)
    return said


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("home")
    put_table(Lake(home), moved_market(ROWS))
    put_database(home)
    return home


@pytest.fixture(scope="module")
def champion(home: Path) -> Document:
    return document(home, "train", "--model", "logistic", "--budget", "1", "--promote")


def test_a_model_that_beats_its_baselines_is_registered_and_promoted(
    home: Path, champion: Document
) -> None:
    assert champion["beats_baseline"]
    assert champion["promoted"]
    assert Registry(home).alias() == champion["version"]
    assert {b["name"] for b in champion["baselines"]} == {
        "majority", "last_move", "imbalance", "chance",
    }  # fmt: skip
    assert Path(champion["folder"], "card.html").is_file()


def test_a_model_that_beats_nothing_is_registered_as_such_and_not_promoted(
    home: Path, champion: Document
) -> None:
    arguments = ("train", "--model", "last-move", "--budget", "1", "--promote")
    answer = outcry(home, *arguments)
    assert answer.exit_code == 1
    assert "DOES NOT BEAT" in answer.stdout
    assert "NOT PROMOTED" in answer.stdout
    registry = Registry(home)
    newest = registry.versions()[0]
    assert (newest.kind, newest.beats_baseline, newest.aliases) == ("rule", False, ())
    assert registry.alias() == champion["version"]
    assert registry.manifest(newest.version).champion is None
    assert "not compared with the champion row by row: the champion was trained on" in answer.stdout


def test_the_same_training_twice_is_one_version(home: Path, champion: Document) -> None:
    del champion
    first, again = (
        document(home, "train", "--model", "majority", "--budget", "1") for _ in range(2)
    )
    assert first == again


def test_a_repeat_from_the_manifest_gives_the_same_file_and_registers_nothing(
    home: Path, champion: Document
) -> None:
    before = Registry(home).versions()
    manifest = str(Path(champion["folder"], "manifest.json"))
    again = document(home, "train", "--from-manifest", manifest)
    assert again["model_sha256"] == champion["model_sha256"]
    assert (again["version"], again["repeated"]) == (None, manifest)
    assert Registry(home).versions() == before


def test_predictions_go_to_parquet_with_their_lineage(
    home: Path, champion: Document, tmp_path: Path
) -> None:
    out = tmp_path / "said.parquet"
    times = ("--from", "2026-09-21T14:20:00", "--to", "2026-09-21T14:20:09")
    said = document(home, "predict", *times, "--out", str(out))
    table = pq.read_table(out)
    assert said["rows"] == table.num_rows == 20
    assert set(table.column("model_sha256").to_pylist()) == {champion["model_sha256"]}
    assert set(table.column("model_version").to_pylist()) == {champion["version"]}
    assert min(table.column("trade_offset").to_pylist()) > 0
    rows = document(home, "predict", *times)["predictions"]
    assert [row["up"] for row in rows] == table.column("up").to_pylist()
    second = ("--from", "2026-09-21T14:20:00", "--to", "2026-09-21T14:20:00")
    assert document(home, "predict", *second)["rows"] == 2
    shown = outcry(home, "predict", *times, "--ticker", "AAPL", "--version", "1")
    assert "10 rows scored by direction_10s version 1" in shown.stdout


@pytest.mark.parametrize(
    "arguments,complaint",
    [
        (("train", "--set", "orders_v9"), "no feature set 'orders_v9'; there are:"),
        (("train", "--model", "oracle"), "no model 'oracle'; there are: xgboost"),
        (("train", "--seed", "-1"), "a seed of -1: ask for a whole number from 0"),
        (("train", "--budget", "0"), "a budget of 0: ask for 1 to 64"),
        (("train", "--horizon-s", "0.5"), "a horizon of 0.5 s"),
        (("train", "--ticker", "NVDA"), "the lake has no rows of NVDA; it has AAPL, MSFT"),
        (("train", "--horizon-s", "1200"), "take more history"),
        (("train", "--from-manifest", "absent.json"), "absent.json can't be read"),
        (("predict", "--horizon-s", "30"), "direction_30s has no champion"),
        (("predict", "--version", "99"), "has no version 99"),
        (("predict", "--from", "2030-01-01"), "no rows of microstructure_v1 to score"),
    ],
)
def test_what_can_not_be_is_one_line_with_the_next_step(
    home: Path, champion: Document, arguments: tuple[str, ...], complaint: str
) -> None:
    del champion
    answer = outcry(home, *arguments)
    assert isinstance(answer.exception, EXPECTED)
    assert complaint in str(answer.exception)
    assert "\n" not in str(answer.exception)


def test_a_repeat_on_another_lake_is_refused(champion: Document, tmp_path: Path) -> None:
    put_table(Lake(tmp_path), null_market(ROWS, 5, ("AAPL", "MSFT")))
    manifest = str(Path(champion["folder"], "manifest.json"))
    answer = outcry(tmp_path, "train", "--from-manifest", manifest)
    assert "the lake's rows hash to" in str(answer.exception)
    for beside in (("--promote",), ("--seed", "1"), ("--model", "xgboost"), ("--horizon-s", "5")):
        refused = outcry(tmp_path, "train", "--from-manifest", manifest, *beside)
        assert refused.exit_code == 2
        assert "leave out" in refused.output
        assert beside[0] in refused.output


def test_a_leak_stops_the_command_and_registers_nothing(tmp_path: Path) -> None:
    put_table(Lake(tmp_path), leaky_market(ROWS, tickers=("AAPL", "MSFT")))
    answer = outcry(tmp_path, "train", "--budget", "1")
    assert "the data set leaks: single_column" in str(answer.exception)
    assert not (tmp_path / "models" / "trained").exists()


def test_rows_go_to_a_file_of_parquet_alone(home: Path) -> None:
    assert outcry(home, "predict", "--out", "said.csv").exit_code == 2

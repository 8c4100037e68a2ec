"""Feast's own command line and history on a deployment of ours, as README.md says it."""

import json
import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import pandas as pd
import pyarrow as pa
import pytest
from typer.testing import CliRunner

from services.cli import app
from services.featuresets import SETS
from services.featuresets.fingerprint import fingerprint
from services.featuresets.grid import GridRow
from services.lake.asof import LABELS, features_as_of
from services.lake.places import Lake
from services.online.catalog import FINGERPRINT
from services.online.errors import UnknownServiceError
from services.online.features import OnlineFeatures
from services.tools.features.errors import FeaturesError
from tests.support.lake_of_rows import put_rows, walk_rows

pytestmark = pytest.mark.timeout(400)

ROOT = Path(__file__).parents[3]
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
V1 = SETS["microstructure_v1"]
TICKERS = ("AAPL", "MSFT", "NVDA")


def commands_of_readme() -> list[str]:
    """The lines of the fenced block under its heading."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    section = text.partition("\n## Ask for features\n")[2].partition("\n## ")[0]
    block = re.search(r"```sh\n(.*?)```", section, re.DOTALL)
    assert block is not None
    return block[1].splitlines()


@dataclass
class Place:
    """A checkout whose .outcry has feature rows of three tickers."""

    folder: Path
    rows: dict[str, list[GridRow]]
    said: dict[str, str]
    """By command of README.md, what it printed."""

    @property
    def home(self) -> Path:
        return self.folder / ".outcry"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """What `outcry up` prepares; then every command of README.md, run as it stands there."""
    folder = tmp_path_factory.mktemp("checkout")
    (folder / "feature_repo").mkdir()
    for source in (ROOT / "feature_repo").glob("*.*"):
        (folder / "feature_repo" / source.name).write_bytes(source.read_bytes())
    made = Place(folder, {}, {})
    OnlineFeatures(made.home).declare()
    for seed, ticker in enumerate(TICKERS):
        made.rows[ticker] = walk_rows(V1, seed, 1_500)
        put_rows(Lake(made.home), V1, ticker, made.rows[ticker])
    for command in commands_of_readme():
        made.said[command] = run(made, command)
    return made


def run(place: Place, command: str) -> str:
    program = Path(sys.executable).parent
    environment = {name: v for name, v in os.environ.items() if not name.startswith("OUTCRY_")}
    environment |= {
        "PATH": f"{program}{os.pathsep}{os.environ['PATH']}",
        "PYTHONWARNINGS": "ignore",
    }
    done = subprocess.run(
        shlex.split(command),
        cwd=place.folder,
        env=environment | {"OUTCRY_HOME": str(place.home)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def test_readmes_commands_run_as_written_and_serve_the_newest_rows(place: Place) -> None:
    assert len(place.said) >= 6
    online = OnlineFeatures(place.home)
    answers = online.read(online.service(V1.name), TICKERS)
    for served in answers:
        newest = place.rows[served.ticker][-1]
        assert served.grid_time_us == newest.grid_time_us
        for feature, value in zip(V1.features, newest.values, strict=True):
            assert served.values[feature.name] == feature.real(value)
    shown = place.said["outcry features online AAPL --service microstructure_v1"]
    assert f"fingerprint {fingerprint(V1)[:12]}" in shown


def test_applying_keeps_every_service_with_its_fingerprint(place: Place) -> None:
    """The stock command line declares what the rooms declared: nothing changes, nothing goes."""
    listed = place.said["feast -c feature_repo feature-services list"]
    online = OnlineFeatures(place.home)
    for name, feature_set in SETS.items():
        assert name in listed
        assert online.service(name).tags[FINGERPRINT] == fingerprint(feature_set)
    assert {s.name for s in online.store.list_feature_services()} == set(SETS)


def test_feasts_history_and_our_join_give_the_same_bits(place: Place) -> None:
    rng = Random(5)
    asked = []
    for ticker, rows in place.rows.items():
        first, last = rows[0].grid_time_us, rows[-1].grid_time_us
        asked += [(ticker, rng.randrange(first - 2_000_000, last + 9_000_000)) for _ in range(40)]
        asked += [(ticker, first - 1)]
        asked += [(ticker, rng.choice(rows).grid_time_us) for _ in range(20)]  # on the grid
    tickers, times = zip(*asked, strict=True)
    ours = features_as_of(
        Lake(place.home), V1, pa.table({"ticker": tickers, "time_us": times}, schema=LABELS)
    ).to_pylist()
    online = OnlineFeatures(place.home)
    frame = pd.DataFrame(
        {
            "ticker": tickers,
            "event_timestamp": [EPOCH + timedelta(microseconds=time_us) for time_us in times],
            "place": range(len(asked)),
        }
    )
    answer = online.store.get_historical_features(frame, online.service(V1.name)).to_arrow()
    theirs = sorted(answer.to_pylist(), key=lambda row: row["place"])
    assert len(theirs) == len(ours) == len(asked)
    assert any(row["grid_time_us"] is None for row in ours)
    for mine, other in zip(ours, theirs, strict=True):
        assert mine["ticker"] == other["ticker"]
        assert [mine[name] for name in V1.columns] == [other[name] for name in V1.columns]


def test_a_ticker_that_was_never_served_is_said_so_with_exit_code_1(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OUTCRY_HOME", str(place.home))
    answer = CliRunner().invoke(app, ["features", "online", "AAPL", "NONE"])
    assert answer.exit_code == 1
    assert "NONE: no row of microstructure_v1 was ever served" in answer.stdout
    answer = CliRunner().invoke(app, ["features", "online", "AAPL", "--json"])
    assert answer.exit_code == 0
    said = json.loads(answer.stdout)
    assert said["answers"][0]["grid_time_us"] == place.rows["AAPL"][-1].grid_time_us
    assert said["ages_s"]["AAPL"] > 0
    answer = CliRunner().invoke(app, ["features", "online", "AAPL", "--service", "nine"])
    assert isinstance(answer.exception, UnknownServiceError)


def test_a_home_where_nothing_was_declared_names_the_next_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OUTCRY_HOME", str(tmp_path))
    answer = CliRunner().invoke(app, ["features", "online", "AAPL"])
    assert isinstance(answer.exception, FeaturesError)
    assert "outcry up" in str(answer.exception)

"""Feast's own command line and history on a deployment of ours, as README.md says it."""

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from random import Random
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from click.testing import CliRunner as ClickRunner
from feast.cli.cli import cli as feast
from typer.testing import CliRunner

from services.cli import app
from services.featuresets import SETS
from services.featuresets.definitions import FeatureSet
from services.featuresets.fingerprint import fingerprint
from services.featuresets.grid import GridRow
from services.lake.asof import LABELS, features_as_of
from services.lake.places import Lake
from services.online.catalog import FINGERPRINT
from services.online.errors import UnknownServiceError
from services.online.features import OnlineFeatures
from services.tools.features.errors import FeaturesError
from services.tools.features.inputs import ExpectedRow, bars_from_lake, expected_rows, reals
from tests.support.lake_of_rows import put_rows, walk_rows
from tests.support.online_world import declared
from tests.support.page_examples import example

pytestmark = [pytest.mark.long, pytest.mark.timeout(400)]

ROOT = Path(__file__).parents[3]
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
V1 = SETS["microstructure_v1"]
DAILY = SETS["daily_v1"]
TICKERS = ("AAPL", "MSFT", "NVDA")
BAR_TICKERS = ("AAPL", "MSFT")
BARS_FROM = date(2012, 10, 1)
"""Each day of bars is a file, which Feast opens one by one; the rows know all days before, too."""
BARS_FROM_US = int(datetime(2012, 10, 1, tzinfo=UTC).timestamp()) * 1_000_000


def bars_file() -> Path:
    """Ten years of daily bars of five tickers."""
    spec = find_spec("bokeh_sampledata")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "_data" / "stocks.csv.gz"


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
    """What `outcry up` prepares, and daily bars; then README.md's commands as they stand there."""
    folder = tmp_path_factory.mktemp("checkout")
    (folder / "feature_repo").mkdir()
    for source in (ROOT / "feature_repo").glob("*.*"):
        (folder / "feature_repo" / source.name).write_bytes(source.read_bytes())
    made = Place(folder, {}, {})
    OnlineFeatures(made.home).declare()
    for seed, ticker in enumerate(TICKERS):
        made.rows[ticker] = walk_rows(V1, seed, 1_500)
        put_rows(Lake(made.home), V1, ticker, made.rows[ticker])
    run(made, f"outcry history ingest bars {bars_file()} --rename GOOG=GOOGL")
    chosen = " ".join(f"--ticker {ticker}" for ticker in BAR_TICKERS)
    run(made, f"outcry features backfill --set daily_v1 --from {BARS_FROM} {chosen}")
    for command in example("README.md", "Ask for features", "sh").splitlines():
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
    """The rows are newer than the range of `materialize`: the incremental run brought them."""
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
    ours, theirs = histories(place, V1, asked)
    assert any(row["grid_time_us"] is None for row in ours)
    assert_same(V1, ours, theirs)


def test_rows_of_daily_bars_are_served_online_by_the_sets_name(place: Place) -> None:
    online = OnlineFeatures(place.home)
    for served in online.read(online.service(DAILY.name), BAR_TICKERS):
        newest = daily_rows(place, served.ticker)[-1]
        assert served.grid_time_us == newest.grid_time_us
        assert served.fingerprint == fingerprint(DAILY)
        assert served.values == dict(zip(DAILY.columns, reals(DAILY, newest), strict=True))
        assert None not in served.values.values()


def test_rows_of_daily_bars_have_the_same_history_in_feast_and_in_our_join(place: Place) -> None:
    rng, day_us = Random(6), 86_400_000_000
    asked = []
    for ticker in BAR_TICKERS:
        rows = daily_rows(place, ticker)
        last = rows[-1].grid_time_us
        asked += [(ticker, rng.randrange(BARS_FROM_US - day_us, last + day_us)) for _ in range(40)]
        asked += [(ticker, BARS_FROM_US - 1), (ticker, last - 1), (ticker, last)]
    ours, theirs = histories(place, DAILY, asked)
    assert any(row["grid_time_us"] is None for row in ours)
    assert_same(DAILY, ours, theirs)
    kept = [row for row in daily_rows(place, "AAPL") if row.grid_time_us >= BARS_FROM_US]
    by_time = {row.grid_time_us: reals(DAILY, row) for row in kept}
    for answer in ours:
        if answer["ticker"] == "AAPL" and answer["grid_time_us"] is not None:
            values = tuple(answer[name] for name in DAILY.columns)
            assert values == by_time[answer["grid_time_us"]]


def daily_rows(place: Place, ticker: str) -> list[ExpectedRow]:
    """What follows from the bars in the lake, those of the days before the backfill's too."""
    return list(expected_rows(DAILY, bars_from_lake(Lake(place.home), ticker)))


def histories(
    place: Place, feature_set: FeatureSet[Any], asked: Sequence[tuple[str, int]]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The answers of our join and of Feast, in the order asked."""
    tickers, times = zip(*asked, strict=True)
    labels = pa.table({"ticker": tickers, "time_us": times}, schema=LABELS)
    ours = features_as_of(Lake(place.home), feature_set, labels).to_pylist()
    online = OnlineFeatures(place.home)
    frame = pd.DataFrame(
        {
            "ticker": tickers,
            "event_timestamp": [EPOCH + timedelta(microseconds=time_us) for time_us in times],
            "place": range(len(asked)),
        }
    )
    service = online.service(feature_set.name)
    answer = online.store.get_historical_features(frame, service).to_arrow()
    theirs = sorted(answer.to_pylist(), key=lambda row: row["place"])
    assert len(theirs) == len(ours) == len(asked)
    return ours, theirs


def assert_same(
    feature_set: FeatureSet[Any], ours: list[dict[str, Any]], theirs: list[dict[str, Any]]
) -> None:
    for mine, other in zip(ours, theirs, strict=True):
        assert mine["ticker"] == other["ticker"]
        values = [mine[name] for name in feature_set.columns]
        assert values == [other[name] for name in feature_set.columns]


def test_an_incremental_run_takes_what_came_into_the_lake_since_the_last_one(
    tmp_path: Path,
) -> None:
    online, rows = declared(tmp_path), walk_rows(V1, 9, 300)
    half = len(rows) // 2
    put_rows(Lake(tmp_path), V1, "AAPL", rows[:half])
    feast_here(tmp_path, "materialize", "2012-01-01", at(rows[half - 1]), "--views", V1.name)
    assert newest_us(online) == rows[half - 1].grid_time_us
    put_rows(Lake(tmp_path), V1, "AAPL", rows[half:])
    assert newest_us(online) == rows[half - 1].grid_time_us
    feast_here(tmp_path, "materialize-incremental", at(rows[-1]), "--views", V1.name)
    assert newest_us(online) == rows[-1].grid_time_us


def feast_here(home: Path, *arguments: str) -> None:
    """Feast's command line in this process, on the deployment at a home."""
    settings = home / "feast" / "feature_store.yaml"
    place = ("-c", str(ROOT / "feature_repo"), "-f", str(settings))
    done = ClickRunner().invoke(feast, [*place, *arguments])
    assert done.exit_code == 0, done.output


def at(row: GridRow) -> str:
    """Half a second after a row."""
    return (EPOCH + timedelta(microseconds=row.grid_time_us + 500_000)).isoformat()


def newest_us(online: OnlineFeatures) -> int | None:
    """What is served of AAPL."""
    return online.read(online.service(V1.name), ["AAPL"])[0].grid_time_us


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

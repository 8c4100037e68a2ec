"""Recorded history from its files to rows of features, by the commands that people type.

Every row that a backfill left in the lake is compared with the fold, taken step by step over what
was ingested, with `==`; rows of trades also with the fold of whole columns, and rows of bars with
the plain reference, which shares no code with either.
"""

import json
from collections.abc import Iterator, Sequence
from datetime import date
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pytest
from typer.testing import CliRunner

from services.cli import app
from services.featuresets import SETS, TRADE_SETS
from services.featuresets.bars import Bar
from services.featuresets.definitions import FeatureSet
from services.featuresets.fingerprint import fingerprint
from services.featuresets.ticks import Tick
from services.lake.files import read_file
from services.lake.places import Lake
from services.lake.reading import read_bars, read_trades
from services.tools.vectorfold.columns import trade_columns
from services.tools.vectorfold.fold import fold_columns
from tests.support.optional import require_lobster
from tests.support.plain_daily import plain_days

pytestmark = pytest.mark.timeout(600)

SESSIONS = {
    "AAPL": "AAPL_2012-06-21_34200000_37800000_{}_30.csv.gz",
    "AMZN": "AMZN_2012-06-21_34200000_57600000_{}_5.csv.gz",
}
TRADES = {"AAPL": 4_069, "AMZN": 8_998}
DAILY = SETS["daily_v1"]
EPOCH = date(1970, 1, 1)
DAY_US = 86_400_000_000
FIRST_DAY = date(2010, 3, 2)
FIRST_US = (FIRST_DAY - EPOCH).days * DAY_US
TICK_COLUMNS = (
    "time", "price", "quantity", "aggressor_side", "bid", "bid_quantity", "ask", "ask_quantity",
)  # fmt: skip


class Row(NamedTuple):
    """A row of a ticker as the lake holds it."""

    grid_time_us: int
    created_us: int
    offset: int
    fingerprint: str
    reals: tuple[float | None, ...]


class Parity(NamedTuple):
    """Rows of the lake against those that must be there."""

    matched: int
    mismatched: int
    missing: int
    extra: int


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("OUTCRY_HOME", str(tmp_path))
    return tmp_path


def outcry(*arguments: str | Path) -> Any:  # noqa: ANN401 - what it prints
    ended = CliRunner().invoke(app, [*map(str, arguments), "--json"])
    assert ended.exit_code == 0, ended.output
    return json.loads(ended.stdout)


def ticks_of(lake: Lake, ticker: str) -> list[Tick]:
    ticks: list[Tick] = []
    for batch in read_trades(lake, ticker):
        columns = [batch.column(name).cast(pa.int64()).to_pylist() for name in TICK_COLUMNS]
        for cells in zip(*columns, strict=True):
            ticks.append(Tick(len(ticks), *(cell or 0 for cell in cells)))
    return ticks


def bars_of(lake: Lake, ticker: str) -> list[Bar]:
    """The file has neither splits nor dividends."""
    rows = read_bars(lake, "1d", ticker).to_pylist()
    assert all(row["dividend"] is None and row["split_to"] is None for row in rows)
    return [
        Bar(
            (row["time"].date() - EPOCH).days,
            row["open"], row["high"], row["low"], row["close"], row["volume"], 1, 1, 0,
        )
        for row in rows
    ]  # fmt: skip


def by_steps(feature_set: FeatureSet[Any], inputs: Sequence[Any]) -> Iterator[Row]:
    fold, made_by = feature_set.new_fold(), fingerprint(feature_set)
    for given in inputs:
        is_bar = isinstance(given, Bar)
        known_us = (given.day + 1) * DAY_US if is_bar else given.time_us
        offset = given.day if is_bar else given.offset
        for row in fold.step(given):
            pairs = zip(feature_set.features, row.values, strict=True)
            reals = tuple(feature.real(value) for feature, value in pairs)
            yield Row(row.grid_time_us, known_us, offset, made_by, reals)


def folded_by_columns(
    feature_set: FeatureSet[Any], ticks: Sequence[Tick]
) -> list[tuple[int, tuple[float | None, ...]]]:
    return [
        (
            row.grid_time_us,
            tuple(f.real(v) for f, v in zip(feature_set.features, row.values, strict=True)),
        )
        for row in fold_columns(feature_set, trade_columns(ticks)).rows()
    ]


def in_the_lake(lake: Lake, feature_set: FeatureSet[Any], ticker: str) -> list[Row]:
    found: list[Row] = []
    for path, _ in lake.feature_files(feature_set.name):
        if path.parent.parent.name != f"ticker={ticker}":
            continue
        table = read_file(path, "features")
        times = [
            table.column(name).cast(pa.int64()).to_pylist()
            for name in ("event_timestamp", "created")
        ]
        rest = [table.column(name).to_pylist() for name in ("trade_offset", "fingerprint")]
        reals = zip(*(table.column(name).to_pylist() for name in feature_set.columns), strict=True)
        found += map(Row, *times, *rest, reals)
    return found


def parity(must: Sequence[Row], there: Sequence[Row]) -> Parity:
    wanted, stored = ({row.grid_time_us: row for row in rows} for rows in (must, there))
    assert len(wanted) == len(must), "a grid time twice"
    both = wanted.keys() & stored.keys()
    matched = sum(wanted[at] == stored[at] for at in both)
    extra = len(there) - len(both)
    return Parity(matched, len(both) - matched, len(wanted) - len(both), extra)


@pytest.mark.long
def test_both_sessions_rows_in_the_lake_are_those_of_the_fold(home: Path) -> None:
    files = [require_lobster(name.format("message")) for name in SESSIONS.values()]
    for name in SESSIONS.values():
        require_lobster(name.format("orderbook"))
    said = outcry("history", "ingest", "lobster", *files)
    assert [report["trades"] for report in said["files"]] == list(TRADES.values())
    filled = {name: outcry("features", "backfill", "--set", name) for name in TRADE_SETS}
    lake = Lake(home)
    for name, feature_set in TRADE_SETS.items():
        matched = 0
        for ticker, trades in TRADES.items():
            ticks = ticks_of(lake, ticker)
            assert len(ticks) == trades
            must = list(by_steps(feature_set, ticks))
            found = parity(must, in_the_lake(lake, feature_set, ticker))
            assert found == Parity(len(must), 0, 0, 0)
            assert folded_by_columns(feature_set, ticks) == [(row[0], row.reals) for row in must]
            matched += found.matched
        assert matched == filled[name]["computed"] == filled[name]["written"] > 20_000


@pytest.mark.long
def test_rows_of_ten_years_of_daily_bars_are_those_of_the_fold(home: Path) -> None:
    """Three years of them: they know the bars of all ten, and each has a file of its own."""
    spec = find_spec("bokeh_sampledata")
    assert spec is not None
    assert spec.origin is not None
    path = Path(spec.origin).parent / "_data" / "stocks.csv.gz"
    said = outcry("history", "ingest", "bars", path, "--rename", "GOOG=GOOGL")
    assert said["files"][0]["kept"] == 12_154
    days = ("--from", FIRST_DAY.isoformat(), "--ticker", "AAPL")
    filled = outcry("features", "backfill", "--set", "daily_v1", *days)
    lake = Lake(home)
    bars = bars_of(lake, "AAPL")
    assert (len(bars), bars[-1].day - bars[0].day) == (3_270, 4_748)
    there = in_the_lake(lake, DAILY, "AAPL")
    # A bar's row stands at the midnight after its day, and --from names days of rows.
    must = [row for row in by_steps(DAILY, bars) if row.grid_time_us >= FIRST_US]
    assert parity(must, there) == Parity(len(must), 0, 0, 0)
    assert len(must) == filled["written"] > 750
    plainly = plain_days(bars[:400])
    whole = [row for fold in [DAILY.new_fold()] for bar in bars[:400] for row in fold.step(bar)]
    assert [(r.grid_time_us, r.rewind_offset, r.values) for r in whole] == plainly


def test_a_changed_a_lost_and_an_invented_row_are_each_counted() -> None:
    must = [Row(second, second, second, "f", (1.5, None)) for second in range(10)]
    changed = [must[0]._replace(reals=(1.5, 0.0)), *must[1:9], must[9]._replace(grid_time_us=99)]
    assert parity(must, changed) == Parity(8, 1, 1, 1)
    assert parity(must, [*must, must[3]]) == Parity(10, 0, 0, 1)

"""Histories of a made-up crowd: the same file for everybody, and one that ingest takes whole."""

import gzip
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import pytest
from msgspec.structs import replace
from typer.testing import CliRunner

from services.cli import app
from services.lake.lock import HISTORY, locked
from services.lake.places import Lake
from services.tools.history.errors import HistoryError
from services.tools.history.ingest import ingest_file
from services.tools.history.simulated import (
    RECORDS_MAX,
    SimulatedHistory,
    simulated_trades,
    write_history,
)
from services.tools.history.source import Asked

START: Final = datetime(2026, 1, 5, 14, 30, tzinfo=UTC)
RECORDS: Final = 1_000
HOURS: Final = RECORDS / 20 / 3_600
ASKED: Final = SimulatedHistory(seed=7, hours=HOURS, rate=20.0, start=START)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("made") / "crowd.csv.gz"
    write_history(path, ASKED)
    return path


def test_the_same_seed_makes_the_same_bytes_under_any_name(made: Path, tmp_path: Path) -> None:
    write_history(tmp_path / "again.csv.gz", ASKED)
    assert (tmp_path / "again.csv.gz").read_bytes() == made.read_bytes()
    write_history(tmp_path / "other.csv.gz", replace(ASKED, seed=8))
    assert (tmp_path / "other.csv.gz").read_bytes() != made.read_bytes()


def test_ingest_keeps_every_row_and_the_trades_are_those_that_were_printed(
    made: Path, tmp_path: Path
) -> None:
    lake = Lake(tmp_path)
    with locked(lake, HISTORY):
        report = ingest_file(lake, made, "trades", Asked())
    printed = list(simulated_trades(ASKED))
    assert (report.error, report.refused, report.dropped) == ("", 0, 0)
    assert report.kept == report.rows_read == len(printed) > 200
    assert set(report.tickers) == {trade.ticker for _, trade in printed}
    assert not {"bad_side", "quote_dropped", "out_of_order"} & set(report.findings)


def test_each_trade_stands_at_its_records_intended_time_with_its_quotes(made: Path) -> None:
    time_us, trade = next(found for found in simulated_trades(ASKED) if found[1].bid_quantity)
    assert (time_us - int(START.timestamp()) * 1_000_000) % 50_000 == 0
    with gzip.open(made, "rt", encoding="utf-8") as file:
        (row,) = (line for line in file if line.endswith(f",{trade.trade_id}\n"))
    assert f",{trade.price / 10_000:.4f},{trade.quantity},{trade.aggressor_side}," in row
    assert f",{trade.bid / 10_000:.4f},{trade.bid_quantity}," in row


@pytest.mark.parametrize(
    "wrong, said",
    [
        (replace(ASKED, hours=0.0), "0 hours of 20 records a second: ask for 1 to 20,000,000"),
        (replace(ASKED, rate=0.0), "of 0 records a second"),
        (replace(ASKED, hours=float("nan")), "nan hours"),
        (replace(ASKED, hours=1_000.0, rate=RECORDS_MAX / 3_600.0), "1000 hours"),
        (replace(ASKED, start=datetime(1969, 1, 1, tzinfo=UTC)), "since 1970"),
    ],
)
def test_what_can_not_be_made_is_refused_and_nothing_is_written(
    tmp_path: Path, wrong: SimulatedHistory, said: str
) -> None:
    with pytest.raises(HistoryError, match=said):
        write_history(tmp_path / "crowd.csv.gz", wrong)
    assert not list(tmp_path.iterdir())


def test_the_command_names_the_file_its_hash_and_the_next_step(tmp_path: Path, made: Path) -> None:
    path = tmp_path / "crowd.csv.gz"
    arguments = ["history", "simulate", str(path), "--seed", "7", "--rate", "20"]
    length = ["--hours", str(HOURS)]
    said = CliRunner().invoke(app, [*arguments, *length])
    assert (said.exit_code, path.read_bytes()) == (0, made.read_bytes())
    assert "outcry history ingest trades" in said.output
    document = json.loads(CliRunner().invoke(app, [*arguments, *length, "--json"]).stdout)
    assert (document["records"], document["last_time"][:16]) == (RECORDS, "2026-01-05T14:30")
    nowhere = ["history", "simulate", str(tmp_path / "no" / "crowd.csv.gz"), *length]
    assert "can't be written" in str(CliRunner().invoke(app, nowhere).exception)
    assert CliRunner().invoke(app, ["history", "simulate", "crowd.parquet"]).exit_code == 2

"""`outcry dataset describe` as people type it, on a lake of its own."""

import json
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from services.featuresets import SETS
from services.lake.errors import LakeError
from services.lake.places import Lake
from services.scoring.errors import TooLittleDataError
from services.tools.features.backfill import Days
from services.tools.features.run import backfill_from_lake
from services.tools.history.session import SessionAsked, ingest_session
from services.tools.learning.commands import register
from services.tools.market.sample import make_session, write_session
from services.tools.vectorfold.made_trades import make_trades
from services.trainer.errors import PlanError
from tests.support.markets import (
    V1,
    leaky_market,
    market_of_trades,
    null_market,
    put_table,
    put_trades,
)

app = typer.Typer()
register(app)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("OUTCRY_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def describe(*arguments: str) -> tuple[int, Any]:
    result = CliRunner().invoke(app, ["dataset", "describe", *arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, json.loads(result.stdout) if "--json" in arguments else result.output


def outcomes(said: dict[str, Any]) -> dict[str, str]:
    return {check["name"]: check["outcome"] for check in said["checks"]}


def test_simulated_trades_folded_into_the_lake_make_a_data_set_that_passes(home: Path) -> None:
    lake = Lake(home)
    trades = {t: make_trades(n, 6_000, 300_000) for n, t in enumerate(("AAPL", "MSFT"))}
    table = market_of_trades(trades)
    put_table(lake, table)
    for ticker, of_ticker in trades.items():
        put_trades(lake, ticker, of_ticker)
    code, said = describe("--json")
    assert code == 0
    assert said["holds"]
    assert set(outcomes(said).values()) == {"passed"}
    assert said["rows_read"] == table.num_rows
    assert said["whole"]["rows"] + sum(said["left_out"].values()) == table.num_rows
    assert [ticker["name"] for ticker in said["tickers"]] == ["AAPL", "MSFT"]
    assert sum(ticker["rows"] for ticker in said["tickers"]) == said["whole"]["rows"]
    assert sum(said["whole"]["classes"].values()) == said["whole"]["rows"]
    assert said["gap_s"] == 70
    assert all(gap >= 70 for fold in said["folds"] for gap in fold["gaps_s"])
    assert [column["name"] for column in said["columns"]] == [n for n in V1.columns if n != "mid"]
    assert describe("--json")[1]["sha256"] == said["sha256"]
    assert describe("--json", "--horizon-s", "5")[1]["sha256"] != said["sha256"]


def test_a_session_that_was_ingested_and_backfilled_passes_and_is_shown(
    home: Path, tmp_path: Path
) -> None:
    lake = Lake(home)
    (tmp_path / "in").mkdir()
    message, book = write_session(make_session(3, 12_000, 5), tmp_path / "in", "AAPL")
    ingest_session(lake, message, book, SessionAsked())
    filled = backfill_from_lake(lake, V1.name, Days(), None, replace=False)
    assert filled.written > 300
    arguments = ("--ticker", "AAPL", "--horizon-s", "5", "--folds", "1")
    code, said = describe(*arguments)
    assert code == 0, said
    assert "Every leak check passed." in said
    assert "truncation     PASSED" in said
    for part in ("horizon_not_passed", "queue_imbalance", "validation", "content sha256"):
        assert part in said


def test_a_leak_is_shown_and_is_exit_code_1(home: Path) -> None:
    put_table(Lake(home), leaky_market(6_000))
    code, said = describe("--json")
    assert code == 1
    assert not said["holds"]
    assert outcomes(said)["single_column"] == "failed"
    alone = {column["name"]: column["alone"] for column in said["columns"]}
    assert max(alone, key=lambda name: alone[name]) == "signed_volume_5s"
    code, said = describe()
    assert code == 1
    assert "THE DATA SET LEAKS" in said


def test_what_can_not_be_checked_is_no_silent_pass(home: Path) -> None:
    put_table(Lake(home), null_market(6_000), is_stream=True)
    code, said = describe("--json")
    assert code == 0
    assert outcomes(said)["truncation"] == "not checkable"
    (check,) = (check for check in said["checks"] if check["name"] == "truncation")
    assert check["rows_not_checkable"] == said["whole"]["rows"]
    assert "not everything could be checked" in describe()[1]


def test_days_and_tickers_can_be_chosen(home: Path) -> None:
    put_table(Lake(home), null_market(6_000))
    _, said = describe("--json", "--ticker", "AAPL", "--ticker", "NVDA", "--from", "2026-09-21")
    assert [ticker["name"] for ticker in said["tickers"]] == ["AAPL", "NVDA"]
    with pytest.raises(TooLittleDataError, match="in the time asked for"):
        describe("--from", "2026-09-22")
    with pytest.raises(TooLittleDataError, match="in the time asked for"):
        describe("--to", "2026-09-20")


@pytest.mark.parametrize(
    "arguments,cause",
    [
        (("--horizon-s", "0"), "a horizon of 0 s"),
        (("--horizon-s", "-5"), "a horizon of -5 s"),
        (("--horizon-s", "2.5"), "a horizon of 2.5 s: rows stand on whole seconds"),
        (("--horizon-s", "inf"), "a horizon of inf s"),
        (("--threshold", "-1"), "a threshold of -1"),
        (("--set", "daily_v1"), "daily_v1 has no mid"),
        (("--set", "nothing"), "no feature set 'nothing'"),
        (("--folds", "0"), "0 folds"),
        (("--ticker", "IBM"), "no rows of IBM; it has AAPL"),
    ],
)
def test_what_can_not_be_is_told_in_one_line(
    home: Path, arguments: tuple[str, ...], cause: str
) -> None:
    put_table(Lake(home), null_market(3_000))
    with pytest.raises(PlanError, match=cause) as caught:
        describe(*arguments)
    assert "\n" not in str(caught.value)


def test_an_empty_lake_and_a_damaged_one_are_told(home: Path) -> None:
    with pytest.raises(
        TooLittleDataError, match=r"has no rows of .*`outcry features backfill"
    ) as told:
        describe()
    assert "`outcry status`" in str(told.value)  # a stack that runs is not told to be started
    put_table(Lake(home), null_market(3_000))
    path = next(home.rglob("*.parquet"))
    path.write_bytes(b"PAR1")
    with pytest.raises(LakeError, match="damaged"):
        describe()


def test_each_set_that_has_a_mid_can_be_described(home: Path) -> None:
    v2 = SETS["microstructure_v2"]
    put_table(Lake(home), null_market(12_000, feature_set=v2), v2)
    code, said = describe("--json", "--set", v2.name)
    assert (code, said["gap_s"]) == (0, 310)

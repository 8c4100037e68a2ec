"""`outcry drift` as people type it."""

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from services.lake.places import Lake
from services.scoring.errors import TooLittleDataError
from services.tools.drift.commands import register
from services.tools.drift.errors import NotCalibratedError
from tests.support.markets import null_market, put_table

app = typer.Typer()
register(app)


def drift(*arguments: str) -> Result:
    result = CliRunner().invoke(app, ["drift", *arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def test_a_short_calibration_shows_ours_beside_the_others() -> None:
    said = drift("calibrate", "--short", "--market", "ar-0.9").output
    assert "ar-0.9: nothing has changed" in said
    for way in ("stretches", "blocks (bootstrap)", "PSI above 0.2"):
        assert way in said
    (figures,) = json.loads(drift("calibrate", "--short", "--market", "ar-0.9", "--json").stdout)
    assert figures["market"] == "ar-0.9"
    assert figures["order"]["references"] == 2


def test_a_short_calibration_leaves_out_what_its_windows_are_too_short_for() -> None:
    figures = json.loads(drift("calibrate", "--short", "--json").stdout)
    assert [one["market"] for one in figures] == ["ar-0.9", "ar-0.95", "garch", "fold", "classes"]
    with pytest.raises(NotCalibratedError, match="remembers for more than 60 s"):
        drift("calibrate", "--short", "--market", "ar-0.99")


def test_an_unknown_market_is_refused_with_those_there_are() -> None:
    answer = drift("calibrate", "--market", "bull")
    assert answer.exit_code == 2
    assert "garch" in answer.output


def test_a_reference_of_the_lake_is_judged_by_its_own_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OUTCRY_HOME", str(tmp_path))
    asked = ("reference", "--set", "microstructure_v1", "--window-s", "400", "--json")
    with pytest.raises(TooLittleDataError, match="outcry features backfill --set microstructure"):
        drift(*asked)
    put_table(Lake(tmp_path), null_market(20_000, tickers=("AAPL", "MSFT"), memory_s=10))
    found = json.loads(drift(*asked).stdout)
    assert found["stretches"] == 25
    assert found["tickers"] == ["AAPL", "MSFT"]
    assert "mid" not in found["columns"]
    assert "AAPL spread" in found["constant"]

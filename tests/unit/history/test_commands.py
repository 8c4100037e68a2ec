"""`outcry history` as people type it, on a lake of its own."""

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from services.lake.errors import LakeError, LakeLockedError
from services.lake.files import partial_of
from services.lake.lock import HISTORY, locked
from services.lake.places import Lake
from services.tools.history.commands import register
from services.tools.history.errors import HistoryError
from services.tools.history.rules import RULES
from services.tools.market.sample import make_session, write_session

app = typer.Typer()
register(app)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("OUTCRY_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def outcry(*arguments: str | Path) -> tuple[int, Any]:
    result = CliRunner().invoke(app, ["history", *map(str, arguments)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, json.loads(result.stdout) if "--json" in arguments else result.output


def trade_file(folder: Path, *lines: str, name: str = "t.csv") -> Path:
    path = folder / name
    path.write_text("\n".join(["symbol,time,price,size", *lines]) + "\n", encoding="utf-8")
    return path


def test_a_batch_of_files_is_reported_one_by_one_and_kept_results_tell_the_same(
    home: Path, tmp_path: Path
) -> None:
    good = trade_file(tmp_path, "GOOG,2024-01-02T14:30:00Z,1.5,10", "GOOG,never,1,1")
    torn = trade_file(tmp_path, "AAPL,2024-01-02T14:30:00,1,1", name="no-zone.csv")
    code, said = outcry("ingest", "trades", good, torn, "--rename", "goog=googl", "--json")
    assert code == 1  # one was refused as a whole
    first, second = said["files"]
    assert (first["rows_read"], first["kept"], first["refused"]) == (2, 1, 1)
    assert first["tickers"] == {"GOOGL": 1}
    assert first["findings"]["bad_time"]["examples"] == [{"row": 3, "shown": "never"}]
    assert "--time-zone" in second["error"]
    assert Lake(home).tickers("trades") == ["GOOGL"]
    _, listed = outcry("quality", "--json")
    assert [batch["report"]["file"] for batch in listed["batches"]] == ["t.csv", "no-zone.csv"]
    assert [batch["report"]["kept"] for batch in listed["batches"]] == [1, 0]
    name = listed["batches"][0]["batch"]
    _, told = outcry("quality", name, "--json")
    by_rule = {check["rule"]: check for check in told["checks"]}
    assert set(by_rule) == {rule.name for rule in RULES if "trades" in rule.kinds}
    assert {rule for rule, check in by_rule.items() if not check["passed"]} == {"bad_time"}
    _, table = outcry("quality", name)
    assert "bad_time" in table
    _, table = outcry("quality")
    assert "kept with findings" in table


@pytest.mark.usefixtures("home")
def test_a_stream_of_what_the_lake_lacks_says_what_brings_it(tmp_path: Path) -> None:
    outcry("ingest", "trades", trade_file(tmp_path, "AAPL,2024-01-02T14:30:00Z,1.5,10"))
    with pytest.raises(HistoryError, match=r"no trades of MSFT .* `outcry history ingest`"):
        outcry("stream", "--ticker", "MSFT")


def test_a_file_twice_is_fine_and_a_file_of_nothing_ends_with_exit_code_1(
    home: Path, tmp_path: Path
) -> None:
    good = trade_file(tmp_path, "AAPL,2024-01-02T14:30:00Z,1.5,10")
    for new in (1, 0):
        code, output = outcry("ingest", "trades", good)
        assert code == 0
        assert f"1 ({new} new" in output
    code, output = outcry("ingest", "trades", trade_file(tmp_path, "AAPL,never,1,1", name="n.csv"))
    assert code == 1
    assert "row 2: never" in output
    assert Lake(home).tickers("trades") == ["AAPL"]


def test_bars_and_sessions_go_in_by_their_commands(home: Path, tmp_path: Path) -> None:
    bars = tmp_path / "b.csv"
    bars.write_text("Date,Open,High,Low,Close,Volume\n2024-01-02,1,2,1,2,5\n", encoding="utf-8")
    assert outcry("ingest", "bars", bars, "--ticker", "AAPL")[0] == 0
    message, _ = write_session(make_session(3, 50, 5), tmp_path, "AAPL")
    code, said = outcry("ingest", "lobster", message, "--json")
    assert (code, said["files"][0]["rows_read"]) == (0, 50)
    assert Lake(home).tickers("bars/1d") == Lake(home).tickers("orders") == ["AAPL"]


def test_a_second_writer_is_refused_in_one_line(home: Path, tmp_path: Path) -> None:
    good = trade_file(tmp_path, "AAPL,2024-01-02T14:30:00Z,1.5,10")
    with locked(Lake(home), HISTORY), pytest.raises(LakeLockedError, match="wait until it has"):
        outcry("ingest", "trades", good)
    assert not Lake(home).tickers("trades")


def test_what_a_run_that_died_left_unfinished_is_swept_by_the_next(
    home: Path, tmp_path: Path
) -> None:
    good = trade_file(tmp_path, "AAPL,2024-01-02T14:30:00Z,1.5,10")
    left = partial_of(Lake(home).trades("MSFT", date(2024, 1, 2)))
    left.parent.mkdir(parents=True)
    left.write_bytes(b"PAR1")
    assert outcry("ingest", "trades", good)[0] == 0
    assert not left.exists()
    assert not (home / "lake" / ".staging").exists()


def test_damaged_results_and_unknown_batches_are_told(home: Path, tmp_path: Path) -> None:
    outcry("ingest", "trades", trade_file(tmp_path, "AAPL,2024-01-02T14:30:00Z,1.5,10"))
    with pytest.raises(Exception, match=r"no batch named nothing"):
        outcry("quality", "nothing")
    (path,) = Lake(home).quality("trades").glob("*.json")
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(LakeError, match="is damaged"):
        outcry("quality")


@pytest.mark.parametrize(
    "arguments,cause",
    [
        (("ingest", "trades", "x.csv", "--rename", "GOOG"), "is no pair like OLD=NEW"),
        (("ingest", "bars", "x.csv", "--interval", "5m"), "is none of auto, 1d, 1m"),
        (("ingest", "trades", "x.csv", "--units-per-dollar", "100"), "is 1 or 10000"),
        (("stream",), "the lake has no trades"),
        (("stream", "--room", "cellar"), "--room cellar: none of"),
    ],
)
def test_a_wrong_option_is_told_before_anything_happens(
    home: Path, arguments: tuple[str, ...], cause: str
) -> None:
    result = CliRunner().invoke(app, ["history", *arguments], env={"COLUMNS": "200"})
    assert result.exit_code == 2
    assert cause in result.output
    assert not (home / "lake" / "trades").exists()


def test_every_rule_is_planted_in_a_test() -> None:
    tests = sorted(Path(__file__).parent.glob("test_ingest_*.py"))
    tests.append(Path(__file__).with_name("test_session.py"))
    text = "".join(path.read_text(encoding="utf-8") for path in tests)
    untested = [rule.name for rule in RULES if f'"{rule.name}"' not in text]
    assert untested == []


def test_the_rules_of_sessions_are_those_the_adapter_counts() -> None:
    by_adapter = {"hidden_execution", "cross_trade", "halt_message", "outside_window"}
    assert {rule.name for rule in RULES if "lobster" in rule.kinds} == by_adapter

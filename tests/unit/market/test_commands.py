"""What a wrong command line is answered with, before anything is started."""

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from services.tools.market.commands import register
from services.tools.market.lobster import Skipped
from services.tools.market.lobster_files import LobsterFileError
from services.tools.market.oracle import Findings
from services.tools.market.present import print_published, print_replayed
from services.tools.market.publish import Lateness, Published
from services.tools.market.replay import Replayed
from services.tools.market.sample import make_session, write_session

app = typer.Typer()
register(app)


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    return write_session(make_session(1, 50, 3), tmp_path, "AAPL")


def refused(*arguments: object) -> str:
    """What a command line is refused with."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code != 0
    if isinstance(result.exception, LobsterFileError):
        return str(result.exception)
    assert result.exit_code == 2, result.exception
    return " ".join(result.output.replace("│", " ").split())


def lobster(message: Path, *arguments: object) -> tuple[object, ...]:
    return "replay", "lobster", "--ticker", "AAPL", "--message", message, *arguments


def test_a_missing_message_file_is_named(tmp_path: Path) -> None:
    assert "no file" in refused(*lobster(tmp_path / "absent.csv"))


def test_a_missing_orderbook_file_is_named(files: tuple[Path, Path], tmp_path: Path) -> None:
    gone = tmp_path / "gone.csv"
    assert "gone.csv" in refused(*lobster(files[0], "--orderbook", gone, "--verify"))


def test_verifying_needs_an_orderbook(files: tuple[Path, Path]) -> None:
    assert "give --orderbook" in refused(*lobster(files[0], "--verify"))


def test_levels_need_an_orderbook(files: tuple[Path, Path]) -> None:
    assert "give --orderbook" in refused(*lobster(files[0], "--levels", 3))


def test_more_levels_than_the_file_has_are_refused(files: tuple[Path, Path]) -> None:
    said = refused(*lobster(files[0], "--orderbook", files[1], "--verify", "--levels", 4))
    assert "has 3 levels; ask for at most --levels 3" in said


def test_files_of_two_sessions_are_refused(files: tuple[Path, Path], tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    _, longer = write_session(make_session(1, 51, 3), other, "AAPL")
    said = refused(*lobster(files[0], "--orderbook", longer, "--verify"))
    assert "has 50 rows" in said
    assert "51" in said


def test_the_files_given_the_wrong_way_round_are_refused(files: tuple[Path, Path]) -> None:
    said = refused(*lobster(files[1], "--orderbook", files[0], "--verify"))
    assert "6 columns" in said


@pytest.mark.parametrize("speed", ["0", "-1", "fast", "nan", "inf"])
def test_a_speed_that_is_none_is_refused(files: tuple[Path, Path], speed: str) -> None:
    assert "--speed" in refused(*lobster(files[0], f"--speed={speed}"))


@pytest.mark.parametrize("ticker", ["", "AA-PL", "THIRTEENLONGX", "ÄPL"])
def test_a_ticker_that_is_none_is_refused(files: tuple[Path, Path], ticker: str) -> None:
    said = refused("replay", "lobster", "--ticker", ticker, "--message", files[0])
    assert "is no ticker" in said


@pytest.mark.parametrize("prefix", ["", "UPPER.", "-a.", "a_b.", "a" * 41])
def test_a_prefix_that_no_topic_may_have_is_refused(files: tuple[Path, Path], prefix: str) -> None:
    assert "like 'replay-1.'" in refused(*lobster(files[0], "--prefix", prefix))


# --- what is printed


FINDINGS = Findings(rows_checked=3, rows_equal=3, executions=2, fifo_agreed=1)


def replayed(**changes: object) -> Replayed:
    fields: dict[str, object] = {
        "ticker": "AAPL", "prefix": "lobster-x.", "rows": 3, "commands": 4, "skipped": Skipped(),
        "reports": {"NEW": 4}, "refusals": {}, "unanswered": 0, "duration_s": 1.0,
        "findings": FINDINGS,
    }  # fmt: skip
    return Replayed(**fields | changes)  # type: ignore[arg-type]  # fields by name


def test_a_replay_holds_only_if_all_rows_are_equal_and_all_was_served() -> None:
    assert replayed().holds
    assert replayed(findings=None).holds
    assert not replayed(findings=Findings(rows_checked=3, rows_equal=2)).holds
    assert not replayed(findings=Findings(trades_different=1)).holds
    assert not replayed(refusals={"OFF_TICK": 1}).holds
    assert not replayed(unanswered=1).holds


def test_the_table_says_rows_fifo_verdict_and_where_the_topics_are(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_replayed(replayed(), as_json=False)
    said = capsys.readouterr().out
    for part in ("3 (100 %)", "1 of 2 executions", "holds", "OUTCRY_TOPIC_PREFIX=lobster-x."):
        assert part in said


def test_almost_all_rows_are_never_shown_as_all(capsys: pytest.CaptureFixture[str]) -> None:
    almost = Findings(rows_checked=1_000_000, rows_equal=999_999, differences=["row 7: bid"])
    print_replayed(replayed(findings=almost), as_json=False)
    said = capsys.readouterr().out
    assert "99.99 %" in said
    assert "DOES NOT HOLD" in said
    assert "row 7: bid" in said


def test_json_carries_the_verdict_and_the_findings(capsys: pytest.CaptureFixture[str]) -> None:
    print_replayed(replayed(), as_json=True)
    document = json.loads(capsys.readouterr().out)
    assert document["holds"] is True
    assert document["findings"]["rows_equal"] == 3


def test_a_simulation_is_summed_up_by_kind(capsys: pytest.CaptureFixture[str]) -> None:
    published = Published(5, 5, 0, {"junk": 1, "limit": 4}, 1, 2.0, Lateness(100, 900, 2_000))
    print_published(published, seed=7, accounts=26, as_json=False)
    said = capsys.readouterr().out
    for part in ("limit", "dead letters expected", "0.1, 0.9, 2.0 ms"):
        assert part in said
    print_published(published, seed=7, accounts=26, as_json=True)
    document = json.loads(capsys.readouterr().out)
    assert (document["dead_letters_expected"], document["by_kind"]["limit"]) == (1, 4)

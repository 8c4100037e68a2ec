"""`outcry drift run` as people type it, where nothing is there yet or a part is away."""

import json
from io import StringIO
from pathlib import Path

import pytest
import typer
from rich.console import Console
from typer.testing import CliRunner, Result

from services.drift.ledger import MemoryLedger
from services.runtime.errors import RetriableError
from services.tools.drift.commands import register
from services.tools.drift.errors import NotAskedWellError
from services.tools.drift.jobs.told import EXIT_UNJUDGED, KINDS
from services.tools.drift.show import (
    checks_table,
    figures_table,
    find_result,
    performance_of_report,
    predictors_of,
)
from tests.support.drift_history import CHANGED_AT, performance_job
from tests.support.drift_world import DriftWorld
from tests.support.memory_actions import MemoryActions

app = typer.Typer()
register(app)


def drift(home: Path, *arguments: str) -> Result:
    environment = {
        "OUTCRY_HOME": str(home),
        "OUTCRY_PG_DSN": "postgresql://nobody@127.0.0.1:1/none",
    }
    return CliRunner().invoke(app, ["drift", *arguments], env=environment)


def test_where_nothing_serves_every_job_says_so_and_the_exit_code_is_not_green(
    tmp_path: Path,
) -> None:
    done = drift(tmp_path, "run", "--json")
    assert done.exit_code == EXIT_UNJUDGED, done.output
    told = json.loads(done.stdout)
    assert [(one["kind"], one["outcome"]) for one in told["jobs"]] == [
        (kind, "no_model") for kind in KINDS
    ]
    assert told["exit_code"] == EXIT_UNJUDGED
    assert "no_model" in drift(tmp_path, "run", "--job", "data").stdout


def test_a_room_is_told_line_by_line(tmp_path: Path) -> None:
    done = drift(tmp_path, "run", "--json-lines", "--job", "labels", "--job", "data")
    assert done.exit_code == EXIT_UNJUDGED, done.output
    first, *jobs, last = [json.loads(line) for line in done.stdout.splitlines()]
    assert first == {"unfinished": []}
    assert [one["job"]["kind"] for one in jobs] == ["data", "labels"]
    assert last["exit_code"] == EXIT_UNJUDGED


@pytest.mark.parametrize(
    "arguments,why",
    [
        (("--from", "2026-11-26"), "--from and --to go together"),
        (("--from", "2026-11-27", "--to", "2026-11-26"), "--from must be before --to"),
        (("--job", "weather"), "weather"),
        (("--window-s", "5"), "window-s"),
    ],
)
def test_what_was_typed_wrongly_is_refused_before_anything_is_read(
    tmp_path: Path, arguments: tuple[str, ...], why: str
) -> None:
    done = drift(tmp_path / "nowhere", "run", *arguments)
    assert done.exit_code == 2
    assert why in done.output
    assert not (tmp_path / "nowhere").exists()


def test_without_postgresql_a_run_ends_with_one_line_and_nothing_is_green(tmp_path: Path) -> None:
    home = DriftWorld.copied(tmp_path / "home").home
    for command in (("run", "--job", "labels"), ("history",), ("show",), ("actions",)):
        done = drift(home, *command)
        assert isinstance(done.exception, RetriableError), done.output
        assert "try again" in str(done.exception)
        assert done.exit_code == 1


def test_a_history_of_nothing_says_what_makes_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.drift.postgres.PostgresLedger", lambda *_: MemoryLedger())
    asked = drift(tmp_path, "history")
    assert asked.exit_code == 0, asked.output
    assert "outcry drift run" in asked.stdout
    assert drift(tmp_path, "history", "--json").stdout.strip() == "[]"


def test_where_nothing_was_done_about_alarms_it_says_where_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "services.drift.postgres_actions.PostgresActions", lambda *_: MemoryActions()
    )
    asked = drift(tmp_path, "actions")
    assert asked.exit_code == 0, asked.output
    assert "outcry drift history" in asked.stdout
    assert drift(tmp_path, "actions", "--json").stdout.strip() == "[]"


def test_a_window_of_performance_is_shown_with_the_figures_of_everybody() -> None:
    ledger = MemoryLedger()
    given = performance_job(CHANGED_AT)
    ledger.record(given)
    result = find_result(ledger, None, "performance")
    assert result == given
    assert find_result(ledger, given.job.job_id, "data") == given
    found = performance_of_report(result)
    assert found is not None
    page = StringIO()
    Console(file=page, width=250).print(figures_table(found), checks_table(result.checks))
    said = page.getvalue()
    (own,) = [line for line in said.splitlines() if "v3 (champion)" in line]
    assert found.figures is not None
    assert f"{found.figures.scores['macro_f1']:.4f} [" in own
    assert {name for name, _, _ in predictors_of(found)} == {
        "v3 (champion)", "v4 (shadow)", "v2 (served)", "last_move", "majority",
        "v3 on AAPL",
    }  # fmt: skip
    assert "fallen" in said


def test_what_is_not_recorded_is_refused_by_name() -> None:
    with pytest.raises(NotAskedWellError, match="no window of performance is recorded yet"):
        find_result(MemoryLedger(), None, "performance")
    with pytest.raises(NotAskedWellError, match="no job 'f"):
        find_result(MemoryLedger(), "f" * 64, "performance")

"""`outcry drift run` as people type it, where nothing is there yet or a part is away."""

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from services.runtime.errors import RetriableError
from services.tools.drift.commands import register
from services.tools.drift.jobs.told import EXIT_UNJUDGED, KINDS
from tests.support.drift_world import DriftWorld

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
    for command in (("run", "--job", "labels"), ("history",), ("actions",)):
        done = drift(home, *command)
        assert isinstance(done.exception, RetriableError), done.output
        assert "try again" in str(done.exception)
        assert done.exit_code == 1

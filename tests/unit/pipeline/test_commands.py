"""`outcry pipeline` as people type it, where nothing ran yet."""

from pathlib import Path

import typer
from typer.testing import CliRunner

from services.tools.pipeline.commands import register

app = typer.Typer()
register(app)


def test_where_no_run_is_kept_it_says_what_makes_one(tmp_path: Path) -> None:
    environment = {"OUTCRY_HOME": str(tmp_path)}
    asked = CliRunner().invoke(app, ["pipeline", "show"], env=environment)
    assert asked.exit_code == 0, asked.output
    assert "outcry pipeline run" in asked.stdout
    listed = CliRunner().invoke(app, ["pipeline", "show", "--json"], env=environment)
    assert listed.stdout.strip() == "[]"

"""What the commands say before there is a Prometheus."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from services.cli import app

_NOBODY = "http://127.0.0.1:1"


@pytest.mark.parametrize("command", [["check"], ["picture", "exchange", "--out", "exchange.png"]])
def test_without_a_prometheus_one_line_says_how_to_start_one(
    command: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    answer = CliRunner().invoke(app, ["observe", *command, "--address", _NOBODY])
    assert answer.exit_code == 1
    assert answer.stderr.startswith(f"error: no Prometheus answers at {_NOBODY}")
    assert "outcry observe prometheus" in answer.stderr
    assert len(answer.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == [], "no picture of nothing is left"

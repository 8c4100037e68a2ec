"""What the commands say before there is a Prometheus."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from services.cli import app
from services.tools.observe import prometheus, questions

_IDLE = questions.Question("dashboard", "gateway: Requests by status", "rate(requests[20s])")
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


def test_what_has_no_data_is_listed_with_what_an_idle_exchange_lacks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answers = {"1": prometheus.Answer((1.0,)), _IDLE.expression: prometheus.Answer(())}
    monkeypatch.setattr(prometheus, "ask", lambda _address, asked: answers[asked])
    monkeypatch.setattr(questions, "ask", lambda _address, asked: answers[asked])
    monkeypatch.setattr(questions, "panel_questions", lambda: [_IDLE])
    monkeypatch.setattr(questions, "rule_questions", list)
    answer = CliRunner().invoke(app, ["observe", "check"])
    assert answer.exit_code == 1
    assert _IDLE.place in answer.stdout
    assert "0 of 1 have data" in answer.stdout
    assert "outcry load mixed" in answer.stdout

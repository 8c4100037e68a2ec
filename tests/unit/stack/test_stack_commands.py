import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from services.cli import app

_RUNNER = CliRunner()


@pytest.fixture(autouse=True)
def _own_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("OUTCRY_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("OUTCRY_PG_DSN", raising=False)


def test_status_without_a_stack_says_how_to_start_one_and_fails() -> None:
    answer = _RUNNER.invoke(app, ["status"])
    assert answer.exit_code == 1
    assert "outcry up" in answer.stdout


def test_status_for_programs_is_json_even_without_a_stack(tmp_path: Path) -> None:
    answer = _RUNNER.invoke(app, ["status", "--json"])
    assert answer.exit_code == 1
    assert json.loads(answer.stdout) == {
        "home": str(tmp_path / "home"),
        "phase": "stopped",
        "is_up": False,
        "supervisor_pid": None,
        "components": [],
    }


def test_down_without_a_stack_is_no_error() -> None:
    answer = _RUNNER.invoke(app, ["down"])
    assert answer.exit_code == 0
    assert "Nothing runs" in answer.stdout


def test_an_unknown_room_is_named_with_the_ones_there_are() -> None:
    answer = _RUNNER.invoke(app, ["up", "--rooms", "matcher,kitchen"])
    assert answer.exit_code == 1
    assert answer.stderr.startswith("error: no room named kitchen; there are: ingest")


def test_a_wrong_setting_is_one_line_that_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OUTCRY_PORT_BASE", "many")
    answer = _RUNNER.invoke(app, ["status"])
    assert answer.exit_code == 1
    assert answer.stderr.startswith("error: OUTCRY_PORT_BASE: ")
    assert len(answer.stderr.splitlines()) == 1


def test_doctor_fails_only_for_what_is_required(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    answer = _RUNNER.invoke(app, ["doctor", "--json"])
    assert answer.exit_code == 1
    checks = {check["name"]: check for check in json.loads(answer.stdout)}
    assert not checks["java"]["ok"]
    assert "apt install" in checks["java"]["advice"]
    table = _RUNNER.invoke(app, ["doctor"])
    assert table.exit_code == 1
    assert "missing" in table.stdout


def test_kafka_without_a_tool_lists_them() -> None:
    answer = _RUNNER.invoke(app, ["kafka"])
    assert answer.exit_code == 0
    assert "console-producer" in answer.stdout

import json
import signal
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest
from typer.testing import CliRunner

from services.cli import app
from services.tools.stack.commands import _hold
from services.tools.stack.display import Display
from services.tools.stack.identity import identify
from services.tools.stack.status import Phase, StackStatus, write_status

if TYPE_CHECKING:
    from services.tools.stack.stack import Stack

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


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    """Stands for a supervisor: it runs, and ends by SIGTERM."""
    with subprocess.Popen(("sleep", "600")) as process:
        yield process
        process.kill()


def _publish(home: Path, pid: int, phase: Phase) -> None:
    identity = identify(pid)
    assert identity is not None
    (home / "run").mkdir(parents=True)
    write_status(home, StackStatus(phase, identity, ()))


def test_a_second_down_says_that_a_stop_goes_on_and_waits_for_it(
    tmp_path: Path, sleeper: subprocess.Popen[bytes]
) -> None:
    _publish(tmp_path / "home", sleeper.pid, Phase.STOPPING)
    with ThreadPoolExecutor(1) as reaper:
        reaper.submit(sleeper.wait)
        answer = _RUNNER.invoke(app, ["down"])
    assert answer.exit_code == 0
    said = answer.stdout.splitlines()
    assert said[0] == "A stop goes on already; waiting for its end"
    assert said[-1].startswith("Stopped")
    assert sleeper.returncode == -signal.SIGTERM


@pytest.mark.parametrize(
    "interrupts,hurries",
    [(1, [False]), (2, [False, True])],
)
def test_ctrl_c_stops_in_order_and_a_second_one_kills(interrupts: int, hurries: list[bool]) -> None:
    asked: list[bool] = []

    class Held:
        """A stack whose holder presses Ctrl-C while it waits, and perhaps while it stops."""

        def wait(self, _watch: object) -> None:
            raise KeyboardInterrupt

        def stop(self, *, watch: object, hurry: bool = False) -> bool:
            assert watch is not None
            asked.append(hurry)
            if len(asked) < interrupts:
                raise KeyboardInterrupt
            return True

    _hold(cast("Stack", Held()), Display())
    assert asked == hurries


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

"""A job's process: what it told, or how it ended."""

import sys
import time
from pathlib import Path

import pytest

from services.drift.child import run_child
from tests.support.row_log import FakePacer
from tests.support.waiting import wait_until


class Pacer(FakePacer):
    """Real time, and a stop when a test wants it."""

    def now_s(self) -> float:
        return time.monotonic()

    def wait(self, seconds: float) -> None:
        time.sleep(min(seconds, 0.02))


def is_gone(state: Path) -> bool:
    """Ended, whether or not anybody has collected it."""
    try:
        return state.read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def python(program: str) -> list[str]:
    return [sys.executable, "-c", program]


@pytest.mark.parametrize("code", [0, 3, 4])
def test_what_a_job_told_is_kept_whatever_it_found(code: int) -> None:
    program = f"import sys; print('{{}}'); sys.exit({code})"
    ended = run_child(python(program), 60, Pacer())
    assert (ended.ending, ended.told, ended.cause) == ("done", b"{}\n", "")


@pytest.mark.parametrize(
    "program,ending,cause",
    [
        ("import sys; sys.exit('error: Kafka does not answer')", "failed", "Kafka does not answer"),
        ("raise ValueError('odd')", "crashed", "ValueError: odd"),
        ("import os; os.kill(os.getpid(), 9)", "crashed", "killed by signal 9"),
    ],
)
def test_a_job_that_does_not_come_to_its_end_says_how(
    program: str, ending: str, cause: str
) -> None:
    ended = run_child(python(program), 60, Pacer())
    assert (ended.ending, ended.told) == (ending, b"")
    assert cause in ended.cause


@pytest.mark.parametrize("end", ["sys.exit('error: away')", "os.kill(os.getpid(), 9)"])
def test_what_a_job_told_before_it_died_is_kept(end: str) -> None:
    program = f"import os, sys; print('one', flush=True); {end}"
    assert run_child(python(program), 60, Pacer()).told == b"one\n"


def test_a_job_that_takes_too_long_is_killed_with_what_it_started(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    program = (
        "import subprocess, sys, time, pathlib\n"
        "print('one', flush=True)\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        f"pathlib.Path({str(pid)!r}).write_text(str(child.pid))\n"
        "time.sleep(600)\n"
    )
    pacer = Pacer()
    began_s = pacer.now_s()
    ended = run_child(python(program), 3, pacer)
    assert ended.ending == "timed_out"
    assert ended.told in {b"one\n", b""}  # A machine so slow that it never started tells nothing.
    assert pacer.now_s() - began_s >= 3
    if pid.exists():  # A machine so slow that it never started a child has nothing to show.
        wait_until(lambda: is_gone(Path(f"/proc/{pid.read_text()}/stat")), "its child's end")


def test_a_room_that_stops_takes_its_job_with_it() -> None:
    pacer = Pacer()
    pacer.is_stopping = lambda: True
    ended = run_child(python("import time; time.sleep(600)"), 600, pacer)
    assert ended.ending == "stopped"

"""`outcry up`, held in the foreground, as a person uses it: beside it the other commands."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.tools.stack.identity import is_alive
from services.tools.stack.status import read_status
from tests.support.stack_fixture import COMPONENTS, reserved_port_base

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(180)]

_OUTCRY = (sys.executable, "-m", "services.cli")


@pytest.fixture
def environment(tmp_path: Path) -> Iterator[dict[str, str]]:
    with reserved_port_base() as base:
        bare = {name: value for name, value in os.environ.items() if name != "OUTCRY_PG_DSN"}
        yield bare | {
            "OUTCRY_HOME": str(tmp_path / "home"),
            "OUTCRY_PORT_BASE": str(base),
            "OUTCRY_COMPONENTS": str(COMPONENTS),
        }


def _outcry(environment: dict[str, str], *arguments: str, feed: str = "") -> str:
    return subprocess.run(
        [*_OUTCRY, *arguments],
        env=environment,
        input=feed,
        check=True,
        capture_output=True,
        text=True,
    ).stdout


def test_up_holds_the_stack_until_ctrl_c(environment: dict[str, str]) -> None:
    with subprocess.Popen(
        [*_OUTCRY, "up", "--rooms", "none"], env=environment, stdout=subprocess.PIPE, text=True
    ) as up:
        assert up.stdout is not None
        said: list[str] = []
        for line in up.stdout:
            said.append(line.strip())
            if line.startswith("  logs"):
                break
        assert "Up." in said
        status = json.loads(_outcry(environment, "status", "--json"))
        assert status["is_up"]
        assert "a stack runs in" in _outcry(environment, "up", "--rooms", "none")
        _outcry(environment, "kafka", "topics", "--create", "--topic", "said")
        _outcry(environment, "kafka", "console-producer", "--topic", "said", feed="hello\n")
        read = ("--topic", "said", "--from-beginning", "--max-messages", "1")
        assert _outcry(environment, "kafka", "console-consumer", *read) == "hello\n"
        up.send_signal(signal.SIGINT)
        assert up.wait(timeout=60) == 0
    last = read_status(Path(environment["OUTCRY_HOME"]))
    assert last is not None
    assert last.phase == "stopped"
    assert not is_alive(last.supervisor)

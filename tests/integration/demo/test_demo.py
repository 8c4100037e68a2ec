"""`outcry demo` as a newcomer runs it, only shorter."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from services.tools.stack.plan import stack_plan
from services.tools.stack.settings import StackSettings
from services.tools.stack.stack import Stack
from tests.support.stack_fixture import COMPONENTS, reserved_port_base

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(400)]


def test_a_demo_ends_by_itself_with_nothing_lost_and_nothing_left_running(tmp_path: Path) -> None:
    with reserved_port_base() as base:
        env = os.environ | {
            "OUTCRY_HOME": str(tmp_path / "home"),
            "OUTCRY_PORT_BASE": str(base),
            "OUTCRY_COMPONENTS": str(COMPONENTS),
        }
        demo = subprocess.run(
            [
                sys.executable, "-m", "services.cli", "demo",
                "--duration", "6", "--rate", "100", "--rows", "150", "--seed", "7",
            ],
            check=False, capture_output=True, text=True, env=env, timeout=360,
        )  # fmt: skip
        assert demo.returncode == 0, demo.stdout + demo.stderr
        assert "150 of 150 books equal to the recorded ones" in demo.stdout
        assert "Nothing is lost." in demo.stdout
        assert f"http://127.0.0.1:{base + 80}" in demo.stdout
        settings = StackSettings(home=tmp_path / "home", port_base=base, components=COMPONENTS)
        assert Stack(stack_plan(settings, ())).status() is None

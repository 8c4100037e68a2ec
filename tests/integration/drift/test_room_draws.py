"""The room's own clock has a window judged and drawn: the page, the row that names it, the count.

A lake and a champion are made; Kafka, registry, PostgreSQL, the room, its jobs' processes and
Evidently's are real, and nothing but the room starts a job.
"""

import json
from pathlib import Path
from typing import Any, Final
from urllib.request import urlopen

import pytest
from typer.testing import CliRunner

from services.cli import app
from services.runtime.kafka_admin import create_topics
from services.runtime.registry import register_schemas
from services.tools.stack.deployment import migrate_database
from services.tools.stack.settings import HOST, PORT_OFFSETS
from services.tools.stack.stack import RoomSet
from tests.support.drift_world import WINDOW_S, DriftWorld, window
from tests.support.stack_fixture import StackInfra
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.kafka, pytest.mark.long, pytest.mark.timeout(600)]

PREFIX: Final = "draws."
WAIT_S: Final = 300
"""For what takes half a minute on a machine that has nothing else to do."""
MADE: Final = 'outcry_drift_reports_total{outcome="made"} 1.0'

type Document = dict[str, Any]


def history(home: Path, infra: StackInfra) -> list[Document]:
    """Windows of `data` in PostgreSQL, as `outcry drift history` has them."""
    environment = {
        "OUTCRY_HOME": str(home),
        "OUTCRY_PORT_BASE": str(infra.settings.port_base),
        "OUTCRY_TOPIC_PREFIX": PREFIX,
    }
    asked = ("drift", "history", "--job", "data", "--json")
    done = CliRunner().invoke(app, asked, env=environment)
    assert done.exit_code == 0, (done.output, done.exception)
    found: list[Document] = json.loads(done.stdout)
    return found


def judged(home: Path) -> list[Document]:
    """What the room has logged of windows of `data`."""
    log = home / "logs" / "drift.log"
    lines = log.read_bytes().splitlines() if log.exists() else []
    told = [json.loads(line) for line in lines if line.startswith(b"{")]
    return [line for line in told if line["event"] == "judged" and line["job"] == "data"]


def test_the_room_judges_a_window_at_its_time_and_has_it_drawn(
    stack_infra: StackInfra, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = stack_infra.settings.home / "sets" / PREFIX.strip(".")
    create_topics(stack_infra.addresses.kafka_bootstrap, PREFIX)
    register_schemas(stack_infra.addresses.registry_url)
    migrate_database(stack_infra.addresses, PREFIX)
    DriftWorld(home, windows=1)
    for name, value in {"FIRST_WAIT_S": 0, "WINDOW_S": WINDOW_S}.items():
        monkeypatch.setenv(f"OUTCRY_DRIFT_{name}", str(value))
    with RoomSet(stack_infra.settings, PREFIX, ("drift",)) as rooms:
        url = f"http://{HOST}:{rooms.plan.port_base + PORT_OFFSETS['drift']}/metrics"

        def shown() -> str:
            with urlopen(url, timeout=30) as answer:
                text: str = answer.read().decode()
            return text

        wait_until(lambda: judged(home), "a window of the room", WAIT_S)
        metrics = shown()
    assert MADE in metrics
    (line,) = judged(home)
    (kept,) = history(home, stack_infra)
    outcome = kept["job"]["outcome"]
    assert f'outcry_drift_windows_total{{job="data",outcome="{outcome}"}} 1.0' in metrics
    begin_us, end_us = (kept["job"]["window"][name] for name in ("begin_us", "end_us"))
    assert (begin_us, end_us) == (window(0).begin_us, window(0).end_us)
    assert (line["outcome"], line["recorded"]) == (outcome, "new")
    assert (line["job_id"], line["report"]) == (kept["job_id"], kept["job"]["report_path"])
    assert not kept["job"]["is_alarm"], kept
    page = home / kept["job"]["report_path"]
    assert "below, decide nothing" in page.read_text("utf-8")
    assert json.loads(page.with_suffix(".json").read_bytes())["metrics"]

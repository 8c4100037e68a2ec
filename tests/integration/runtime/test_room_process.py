"""A room's process: what it needs at start, what it answers, how it stops."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, Protocol
from uuid import uuid4

import pytest

from services.runtime.kafka_admin import create_topics
from services.runtime.registry import register_schemas
from tests.support.stack_fixture import StackInfra
from tests.support.waiting import wait_until

NOWHERE = {
    "OUTCRY_KAFKA_BOOTSTRAP": "127.0.0.1:1",
    "OUTCRY_REGISTRY_URL": "http://127.0.0.1:1/apis/ccompat/v7",
}


class RoomProcess:
    def __init__(self, log: Path, environment: dict[str, str], *flags: str) -> None:
        self._log = log
        clean = {name: v for name, v in os.environ.items() if not name.startswith("OUTCRY_")}
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, *flags, "-m", "services.ingest"],
                env=clean | environment,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def lines(self) -> list[str]:
        return self._log.read_text(encoding="utf-8").splitlines()

    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.lines() if line.startswith("{")]

    def said(self, event: str) -> bool:
        return any(line["event"] == event for line in self.events())

    def stop(self) -> int:
        self.process.terminate()
        return self.process.wait(timeout=60)


class Starter(Protocol):
    def __call__(self, environment: dict[str, str], *flags: str) -> RoomProcess: ...


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Starter]:
    started: list[RoomProcess] = []

    def start_room(environment: dict[str, str], *flags: str) -> RoomProcess:
        started.append(RoomProcess(tmp_path / f"{len(started)}.log", environment, *flags))
        return started[-1]

    yield start_room
    for room in started:
        room.process.kill()
        room.process.wait()


def test_missing_settings_end_it_with_one_line(start: Starter) -> None:
    room = start({})
    assert room.process.wait(timeout=60) == 2
    (line,) = room.lines()
    assert line.startswith("ingest: OUTCRY_KAFKA_BOOTSTRAP: Field required; OUTCRY_REGISTRY_URL:")


@pytest.mark.parametrize("how", [["-O"], []])
def test_it_refuses_to_run_without_asserts(start: Starter, how: list[str]) -> None:
    room = start(NOWHERE if how else NOWHERE | {"PYTHONOPTIMIZE": "1"}, *how)
    assert room.process.wait(timeout=60) == 2
    assert room.lines() == ["ingest: asserts are off; run without -O and PYTHONOPTIMIZE"]


def test_a_stop_while_it_waits_for_the_registry_is_clean(start: Starter) -> None:
    room = start(NOWHERE)
    wait_until(lambda: room.said("starting"), "its first line", timeout_s=60)
    assert room.stop() == 0
    assert room.said("stopped_before_ready")


@pytest.fixture
def environment(stack_infra: StackInfra) -> dict[str, str]:
    """A deployment of its own, with schemas and without topics."""
    register_schemas(stack_infra.addresses.registry_url)
    return {
        "OUTCRY_KAFKA_BOOTSTRAP": stack_infra.addresses.kafka_bootstrap,
        "OUTCRY_REGISTRY_URL": stack_infra.addresses.registry_url,
        "OUTCRY_TOPIC_PREFIX": f"room-{uuid4().hex[:8]}.",
        "OUTCRY_METRICS_PORT": "0",
    }


def get(port: int, path: str) -> tuple[int, str]:
    connection = HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", path)
    with connection.getresponse() as answer:
        return answer.status, answer.read().decode()


@pytest.mark.kafka
def test_it_becomes_ready_shows_metrics_and_stops_cleanly(
    start: Starter, environment: dict[str, str]
) -> None:
    create_topics(environment["OUTCRY_KAFKA_BOOTSTRAP"], environment["OUTCRY_TOPIC_PREFIX"])
    room = start(environment)
    wait_until(lambda: room.said("metrics"), "the metrics port", timeout_s=60)
    (port,) = [line["port"] for line in room.events() if line["event"] == "metrics"]
    assert get(port, "/health")[0] == 200
    wait_until(lambda: get(port, "/ready")[0] == 200, "readiness", timeout_s=60)
    status, metrics = get(port, "/metrics")
    assert status == 200
    assert 'outcry_restores_total{source="nothing"} 6.0' in metrics.splitlines()
    assert room.stop() == 0
    assert all(line.startswith("{") for line in room.lines())
    assert room.events()[-1]["event"] == "stopped"


@pytest.mark.kafka
def test_missing_topics_end_it_with_the_next_step(
    start: Starter, environment: dict[str, str]
) -> None:
    room = start(environment)
    assert room.process.wait(timeout=60) == 1
    last = room.events()[-1]
    assert (last["event"], last["kind"]) == ("failed", "ConfigurationError")
    assert "run `outcry topics create`" in last["error"]

"""Under load, a real Prometheus has data for all that dashboards, rules and alerts ask.

All rooms run: people place orders over REST, a champion serves, and drift judges features.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count, islice
from pathlib import Path
from threading import Event, Thread
from typing import Final
from urllib.request import urlopen

import httpx
import pytest
from websockets.sync.client import connect

from services.runtime.telemetry import TelemetryServer
from services.tools.market.admit import admit_crowd
from services.tools.market.publish import Publisher, publish
from services.tools.market.simulator import Crowd
from services.tools.observe.catalogue import PROCESS, metrics_of
from services.tools.observe.dashboards import DASHBOARDS
from services.tools.observe.exporter import StackExporter
from services.tools.observe.prometheus import ask, metrics_ports, running
from services.tools.observe.questions import (
    NEVER,
    Question,
    Silence,
    panel_questions,
    rule_questions,
    silent,
)
from services.tools.observe.stack_metrics import STACK
from services.tools.stack.rooms import ROOM_NAMES
from services.tools.stack.settings import HOST, PORT_OFFSETS
from tests.support.chromium import browsing
from tests.support.drift_world import WINDOW_S, DriftWorld
from tests.support.exposition import shown_metrics
from tests.support.optional import require_program
from tests.support.stack_fixture import StackInfra
from tests.support.trading_path import TradingPath, running_path
from tests.support.waiting import wait_until
from tests.support.web_page import PICTURES_SWITCH, build_page, take_picture

pytestmark = [pytest.mark.kafka, pytest.mark.long, pytest.mark.timeout(600)]

PREFIX: Final = "observed."
ENVIRONMENT: Final = {
    "SNAPSHOT_INTERVAL_S": "2",
    "INFERENCE_STREAM": "1",
    "DRIFT_FIRST_WAIT_S": "0",
    "DRIFT_WINDOW_S": str(WINDOW_S),
}
NOT_A_NUMBER: Final = 'sum(up{job="outcry"}) * 0 / 0'
ORDER: Final = {
    "ticker": "AAPL", "side": "BUY", "order_type": "LIMIT", "time_in_force": "IOC",
    "price": "187.00", "quantity": 1,
}  # fmt: skip
PERSON: Final = "alice"
EXCUSED: Final = {
    **NEVER,
    "outcry_drift_score": "a window of performance needs labels of twenty minutes and more",
}
RATE: Final = 100.0
SCRAPE_S: Final = 0.5
PATIENCE_S: Final = 240.0


@dataclass(frozen=True)
class Observed:
    address: str
    """Of Prometheus."""
    ports: dict[str, int]
    """Of each process' metrics."""
    stack_port_base: int
    gateway_port: int


@pytest.fixture(scope="module")
def observed(
    stack_infra: StackInfra, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Observed]:
    require_program("prometheus")
    DriftWorld(stack_infra.settings.home / "sets" / PREFIX.strip("."), windows=1)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in ENVIRONMENT.items():
            patch.setenv(f"OUTCRY_{name}", value)
        with running_path(stack_infra, PREFIX, rooms=ROOM_NAMES) as path:
            path.open_account(PERSON)
            plan, home = path.rooms.plan, path.rooms.plan.home_path
            exporter = StackExporter(home)
            server = TelemetryServer(exporter.telemetry, HOST, 0)
            ports = metrics_ports(plan) | {STACK: server.port}
            port = plan.port_base + PORT_OFFSETS["prometheus"]
            folder = tmp_path_factory.mktemp("prometheus")
            with under_load(path, exporter), running(folder, port, ports, SCRAPE_S) as address:
                yield Observed(
                    address,
                    ports,
                    stack_infra.settings.port_base,
                    plan.port_base + PORT_OFFSETS["gateway"],
                )
            server.close()


class under_load:  # noqa: N801 - reads as what it is: `with under_load(...)`
    """A crowd that trades, and somebody who looks at the gateway, until the end of the `with`."""

    def __init__(self, path: TradingPath, exporter: StackExporter) -> None:
        self._path = path
        self._exporter = exporter
        self._stopping = Event()
        self._threads = [Thread(target=self._trade), Thread(target=self._look)]

    def __enter__(self) -> None:
        admit_crowd(self._path.exchange, 1)
        for thread in self._threads:
            thread.start()

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    def _trade(self) -> None:
        path = self._path
        publisher = Publisher(path.addresses.kafka_bootstrap, path.prefix, path.codec)
        crowd = Crowd(1).commands()
        while not self._stopping.is_set():
            publish(publisher, path.codec, islice(crowd, int(RATE)), RATE)

    def _look(self) -> None:
        base = self._path.rooms.plan.port_base
        gateway, predict = (
            f"http://{HOST}:{base + PORT_OFFSETS[room]}" for room in ("gateway", "predict")
        )
        person = {"X-Outcry-Account": PERSON}
        with connect(f"{gateway.replace('http', 'ws')}/ws"), httpx.Client(timeout=60) as client:
            for number in count():
                self._exporter.refresh()
                client.get(f"{gateway}/trades/AAPL")
                order = ORDER | {"client_order_id": f"seen-{number}"}
                client.post(f"{gateway}/orders", json=order, headers=person)
                client.post(f"{predict}/predict", json={"tickers": ["AAPL"]})
                client.get(f"{predict}/models")
                if self._stopping.wait(0.5):
                    return


@pytest.fixture(scope="module")
def silences(observed: Observed) -> list[Silence]:
    """What has no data even after a long while."""
    left = silent(observed.address, [*panel_questions(), *rule_questions()], EXCUSED)

    def all_answered() -> bool:
        nonlocal left
        questions = {silence.question for silence in left}
        left = silent(observed.address, list(questions), EXCUSED)
        return not left

    try:
        wait_until(all_answered, "data", PATIENCE_S)
    except AssertionError:
        return left
    return []


def test_everything_that_is_asked_has_data(silences: list[Silence]) -> None:
    told = [f"{one.question.place}: {one.asked}: {one.cause}" for one in silences]
    assert not told, "\n".join(told)


@pytest.mark.usefixtures("silences")
def test_orders_take_a_time_that_can_be_drawn_and_nothing_is_lost(observed: Observed) -> None:
    late = 'histogram_quantile(0.99, sum by (le) (outcry_log_delay_seconds_bucket{topic="trades"}))'
    assert ask(observed.address, late).is_finite
    assert ask(observed.address, "sum(outcry_records_missing_total)").values == (0.0,)
    assert ask(observed.address, 'min(up{job="outcry"})').values == (1.0,)


@pytest.mark.usefixtures("silences")
def test_each_of_drifts_jobs_is_told_apart(observed: Observed) -> None:
    for job in ("data", "performance", "parity"):
        assert ask(observed.address, f'outcry_drift_runs_total{{job="{job}"}}').values, job


def test_a_query_without_data_and_one_that_is_none_are_named(observed: Observed) -> None:
    planted = [
        Question("dashboard", "planted: nothing", "outcry_nothing_total"),
        Question("dashboard", "planted: hidden", "outcry_nothing_total or vector(0)"),
        Question("dashboard", "planted: not a number", NOT_A_NUMBER),
        Question("dashboard", "planted: no query", "sum("),
        Question("alert", "Planted", "outcry_orders_total > 1e9 and outcry_nothing_total > 0"),
        Question("alert", "Silent", 'up{job="outcry"} > 1e9'),
    ]
    found = {one.question.place: one.asked for one in silent(observed.address, planted)}
    assert found == {
        "planted: nothing": "outcry_nothing_total",
        "planted: hidden": "outcry_nothing_total",
        "planted: not a number": NOT_A_NUMBER,
        "planted: no query": "sum(",
        "Planted": "outcry_nothing_total",
    }


@pytest.mark.usefixtures("silences")
def test_dashboards_can_be_drawn(observed: Observed, tmp_path: Path) -> None:
    chosen = os.environ.get(PICTURES_SWITCH)
    folder = Path(chosen) if chosen else tmp_path
    for dashboard in DASHBOARDS if chosen else DASHBOARDS[:1]:
        # In a process of its own, beside the threads that trade.
        out = (folder / f"dashboard-{dashboard.name}.png").absolute()
        subprocess.run(
            [
                sys.executable, "-m", "services.cli", "observe", "picture", dashboard.name,
                "--out", out, "--past-s", "60", "--address", observed.address,
            ],
            check=True,
        )  # fmt: skip
        assert out.read_bytes().startswith(b"\x89PNG")


@pytest.mark.usefixtures("silences")
def test_each_process_shows_the_metrics_of_the_list_and_no_others(observed: Observed) -> None:
    for name, port in observed.ports.items():
        with urlopen(f"http://{HOST}:{port}/metrics", timeout=60) as answer:
            shown = shown_metrics(answer.read().decode())
        listed = {metric: one.kind for metric, one in metrics_of(name).items()}
        assert shown == listed | {metric: kind for metric, (kind, _) in PROCESS.items()}, name


@pytest.mark.usefixtures("silences")
async def test_the_page_tells_how_far_every_running_room_is_and_the_last_audit(
    observed: Observed,
) -> None:
    build_page()
    audit(observed)
    async with browsing() as tab:
        await tab.look(1200, 440, "light")
        await tab.open(f"http://{HOST}:{observed.gateway_port}/#system")
        await tab.until_text("#system-audit", "everything follows from the log")
        await tab.until_text("#system-snapshots", "risk", "matcher")
        stages = await tab.until_text("#system-stages", "recorder ←")
        told = {line.partition(" ←")[0] for line in stages.splitlines() if "←" in line}
        await take_picture(tab, "system.png", is_whole_page=True)
    assert told >= {"ingest", "risk", "matcher", "recorder", "features"}
    assert "unknown" not in stages


def audit(observed: Observed) -> None:
    """What has happened until now, while more of it happens."""
    env = os.environ | {
        "OUTCRY_PORT_BASE": str(observed.stack_port_base),
        "OUTCRY_TOPIC_PREFIX": PREFIX,
    }
    done = subprocess.run(
        [sys.executable, "-m", "services.cli", "audit", "--processes", "1"],
        check=False, capture_output=True, text=True, env=env,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr

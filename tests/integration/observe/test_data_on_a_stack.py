"""Under load, a real Prometheus has data for all that dashboards, rules and alerts ask.

With the rooms of trading alone, unless OUTCRY_OBSERVE_ALL=1 (`make observe-test`): then with all.
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
    Question,
    Silence,
    metric_of,
    panel_questions,
    rule_questions,
    selectors_of,
    silent,
)
from services.tools.observe.stack_metrics import STACK
from services.tools.stack.rooms import ROOM_NAMES, TRADING_ROOMS
from services.tools.stack.settings import HOST, PORT_OFFSETS
from tests.support.exposition import shown_metrics
from tests.support.optional import require_program
from tests.support.stack_fixture import StackInfra
from tests.support.trading_path import TradingPath, running_path
from tests.support.waiting import wait_until
from tests.support.web_page import PICTURES_SWITCH

pytestmark = [pytest.mark.kafka, pytest.mark.long, pytest.mark.timeout(600)]

ALL_SWITCH: Final = "OUTCRY_OBSERVE_ALL"
RATE: Final = 100.0
SCRAPE_S: Final = 0.5
PATIENCE_S: Final = 240.0


@dataclass(frozen=True)
class Observed:
    address: str
    """Of Prometheus."""
    ports: dict[str, int]
    rooms: tuple[str, ...]


@pytest.fixture(scope="module")
def observed(
    stack_infra: StackInfra, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Observed]:
    require_program("prometheus")
    rooms = ROOM_NAMES if os.environ.get(ALL_SWITCH) == "1" else TRADING_ROOMS
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OUTCRY_SNAPSHOT_INTERVAL_S", "2")
        with running_path(stack_infra, "observed.", rooms=rooms) as path:
            plan, home = path.rooms.plan, path.rooms.plan.home_path
            exporter = StackExporter(home)
            server = TelemetryServer(exporter.telemetry, HOST, 0)
            ports = metrics_ports(plan) | {STACK: server.port}
            port = plan.port_base + PORT_OFFSETS["prometheus"]
            folder = tmp_path_factory.mktemp("prometheus")
            with under_load(path, exporter), running(folder, port, ports, SCRAPE_S) as address:
                yield Observed(address, ports, rooms)
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
        gateway, predict = base + PORT_OFFSETS["gateway"], base + PORT_OFFSETS["predict"]
        with connect(f"ws://{HOST}:{gateway}/ws"):
            for number in count():
                self._exporter.refresh()
                httpx.get(f"http://{HOST}:{gateway}/trades/AAPL", timeout=60)
                if "inference" in self._path.rooms.plan.rooms and number % 5 == 0:
                    httpx.get(f"http://{HOST}:{predict}/models", timeout=60)
                if self._stopping.wait(0.5):
                    return


def answerable(question: Question, rooms: tuple[str, ...]) -> bool:
    """Whether these rooms show everything that it asks for."""
    shown = {name for room in (*rooms, STACK) for name in metrics_of(room)}
    return all(
        any(metric_of(selector).startswith(name) for name in (*shown, "outcry:"))
        for selector in selectors_of(question.expression)
        if metric_of(selector).startswith("outcry")
    )


@pytest.fixture(scope="module")
def silences(observed: Observed) -> list[Silence]:
    """What has no data even after a long while."""
    asked = [
        question
        for question in (*panel_questions(), *rule_questions())
        if answerable(question, observed.rooms)
    ]
    assert len(asked) > 60
    left = silent(observed.address, asked)

    def all_answered() -> bool:
        nonlocal left
        left = silent(observed.address, [silence.question for silence in left])
        return not left

    try:
        wait_until(all_answered, "data", PATIENCE_S)
    except AssertionError:
        return left
    return []


def test_everything_that_is_asked_has_data(silences: list[Silence]) -> None:
    assert not [(one.question.place, one.asked, one.cause) for one in silences]


@pytest.mark.usefixtures("silences")
def test_orders_take_a_time_that_can_be_drawn_and_nothing_is_lost(observed: Observed) -> None:
    late = 'histogram_quantile(0.99, sum by (le) (outcry_log_delay_seconds_bucket{topic="trades"}))'
    assert ask(observed.address, late).is_finite
    assert ask(observed.address, "sum(outcry_records_missing_total)").values == (0.0,)
    assert ask(observed.address, 'min(up{job="outcry"})').values == (1.0,)


def test_a_query_without_data_and_one_that_is_none_are_named(observed: Observed) -> None:
    planted = [
        Question("dashboard", "planted: nothing", "outcry_nothing_total"),
        Question("dashboard", "planted: no query", "sum("),
        Question("alert", "Planted", "outcry_orders_total > 1e9 and outcry_nothing_total > 0"),
        Question("alert", "Silent", 'up{job="outcry"} > 1e9'),
    ]
    found = {one.question.place: one.asked for one in silent(observed.address, planted)}
    assert found == {
        "planted: nothing": "outcry_nothing_total",
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

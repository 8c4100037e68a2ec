"""Whatever is killed while orders flow, afterwards every record is accounted for."""

import signal
import time
from collections.abc import Iterator
from functools import partial
from itertools import islice
from pathlib import Path

import pytest

from services.runtime.kafka_admin import connect_admin
from services.tools.market.population import crowd_controls
from services.tools.market.publish import Publisher, publish
from services.tools.market.simulator import Crowd
from services.tools.operate.connect import Deployment
from services.tools.proof.chaos.scenarios import SLEEP_S
from services.tools.proof.chaos.timeline import Mark, lines_since, mark
from services.tools.proof.commands import reconcile_deployment
from services.tools.proof.reconcile import Reconciliation
from services.tools.stack.identity import ProcessIdentity, send_signal
from services.tools.stack.stack import Stack
from tests.support.stack_fixture import StackInfra
from tests.support.trading_path import PATH_ROOMS, TradingPath, running_path
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]

SEED = 11
COMMANDS = 600
RATE_PER_S = 200
QUIET_WAIT_S = 90.0
BACK_WAIT_S = 180.0
GROUPED = {"risk", "matcher"}


@pytest.fixture(scope="module")
def path(stack_infra: StackInfra) -> Iterator[TradingPath]:
    with running_path(stack_infra, "faults.") as path:
        for control in crowd_controls(SEED):
            path.control(control)
        yield path


class Flow:
    """One stream of the crowd, published piece by piece."""

    def __init__(self, path: TradingPath) -> None:
        self._publisher = Publisher(path.addresses.kafka_bootstrap, path.prefix, path.codec)
        self._codec = path.codec
        self._commands = Crowd(SEED).commands()

    def publish(self, commands: int) -> None:
        publish(self._publisher, self._codec, islice(self._commands, commands), RATE_PER_S)


@pytest.fixture(scope="module")
def flow(path: TradingPath) -> Flow:
    return Flow(path)


def process_of(stack: Stack, name: str) -> ProcessIdentity:
    status = stack.status()
    assert status is not None
    process = status.row(name).process
    assert process is not None, f"{name} does not run"
    return process


def kill(stack: Stack, *names: str) -> list[ProcessIdentity]:
    victims = [process_of(stack, name) for name in names]
    for victim in victims:
        assert send_signal(victim, signal.SIGKILL)
    return victims


def wait_until_back(stack: Stack, victims: list[ProcessIdentity]) -> None:
    """Until everything is up again, and none of it is what was killed."""

    def is_back() -> bool:
        status = stack.status()
        return (
            status is not None
            and status.is_up
            and not any(row.process in victims for row in status.components)
        )

    wait_until(is_back, "what was killed to come back", BACK_WAIT_S)


def reconciled(path: TradingPath) -> Reconciliation:
    addresses = path.addresses
    deployment = Deployment(
        addresses.kafka_bootstrap, addresses.registry_url, addresses.pg_dsn, path.prefix
    )
    return reconcile_deployment(deployment, QUIET_WAIT_S, lambda _topic, _records: None)


def assert_nothing_lost(path: TradingPath) -> None:
    found = reconciled(path)
    assert found.is_whole, [check for check in found.checks if not check.holds]
    assert found.figures


@pytest.mark.parametrize("victim", PATH_ROOMS)
def test_a_room_killed_in_mid_flow_loses_and_repeats_nothing(
    path: TradingPath, flow: Flow, victim: str
) -> None:
    flow.publish(COMMANDS // 4)
    victims = kill(path.rooms, victim)
    flow.publish(COMMANDS // 20)
    wait_until_back(path.rooms, victims)
    assert_nothing_lost(path)


@pytest.mark.parametrize("victim", ["kafka", "postgres"])
def test_killed_infrastructure_loses_and_repeats_nothing(
    path: TradingPath, flow: Flow, stack_infra: StackInfra, victim: str
) -> None:
    flow.publish(COMMANDS // 4)
    wait_until_back(stack_infra.stack, kill(stack_infra.stack, victim))
    flow.publish(COMMANDS // 4)
    assert_nothing_lost(path)
    assert not forgotten_markers(stack_infra)


def forgotten_markers(infra: StackInfra) -> list[str]:
    """What the broker says where it ends a transaction without telling its partitions.

    Nothing may seem lost all the same: it depends on which markers these were (docs/adr/0006).
    """
    log = infra.settings.home / "logs" / "kafka.log"
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    return [line for line in lines if "likely deleted already and hence can be skipped" in line]


@pytest.mark.parametrize(
    "victims",
    [pytest.param(("risk",), marks=pytest.mark.long), ("matcher", "recorder")],
    ids=" and ".join,
)
def test_a_room_that_slept_past_its_session_wakes_up_fenced(
    path: TradingPath, flow: Flow, victims: tuple[str, ...]
) -> None:
    """The recorder is in no group: its session with PostgreSQL lives longer than it sleeps."""
    flow.publish(COMMANDS // 4)
    sleepers = {victim: process_of(path.rooms, victim) for victim in victims}
    for sleeper in sleepers.values():
        assert send_signal(sleeper, signal.SIGSTOP)
    places = {victim: mark(log_of(path, victim)) for victim in victims}
    flow.publish(COMMANDS // 4)
    time.sleep(SLEEP_S)
    for victim in set(victims) & GROUPED:
        # A broker on a busy machine may notice only when the sleeper would be awake again.
        wait_until(partial(is_put_out, path, victim), f"{victim} to be put out", BACK_WAIT_S)
    for sleeper in sleepers.values():
        assert send_signal(sleeper, signal.SIGCONT)
    flow.publish(COMMANDS // 4)
    for victim in set(victims) & GROUPED:
        wait_until(
            partial(has_lost_its_place, places[victim]),
            f"{victim} to lose its place",
            BACK_WAIT_S,
        )
    assert_nothing_lost(path)
    assert {victim: process_of(path.rooms, victim) for victim in victims} == sleepers


def is_put_out(path: TradingPath, room: str) -> bool:
    """Whether the broker counts nobody any more to the room's group."""
    group = path.prefix + room
    # Held by a name: an answer to a client that is gone never comes.
    admin = connect_admin(path.addresses.kafka_bootstrap)
    return not admin.describe_consumer_groups([group])[group].result(10).members


def log_of(path: TradingPath, room: str) -> Path:
    return path.rooms.plan.home_path / "logs" / f"{room}.log"


def has_lost_its_place(since: Mark) -> bool:
    """Whether the room has said since that it was put out of its group, or that it was fenced.

    What it fell asleep in decides which: in a commit, that its outcome is unknown comes first, and
    it begins anew before anybody can tell it more.
    """
    words = ('"restarting"', '"partitions_revoked"', "fenced by a newer instance")
    return any(word in line for line in lines_since(since) for word in words)


def test_all_rooms_killed_at_once_go_on_from_their_snapshots_and_the_log(
    path: TradingPath, flow: Flow
) -> None:
    flow.publish(COMMANDS // 2)
    victims = kill(path.rooms, *PATH_ROOMS)
    flow.publish(COMMANDS // 4)
    wait_until_back(path.rooms, victims)
    assert_nothing_lost(path)

"""Risk and the matcher run twice: killed under load, their standbys take over; frozen, nobody."""

import json
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pytest

from services.domain import codes
from services.domain.controls import SetMark
from services.domain.genesis import default_genesis
from services.runtime.kafka_admin import create_topics
from services.runtime.registry import register_schemas
from services.tools.operate.connect import Deployment, open_database, open_log
from services.tools.operate.steps import begin
from services.tools.proof.quiet import reconcile_when_quiet
from services.tools.proof.reconcile import Reconciliation
from services.tools.proof.rows import PostgresRows
from services.tools.stack.deployment import migrate_database
from services.tools.stack.identity import send_signal
from services.tools.stack.stack import RoomSet
from tests.support.stack_fixture import StackInfra
from tests.support.trading_path import MARK, PATH_ROOMS, TradingPath, limit_order
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(600)]

ORDERS_BETWEEN = 10
KILLS = 2
"""Of each room, so that each of its two processes is killed in the lead and comes back."""


@pytest.fixture(scope="module")
def path(stack_infra: StackInfra) -> Iterator[TradingPath]:
    """All rooms, with standbys; a test goes on where the one before it stopped."""
    addresses, prefix = stack_infra.addresses, f"pair-{uuid4().hex[:8]}."
    create_topics(addresses.kafka_bootstrap, prefix)
    register_schemas(addresses.registry_url)
    migrate_database(addresses, prefix)
    begin(addresses, prefix, default_genesis(prefix.strip(".")))
    with RoomSet(stack_infra.settings, prefix, PATH_ROOMS, standby=True) as rooms:
        assert isinstance(rooms, RoomSet)
        path = TradingPath(addresses, prefix, rooms)
        path.control(SetMark("mark-aapl", "AAPL", MARK))
        path.open_account("maker")
        yield path
        path.close()


def place_some(path: TradingPath) -> None:
    """Orders that rest, each of them answered by both rooms."""
    for number in range(ORDERS_BETWEEN):
        order = limit_order("maker", codes.SELL, MARK + 100 * (1 + number), 5)
        path.send(order)
        path.report(order.client_order_id, codes.EXEC_NEW)


def signal_to(path: TradingPath, name: str, sig: signal.Signals) -> None:
    status = path.rooms.status()
    assert status is not None
    process = status.row(name).process
    assert process is not None
    assert send_signal(process, sig)


def are_up(path: TradingPath) -> bool:
    status = path.rooms.status()
    return status is not None and status.is_up


def leader_of(path: TradingPath, room: str) -> str:
    """Which of the two was the last to get partitions."""
    logs = path.rooms.plan.home_path / "logs"
    last = {
        name: max(
            (line["timestamp"] for line in events_of(logs / f"{name}.log", "partitions_assigned")),
            default="",
        )
        for name in (room, f"{room}-standby")
    }
    return max(last, key=lambda name: last[name])


def events_of(log: Path, event: str) -> list[dict[str, str]]:
    lines = [line for line in log.read_text(encoding="utf-8").splitlines() if f'"{event}"' in line]
    return [json.loads(line) for line in lines]


def reconciled(path: TradingPath) -> Reconciliation:
    addresses = path.addresses
    deployment = Deployment(
        addresses.kafka_bootstrap, addresses.registry_url, addresses.pg_dsn, path.prefix
    )

    @contextmanager
    def rows() -> Iterator[PostgresRows]:
        with open_database(deployment) as database:
            yield PostgresRows(database, path.prefix)

    with open_log(deployment) as log:
        return reconcile_when_quiet(log, path.codec, rows, 90.0)


def test_killed_leaders_are_replaced_and_nothing_is_lost_or_doubled(path: TradingPath) -> None:
    place_some(path)
    for room in ("matcher", "risk") * KILLS:
        wait_until(lambda: are_up(path), "both of each", timeout_s=120)
        signal_to(path, leader_of(path, room), signal.SIGKILL)
        place_some(path)
    found = reconciled(path)
    assert found.is_whole, [check for check in found.checks if not check.holds]


@pytest.mark.long
def test_nobody_works_in_the_place_of_a_frozen_leader(path: TradingPath) -> None:
    place_some(path)
    leader = leader_of(path, "matcher")
    wait_until(lambda: are_up(path), "both of each", timeout_s=120)
    signal_to(path, leader, signal.SIGSTOP)
    order = limit_order("maker", codes.SELL, MARK + 100, 5)
    path.send(order)
    time.sleep(8)
    assert leader_of(path, "matcher") == leader
    signal_to(path, leader, signal.SIGCONT)
    path.report(order.client_order_id, codes.EXEC_NEW)
    assert leader_of(path, "matcher") == leader

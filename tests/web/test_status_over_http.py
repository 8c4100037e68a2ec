"""How the exchange is, over HTTP: what is known is told, and what is not says why."""

import threading
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from services.gateway import metrics
from services.gateway.beginning import NO_DATABASE
from services.gateway.core.recorded import Beginning
from services.gateway.stage_lag import GROUPS, RECORDED, Place, Reading, behind
from services.gateway.status_models import ExchangeStatus
from services.gateway.system_status import (
    DATABASE_AWAY,
    NO_KAFKA,
    NO_TABLES,
    NOT_BEGUN,
    SystemStatus,
)
from services.runtime.errors import RetriableError
from services.runtime.telemetry import Telemetry
from services.wire.topics import ACCOUNTS, ORDERS
from tests.support.drift_history import drift_database
from tests.support.gateway_memory import make_client, make_gateway

BEGINNING = Beginning("topic", is_whole=False, reason="planted: there is no database")
TOPICS = (*GROUPS["ingest"], *RECORDED)


def everywhere(offset: int) -> dict[Place, int]:
    return {(topic.name, place): offset for topic in TOPICS for place in range(topic.partitions)}


class Stages:
    """`StageReader` in memory, which can be away, or wait."""

    def __init__(self) -> None:
        self.reading = Reading(everywhere(10), {room: everywhere(10) for room in GROUPS})
        self.asked = 0
        self.is_away = False
        self.is_asked = threading.Event()
        self.go_on = threading.Event()
        self.go_on.set()

    def read(self) -> Reading:
        self.asked += 1
        self.is_asked.set()
        assert self.go_on.wait(60)
        if self.is_away:
            raise RetriableError("planted: 127.0.0.1:9092 is away")
        return self.reading


class Clock:
    def __init__(self) -> None:
        self.seconds = 0.0


def make_status(stages: Stages, dsn: str | None = None, clock: Clock | None = None) -> SystemStatus:
    telemetry = Telemetry("gateway", metrics=metrics.METRICS)
    now = clock or Clock()
    return SystemStatus(
        stages, dsn, "default", 5.0, telemetry, lambda: BEGINNING, now_s=lambda: now.seconds
    )


def of_room(shown: dict[str, Any], room: str) -> dict[str, int | None]:
    rows = shown["stages"]["stages"]
    return {row["topic"]: row["behind"] for row in rows if row["room"] == room}


async def test_without_kafka_and_postgresql_each_part_is_unknown_and_says_why() -> None:
    async with make_client(make_gateway(), account=None) as client:
        answer = await client.get("/status")
    assert answer.status_code == 200
    shown = answer.json()
    assert ExchangeStatus.model_validate(shown).model_dump() == shown
    said = {name: (shown[name]["state"], shown[name]["reason"])
            for name in ("stages", "snapshots", "audit")}  # fmt: skip
    assert said == {
        "stages": ("unknown", NO_KAFKA),
        "snapshots": ("unknown", NO_DATABASE),
        "audit": ("unknown", NO_DATABASE),
    }
    assert "127.0.0.1" not in answer.text


def test_a_stage_is_behind_by_what_it_has_not_read_and_no_marker_counts() -> None:
    assert behind(ACCOUNTS, everywhere(10), everywhere(9)) == 0
    assert behind(ACCOUNTS, everywhere(10), everywhere(5)) == 4 * ACCOUNTS.partitions
    assert behind(ORDERS, everywhere(10), everywhere(9)) == ORDERS.partitions
    assert behind(ORDERS, everywhere(10), everywhere(99)) == 0
    assert behind(ORDERS, everywhere(10), {(ORDERS.name, 0): 10}) == 10 * (ORDERS.partitions - 1)
    assert behind(ORDERS, everywhere(0), {}) == 0
    assert behind(ORDERS, everywhere(10), {}) is None


def test_a_room_that_never_read_is_not_called_up_to_date() -> None:
    stages = Stages()
    stages.reading.committed["features"] = {}
    shown = make_status(stages).show()
    assert ExchangeStatus.model_validate(shown).model_dump() == shown
    assert of_room(shown, "risk") == {"accounts": 0}
    assert of_room(shown, "features") == {"trades": None}
    reasons = {(row["room"], row["reason"]) for row in shown["stages"]["stages"]}
    assert ("features", NOT_BEGUN) in reasons
    assert ("recorder", NO_DATABASE) in reasons


def test_the_sources_are_asked_once_in_a_while_and_hold_up_nobody() -> None:
    stages, clock = Stages(), Clock()
    status = make_status(stages, clock=clock)
    before = status.show()
    clock.seconds = 4.9
    assert status.show() is before
    assert stages.asked == 1
    clock.seconds = 5.1
    stages.go_on.clear()
    stages.is_asked.clear()
    slow = threading.Thread(target=status.show)
    slow.start()
    assert stages.is_asked.wait(60)
    assert status.show() is before
    stages.is_away = True
    stages.go_on.set()
    slow.join(60)
    assert status.show()["stages"]["reason"] == NO_KAFKA
    assert stages.asked == 2


@pytest.fixture(scope="module")
def database(request: pytest.FixtureRequest) -> Iterator[str]:
    server = request.getfixturevalue("stack_infra").addresses.pg_dsn
    with drift_database(server) as dsn:
        yield dsn


@pytest.mark.kafka
def test_snapshots_the_recorder_and_the_last_audit_are_told_from_postgresql(database: str) -> None:
    empty = make_status(Stages(), database).show()
    assert (empty["snapshots"], empty["audit"]) == (
        {"state": "known", "reason": None, "rooms": []},
        {"state": "known", "reason": None, "last": None},
    )
    assert set(of_room(empty, "recorder").values()) == {None}
    with psycopg.connect(database, autocommit=True) as connection:
        for deployment, partition, minutes in (("default", 0, 5), ("default", 1, 90), ("x.", 2, 0)):
            connection.execute(
                "INSERT INTO outcry.snapshots VALUES (%s, 'risk', 'accounts', %s, 7, 'id', 1, 'g',"
                " '', 'h', now() - make_interval(mins => %s))",
                (deployment, partition, minutes),
            )
        for topic in RECORDED:
            for place in range(topic.partitions):
                connection.execute(
                    "INSERT INTO outcry.recorder_offsets VALUES ('default', %s, %s, 0, 6)",
                    (topic.name, place),
                )
        for deployment, differences in (("default", 0), ("default", 2), ("x.", 0)):
            connection.execute(
                "INSERT INTO outcry.audits (deployment, holds, records, differences,"
                " from_snapshots, digest, next_offsets, first_difference)"
                " VALUES (%s, %s = 0, 9, %s, false, 'd', '{\"orders\": [1, 2]}', 'at 3')",
                (deployment, differences, differences),
            )
    shown = make_status(Stages(), database).show()
    assert ExchangeStatus.model_validate(shown).model_dump() == shown
    assert of_room(shown, "recorder") == {
        topic.name: topic.partitions * (3 if topic.has_origin else 4) for topic in RECORDED
    }
    (risk,) = shown["snapshots"]["rooms"]
    assert (risk["room"], risk["partitions"]) == ("risk", 2)
    assert (risk["newest_at_us"] - risk["oldest_at_us"]) // 60_000_000 == 84  # and some seconds
    last = shown["audit"]["last"]
    assert (last["holds"], last["differences"], last["next_offsets"]) == (
        False, 2, {"orders": [1, 2]},
    )  # fmt: skip


@pytest.mark.kafka
def test_a_database_of_another_shape_or_away_is_unknown_and_kafka_is_told(database: str) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("ALTER TABLE outcry.audits RENAME TO audits_gone")
        older = make_status(Stages(), database).show()
        connection.execute("ALTER TABLE outcry.audits_gone RENAME TO audits")
    assert (older["audit"]["reason"], older["snapshots"]["state"]) == (NO_TABLES, "known")
    away = make_status(Stages(), "host=127.0.0.1 port=1 dbname=none").show()
    assert (away["audit"]["reason"], away["snapshots"]["reason"]) == (DATABASE_AWAY, DATABASE_AWAY)
    assert of_room(away, "matcher") == {"matching": 0}
    assert {row["reason"] for row in away["stages"]["stages"] if row["room"] == "recorder"} == {
        DATABASE_AWAY
    }

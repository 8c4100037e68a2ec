"""A gateway's start from a snapshot and what was said since is that from everything."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from random import Random
from threading import Barrier
from typing import Final
from uuid import uuid4

import msgspec
import psycopg
import pytest
from structlog.testing import capture_logs

from services.gateway.beginning import Bounds, NothingRecordedError
from services.gateway.core.recorded import Recorded
from services.gateway.metrics import METRICS
from services.gateway.recorded_reports import PostgresReports
from services.gateway.report_snapshots import ReportSnapshots
from services.runtime.snapshots import PostgresSnapshots
from services.runtime.telemetry import Telemetry
from services.wire.topics import EXECUTIONS
from tests.support.drift_history import drift_database
from tests.support.gateway_memory import CODEC
from tests.support.recorded_flow import record
from tests.support.report_flow import Reported, ReportFlow
from tests.support.stack_fixture import StackInfra
from tests.support.stretches import states_of

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(180)]

ACCOUNTS: Final = ("alice", "bob", "carol", "dave", "erin")
TOPIC_ID: Final = "the topic's"
PARTITIONS: Final = range(EXECUTIONS.partitions)
TIMEOUT_MS: Final = 30_000


@pytest.fixture(scope="module")
def dsn(stack_infra: StackInfra) -> Iterator[str]:
    with drift_database(stack_infra.addresses.pg_dsn) as dsn:
        yield dsn


@pytest.fixture
def deployment() -> str:
    return f"d-{uuid4().hex[:8]}."


def reports(
    dsn: str, deployment: str, tail: int = 20, *, has_snapshots: bool = True
) -> PostgresReports:
    telemetry = Telemetry("gateway", metrics=METRICS)
    store = PostgresSnapshots(dsn, deployment, 5)
    snapshots = ReportSnapshots(store, CODEC, telemetry) if has_snapshots else None
    return PostgresReports(dsn, deployment, CODEC, tail, TIMEOUT_MS, telemetry, snapshots)


def ends_of(said: list[Reported]) -> dict[int, int]:
    return {
        partition: max([one.offset + 1 for one in said if one.partition == partition], default=0)
        for partition in PARTITIONS
    }


def sorted_parts(recorded: Recorded) -> Recorded:
    """Only orders are in an order that says something."""
    return msgspec.structs.replace(
        recorded,
        tickers=tuple(sorted(recorded.tickers, key=lambda held: (held.account, held.ticker))),
        states=tuple(sorted(recorded.states)),
    )


def read(
    dsn: str, deployment: str, said: list[Reported], tail: int = 20, *, has_snapshots: bool = True
) -> tuple[Recorded, dict[int, int], int]:
    """What a start is told, from which snapshots, and about how many offsets it asked."""
    asked = reports(dsn, deployment, tail, has_snapshots=has_snapshots)
    bounds = {partition: Bounds(0, end) for partition, end in ends_of(said).items()}
    with capture_logs() as lines:
        recorded = asked.read(bounds, TOPIC_ID)
    line = next(line for line in lines if line["event"] == "reports_before")
    return sorted_parts(recorded), line["snapshots"], line["asked_offsets"]


def stored(dsn: str, deployment: str) -> list[tuple[int, int, bytes]]:
    with psycopg.connect(dsn) as connection:
        return connection.execute(
            'SELECT partition, "offset", state FROM outcry.snapshots'
            " WHERE deployment = %s ORDER BY 1, 2",
            [deployment],
        ).fetchall()


def test_a_start_from_snapshots_and_the_rest_is_that_from_everything(
    dsn: str, deployment: str
) -> None:
    said = ReportFlow(17, ACCOUNTS).run(900)
    draw, so_far = Random(17), 0
    while so_far < len(said):
        step = draw.randrange(40, 200)
        record(dsn, deployment, TOPIC_ID, said[so_far : so_far + step])
        so_far += step
        recorded = said[:so_far]
        everything, none, _ = read(dsn, deployment, recorded, has_snapshots=False)
        assert none == {}
        found, snapshots, asked = read(dsn, deployment, recorded)
        assert found == everything
        assert asked == sum(everything.starts.values()) - sum(snapshots.values())
        reports(dsn, deployment).keep_snapshots(1, TIMEOUT_MS)
        found, snapshots, asked = read(dsn, deployment, recorded)
        assert (found, asked) == (everything, 0)
        assert snapshots == {place: start for place, start in everything.starts.items() if start}
    rows = stored(dsn, deployment)
    assert len(rows) > EXECUTIONS.partitions
    for partition, offset, state in rows:
        before = [one for one in said if (one.partition, one.offset) < (partition, offset)]
        assert state == states_of(before)[partition].dump()


def test_snapshots_that_changed_are_passed_over_for_those_before(dsn: str, deployment: str) -> None:
    said = ReportFlow(18, ACCOUNTS).run(500)
    for first in (0, 250):
        record(dsn, deployment, TOPIC_ID, said[first : first + 250])
        reports(dsn, deployment).keep_snapshots(1, TIMEOUT_MS)
    everything, _, _ = read(dsn, deployment, said, has_snapshots=False)
    earlier = {partition: offset for partition, offset, _ in reversed(stored(dsn, deployment))}
    change = "UPDATE outcry.snapshots SET state = set_byte(state, 30, get_byte(state, 30) # 1)"
    with psycopg.connect(dsn) as connection:
        connection.execute(
            f'{change} WHERE deployment = %s AND "offset" <> ALL(%s)'.encode(),
            [deployment, list(earlier.values())],
        )
    found, snapshots, asked = read(dsn, deployment, said)
    assert (found, snapshots) == (everything, earlier)
    with psycopg.connect(dsn) as connection:
        connection.execute(f'{change} WHERE "offset" = ANY(%s)'.encode(), [[*earlier.values()]])
    found, snapshots, all_asked = read(dsn, deployment, said)
    assert (found, snapshots) == (everything, {})
    assert all_asked == asked + sum(earlier.values())


def test_a_snapshot_beyond_the_tail_that_is_wanted_now_is_not_used(
    dsn: str, deployment: str
) -> None:
    said = ReportFlow(19, ACCOUNTS).run(400)
    record(dsn, deployment, TOPIC_ID, said)
    reports(dsn, deployment, tail=5).keep_snapshots(1, TIMEOUT_MS)
    everything, _, _ = read(dsn, deployment, said, tail=30, has_snapshots=False)
    assert read(dsn, deployment, said, tail=30)[:2] == (everything, {})
    assert reports(dsn, deployment, tail=30).keep_snapshots(1, TIMEOUT_MS) == 0


def test_several_gateways_keep_the_same_and_none_waits_for_another(
    dsn: str, deployment: str
) -> None:
    record(dsn, deployment, TOPIC_ID, ReportFlow(20, ACCOUNTS).run(400))
    gateways, begin = 4, Barrier(4)

    def keep() -> int:
        begin.wait(30)
        return reports(dsn, deployment).keep_snapshots(1, TIMEOUT_MS)

    with ThreadPoolExecutor(gateways) as pool:
        kept = [one.result(60) for one in [pool.submit(keep) for _ in range(gateways)]]
    rows = stored(dsn, deployment)
    assert len(rows) == EXECUTIONS.partitions
    assert sum(kept) >= EXECUTIONS.partitions
    assert reports(dsn, deployment).keep_snapshots(1, TIMEOUT_MS) == 0
    with psycopg.connect(dsn) as other:
        other.execute("DELETE FROM outcry.snapshots WHERE deployment = %s", [deployment])
        other.commit()
        lock = "SELECT pg_advisory_xact_lock(hashtext('outcry gateway'), hashtext(%s))"
        other.execute(lock, [deployment])
        assert reports(dsn, deployment).keep_snapshots(1, TIMEOUT_MS) == 0
    assert reports(dsn, deployment).keep_snapshots(1, TIMEOUT_MS) == EXECUTIONS.partitions
    assert stored(dsn, deployment) == rows


def test_snapshots_are_kept_once_enough_was_said(dsn: str, deployment: str) -> None:
    said = ReportFlow(21, ACCOUNTS).run(400)
    record(dsn, deployment, TOPIC_ID, said)
    asked = sum(max(0, end - 20) for end in ends_of(said).values())
    assert reports(dsn, deployment).keep_snapshots(asked + 1, TIMEOUT_MS) == 0
    assert stored(dsn, deployment) == []
    assert reports(dsn, deployment).keep_snapshots(asked, TIMEOUT_MS) == EXECUTIONS.partitions


def test_what_a_start_was_told_is_kept_without_asking_again(dsn: str, deployment: str) -> None:
    said = ReportFlow(22, ACCOUNTS).run(400)
    record(dsn, deployment, TOPIC_ID, said)
    started = reports(dsn, deployment)
    bounds = {partition: Bounds(0, end) for partition, end in ends_of(said).items()}
    started.read(bounds, TOPIC_ID)
    record(dsn, deployment, TOPIC_ID, [])
    assert started.keep_snapshots(1, TIMEOUT_MS) == EXECUTIONS.partitions
    assert {place: offset for place, offset, _ in stored(dsn, deployment)} == {
        place: end - 20 for place, end in ends_of(said).items()
    }


def test_days_that_were_dropped_since_a_snapshot_are_known_from_it(
    dsn: str, deployment: str
) -> None:
    said = ReportFlow(23, ACCOUNTS).run(400)
    record(dsn, deployment, TOPIC_ID, said[:300])
    reports(dsn, deployment).keep_snapshots(1, TIMEOUT_MS)
    record(dsn, deployment, TOPIC_ID, said[300:])
    everything, snapshots, _ = read(dsn, deployment, said)
    drop = (
        "INSERT INTO outcry.dropped_ranges SELECT '2020-01-02', 'executions', 0, deployment_id,"
        " 1, %s, %s FROM outcry.deployments WHERE deployment = %s"
    )
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("INSERT INTO outcry.archived_days VALUES ('2020-01-02', 1, 1, 'h')")
        connection.execute(drop, [0, snapshots[1] - 1, deployment])
        assert read(dsn, deployment, said)[0] == everything
        assert everything.lacks == ""
        lost, _, _ = read(dsn, deployment, said, has_snapshots=False)
        assert "days were dropped" in lost.lacks
        connection.execute("DELETE FROM outcry.dropped_ranges")
        connection.execute(drop, [0, snapshots[1], deployment])
        assert "days were dropped" in read(dsn, deployment, said)[0].lacks
        before = stored(dsn, deployment)
        assert reports(dsn, deployment).keep_snapshots(1, TIMEOUT_MS) == 0
        assert stored(dsn, deployment) == before


def test_a_question_that_is_ended_says_so(dsn: str, deployment: str) -> None:
    away = reports(psycopg.conninfo.make_conninfo(dsn, port=1), deployment)
    away.cancel()
    with pytest.raises(NothingRecordedError):
        away.keep_snapshots(1, TIMEOUT_MS)

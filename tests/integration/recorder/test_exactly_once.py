"""Each committed record once in PostgreSQL, whatever happens to the recorder and the database."""

import random
import signal
import threading
import time
from collections.abc import Iterator

import psycopg
import pytest

from services.recorder.core import RECORDED, RowMaker
from services.recorder.postgres import Move, PostgresLedger
from services.runtime.errors import FencedError
from tests.support.pg_proxy import Fault, PostgresProxy
from tests.support.recorder_world import (
    PARTITIONS,
    RecorderWorld,
    copy_database,
    drop_database,
)
from tests.support.stack_fixture import StackInfra
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]

KILLS = 4
_PAUSE_S = 0.02  # some records in each batch; more would only be more to compare


class Writing:
    """Transactions in the background, until stopped."""

    def __init__(self, world: RecorderWorld) -> None:
        self._world = world
        self._enough = threading.Event()
        self._thread = threading.Thread(target=self._write)
        self._thread.start()

    def _write(self) -> None:
        while not self._enough.wait(_PAUSE_S):
            self._world.write(1, aborted=0.1)

    def stop(self) -> None:
        self._enough.set()
        self._thread.join()


@pytest.fixture
def writing(world: RecorderWorld) -> Iterator[Writing]:
    """Records keep coming until it is stopped."""
    made = Writing(world)
    yield made
    made.stop()


def assert_nothing_lost_or_repeated(world: RecorderWorld, writing: Writing) -> None:
    """Stop writing, let the recorder reach the end, compare."""
    writing.stop()
    world.wait_until_recorded()
    world.assert_recorded_exactly()


def wait_for_progress(world: RecorderWorld) -> None:
    before = world.recorded()
    wait_until(lambda: world.recorded() > before, "a batch")


def test_committed_records_are_recorded_and_aborted_ones_are_not(world: RecorderWorld) -> None:
    world.write(60, aborted=0.4)
    recorder = world.start_recorder()
    world.wait_until_recorded()
    world.assert_recorded_exactly()
    assert recorder.is_ready()
    assert recorder.stop() == 0


def test_junk_on_any_topic_is_archived_and_stops_nothing(world: RecorderWorld) -> None:
    junk = [None, b"", b"junk", b"\0\0\0\0\1junk", b"\0\x7f\0\0\1", b"x" * 500_000]
    for topic in RECORDED:
        world.write_raw(topic.name, junk)
    world.write(20)
    world.start_recorder()
    world.wait_until_recorded()
    world.assert_recorded_exactly()
    with psycopg.connect(world.dsn) as connection:
        kept = connection.execute(
            'SELECT value FROM outcry.archive WHERE topic_number = 5 ORDER BY "offset"'
        ).fetchall()
    assert [value for (value,) in kept] == junk


def test_a_restart_goes_on_where_it_stopped_also_in_an_older_backup(world: RecorderWorld) -> None:
    """As long as Kafka still has what came after the backup."""
    world.write(20)
    first = world.start_recorder()
    world.wait_until_recorded()
    assert first.stop() == 0
    backup = copy_database(world.dsn)
    world.write(20)
    second = world.start_recorder()
    world.wait_until_recorded()
    world.assert_recorded_exactly()
    assert second.stop() == 0
    drop_database(world.dsn)
    world.dsn = backup
    world.start_recorder()
    world.wait_until_recorded()
    world.assert_recorded_exactly()


def test_kills_at_random_moments_lose_and_repeat_nothing(
    world: RecorderWorld, writing: Writing
) -> None:
    chance = random.Random()
    for _ in range(KILLS):
        recorder = world.start_recorder(flush_interval_ms=10)
        wait_for_progress(world)
        time.sleep(chance.uniform(0, 0.3))
        recorder.kill()
    world.start_recorder()
    assert_nothing_lost_or_repeated(world, writing)


@pytest.mark.long
def test_a_database_that_crashes_is_waited_for(
    world: RecorderWorld, writing: Writing, stack_infra: StackInfra
) -> None:
    recorder = world.start_recorder(flush_interval_ms=10)
    wait_for_progress(world)
    # Immediate shutdown: every backend is ended wherever it is, and recovery follows.
    stack_infra.crash("postgres", signal.SIGQUIT)
    wait_until(lambda: recorder.has_logged("recording_failed"), "the recorder to notice")
    wait_until(recorder.is_ready, "the recorder to be ready again")
    assert recorder.process.poll() is None
    assert_nothing_lost_or_repeated(world, writing)


@pytest.mark.long
def test_a_broker_that_crashes_is_waited_for(world: RecorderWorld, stack_infra: StackInfra) -> None:
    recorder = world.start_recorder()
    world.write(10)
    world.wait_until_recorded()
    stack_infra.crash("kafka")
    world.write(10)
    world.wait_until_recorded()
    world.assert_recorded_exactly()
    assert recorder.stop() == 0


def test_it_is_not_ready_while_the_database_is_away(world: RecorderWorld, writing: Writing) -> None:
    with PostgresProxy(world.dsn) as proxy:
        proxy.away = True
        recorder = world.start_recorder(proxy.dsn)
        wait_until(lambda: recorder.has_logged("recording_failed"), "a first failure")
        assert not recorder.is_ready()
        proxy.away = False
        wait_until(recorder.is_ready, "the recorder to be ready")
        wait_for_progress(world)
        proxy.away = True
        wait_until(lambda: not recorder.is_ready(), "the recorder to say that it is not")
        proxy.away = False
        assert_nothing_lost_or_repeated(world, writing)


@pytest.mark.parametrize(
    "fault", [Fault.LOSE_COMMIT, pytest.param(Fault.LOSE_ANSWER, marks=pytest.mark.long)]
)
def test_a_commit_of_unknown_outcome_is_neither_lost_nor_repeated(
    world: RecorderWorld, writing: Writing, fault: Fault
) -> None:
    with PostgresProxy(world.dsn) as proxy:
        recorder = world.start_recorder(proxy.dsn, flush_interval_ms=10)
        wait_for_progress(world)
        for round_number in range(1, 4):
            proxy.fault = fault
            wait_until(lambda: proxy.faults_done == round_number, "a COMMIT to be cut")  # noqa: B023
            wait_for_progress(world)
        assert_nothing_lost_or_repeated(world, writing)
        failures = [line for line in recorder.events() if line["event"] == "recording_failed"]
        assert len(failures) == 3
        assert recorder.stop() == 0


def test_a_second_recorder_stands_by_and_takes_over(world: RecorderWorld, writing: Writing) -> None:
    first = world.start_recorder()
    wait_until(lambda: first.has_logged("recording"), "the first to record")
    second = world.start_recorder(instance="second")
    wait_until(lambda: second.has_logged("standing_by"), "the second to stand by")
    assert second.is_ready()
    wait_for_progress(world)
    assert not second.has_logged("recording")
    assert first.stop() == 0
    wait_until(lambda: second.has_logged("recording"), "the second to take over")
    assert_nothing_lost_or_repeated(world, writing)


@pytest.mark.long
def test_one_that_stood_still_finds_its_place_taken(world: RecorderWorld, writing: Writing) -> None:
    """Frozen, its session times out; awake again, its transaction is gone and it stands by."""
    frozen = world.start_recorder(session_timeout_s=3, flush_interval_ms=10)
    wait_for_progress(world)
    heir = world.start_recorder(instance="heir", session_timeout_s=3)
    wait_until(lambda: heir.has_logged("standing_by"), "the heir to stand by")
    frozen.process.send_signal(signal.SIGSTOP)
    wait_until(lambda: heir.has_logged("recording"), "the heir to take over")
    wait_for_progress(world)
    frozen.process.send_signal(signal.SIGCONT)
    wait_until(lambda: frozen.has_logged("standing_by"), "the frozen one to stand by")
    wait_for_progress(world)
    assert_nothing_lost_or_repeated(world, writing)


def test_a_writer_without_the_lock_can_not_add_rows(world: RecorderWorld) -> None:
    """The offsets guard what the lock should: through a pooler, say, that mixes sessions."""
    world.write(30, aborted=0)
    at = next(at for at in PARTITIONS if at.topic == "trades" and world.committed(at))
    records = world.committed(at)
    rows = RowMaker(world.codec, 1).rows(records)
    moves = {at: Move(0, records[-1].offset + 1)}
    ledgers = [PostgresLedger(world.dsn, world.prefix, 30) for _ in range(2)]
    for ledger in ledgers:
        ledger.offsets({topic.name: topic.partitions for topic in RECORDED})
        assert ledger.deployment_id() == 1
    ledgers[0].append(rows, moves)
    with pytest.raises(FencedError):
        ledgers[1].append(rows, moves)
    for ledger in ledgers:
        ledger.close()
    with psycopg.connect(world.dsn) as connection:
        count = connection.execute("SELECT count(*) FROM outcry.trades").fetchone()
    assert count == (len(records),)

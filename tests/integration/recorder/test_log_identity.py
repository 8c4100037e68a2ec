"""A log that is not the one recorded so far is refused, and the archive outlives retention."""

import psycopg
import pytest
from confluent_kafka import TopicPartition as KafkaPartition

from services.recorder.archive import ArchiveReader, read_messages
from services.recorder.core import ARCHIVED, RECORDED
from services.runtime.errors import ConfigurationError, HistoryLostError
from services.runtime.kafka_admin import connect_admin, create_topics
from services.runtime.ports import TopicPartition
from services.runtime.topic_tail import TopicTail
from tests.support.recorder_world import PARTITIONS, RecorderProcess, RecorderWorld
from tests.support.stack_fixture import StackInfra
from tests.support.waiting import wait_until

pytestmark = pytest.mark.kafka

ACCOUNTS_0 = TopicPartition("accounts", 0)


@pytest.fixture
def bootstrap(stack_infra: StackInfra) -> str:
    return stack_infra.addresses.kafka_bootstrap


def drop_records(world: RecorderWorld, bootstrap: str, at: TopicPartition, before: int) -> None:
    """Retention passes."""
    place = KafkaPartition(world.prefix + at.topic, at.partition, before)
    admin = connect_admin(bootstrap)
    for future in admin.delete_records([place]).values():
        future.result()
    wait_until(lambda: world.log.bounds(at)[0] == before, "the records to be gone")


def failure_of(recorder: RecorderProcess) -> str:
    """Wait until it gives up; what it said last."""
    assert recorder.process.wait(timeout=60) == 1
    last = recorder.events()[-1]
    assert last["event"] == "failed"
    return str(last["error"])


def test_a_topic_that_was_deleted_and_made_again_is_refused(
    world: RecorderWorld, bootstrap: str
) -> None:
    world.write(5, aborted=0)
    recorder = world.start_recorder()
    world.wait_until_recorded()
    assert recorder.stop() == 0

    name = world.prefix + "trades"
    admin = connect_admin(bootstrap)
    admin.delete_topics([name])[name].result()
    wait_until(lambda: name not in admin.list_topics(timeout=10).topics, "the topic to be gone")
    create_topics(bootstrap, world.prefix)

    text = failure_of(world.start_recorder())
    assert "topic trades was deleted and made again" in text
    assert "OUTCRY_TOPIC_PREFIX" in text


def test_a_log_that_lost_its_beginning_is_refused_until_the_loss_is_accepted(
    world: RecorderWorld, bootstrap: str
) -> None:
    world.write(40, aborted=0)
    second = world.committed(ACCOUNTS_0)[1].offset
    drop_records(world, bootstrap, ACCOUNTS_0, second)

    text = failure_of(world.start_recorder())
    assert f"accounts/0: offset 0 is to be read next, and the log has {second} to" in text

    with psycopg.connect(world.dsn) as connection:
        connection.execute(
            "UPDATE outcry.recorder_offsets SET first_offset = %s, next_offset = %s"
            " WHERE topic = 'accounts' AND partition = 0",
            (second, second),
        )
    world.start_recorder()
    world.wait_until_recorded()
    archive = ArchiveReader(world.dsn, world.prefix)
    first, end = archive.bounds(ACCOUNTS_0)
    assert first == second
    archived = [record for chunk in archive.read(ACCOUNTS_0, first, end) for record in chunk]
    assert archived == world.committed(ACCOUNTS_0)
    with pytest.raises(HistoryLostError, match="begins at offset"):
        next(archive.read(ACCOUNTS_0, 0, end))
    archive.close()


def test_a_log_shorter_than_what_is_recorded_is_refused(world: RecorderWorld) -> None:
    world.write(5, aborted=0)
    world.settle()
    tail = TopicTail(world.connection, RECORDED, "recorder", "Use another database")
    end = world.log.bounds(ACCOUNTS_0)[1]
    with pytest.raises(HistoryLostError, match=f"offset {end + 1} is to be read next"):
        tail.start({ACCOUNTS_0: end + 1})
    tail.close()


def test_a_missing_topic_is_named(world: RecorderWorld, bootstrap: str) -> None:
    name = world.prefix + "matching"
    admin = connect_admin(bootstrap)
    admin.delete_topics([name])[name].result()
    wait_until(lambda: name not in admin.list_topics(timeout=10).topics, "the topic to be gone")
    assert "matching is missing" in failure_of(world.start_recorder())


def test_positions_reach_behind_the_markers_that_end_a_partition(world: RecorderWorld) -> None:
    world.write(30, aborted=0.5)
    world.settle()
    ends = {at: world.log.bounds(at)[1] for at in PARTITIONS}
    assert any(
        world.committed(at)[-1].offset + 1 < end for at, end in ends.items() if world.committed(at)
    )
    tail = TopicTail(world.connection, RECORDED, "recorder", "Use another database")
    tail.start(dict.fromkeys(PARTITIONS, 0))

    def has_ended() -> bool:
        tail.read(1_000, 100, 10)
        return dict(tail.positions()) == ends

    wait_until(has_ended, "every partition's end")
    tail.close()


def test_the_archive_serves_what_retention_has_taken(world: RecorderWorld, bootstrap: str) -> None:
    world.write(60)
    world.start_recorder()
    world.wait_until_recorded()
    kept = {at: world.committed(at) for at in PARTITIONS if at.topic in ARCHIVED}
    for at in kept:
        drop_records(world, bootstrap, at, world.log.bounds(at)[1])
    archive = ArchiveReader(world.dsn, world.prefix)
    for at, records in kept.items():
        first, end = archive.bounds(at)
        assert first == 0
        assert [one for chunk in archive.read(at, 0, end) for one in chunk] == records
        if records:
            middle = records[len(records) // 2].offset
            halves = [*archive.read(at, 0, middle), *archive.read(at, middle, end)]
            assert [one for chunk in halves for one in chunk] == records
    assert archive.topic_id("accounts") == world.log.topic_id("accounts")
    archive.close()


def test_what_is_not_archived_is_said_to_be_so(world: RecorderWorld) -> None:
    archive = ArchiveReader(world.dsn, world.prefix)
    with pytest.raises(ConfigurationError, match="trades is not archived"):
        archive.bounds(TopicPartition("trades", 0))
    with pytest.raises(ConfigurationError, match="nothing of accounts/0 is recorded"):
        archive.bounds(ACCOUNTS_0)
    with pytest.raises(ConfigurationError, match="was never recorded"):
        archive.topic_id("accounts")
    archive.close()
    with (
        psycopg.connect(world.dsn) as connection,
        pytest.raises(ConfigurationError, match="matching has no tables"),
    ):
        next(read_messages(connection, world.prefix, "matching", 0))

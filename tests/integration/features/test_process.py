"""The feature room's process: what ends it at start, and what it says then."""

from pathlib import Path
from uuid import uuid4

import pytest
from confluent_kafka import ConsumerGroupTopicPartitions, KafkaException
from confluent_kafka import TopicPartition as KafkaPartition

from services.runtime.kafka_admin import connect_admin
from services.wire.topics import TRADES
from tests.support.feature_world import FeatureProcess, FeatureWorld
from tests.support.trade_tape import V1
from tests.support.waiting import wait_until

NOWHERE = {
    "OUTCRY_KAFKA_BOOTSTRAP": "127.0.0.1:1",
    "OUTCRY_REGISTRY_URL": "http://127.0.0.1:1/apis/ccompat/v7",
}
ROOM = ("-m", "services.features")


def test_missing_settings_end_it_with_one_line(tmp_path: Path) -> None:
    room = FeatureProcess({}, tmp_path / "log", ROOM)
    assert room.process.wait(timeout=60) == 2
    (line,) = room.log.read_text().splitlines()
    assert line.startswith("features: OUTCRY_KAFKA_BOOTSTRAP: Field required")


def test_a_stop_while_it_waits_for_the_registry_is_clean(tmp_path: Path) -> None:
    room = FeatureProcess(NOWHERE, tmp_path / "log", ROOM)
    wait_until(lambda: room.count("waiting") > 0, "its first try", timeout_s=60)
    assert room.stop() == 0
    assert room.count("stopped_before_ready") == 1


@pytest.mark.kafka
def test_missing_topics_end_it_with_the_next_step(world: FeatureWorld) -> None:
    room = world.start(topic_prefix=f"nothing-{uuid4().hex[:8]}.")
    assert room.process.wait(timeout=60) == 1
    last = room.events()[-1]
    assert (last["event"], last["kind"]) == ("failed", "ConfigurationError")
    assert "run `outcry topics create`" in last["error"]


@pytest.mark.long
@pytest.mark.kafka
def test_a_log_cut_past_what_it_needs_ends_it_until_the_gap_is_accepted(
    world: FeatureWorld,
) -> None:
    for _ in range(20):
        world.trade(20, partitions=[0])
    first = world.start()
    first.wait_until_ready()
    world.require_equal()
    wait_until(lambda: world.committed()[0] == world.ends()[0], "commits to reach the end")
    assert first.stop() == 0
    end = world.ends()[0]
    cut_before(world, end - 5)
    refused = world.start()
    assert refused.process.wait(timeout=60) == 1
    last = refused.events()[-1]
    assert (last["event"], last["kind"]) == ("failed", "HistoryLostError")
    assert f"begins at offset {end - 5}" in last["error"]
    assert "outcry kafka consumer-groups --reset-offsets --to-earliest" in last["error"]
    accept_gap(world, end - 5)
    again = world.start()
    again.wait_until_ready()
    first_restored = next(line for line in again.events() if line["event"] == "restored")
    assert first_restored["cold_sets"] == [V1]
    world.trade(50, partitions=[0])
    wait_until(lambda: world.committed()[0] == world.ends()[0], "commits to reach the end")


def cut_before(world: FeatureWorld, offset: int) -> None:
    """What retention does one day."""
    admin = connect_admin(world.addresses.kafka_bootstrap)
    at = KafkaPartition(world.prefix + TRADES.name, 0, offset)
    for future in admin.delete_records([at]).values():
        future.result(30)


def accept_gap(world: FeatureWorld, offset: int) -> None:
    """What the message says to do, once the group has seen its member's session end."""
    admin = connect_admin(world.addresses.kafka_bootstrap)
    at = KafkaPartition(world.prefix + TRADES.name, 0, offset)
    request = ConsumerGroupTopicPartitions(f"{world.prefix}features", [at])

    def reset() -> bool:
        (future,) = admin.alter_consumer_group_offsets([request]).values()
        try:
            (answer,) = future.result(30).topic_partitions
        except KafkaException:
            return False
        return answer.error is None

    wait_until(reset, "the group to be empty")

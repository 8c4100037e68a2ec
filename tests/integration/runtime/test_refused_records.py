"""Records that no retry will bring into the log end the room, and say why."""

from collections.abc import Iterator

import pytest

from services.runtime.errors import ConfigurationError
from services.runtime.kafka import KafkaProducer
from services.runtime.ports import Outgoing
from tests.support.log_worlds import KafkaWorld
from tests.support.stack_fixture import StackInfra

pytestmark = pytest.mark.kafka


@pytest.fixture
def producer(stack_infra: StackInfra) -> Iterator[KafkaProducer]:
    world = KafkaWorld(stack_infra.addresses.kafka_bootstrap)
    world.topic("out")
    made = world.producer()
    made.initialise()
    made.begin()
    yield made
    world.close()


def test_a_record_that_is_too_large_is_refused_before_it_is_sent(producer: KafkaProducer) -> None:
    with pytest.raises(ConfigurationError, match=r"1100000 bytes to .*out/0"):
        producer.send([Outgoing("out", 0, None, bytes(1_100_000))])


def test_a_record_for_a_partition_that_is_not_there_is_refused(producer: KafkaProducer) -> None:
    with pytest.raises(ConfigurationError, match="UNKNOWN_PARTITION"):
        send_and_commit(producer, Outgoing("out", 7, None, b"x"))


def send_and_commit(producer: KafkaProducer, record: Outgoing) -> None:
    producer.send([record])
    producer.commit()

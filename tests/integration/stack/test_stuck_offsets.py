"""What the broker says of a group's offsets while a transaction holds them, and after it."""

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from services.runtime.kafka_admin import create_topics
from services.tools.stack.stuck_offsets import ask_broker
from tests.support.stack_fixture import StackInfra
from tests.support.waiting import wait_until

pytestmark = pytest.mark.kafka

TOPIC = "stuck.trades"
GROUP = "stuck.group"


def test_an_offset_held_by_an_open_transaction_is_undecided_until_it_ends(
    stack_infra: StackInfra,
) -> None:
    bootstrap = stack_infra.addresses.kafka_bootstrap
    create_topics(bootstrap, "stuck.")
    ask = ask_broker(bootstrap)
    consumer = Consumer({
        "bootstrap.servers": bootstrap, "group.id": GROUP, "enable.auto.commit": False,
    })  # fmt: skip
    consumer.subscribe([TOPIC])
    wait_until(lambda: consumer.poll(0.1) is not None or bool(consumer.assignment()), "a place")
    decided = [TopicPartition(TOPIC, partition, 0) for partition in (0, 1)]
    consumer.commit(offsets=decided, asynchronous=False)
    producer = Producer({
        "bootstrap.servers": bootstrap, "transactional.id": "stuck.writer",
        "transaction.timeout.ms": 10_000,
    })  # fmt: skip
    producer.init_transactions()
    producer.begin_transaction()
    held = [TopicPartition(TOPIC, 1, 7)]
    producer.send_offsets_to_transaction(held, consumer.consumer_group_metadata())
    assert (GROUP, TOPIC, 1) in ask()
    assert (GROUP, TOPIC, 0) not in ask()
    producer.commit_transaction()
    wait_until(lambda: (GROUP, TOPIC, 1) not in ask(), "the marker to be met")
    consumer.close()

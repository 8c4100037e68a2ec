"""Topics on the broker are as the table says, or refused."""

from uuid import uuid4

import msgspec
import pytest
from confluent_kafka.admin import NewTopic

from services.runtime.errors import ConfigurationError
from services.runtime.kafka_admin import (
    check_topics,
    connect_admin,
    create_topics,
    describe_topics,
    topic_config,
)
from services.wire.topics import BOOK, CONTROLS, ORDERS, TOPICS, Topic
from tests.support.stack_fixture import StackInfra

pytestmark = pytest.mark.kafka


@pytest.fixture
def bootstrap(stack_infra: StackInfra) -> str:
    return stack_infra.addresses.kafka_bootstrap


@pytest.fixture
def prefix() -> str:
    return f"topics-{uuid4().hex[:8]}."


def test_all_topics_are_made_once(bootstrap: str, prefix: str) -> None:
    assert create_topics(bootstrap, prefix) == [prefix + topic.name for topic in TOPICS]
    assert create_topics(bootstrap, prefix) == []
    described = describe_topics(
        connect_admin(bootstrap), bootstrap, [prefix + topic.name for topic in TOPICS]
    )
    assert {name: len(found.partitions) for name, found in described.items()} == {
        prefix + topic.name: topic.partitions for topic in TOPICS
    }


def test_a_missing_topic_is_named_with_the_next_step(bootstrap: str, prefix: str) -> None:
    create_topics(bootstrap, prefix, [ORDERS])
    check_topics(bootstrap, prefix, [ORDERS])
    with pytest.raises(ConfigurationError, match=f"{prefix}book is missing.*topics create"):
        check_topics(bootstrap, prefix, [ORDERS, BOOK])


def test_another_partition_count_is_refused(bootstrap: str, prefix: str) -> None:
    create_topics(bootstrap, prefix, [ORDERS])
    more = msgspec.structs.replace(ORDERS, partitions=6)
    with pytest.raises(ConfigurationError, match="has 5 partitions and needs 6"):
        create_topics(bootstrap, prefix, [more])


@pytest.mark.parametrize("row", [CONTROLS, BOOK])
def test_a_topic_kept_in_another_way_is_refused(bootstrap: str, prefix: str, row: Topic) -> None:
    name = prefix + row.name
    config = topic_config(row) | {"cleanup.policy": "delete", "retention.ms": "1000"}
    made = NewTopic(name, row.partitions, 1, config=config)
    admin = connect_admin(bootstrap)
    admin.create_topics([made])[name].result()
    with pytest.raises(ConfigurationError, match=f"{name} has "):
        check_topics(bootstrap, prefix, [row])


def test_controls_are_kept_for_ever_and_books_compacted() -> None:
    assert topic_config(CONTROLS)["retention.ms"] == "-1"
    assert topic_config(BOOK)["cleanup.policy"] == "compact"
    assert topic_config(ORDERS)["message.timestamp.type"] == "LogAppendTime"

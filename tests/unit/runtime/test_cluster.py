"""A deployment on another cluster than its own is refused."""

import pytest

from services.runtime.cluster import hold_cluster
from services.runtime.errors import ConfigurationError


class Memory:
    def __init__(self) -> None:
        self._first = ""

    def remember_cluster(self, cluster_id: str) -> str:
        self._first = self._first or cluster_id
        return self._first


def test_the_first_cluster_is_remembered_and_held() -> None:
    memory = Memory()
    assert hold_cluster("one", "kafka:9092", memory, "default") == "one"
    assert hold_cluster("one", "kafka:9092", memory, "default") == "one"


def test_another_one_is_refused_with_both_ids_and_the_next_step() -> None:
    memory = Memory()
    hold_cluster("one", "kafka:9092", memory, "default")
    with pytest.raises(ConfigurationError) as refused:
        hold_cluster("two", "kafka:9092", memory, "default")
    text = str(refused.value)
    assert "the Kafka cluster at kafka:9092 is two" in text
    assert "remembers deployment default on cluster one: nothing was read or written" in text
    assert "OUTCRY_KAFKA_BOOTSTRAP" in text
    assert "OUTCRY_TOPIC_PREFIX" in text
    assert "\n" not in text

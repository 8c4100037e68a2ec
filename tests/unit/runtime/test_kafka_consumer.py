"""What the Kafka consumer makes of moments of librdkafka that no broker gives on demand."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from confluent_kafka import KafkaError, Message
from confluent_kafka import TopicPartition as Place

from services.runtime import kafka
from services.runtime.errors import FencedError
from services.runtime.kafka import KafkaConnection, KafkaConsumer

OWNED = [Place("orders", 0)]


class Librdkafka:
    """Within one poll: partitions come, go again, and the consumer dies. It says so once."""

    def __init__(self, _config: dict[str, Any]) -> None:
        self._told = False

    def subscribe(
        self,
        _topics: Sequence[str],
        on_assign: Callable[["Librdkafka", list[Place]], None],
        on_revoke: Callable[["Librdkafka", list[Place]], None],
        on_lost: Callable[["Librdkafka", list[Place]], None],
    ) -> None:
        self._assign, self._revoke = on_assign, on_revoke

    def poll(self, _timeout_s: float) -> Message | None:
        if self._told:
            return None
        self._told = True
        self._assign(self, OWNED)
        self._revoke(self, OWNED)
        error = KafkaError(KafkaError.FENCED_INSTANCE_ID, "fenced", fatal=True)
        return Message(topic="orders", partition=0, offset=0, error=error)

    def consume(self, _records_max: int, _timeout_s: float) -> list[Message]:
        return []

    def assign(self, _places: list[Place]) -> None:
        pass

    def unassign(self) -> None:
        pass


def test_a_member_that_was_fenced_while_its_partitions_went_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It read nothing for ever: the error lay among records that were another member's now."""
    monkeypatch.setattr(kafka, "Consumer", Librdkafka)
    consumer = KafkaConsumer(KafkaConnection("nowhere:1", ""), "ingest", "0")
    revoked: list[int] = []
    consumer.subscribe(
        ["orders"],
        lambda owned: dict.fromkeys(owned, 0),
        lambda owned: revoked.append(len(owned)),
    )
    with pytest.raises(FencedError, match="join again"):
        consumer.poll(10, 1)
    assert revoked == [1]

"""`follower.Tail` over Kafka: many partitions as they grow, and how far a group has come."""

from collections.abc import Mapping, Sequence
from typing import Final

from confluent_kafka import Consumer, KafkaException
from confluent_kafka import TopicPartition as KafkaPartition

from services.runtime.errors import RetriableError
from services.runtime.group_offsets import GroupOffsets
from services.runtime.kafka import KafkaConnection, to_record
from services.runtime.kafka_faults import error_of, read_fault
from services.runtime.ports import Record, TopicPartition

_ANSWER_WAIT_S: Final = 5.0


class KafkaGroupTail:
    """Reads committed records outside any group, and asks for a group's committed offsets.

    It never joins: its reader has no subscription.
    """

    def __init__(self, connection: KafkaConnection, group: str) -> None:
        self._connection = connection
        self._reader: Consumer = Consumer(
            # Required by librdkafka; nothing joins it and nothing is committed.
            connection.reader_config() | {"group.id": f"{connection.prefix}follower"}
        )
        self._offsets = GroupOffsets(connection, group)
        self._plain_names: dict[str, str] = {}

    def start(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Read from these offsets on; may be called again."""
        prefix = self._connection.prefix
        self._plain_names = {prefix + at.topic: at.topic for at in offsets}
        self._reader.assign([self._full(at, offset) for at, offset in offsets.items()])

    def read(self, records_max: int, timeout_ms: int) -> Sequence[Record]:
        """What has arrived; waits only for the first."""
        try:
            first = self._reader.poll(timeout_ms / 1_000)
            if first is None:
                return ()
            rest = self._reader.consume(records_max - 1, 0) if records_max > 1 else []
        except KafkaException as exception:
            raise read_fault(error_of(exception), "following") from exception
        records = []
        for message in (first, *rest):
            error = message.error()
            if error is None:
                records.append(to_record(message, self._plain_names))
                continue
            fault = read_fault(error, "following")
            if not isinstance(fault, RetriableError):
                raise fault
            self._connection.on_client_error(str(fault))
        return records

    def committed(self, partitions: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
        """The group's committed offsets, without waiting for open transactions; -1: none."""
        return self._offsets.committed(partitions, _ANSWER_WAIT_S)

    def close(self) -> None:
        """Give up the connections. Never raises."""
        self._offsets.close()
        try:
            self._reader.close()
        except (KafkaException, RuntimeError) as error:
            self._connection.on_client_error(f"closing what follows: {error}")

    def _full(self, at: TopicPartition, offset: int) -> KafkaPartition:
        return KafkaPartition(self._connection.prefix + at.topic, at.partition, offset)

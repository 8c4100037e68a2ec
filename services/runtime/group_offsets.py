"""How far a consumer group has come, asked from outside it."""

from collections.abc import Mapping, Sequence

from confluent_kafka import Consumer, KafkaException
from confluent_kafka import TopicPartition as KafkaPartition

from services.runtime.kafka import KafkaConnection
from services.runtime.kafka_faults import error_of, read_fault
from services.runtime.ports import TopicPartition


class GroupOffsets:
    """Asks for a group's committed offsets; never joins it and reads nothing.

    By a consumer and not by librdkafka's admin client, whose questions to a coordinator end the
    process by an assertion when they time out at the wrong moment (librdkafka's issue 4605).
    """

    def __init__(self, connection: KafkaConnection, group: str) -> None:
        self._connection = connection
        self._consumer: Consumer = Consumer(
            connection.reader_config()
            | {
                "group.id": connection.prefix + group,
                # What is committed now, also while a transaction with later offsets is open: then
                # the answer is merely early.
                "isolation.level": "read_uncommitted",
            }
        )

    def committed(
        self, partitions: Sequence[TopicPartition], wait_s: float
    ) -> Mapping[TopicPartition, int]:
        """The group's committed offsets, without waiting for open transactions; -1: none.

        Raises:
            OperatingError: as `kafka_faults.read_fault` says of the cause.
        """
        prefix = self._connection.prefix
        asked = [KafkaPartition(prefix + at.topic, at.partition) for at in partitions]
        try:
            found = self._consumer.committed(asked, wait_s)
        except KafkaException as error:
            raise read_fault(error_of(error), "asking for committed offsets") from error
        for partition in found:
            if partition.error is not None:
                raise read_fault(partition.error, f"committed offset of {partition.topic}")
        return {
            TopicPartition(one.topic.removeprefix(prefix), one.partition): max(one.offset, -1)
            for one in found
        }

    def close(self) -> None:
        """Give up the connection. Never raises."""
        try:
            self._consumer.close()
        except (KafkaException, RuntimeError) as error:
            self._connection.on_client_error(f"closing what asks for offsets: {error}")

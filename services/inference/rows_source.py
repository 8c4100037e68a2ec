"""`stream.RowSource` on Kafka: a member of the room's group, which commits after the fact."""

from collections.abc import Sequence
from typing import Final

from confluent_kafka import Consumer, KafkaException, TopicPartition

from services.runtime.errors import RetriableError
from services.runtime.kafka import (
    SESSION_TIMEOUT_MS,
    KafkaConnection,
    to_record,
    to_traced_record,
)
from services.runtime.kafka_faults import error_of, read_fault
from services.runtime.ports import Record
from services.wire.topics import FEATURES

GROUP: Final = "inference"
_ANSWER_WAIT_S: Final = 5.0


class KafkaRows:
    """Several processes share the partitions; one that takes the place of another goes on there."""

    def __init__(self, connection: KafkaConnection, instance: str) -> None:
        self._connection = connection
        full_name = connection.prefix + FEATURES.name
        self._names = {full_name: FEATURES.name}
        self._to_record = to_traced_record if connection.has_traces else to_record
        self._consumer: Consumer = Consumer(
            connection.reader_config()
            | {
                "group.id": connection.prefix + GROUP,
                "group.instance.id": f"{connection.prefix}{GROUP}-{instance}",
                "partition.assignment.strategy": "range",
                "session.timeout.ms": SESSION_TIMEOUT_MS,
                "enable.auto.offset.store": True,
            }
        )
        self._consumer.subscribe([full_name], on_assign=self._begin)

    def read(self, records_max: int, wait_ms: int) -> Sequence[Record]:
        """What has arrived; waits for the first one."""
        try:
            first = self._consumer.poll(wait_ms / 1_000)
            if first is None:
                return ()
            rest = self._consumer.consume(records_max - 1, 0) if records_max > 1 else []
        except KafkaException as exception:
            raise read_fault(error_of(exception), "reading features") from exception
        records = []
        for message in (first, *rest):
            error = message.error()
            if error is not None:
                fault = read_fault(error, "reading features")
                if not isinstance(fault, RetriableError):
                    raise fault
                self._connection.on_client_error(str(fault))
                continue
            records.append(self._to_record(message, self._names))
        return records

    def _begin(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Go on from what is committed. A new group begins with what comes: the rest is history.

        Its beginning is committed at once: what comes while it is down is then not skipped.
        """
        found = consumer.committed(partitions, _ANSWER_WAIT_S)
        fresh = [at for at in found if at.offset < 0]
        for at in fresh:
            at.offset = consumer.get_watermark_offsets(at, _ANSWER_WAIT_S)[1]
        if fresh:
            consumer.commit(offsets=fresh, asynchronous=False)
        consumer.assign(found)

    def commit(self) -> None:
        """Up to what was read last."""
        try:
            self._consumer.commit(asynchronous=False)
        except KafkaException as exception:
            raise read_fault(error_of(exception), "committing offsets of features") from exception

    def close(self) -> None:
        """Give up the connection. Never raises."""
        try:
            self._consumer.close()
        except (KafkaException, RuntimeError) as error:
            self._connection.on_client_error(f"closing the reader of features: {error}")

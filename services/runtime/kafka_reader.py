"""`ports.LogReader` over Kafka: committed ranges, outside any group."""

import time
from collections.abc import Iterator, Sequence
from typing import Final

from confluent_kafka import Consumer, KafkaException
from confluent_kafka import TopicPartition as KafkaPartition
from confluent_kafka.admin import AdminClient

from services.runtime.errors import ConfigurationError, HistoryLostError, RetriableError
from services.runtime.kafka import KafkaConnection, to_record, to_traced_record
from services.runtime.kafka_admin import connect_admin, describe_topics
from services.runtime.kafka_faults import PARTITION_EOF, error_of, read_fault
from services.runtime.ports import Record, TopicPartition

_ANSWER_WAIT_MS: Final = 10_000
_SILENCE_MS_MAX: Final = 30_000
_POLL_MS: Final = 500
_FETCH_WAIT_MS_MAX: Final = 10
CHUNK_RECORDS_MAX: Final = 2_000


class KafkaReader:
    """Reads one partition at a time; a read that is not finished ends when the next begins."""

    def __init__(self, connection: KafkaConnection) -> None:
        self._connection = connection
        self._admin: AdminClient | None = None
        self._consumer: Consumer = Consumer(
            connection.reader_config()
            | {
                # Required by librdkafka; nothing joins it and nothing is committed.
                "group.id": f"{connection.prefix}reader",
                "enable.partition.eof": True,
                # Nobody waits for new records here. At a partition's end the broker would hold the
                # fetch for so long, and the next partition's first fetch waits for its answer.
                "fetch.wait.max.ms": _FETCH_WAIT_MS_MAX,
            }
        )

    def bounds(self, partition: TopicPartition) -> tuple[int, int]:
        """Asks the broker with the isolation of committed data, so the end is the stable one."""
        try:
            return self._consumer.get_watermark_offsets(
                self._full(partition), _ANSWER_WAIT_MS / 1_000
            )
        except KafkaException as error:
            doing = f"asking for the bounds of {partition.topic}/{partition.partition}"
            raise read_fault(error_of(error), doing) from error

    def read(self, partition: TopicPartition, start: int, end: int) -> Iterator[Sequence[Record]]:
        """Ends at `end`, or at the end of the partition: what is left then is markers."""
        if start >= end:
            return
        first, _ = self.bounds(partition)
        if start < first:
            msg = (
                f"{partition.topic}/{partition.partition} begins at offset {first}, and {start} is"
                " needed: retention has passed. A room comes back by `outcry snapshots take"
                " --from-zero`, from PostgreSQL's archive"
            )
            raise HistoryLostError(msg)
        self._consumer.assign([self._full(partition, start)])
        try:
            yield from self._chunks(partition, end)
        finally:
            self._consumer.unassign()

    def _chunks(self, partition: TopicPartition, end: int) -> Iterator[list[Record]]:
        plain_names = {self._connection.prefix + partition.topic: partition.topic}
        make_record = to_traced_record if self._connection.has_traces else to_record
        heard_at_s = time.monotonic()
        while True:
            chunk: list[Record] = []
            ended = False
            message = self._consumer.poll(_POLL_MS / 1_000)
            if message is None:
                if time.monotonic() - heard_at_s > _SILENCE_MS_MAX / 1_000:
                    where = f"{partition.topic}/{partition.partition}"
                    raise RetriableError(f"{where}: no answer while reading up to {end}; try again")
                continue
            for found in (message, *self._consumer.consume(CHUNK_RECORDS_MAX - 1, 0)):
                error = found.error()
                offset = found.offset()
                assert offset is not None
                if error is None and offset < end:
                    chunk.append(make_record(found, plain_names))
                elif error is None or (error.code() == PARTITION_EOF and offset >= end):
                    ended = True
                    break
                elif error.code() != PARTITION_EOF:
                    self._tolerate(read_fault(error, f"reading {partition.topic}"))
            heard_at_s = time.monotonic() if chunk else heard_at_s
            if chunk:
                yield chunk
            if ended or (chunk and chunk[-1].offset + 1 >= end):
                return

    def _tolerate(self, fault: Exception) -> None:
        if not isinstance(fault, RetriableError):
            raise fault
        self._connection.on_client_error(str(fault))

    def topic_id(self, topic: str) -> str:
        """Asks the broker."""
        name = self._connection.prefix + topic
        bootstrap = self._connection.bootstrap
        if self._admin is None:
            self._admin = connect_admin(bootstrap)  # kept: a takeover asks for each partition
        found = describe_topics(self._admin, bootstrap, [name])
        if name not in found:
            raise ConfigurationError(f"topic {name} is missing; run `outcry topics create`")
        return str(found[name].topic_id)

    def close(self) -> None:
        """Give up the connection."""
        try:
            self._consumer.close()
        except (KafkaException, RuntimeError) as error:
            self._connection.on_client_error(f"closing the reader: {error}")

    def _full(self, partition: TopicPartition, offset: int = -1001) -> KafkaPartition:
        return KafkaPartition(
            self._connection.prefix + partition.topic, partition.partition, offset
        )

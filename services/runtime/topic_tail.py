"""Following whole topics from given offsets, outside any group."""

from collections.abc import Mapping, Sequence
from typing import Final

from confluent_kafka import Consumer, KafkaException, Message
from confluent_kafka import TopicPartition as KafkaPartition

from services.runtime.errors import HistoryLostError, RetriableError
from services.runtime.kafka import KafkaConnection, known_ends, to_record
from services.runtime.kafka_admin import check_topics, connect_admin, describe_topics
from services.runtime.kafka_faults import PARTITION_EOF, error_of, read_fault
from services.runtime.ports import Record, TopicPartition
from services.wire.topics import Topic

_ANSWER_WAIT_S: Final = 10.0


class TopicTail:
    """Reads committed records of many partitions as they come. Called from one thread.

    Made anew for each start: what an assignment fetched ahead can't get into the next one.

    Args:
        topics: followed in all their partitions.
        name: of who follows, for the broker's own figures.
        on_lost: what to do about records that the log has no more, as one line for a person.
    """

    def __init__(
        self, connection: KafkaConnection, topics: Sequence[Topic], name: str, on_lost: str
    ) -> None:
        self._connection = connection
        self._topics = topics
        self._on_lost = on_lost
        self._names = {connection.prefix + topic.name: topic.name for topic in topics}
        self._consumer: Consumer = Consumer(
            connection.reader_config()
            | {
                # Required by librdkafka; nothing joins it and nothing is committed.
                "group.id": connection.prefix + name,
                # Tells positions behind the markers of transactions, which are no records.
                "enable.partition.eof": True,
            }
        )
        self._positions: dict[TopicPartition, int] = {}

    def topic_ids(self) -> Mapping[str, str]:
        """The UUID of each topic, by plain name, once all are as the table says.

        Raises:
            RetriableError: no broker answers.
            ConfigurationError: a topic is missing or not as it should be.
        """
        bootstrap = self._connection.bootstrap
        check_topics(bootstrap, self._connection.prefix, self._topics)
        found = describe_topics(connect_admin(bootstrap), bootstrap, list(self._names))
        return {self._names[name]: str(topic.topic_id) for name, topic in found.items()}

    def start(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Begin to read at these offsets. Called once.

        Raises:
            RetriableError: no broker answers.
            HistoryLostError: the log does not have one of them (any more).
        """
        for at, offset in offsets.items():
            try:
                first, end = self._consumer.get_watermark_offsets(
                    KafkaPartition(self._full(at), at.partition), _ANSWER_WAIT_S
                )
            except KafkaException as error:
                raise read_fault(error_of(error), f"bounds of {self._full(at)}") from error
            if not first <= offset <= end:
                raise self._lost(self._full(at), at.partition, offset, f"{first} to {end}")
        self._positions = dict(offsets)
        self._consumer.assign(
            [KafkaPartition(self._full(at), at.partition, offset) for at, offset in offsets.items()]
        )

    def read(self, records_max: int, idle_wait_ms: int, gather_ms: int) -> Sequence[Record]:
        """Wait for the first record up to `idle_wait_ms`, then gather more for `gather_ms`.

        Returns at once with `records_max`.

        Raises:
            RetriableError: the broker refuses for now.
            HistoryLostError: records were deleted before they were read.
        """
        try:
            first = self._consumer.poll(idle_wait_ms / 1_000)
            if first is None:
                return ()
            more = records_max > 1
            rest = self._consumer.consume(records_max - 1, gather_ms / 1_000) if more else []
        except KafkaException as error:
            raise read_fault(error_of(error), "reading") from error
        return self._records([first, *rest])

    def _records(self, messages: list[Message]) -> list[Record]:
        records = []
        for message in messages:
            if message.error() is not None:
                self._note(message)
                continue
            record = to_record(message, self._names)
            at = TopicPartition(record.topic, record.partition)
            assert record.offset >= self._positions[at], f"{at} goes back to {record.offset}"
            self._positions[at] = record.offset + 1
            records.append(record)
        return records

    def _note(self, message: Message) -> None:
        error = message.error()
        name, partition, offset = message.topic(), message.partition(), message.offset()
        assert error is not None
        if error.code() == PARTITION_EOF:
            assert name is not None
            assert partition is not None
            assert offset is not None
            at = TopicPartition(self._names[name], partition)
            self._positions[at] = max(self._positions[at], offset)
            return
        fault = read_fault(error, "reading")
        if isinstance(fault, HistoryLostError):
            raise self._lost(str(name), partition, offset, error.str())
        if not isinstance(fault, RetriableError):
            raise fault
        self._connection.on_client_error(str(fault))

    def positions(self) -> Mapping[TopicPartition, int]:
        """The next offset to read, of each partition: behind the last record and known markers."""
        return self._positions

    def ends(self) -> Mapping[TopicPartition, int]:
        """Where each partition ended at its last fetch, those without one left out. Asks nobody."""
        return known_ends(
            self._consumer,
            {at: KafkaPartition(self._full(at), at.partition) for at in self._positions},
        )

    def close(self) -> None:
        """Give up the connection. Never raises."""
        try:
            self._consumer.close()
        except (KafkaException, RuntimeError) as error:
            self._connection.on_client_error(f"closing the reader: {error}")

    def _full(self, at: TopicPartition) -> str:
        return self._connection.prefix + at.topic

    def _lost(
        self, name: str, partition: int | None, offset: int | None, what: str
    ) -> HistoryLostError:
        return HistoryLostError(
            f"{name}/{partition}: offset {offset} is to be read next, and the log has {what}:"
            f" records are lost. {self._on_lost}"
        )

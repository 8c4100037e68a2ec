"""Topics as `outcry topics list` shows them."""

import msgspec

from services.runtime.ports import LogReader, TopicPartition
from services.wire.topics import TOPICS, Topic


class TopicRow(msgspec.Struct, frozen=True):
    """One topic of the table, and how far the log of it reaches."""

    topic: str
    """Its full name."""
    kind: str
    key: str
    cleanup: str
    partitions: int
    end_offset: int
    """Sum over its partitions; more than its records, since transactions leave markers."""
    writers: tuple[str, ...]
    readers: tuple[str, ...]


def read_topics(log: LogReader, prefix: str) -> list[TopicRow]:
    """Every topic of the table.

    Raises:
        RetriableError: Kafka can't be read.
    """
    return [_row(log, prefix, topic) for topic in TOPICS]


def _row(log: LogReader, prefix: str, topic: Topic) -> TopicRow:
    ends = [log.bounds(TopicPartition(topic.name, n))[1] for n in range(topic.partitions)]
    return TopicRow(
        prefix + topic.name,
        topic.kind,
        topic.key,
        topic.cleanup,
        topic.partitions,
        sum(ends),
        topic.writers,
        topic.readers,
    )

"""The whole log again: Kafka where it still reaches, PostgreSQL's archive before that."""

from collections.abc import Iterator, Sequence

from services.runtime.errors import HistoryLostError
from services.runtime.ports import LogReader, Record, TopicPartition
from services.tools.proof.rows import ARCHIVED


class WholeLog:
    """`ports.LogReader` that goes on in the archive where Kafka's retention has passed.

    Only the inboxes (`ARCHIVED`) are archived; every other topic begins where Kafka begins. The
    two hold the same bytes where both reach (`outcry audit` compares them), so a read takes each
    record from Kafka if it is there.
    """

    def __init__(self, kafka: LogReader, archive: LogReader) -> None:
        self._kafka = kafka
        self._archive = archive

    def bounds(self, partition: TopicPartition) -> tuple[int, int]:
        """Where the archive or Kafka begins, whichever is earlier, and Kafka's stable end."""
        first, end = self._kafka.bounds(partition)
        if first and partition.topic in ARCHIVED:
            first = min(first, self._archive.bounds(partition)[0])
        return first, end

    def read(self, partition: TopicPartition, start: int, end: int) -> Iterator[Sequence[Record]]:
        """Committed records, from the archive first where Kafka no longer has them.

        Raises:
            HistoryLostError: neither has some of them.
        """
        first, _ = self._kafka.bounds(partition)
        if start < first and partition.topic in ARCHIVED:
            self._refuse_gap(partition, min(first, end))
            yield from self._archive.read(partition, start, min(first, end))
            start = first
        if start < end:
            yield from self._kafka.read(partition, start, end)

    def _refuse_gap(self, partition: TopicPartition, end: int) -> None:
        recorded = self._archive.bounds(partition)[1]
        if recorded < end:
            raise HistoryLostError(
                f"the archive of {partition.topic}/{partition.partition} ends at offset {recorded},"
                f" and Kafka has taken everything before {end}: what lies between is nowhere, since"
                " the recorder had not read it. Begin a new deployment under another"
                " OUTCRY_TOPIC_PREFIX"
            )

    def topic_id(self, topic: str) -> str:
        """Kafka's."""
        return self._kafka.topic_id(topic)

    def close(self) -> None:
        """Both are given up."""
        self._kafka.close()
        self._archive.close()

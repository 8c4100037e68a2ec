"""How far a long work is: offsets of the log that were read, of those that there are."""

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from services.runtime.ports import LogReader, Record, TopicPartition
from services.wire.topics import TICKER_PARTITIONS

type Progress = Callable[[int, int], None]
"""Takes how much is done, and how much there is in all."""


def no_progress(_done: int, _all: int) -> None:
    """Tell nobody."""


class WatchedLog:
    """A LogReader that tells how far the reading of some topics is.

    Args:
        topics: by ticker; each of their partitions is to be read once from its beginning.
    """

    def __init__(self, log: LogReader, progress: Progress, topics: Sequence[str]) -> None:
        self._log: Final = log
        self._progress = progress
        bounds = [
            log.bounds(TopicPartition(topic, partition))
            for topic in topics
            for partition in range(TICKER_PARTITIONS)
        ]
        self._done = 0
        self._total = sum(end - first for first, end in bounds)
        progress(0, self._total)

    def bounds(self, partition: TopicPartition) -> tuple[int, int]:
        """As the log says."""
        return self._log.bounds(partition)

    def read(self, partition: TopicPartition, start: int, end: int) -> Iterator[Sequence[Record]]:
        """As the log gives it; what is left out at the end counts as read."""
        at = start
        for chunk in self._log.read(partition, start, end):
            yield chunk
            self._add(chunk[-1].offset + 1 - at)
            at = chunk[-1].offset + 1
        self._add(max(0, end - at))

    def _add(self, offsets: int) -> None:
        self._done = min(self._done + offsets, self._total)
        self._progress(self._done, self._total)

    def topic_id(self, topic: str) -> str:
        """As the log says."""
        return self._log.topic_id(topic)

    def close(self) -> None:
        """Whoever opened the log closes it."""

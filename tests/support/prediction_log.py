"""`PredictionRecords` over the log in memory: the twin of the one on Kafka."""

from collections.abc import Iterator, Sequence

from services.drift.predictions_source import Stretch, stretch_of
from services.runtime.memory import MemoryReader
from services.runtime.memory_log import MemoryLog
from services.runtime.ports import Record
from services.wire.topics import PREDICTIONS


class MemoryPredictionRecords:
    """Answers as the brokers do: the first record of a time or later, by offset."""

    def __init__(self, log: MemoryLog, chunk_records_max: int = 3) -> None:
        self._log = log
        self._reader = MemoryReader(log, chunk_records_max)

    def stretches(self, since_ms: int) -> Sequence[Stretch]:
        made = []
        for at in self._log.partitions_of(PREDICTIONS.name):
            first, end = self._reader.bounds(at)
            later = (r.offset for r in self._log.scan(at, first, end) if r.timestamp_ms >= since_ms)
            made.append(stretch_of(at, next(later, -1), first, end))
        return made

    def read(self, stretch: Stretch) -> Iterator[Sequence[Record]]:
        return self._reader.read(stretch.partition, stretch.start, stretch.end)

"""The archive stands in for what retention has taken, and for nothing else."""

import pytest

from services.runtime.errors import HistoryLostError
from services.runtime.memory import MemoryReader
from services.runtime.memory_log import MemoryLog
from services.runtime.ports import Outgoing, TopicPartition
from services.tools.proof.whole_log import WholeLog

MATCHING = TopicPartition("matching", 0)
TRADES = TopicPartition("trades", 0)


def filled_log() -> MemoryLog:
    log = MemoryLog()
    for at in (MATCHING, TRADES):
        log.create_topic(at.topic, 1)
        for number in range(6):
            log.append(Outgoing(at.topic, 0, None, str(number).encode()))
    return log


def values(log: WholeLog, at: TopicPartition, start: int, end: int) -> list[bytes | None]:
    return [record.value for chunk in log.read(at, start, end) for record in chunk]


@pytest.mark.parametrize("trimmed", [0, 1, 3, 6])
def test_an_inbox_reads_the_same_however_much_retention_took(trimmed: int) -> None:
    kafka, archive = filled_log(), filled_log()
    kafka.drop_records(MATCHING, trimmed)
    whole = WholeLog(MemoryReader(kafka), MemoryReader(archive))
    assert whole.bounds(MATCHING) == (0, 6)
    assert values(whole, MATCHING, 0, 6) == [str(n).encode() for n in range(6)]
    assert values(whole, MATCHING, 2, 5) == [b"2", b"3", b"4"]


def test_a_feed_begins_where_kafka_begins() -> None:
    kafka = filled_log()
    kafka.drop_records(TRADES, 4)
    whole = WholeLog(MemoryReader(kafka), MemoryReader(filled_log()))
    assert whole.bounds(TRADES) == (4, 6)
    with pytest.raises(HistoryLostError, match="begins at offset 4"):
        values(whole, TRADES, 0, 6)

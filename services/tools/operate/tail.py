"""The newest records of a partition."""

from typing import Final

from services.runtime.ports import LogReader, Record, TopicPartition
from services.tools.operate.exchange import Seen
from services.wire.codec import Codec, UndecodableError

_OFFSETS_FIRST: Final = 4
"""Offsets looked at for each record wanted, at first: half of them are transaction markers."""


def read_tail(log: LogReader, codec: Codec, place: TopicPartition, count: int) -> list[Seen]:
    """The last `count` messages, oldest first; fewer if there are fewer.

    Looks further and further back, since any number of offsets may be markers, aborted, compacted
    away, or a stranger's junk, which is passed over.

    Raises:
        RetriableError: Kafka can't be read.
    """
    first, end = log.bounds(place)
    offsets = max(100, count * _OFFSETS_FIRST)
    while True:
        start = max(first, end - offsets)
        found = [
            seen
            for records in log.read(place, start, end)
            for record in records
            for seen in _decode(codec, record)
        ]
        if len(found) >= count or start == first:
            return found[-count:]
        offsets *= 10


def _decode(codec: Codec, record: Record) -> list[Seen]:
    try:
        decoded = codec.decode(record.topic, record.value)
    except UndecodableError:
        return []
    return [Seen(record.topic, record.partition, record.offset, decoded)]

"""Dead letters, as `outcry dlq` shows them."""

import msgspec

from services.domain.events import DeadLetter
from services.runtime.ports import LogReader, TopicPartition
from services.tools.operate.exchange import Seen
from services.tools.operate.tail import read_tail
from services.wire.codec import Codec
from services.wire.topics import ORDERS_DLQ, ORIGIN_NUMBERS

_NAMES = {number: name for name, number in ORIGIN_NUMBERS.items()}


class Letter(msgspec.Struct, frozen=True):
    """One dead letter."""

    position: str
    """Where the record stands: topic-partition@offset."""
    time_us: int
    """The record's log time, microseconds since the epoch."""
    cause: str
    detail: str
    length_bytes: int
    sha256: str
    head_hex: str
    """The first 64 KiB of the record, hexadecimal."""


def read_letters(log: LogReader, codec: Codec, limit: int) -> list[Letter]:
    """The newest dead letters, oldest first.

    Raises:
        RetriableError: Kafka can't be read.
    """
    letters = [
        _letter(seen)
        for partition in range(ORDERS_DLQ.partitions)
        for seen in read_tail(log, codec, TopicPartition(ORDERS_DLQ.name, partition), limit)
    ]
    return sorted(letters, key=lambda letter: (letter.time_us, letter.position))[-limit:]


def _letter(seen: Seen) -> Letter:
    letter, origin = seen.decoded.payload, seen.decoded.origin
    assert isinstance(letter, DeadLetter)
    assert origin is not None
    return Letter(
        position=f"{_NAMES[origin.topic]}-{origin.partition}@{origin.offset}",
        time_us=origin.time_us,
        cause=letter.cause,
        detail=letter.detail,
        length_bytes=letter.value_length_bytes,
        sha256=letter.value_sha256,
        head_hex=letter.value_head.hex(),
    )

"""Changes of what is kept, planted one at a time and taken back: for the audit to find."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from msgspec.structs import replace

from services.runtime.memory_log import MemoryLog, _Entry
from services.runtime.ports import Record, TopicPartition
from services.tools.proof.audit.packed_rows import PackedRows
from services.tools.proof.audit.rows import row_offset


def flip(data: bytes, at: int, bit: int = 0) -> bytes:
    """One byte, another by one bit."""
    return data[:at] + bytes([data[at] ^ (1 << bit)]) + data[at + 1 :]


@contextmanager
def changed_log(
    log: MemoryLog, place: TopicPartition, start: int, records: Sequence[Record | None]
) -> Iterator[None]:
    """Other records (None: none) at the offsets from `start` on."""
    entries = log._topics[place.topic].partitions[place.partition]
    kept = entries.copy()
    for offset, record in enumerate(records, start):
        own = None if record is None else replace(record, offset=offset)
        entries[offset : offset + 1] = [_Entry(own, kept[min(offset, len(kept) - 1)].transaction)]
    try:
        yield
    finally:
        entries[:] = kept


@contextmanager
def changed_rows(
    rows: PackedRows, place: tuple[str, str, int], gone: bytes | None, new: bytes | None
) -> Iterator[None]:
    """One row in the place of another."""
    kept = rows._kept.setdefault(place, {})
    before = kept.copy()
    if gone is not None:
        del kept[row_offset(place[0], gone)]
    if new is not None:
        kept[row_offset(place[0], new)] = new
    try:
        yield
    finally:
        rows._kept[place] = before
        if not before:
            del rows._kept[place]


def other_value(record: Record, at: int, bit: int = 0) -> Record:
    """With one byte of the value changed."""
    assert record.value is not None, "nothing to change"
    return replace(record, value=flip(record.value, at, bit))

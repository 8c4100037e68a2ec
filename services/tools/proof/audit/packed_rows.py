"""Rows as a recorder packed them, kept in memory: what simulators and tests audit."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from services.tools.proof.audit.rows import COLUMNS, TABLES_OF, canonical_json, row_offset
from services.wire.topics import BY_NAME

_LENGTH_BYTES: Final = 4
_COUNT_BYTES: Final = 2


class PackedRows:
    """`rows.RowSource` over rows in any order of columns.

    Args:
        columns: of each table, the names of the columns in the order in which rows are packed.
        topic_numbers: how the archive numbers topics.
    """

    def __init__(
        self, columns: Mapping[str, Sequence[str]], topic_numbers: Mapping[str, int]
    ) -> None:
        self._columns = columns
        self._topics = {number: topic for topic, number in topic_numbers.items()}
        self._kept: dict[tuple[str, str, int], dict[int, bytes]] = {}
        self.positions: dict[tuple[str, int], tuple[int, int]] = {}
        """First and next recorded offset by topic and partition; its owner sets it."""

    def add(self, table: str, row: bytes) -> None:
        """Keep one row. Of two with the same key the second is refused, as by a primary key."""
        names = self._columns[table]
        values = dict(zip(names, _split(row), strict=True))
        partition = _number(values["partition"])
        topic = self._topics[_number(values["topic_number"])] if "topic_number" in values else ""
        place = (table, topic or _TOPIC_OF[table], partition)
        packed = _pack(table, values)
        kept = self._kept.setdefault(place, {})
        offset = row_offset(table, packed)
        assert offset not in kept, f"two rows of {place} at offset {offset}"
        kept[offset] = packed

    def places(self) -> list[tuple[str, str, int]]:
        """Table, topic and partition of everything there is."""
        return sorted(self._kept)

    def refresh(self) -> None:
        """What is added is seen at once."""

    def recorded(self, topic: str, partition: int) -> tuple[int, int] | None:
        """As its owner says."""
        return self.positions.get((topic, partition))

    def packed(
        self, table: str, topic: str, partition: int, start: int, end: int
    ) -> Iterator[bytes]:
        """Ascending by offset."""
        kept = self._kept.get((table, topic, partition), {})
        return (kept[offset] for offset in sorted(kept) if start <= offset < end)

    def strays(self) -> Iterator[tuple[str, str, int, int]]:
        """Rows of partitions that do not exist."""
        for (table, topic, partition), kept in self._kept.items():
            if table not in TABLES_OF.get(topic, ()) or partition >= BY_NAME[topic].partitions:
                for offset in sorted(kept):
                    yield table, topic, partition, offset


_TOPIC_OF: Final = {
    table: topic for topic, tables in TABLES_OF.items() for table in tables if table != "archive"
}


def _split(row: bytes) -> Iterator[bytes | None]:
    at = _COUNT_BYTES
    for _ in range(int.from_bytes(row[:_COUNT_BYTES])):
        length = int.from_bytes(row[at : at + _LENGTH_BYTES], signed=True)
        at += _LENGTH_BYTES
        yield None if length < 0 else row[at : at + length]
        at += max(0, length)


def _pack(table: str, values: Mapping[str, bytes | None]) -> bytes:
    columns = COLUMNS[table]
    parts = [len(columns).to_bytes(_COUNT_BYTES)]
    for column in columns:
        data = values[column.name]
        if data is None:
            parts.append(b"\xff\xff\xff\xff")
            continue
        if column.kind == "jsonb":  # what PostgreSQL keeps is the value, not its bytes
            data = b"\x01" + canonical_json(json.loads(data[1:]))
        parts += (len(data).to_bytes(_LENGTH_BYTES), data)
    return b"".join(parts)


def _number(data: bytes | None) -> int:
    assert data is not None, "never NULL"
    return int.from_bytes(data, signed=True)

"""A room's traces that note what they follow, without OpenTelemetry."""

from collections.abc import Collection, Sequence

import msgspec

from services.runtime.ports import Outgoing, Record

type Followed = tuple[str, int, tuple[str, ...]]
"""Topic and offset of a record, and the topics that it caused something on."""


class SpanNotes:
    """`traces.RoomTraces`."""

    def __init__(self) -> None:
        self.ended: list[Followed] = []
        self._open: list[Followed] = []

    def begin(self) -> None:
        self._open.clear()

    def carry(self, record: Record, said: Sequence[Outgoing]) -> Sequence[Outgoing]:
        header = self.follow(record, {one.topic for one in said})
        return [msgspec.structs.replace(one, traceparent=header) for one in said]

    def follow(self, record: Record, topics: Collection[str]) -> bytes | None:
        if record.traceparent is None:
            return None
        self._open.append((record.topic, record.offset, tuple(topics)))
        return record.traceparent + b", followed"

    def committed(self) -> None:
        self.ended += self._open
        self._open.clear()

    def close(self) -> None:
        pass

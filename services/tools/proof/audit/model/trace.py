"""Where messages come from and go to: the two ledgers of positions and sequences."""

from typing import Any

from services.tools.proof.audit.model import said
from services.tools.proof.audit.model.said import Derived, Witness


class Sources:
    """The last position and sequence read of each source partition."""

    __slots__ = ("_last", "_witness")

    def __init__(self, witness: Witness) -> None:
        self._witness = witness
        self._last: dict[tuple[int, int], tuple[int, int, int]] = {}

    def note(self, origin: dict[str, int]) -> None:
        """A message from this source: its position must rise and its sequence must go on."""
        source = origin["topic"], origin["partition"]
        offset, index, sequence = now = origin["offset"], origin["index"], origin["sequence"]
        last = self._last.get(source)
        self._last[source] = now
        if last is None:
            if sequence > 1:
                self._witness.report(
                    said.SEQUENCE, f"source {source} begins at sequence {sequence}, not at 1"
                )
            return
        if offset < last[0] or (offset == last[0] and index <= last[1]):
            self._witness.report(
                said.SOURCE_ORDER,
                f"source {source}: offset {offset}, index {index} after {last[0]}, {last[1]}",
            )
        if sequence and sequence != last[2] + 1:
            self._witness.report(
                said.SEQUENCE, f"source {source}: sequence {sequence} after {last[2]}"
            )

    def load(self, rows: list[list[int]]) -> None:
        """As a dump has it."""
        self._last = {
            (topic, partition): (offset, index, sequence)
            for topic, partition, offset, index, sequence in rows
        }

    def rows(self) -> list[list[int]]:
        """For a dump: by source."""
        return [[*source, *self._last[source]] for source in sorted(self._last)]


class Sent:
    """The messages of one input at a time, each numbered for its destination."""

    __slots__ = ("_counts", "_number", "_partition", "event_time_us", "offset", "out")

    def __init__(self, topic_number: int, partition: int) -> None:
        self._number = topic_number
        self._partition = partition
        self._counts: dict[tuple[str, int], int] = {}
        self.offset = -1
        self.event_time_us = 0
        self.out: list[Derived] = []

    def begin(self, offset: int, event_time_us: int) -> None:
        """A new input."""
        self.offset = offset
        self.event_time_us = event_time_us
        self.out = []

    def put(
        self, topic: str, partition: int, key: str, record: str, fields: dict[str, Any],
        time_us: int,
    ) -> None:  # fmt: skip
        """Say a message; its origin is added to its fields."""
        place = (topic, partition)
        counts = self._counts
        counts[place] = sequence = counts.get(place, 0) + 1
        out = self.out
        fields["origin"] = {
            "topic": self._number,
            "partition": self._partition,
            "offset": self.offset,
            "index": len(out),
            "sequence": sequence,
            "time_us": time_us,
            "event_time_us": self.event_time_us,
        }
        out.append(Derived(topic, partition, key, record, fields))

    def view_origin(self, time_us: int) -> dict[str, int]:
        """The origin of a view taken after the present input: after its messages, unnumbered."""
        return {
            "topic": self._number,
            "partition": self._partition,
            "offset": self.offset,
            "index": len(self.out),
            "sequence": 0,
            "time_us": time_us,
            "event_time_us": self.event_time_us,
        }

    def load(self, rows: list[list[Any]]) -> None:
        """As a dump has it."""
        self._counts = {(topic, partition): sent for topic, partition, sent in rows}

    def rows(self) -> list[list[str | int]]:
        """For a dump: by destination."""
        return [[*place, self._counts[place]] for place in sorted(self._counts)]

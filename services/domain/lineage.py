"""The two ledgers every stateful fold keeps about its messages: what arrived, what departed.

Transactions already make each record arrive once and in order. These ledgers do not repair
anything: a break of them is a bug, and an assertion stops the process rather than dropping a
message in silence.
"""

from services.domain.origin import Origin


class Arrivals:
    """The last source position and sequence seen of each source partition."""

    __slots__ = ("_last",)

    def __init__(self) -> None:
        self._last: dict[tuple[int, int], tuple[int, int, int]] = {}

    def accept(self, origin: Origin) -> None:
        """Note one arrival. Asserts that its source position rises and its sequence has no gap."""
        source = (origin.topic, origin.partition)
        offset, index, sequence = self._last.get(source, (-1, -1, 0))
        assert (origin.offset, origin.index) > (offset, index), (
            f"source position does not rise: offset {origin.offset}, index {origin.index} of"
            f" {_place(source)} after offset {offset}, index {index}"
        )
        if origin.sequence:
            assert origin.sequence == sequence + 1, (
                f"the log has a hole: after sequence {sequence} of {_place(source)} comes"
                f" {origin.sequence}, so a message is missing or repeated"
            )
        self._last[source] = (origin.offset, origin.index, origin.sequence)

    def dump(self) -> list[list[int]]:
        """Canonical: sorted by source."""
        return [[*source, *last] for source, last in sorted(self._last.items())]

    @classmethod
    def load(cls, rows: list[list[int]]) -> "Arrivals":
        """From a dump."""
        ledger = cls()
        for topic, partition, offset, index, sequence in rows:
            ledger._last[topic, partition] = (offset, index, sequence)
        return ledger


def _place(source: tuple[int, int]) -> str:
    topic, partition = source
    return f"source topic {topic}, partition {partition}"


class Departures:
    """How many messages were sent to each destination partition."""

    __slots__ = ("_sent",)

    def __init__(self) -> None:
        self._sent: dict[tuple[str, int], int] = {}

    def next(self, topic: str, partition: int) -> int:
        """The sequence of the next message to this destination, from 1."""
        sequence = self._sent.get((topic, partition), 0) + 1
        self._sent[topic, partition] = sequence
        return sequence

    def dump(self) -> list[tuple[str, int, int]]:
        """Canonical: sorted by destination."""
        return [(*destination, sent) for destination, sent in sorted(self._sent.items())]

    @classmethod
    def load(cls, rows: list[tuple[str, int, int]]) -> "Departures":
        """From a dump."""
        ledger = cls()
        for topic, partition, sent in rows:
            ledger._sent[topic, partition] = sent
        return ledger

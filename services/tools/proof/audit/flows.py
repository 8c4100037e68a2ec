"""What should have been written against what was, message by message.

A flow is all that one source partition causes in one destination partition. The side that derives
adds a digest of each message that must be there, in order; the side that reads the destination adds
a digest of each that says it came from there. Both go on at their own pace, in any process; where
both have something it must be equal, and the first place where it is not is kept.
"""

from array import array
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from services.tools.proof.audit.digests import INDEX_BITS, INDEX_MAX, pack_position


class FlowKey(NamedTuple):
    """From where to where."""

    source_topic: int
    """As an origin numbers it; any number, if a message names none that there is."""
    source_partition: int
    topic: str
    partition: int


class Difference(NamedTuple):
    """The first place where a flow is not as it must be."""

    key: FlowKey
    kind: str
    """'changed', 'missing', 'extra' or 'moved'."""
    source_offset: int
    """The record that must have caused it, or says it did."""
    source_index: int
    offset: int
    """In the destination: the record at fault, or the one before which another is missing."""
    after: int
    """The last record of this flow that is right; -1: none before it."""


class Flow:
    """One flow: what is derived and what is seen, as far as they have not been compared yet."""

    __slots__ = (
        "after", "compared", "derived", "derived_at", "difference", "key", "seen", "seen_at",
        "seen_from", "skipped",
    )  # fmt: skip

    def __init__(self, key: FlowKey) -> None:
        self.key = key
        self.derived = array("Q")
        """Digests, each as one number."""
        self.derived_at = array("q")
        """Packed source positions."""
        self.seen = array("Q")
        self.seen_at = array("q")
        """Offsets in the destination."""
        self.seen_from = array("q")
        """Packed source positions that the messages state."""
        self.compared = 0
        self.skipped = 0
        """Messages of which the other side is gone by retention."""
        self.after = -1
        self.difference: Difference | None = None

    def settle(self, *, source_first: int, begins_late: bool) -> None:
        """Compare what both sides have, and forget what is equal.

        Args:
            source_first: the first source offset that was derived from.
            begins_late: whether retention took the destination's beginning.
        """
        if self.difference is not None:
            self._clear()
            return
        if not self.compared:
            self._align(source_first, begins_late=begins_late)
        both = min(len(self.derived), len(self.seen))
        if not both:
            return
        if self.derived[:both] == self.seen[:both]:
            self.after = self.seen_at[both - 1]
            self._drop(both)
            return
        equal = next(i for i in range(both) if self.derived[i] != self.seen[i])
        if equal:
            self.after = self.seen_at[equal - 1]
        self._drop(equal)
        self.difference = self._judge()
        self._clear()

    def _align(self, source_first: int, *, begins_late: bool) -> None:
        """Pass over what only one side can have, because retention took the other's beginning."""
        oldest = pack_position(source_first, 0)
        gone = 0
        while gone < len(self.seen_from) and self.seen_from[gone] < oldest:
            gone += 1
        del self.seen[:gone], self.seen_at[:gone], self.seen_from[:gone]
        self.skipped += gone
        if begins_late and self.seen_from:
            gone = 0
            while gone < len(self.derived_at) and self.derived_at[gone] < self.seen_from[0]:
                gone += 1
            del self.derived[:gone], self.derived_at[:gone]
            self.skipped += gone

    def _drop(self, count: int) -> None:
        self.compared += count
        del self.derived[:count], self.derived_at[:count]
        del self.seen[:count], self.seen_at[:count], self.seen_from[:count]

    def _clear(self) -> None:
        for held in self.arrays():
            del held[:]

    def _judge(self) -> Difference:
        """What is wrong at the head, where the two sides differ."""
        wanted, stated = self.derived_at[0], self.seen_from[0]
        if stated == wanted or self.derived[1:2] == self.seen[1:2] != array("Q"):
            kind = "changed"
        elif self.derived[0] in self.seen[1:2]:
            kind = "extra" if self.derived[1:2] == self.seen[2:3] else "moved"
        elif stated < wanted:
            kind = "extra"
        else:
            kind = "missing"
        return self._difference(kind, stated if kind == "extra" else wanted, self.seen_at[0])

    def _difference(self, kind: str, position: int, offset: int) -> Difference:
        source = (position >> INDEX_BITS, position & INDEX_MAX)
        return Difference(self.key, kind, *source, offset, self.after)

    def find_extra(self, source_end: int) -> None:
        """A message whose cause is read already, and did not cause it."""
        if self.difference is None and self.seen and not self.derived:
            position = self.seen_from[0]
            if position < pack_position(source_end, 0):
                self.difference = self._difference("extra", position, self.seen_at[0])

    def lost(self, end: int, *, begins_late: bool) -> Difference | None:
        """What one side has alone, if all has been read and nothing is on its way any more."""
        if self.difference is not None or (begins_late and not self.compared and not self.seen):
            return self.difference
        if self.derived:
            return self._difference("missing", self.derived_at[0], end)
        if self.seen:
            return self._difference("extra", self.seen_from[0], self.seen_at[0])
        return None

    def absorb(self, other: "Flow") -> None:
        """Take over what another process found of this flow."""
        for mine, theirs in zip(self.arrays(), other.arrays(), strict=True):
            mine.extend(theirs)
        self.compared += other.compared
        self.skipped += other.skipped
        self.after = max(self.after, other.after)
        self.difference = self.difference or other.difference

    def arrays(self) -> tuple["array[int]", ...]:
        """Both sides, as far as they are not compared yet."""
        return (self.derived, self.derived_at, self.seen, self.seen_at, self.seen_from)


class Flows:
    """All flows of a deployment."""

    def __init__(self) -> None:
        self._flows: dict[FlowKey, Flow] = {}

    def of(self, key: FlowKey) -> Flow:
        """The flow from there to there, which exists once it is asked for."""
        found = self._flows.get(key)
        if found is None:
            found = self._flows[key] = Flow(key)
        return found

    def __iter__(self) -> Iterator[Flow]:
        return iter(self._flows.values())

    def absorb(self, other: "Flows") -> None:
        """Take over what another process found."""
        for flow in other:
            self.of(flow.key).absorb(flow)


class Reach(NamedTuple):
    """How far one partition has been read."""

    first: int
    """The first offset that was read or, of what was lost by retention, could have been."""
    next: int
    """Everything below it has been read."""
    begins_late: bool
    """Retention took the beginning."""


def settle_flows(
    flows: Flows, reaches: Mapping[tuple[str, int], Reach], names: Mapping[int, str]
) -> None:
    """Compare what can be compared so far.

    Args:
        flows: all there are.
        reaches: how far each partition is read.
        names: source topics by the number that an origin gives them.
    """
    for flow in flows:
        source = reaches.get((names.get(flow.key.source_topic, ""), flow.key.source_partition))
        target = reaches[flow.key.topic, flow.key.partition]
        flow.settle(source_first=source.first if source else 0, begins_late=target.begins_late)
        # A source that does not exist can cause nothing, however far one reads.
        flow.find_extra(source.next if source else _NEVER)


_NEVER: Final = 1 << 40

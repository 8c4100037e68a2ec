"""A consumer group's coordinator in memory: members, generations, assignments, offsets.

The eager protocol: when a member joins or leaves, every member gives all its partitions up and
joins again; once all have, the next generation begins and `range` assigns.
"""

from collections.abc import Callable, Sequence

import msgspec

from services.runtime.errors import FencedError
from services.runtime.ports import TopicPartition

NOT_JOINED = -1


class GroupToken(msgspec.Struct, frozen=True):
    """Group metadata: who committed, and in which generation."""

    group: str
    generation: int
    member_id: str


class OffsetWrite(msgspec.Struct, frozen=True):
    """An offset in the topic of offsets: pending until its transaction's marker comes."""

    offset: int
    order: int
    """Its place in that topic."""


class _Member(msgspec.Struct):
    instance: str
    topics: tuple[str, ...]
    assigned: tuple[TopicPartition, ...] = ()


class MemoryGroup:
    """One group. An instance that joins again replaces itself without a rebalance (static)."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.generation = 0
        self.offsets: dict[TopicPartition, int] = {}
        """Committed: the first offset that no committed transaction consumed."""
        self._orders: dict[TopicPartition, int] = {}
        self._members: dict[str, _Member] = {}
        self._joined: set[str] = set()
        self._rebalancing = False
        self._joins = 0
        self._replaced: set[str] = set()

    def fork(self) -> "MemoryGroup":
        """A group with the same offsets and generation, and no members."""
        group = MemoryGroup(self.name)
        group.generation = self.generation
        group.offsets = dict(self.offsets)
        group._orders = dict(self._orders)
        group._joins = self._joins
        return group

    @property
    def members(self) -> list[str]:
        """The ids of those who are members now."""
        return list(self._members)

    def join(self, instance: str, topics: Sequence[str]) -> str:
        """Join; returns the member id."""
        self._joins += 1
        member_id = f"{instance}-{self._joins}"
        for earlier_id, earlier in self._members.items():
            if earlier.instance == instance:
                return self._replace(earlier_id, member_id, tuple(topics))
        self._members[member_id] = _Member(instance, tuple(topics))
        self._rebalance()
        self._joined.add(member_id)
        return member_id

    def _replace(self, earlier_id: str, member_id: str, topics: tuple[str, ...]) -> str:
        earlier = self._members.pop(earlier_id)
        self._replaced.add(earlier_id)
        self._members[member_id] = _Member(earlier.instance, topics, earlier.assigned)
        if topics != earlier.topics:
            self._rebalance()
        self._joined.discard(earlier_id)
        self._joined.add(member_id)
        return member_id

    def leave(self, member_id: str) -> None:
        """Leave, or be evicted because the session timed out; unknown members are none."""
        if self._members.pop(member_id, None) is not None:
            self._rebalance()

    def evict(self, instance: str) -> None:
        """The session of this instance timed out."""
        for member_id in [m for m, member in self._members.items() if member.instance == instance]:
            self.leave(member_id)

    def _rebalance(self) -> None:
        if not self._rebalancing:
            self._joined = set()
            self._rebalancing = True
        self._joined &= self._members.keys()

    def knows(self, member_id: str) -> bool:
        """Whether this is a member.

        Raises:
            FencedError: it was one, and another process took its instance name.
        """
        if member_id in self._replaced:
            raise FencedError(
                f"another process joined {self.name} under this instance's name; join again"
            )
        return member_id in self._members

    def must_rejoin(self, member_id: str) -> bool:
        """Whether a rebalance waits for this member."""
        return self._rebalancing and member_id not in self._joined

    def rejoin(self, member_id: str) -> None:
        """Say that this member gave up what it owned."""
        self._joined.add(member_id)

    def assignment(
        self, member_id: str, partitions_of: Callable[[str], Sequence[TopicPartition]]
    ) -> tuple[GroupToken, tuple[TopicPartition, ...]] | None:
        """What this member owns, and as who; None while a rebalance waits for others."""
        if self._rebalancing:
            if self._joined != self._members.keys():
                return None
            self._rebalancing = False
            self.generation += 1
            self._assign(partitions_of)
        token = GroupToken(self.name, self.generation, member_id)
        return token, self._members[member_id].assigned

    def _assign(self, partitions_of: Callable[[str], Sequence[TopicPartition]]) -> None:
        assigned: dict[str, list[TopicPartition]] = {member_id: [] for member_id in self._members}
        for topic in sorted(
            {topic for member in self._members.values() for topic in member.topics}
        ):
            partitions = partitions_of(topic)
            takers = sorted(
                (
                    member_id
                    for member_id, member in self._members.items()
                    if topic in member.topics
                ),
                key=lambda member_id: self._members[member_id].instance,
            )
            share, rest = divmod(len(partitions), len(takers))
            begin = 0
            for place, member_id in enumerate(takers):
                end = begin + share + (place < rest)
                assigned[member_id] += partitions[begin:end]
                begin = end
        for member_id, member in self._members.items():
            member.assigned = tuple(assigned[member_id])

    def check(self, token: GroupToken) -> None:
        """Hold a token against the group.

        Raises:
            FencedError: it is of an earlier generation, of no member, or of one never joined.
        """
        if token.generation == NOT_JOINED or not self.knows(token.member_id):
            raise FencedError(
                f"{token.member_id or 'nobody'} is no member of {self.name}; join again"
            )
        if token.generation != self.generation:
            raise FencedError(
                f"{self.name} is in generation {self.generation}, the batch was read in"
                f" {token.generation}; join again"
            )

    def commit(self, at: TopicPartition, write: OffsetWrite) -> None:
        """The write's transaction was committed.

        Markers of two transactions may come in any order: as in Kafka, the later write rules.
        """
        if write.order > self._orders.get(at, 0):
            self._orders[at] = write.order
            self.offsets[at] = write.offset

    def forget_topic(self, topic: str) -> None:
        """A topic was deleted, and its offsets with it."""
        self.offsets = {at: offset for at, offset in self.offsets.items() if at.topic != topic}

"""Kafka in memory, as far as exactly-once needs it: the log, its transactions, its groups.

Single-threaded and explicit: nothing happens unless a method is called, no time passes but by the
clock it is given, and nothing depends on chance, so that a simulator can drive it. What is kept of
Kafka, because code has been wrong about each: markers take offsets; aborted records take offsets
and are never seen; an open transaction hides all that is behind it in its partitions from readers
of committed data; offsets travel in the transaction; old epochs, generations and members are
refused; a prepared transaction can no longer be aborted, only completed.
"""

from collections.abc import Callable, Iterator, Mapping
from enum import Enum, auto
from typing import Final

import msgspec

from services.runtime.errors import FencedError
from services.runtime.memory_group import GroupToken, MemoryGroup, OffsetWrite
from services.runtime.ports import Outgoing, Record, TopicPartition

FIRST_TIME_MS: Final = 1_700_000_000_000


def counting_clock_ms(first_ms: int = FIRST_TIME_MS) -> Callable[[], int]:
    """A clock that advances one millisecond each time it is read."""
    now_ms = first_ms - 1

    def read() -> int:
        nonlocal now_ms
        now_ms += 1
        return now_ms

    return read


class TransactionState(Enum):
    """OPEN, then PREPARED_x (decided and durable, markers not yet written), then x."""

    OPEN = auto()
    PREPARED_COMMIT = auto()
    PREPARED_ABORT = auto()
    COMMITTED = auto()
    ABORTED = auto()


class Transaction(msgspec.Struct):
    """One transaction at the coordinator."""

    transactional_id: str
    started_ms: int
    state: TransactionState = TransactionState.OPEN
    is_committed: bool = False
    """Whether it is decided so; where it is seen already is told by the markers."""
    first_offsets: dict[TopicPartition, int] = msgspec.field(default_factory=dict)
    """Of each partition it wrote to and that has no marker yet, where its first record is."""
    group_offsets: dict[str, dict[TopicPartition, OffsetWrite]] = msgspec.field(
        default_factory=dict
    )
    """Of each group whose offsets have no marker yet."""

    @property
    def unmarked(self) -> list[TopicPartition | str]:
        """Partitions and groups that its markers have still to be written to."""
        return [*sorted(self.first_offsets), *self.group_offsets]


class _Entry(msgspec.Struct, frozen=True):
    """One offset of a partition: a record, or a marker (no record)."""

    record: Record | None
    transaction: Transaction | None


class _Topic(msgspec.Struct):
    topic_id: str
    log_append_time: bool
    partitions: list[list[_Entry]]
    starts: list[int]
    """First offset of each partition that is still there."""


class MemoryLog:
    """The broker.

    Args:
        clock_ms: what LogAppendTime and the age of transactions are taken from.
        defer_markers: a commit or abort returns once it is decided, as in Kafka, and its markers
            follow, place by place, when `settle` or `mark` is called (or the transactional id is
            used again).
    """

    def __init__(
        self, clock_ms: Callable[[], int] | None = None, *, defer_markers: bool = False
    ) -> None:
        self.clock_ms = clock_ms or counting_clock_ms()
        self._defer_markers = defer_markers
        self._topics: dict[str, _Topic] = {}
        self._topics_made = 0
        self._epochs: dict[str, int] = {}
        self._undecided: dict[str, Transaction] = {}
        """By transactional id, in the order they began."""
        self._hiding: dict[TopicPartition, dict[str, int]] = {}
        """Of each partition, where the first record of each undecided transaction is."""
        self._groups: dict[str, MemoryGroup] = {}
        self._offset_writes = 0

    def fork(self, clock_ms: Callable[[], int], *, defer_markers: bool = False) -> "MemoryLog":
        """A log that goes on from what this one holds: topics, records and committed offsets.

        Groups have no members in it. Nothing may be undecided: a transaction would be of both.
        """
        assert not self._undecided, "a transaction is undecided"
        log = MemoryLog(clock_ms, defer_markers=defer_markers)
        log._topics_made = self._topics_made
        log._topics = {
            name: _Topic(
                topic.topic_id,
                topic.log_append_time,
                [entries.copy() for entries in topic.partitions],
                topic.starts.copy(),
            )
            for name, topic in self._topics.items()
        }
        log._epochs = dict(self._epochs)
        log._groups = {name: group.fork() for name, group in self._groups.items()}
        log._offset_writes = self._offset_writes
        return log

    # --- topics and records

    def create_topic(self, topic: str, partitions: int, *, log_append_time: bool = True) -> None:
        """Make an empty topic."""
        assert topic not in self._topics, f"topic {topic} exists"
        self._topics_made += 1
        self._topics[topic] = _Topic(
            f"topic-{self._topics_made}",
            log_append_time,
            [[] for _ in range(partitions)],
            [0] * partitions,
        )

    def delete_topic(self, topic: str) -> None:
        """Delete a topic with its records and every group's offsets in it."""
        del self._topics[topic]
        for group in self._groups.values():
            group.forget_topic(topic)

    def topic_id(self, topic: str) -> str:
        """Another one each time a topic of this name is made."""
        return self._topics[topic].topic_id

    def partitions_of(self, topic: str) -> list[TopicPartition]:
        """All partitions of a topic."""
        count = len(self._topics[topic].partitions)
        return [TopicPartition(topic, partition) for partition in range(count)]

    def append(self, outgoing: Outgoing, timestamp_ms: int | None = None) -> int:
        """Write one record outside any transaction, as any client may; returns its offset."""
        return self._append(outgoing, None, timestamp_ms)

    def _append(
        self, outgoing: Outgoing, transaction: Transaction | None, timestamp_ms: int | None = None
    ) -> int:
        topic = self._topics[outgoing.topic]
        entries = topic.partitions[outgoing.partition]
        now_ms = self.clock_ms()
        stamp_ms = now_ms if topic.log_append_time or timestamp_ms is None else timestamp_ms
        offset = len(entries)
        record = Record(
            outgoing.topic,
            outgoing.partition,
            offset,
            stamp_ms,
            outgoing.key,
            outgoing.value,
            outgoing.traceparent,
        )
        entries.append(_Entry(record, transaction))
        return offset

    def drop_records(self, partition: TopicPartition, before: int) -> None:
        """Retention: the records before this offset are gone."""
        topic = self._topics[partition.topic]
        topic.starts[partition.partition] = max(topic.starts[partition.partition], before)

    def start_offset(self, partition: TopicPartition) -> int:
        """The first offset that is still there."""
        return self._topics[partition.topic].starts[partition.partition]

    def end_offset(self, partition: TopicPartition) -> int:
        """The offset the next record or marker will get."""
        return len(self._topics[partition.topic].partitions[partition.partition])

    def stable_offset(self, partition: TopicPartition) -> int:
        """Where readers of committed data stop: at the oldest transaction not yet decided."""
        hiding = self._hiding.get(partition)
        return min(hiding.values()) if hiding else self.end_offset(partition)

    def scan(self, partition: TopicPartition, start: int, end: int) -> Iterator[Record]:
        """Committed records with start <= offset < end."""
        end = min(end, self.stable_offset(partition))
        if start >= end:
            return
        for entry in self._entries(partition)[start:end]:
            transaction = entry.transaction
            committed = transaction is None or transaction.is_committed
            if entry.record is not None and committed:
                yield entry.record

    def values(self, topic: str) -> list[bytes | None]:
        """Every committed value of a topic, partition by partition: what a test looks at."""
        return [
            record.value
            for partition in self.partitions_of(topic)
            for record in self.scan(partition, 0, self.end_offset(partition))
        ]

    def _entries(self, partition: TopicPartition) -> list[_Entry]:
        return self._topics[partition.topic].partitions[partition.partition]

    # --- transactions

    def initialise(self, transactional_id: str) -> int:
        """Take over a transactional id: ends what it has open; returns the epoch that now rules."""
        transaction = self._undecided.get(transactional_id)
        if transaction is not None:
            if transaction.state is TransactionState.OPEN:
                transaction.state = TransactionState.PREPARED_ABORT
            self._write_markers(transaction)
        epoch = self._epochs.get(transactional_id, -1) + 1
        self._epochs[transactional_id] = epoch
        return epoch

    def begin(self, transactional_id: str, epoch: int) -> Transaction:
        """Open a transaction.

        Raises:
            FencedError: the epoch is an old one.
        """
        self._check_epoch(transactional_id, epoch)
        earlier = self._undecided.get(transactional_id)
        if earlier is not None:
            assert earlier.state is not TransactionState.OPEN, "a transaction is open already"
            self._write_markers(earlier)
        transaction = Transaction(transactional_id, self.clock_ms())
        self._undecided[transactional_id] = transaction
        return transaction

    def write(self, transaction: Transaction, epoch: int, outgoing: Outgoing) -> int:
        """Append a record of a transaction; it takes its offset at once. Raises as `begin`."""
        self._check_open(transaction, epoch)
        offset = self._append(outgoing, transaction)
        partition = TopicPartition(outgoing.topic, outgoing.partition)
        if partition not in transaction.first_offsets:
            transaction.first_offsets[partition] = offset
            self._hiding.setdefault(partition, {})[transaction.transactional_id] = offset
        return offset

    def write_offsets(
        self,
        transaction: Transaction,
        epoch: int,
        offsets: Mapping[TopicPartition, int],
        token: GroupToken,
    ) -> None:
        """Put offsets into a transaction. Raises as `begin`, also for an old token."""
        self._check_open(transaction, epoch)
        self.group(token.group).check(token)
        pending = transaction.group_offsets.setdefault(token.group, {})
        for at, offset in offsets.items():
            self._offset_writes += 1
            pending[at] = OffsetWrite(offset, self._offset_writes)

    def end(self, transaction: Transaction, epoch: int, *, commit: bool) -> None:
        """Decide a transaction. Raises as `begin`."""
        self._check_open(transaction, epoch)
        prepared = TransactionState.PREPARED_COMMIT if commit else TransactionState.PREPARED_ABORT
        transaction.state = prepared
        transaction.is_committed = commit
        if not self._defer_markers:
            self._write_markers(transaction)

    def settle(self, transactional_id: str | None = None) -> None:
        """Write the markers of every transaction that is decided, or of this one alone."""
        for transaction in list(self._undecided.values()):
            if transaction.state is not TransactionState.OPEN and transactional_id in {
                None,
                transaction.transactional_id,
            }:
                self._write_markers(transaction)

    def mark(self, transactional_id: str, place: TopicPartition | str) -> None:
        """Write the marker of a decided transaction to one partition, or to one group's offsets.

        The others still wait for theirs, so for a while a part of it is seen.
        """
        transaction = self._undecided[transactional_id]
        assert transaction.state is not TransactionState.OPEN, "the transaction is not decided"
        self._write_marker(transaction, place)
        if not transaction.unmarked:
            self._finish(transaction)

    def undecided(self) -> list[Transaction]:
        """The transactions whose markers are not written yet, in the order they began."""
        return list(self._undecided.values())

    def expire_transactions(self, age_ms_max: int) -> int:
        """Abort what is open for longer, fencing its producer; returns how many that were."""
        now_ms = self.clock_ms()
        expired = [
            transaction
            for transaction in self._undecided.values()
            if transaction.state is TransactionState.OPEN
            and now_ms - transaction.started_ms > age_ms_max
        ]
        for transaction in expired:
            self.initialise(transaction.transactional_id)
        return len(expired)

    def _check_epoch(self, transactional_id: str, epoch: int) -> None:
        if self._epochs.get(transactional_id) != epoch:
            raise FencedError(f"another producer has taken {transactional_id}; join again")

    def _check_open(self, transaction: Transaction, epoch: int) -> None:
        self._check_epoch(transaction.transactional_id, epoch)
        assert transaction.state is TransactionState.OPEN, "the transaction has ended"

    def _write_markers(self, transaction: Transaction) -> None:
        for place in transaction.unmarked:
            self._write_marker(transaction, place)
        self._finish(transaction)

    def _write_marker(self, transaction: Transaction, place: TopicPartition | str) -> None:
        if isinstance(place, TopicPartition):
            del transaction.first_offsets[place]
            del self._hiding[place][transaction.transactional_id]
            self._entries(place).append(_Entry(None, None))
            return
        writes = transaction.group_offsets.pop(place)
        if transaction.is_committed:
            for at, write in writes.items():
                self.group(place).commit(at, write)

    def _finish(self, transaction: Transaction) -> None:
        ended = TransactionState.COMMITTED if transaction.is_committed else TransactionState.ABORTED
        transaction.state = ended
        del self._undecided[transaction.transactional_id]

    # --- groups

    def group(self, name: str) -> MemoryGroup:
        """The coordinator of a group, which exists once it is asked for."""
        return self._groups.setdefault(name, MemoryGroup(name))

    def decided_offset(self, group: str, partition: TopicPartition) -> int:
        """What the group's offset is once all that is decided has its markers; 0: none."""
        offset = self.group(group).offsets.get(partition, 0)
        for transaction in self._undecided.values():
            write = transaction.group_offsets.get(group, {}).get(partition)
            if write is not None and transaction.state is TransactionState.PREPARED_COMMIT:
                offset = max(offset, write.offset)
        return offset

    def unstable(self, group: str, partition: TopicPartition) -> bool:
        """Whether an undecided transaction may yet change the group's offset in a partition."""
        return any(
            partition in transaction.group_offsets.get(group, {})
            for transaction in self._undecided.values()
        )

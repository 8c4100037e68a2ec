"""The ports in memory, over one MemoryLog: for tests, and for a simulator of many rooms."""

from collections.abc import Callable, Iterator, Mapping, Sequence

from services.runtime.errors import FencedError, HistoryLostError, RetriableError
from services.runtime.memory_group import NOT_JOINED, GroupToken
from services.runtime.memory_log import MemoryLog, Transaction
from services.runtime.ports import Batch, Outgoing, Record, Snapshot, TopicPartition


class MemoryConsumer:
    """`ports.Consumer`. Its polls never wait: no time passes in memory."""

    def __init__(self, log: MemoryLog, group: str, instance: str = "0") -> None:
        self._log = log
        self._group = log.group(group)
        self._instance = instance
        self._member_id = ""
        self._topics: Sequence[str] = ()
        self._token = GroupToken(group, NOT_JOINED, "")
        self._owned: tuple[TopicPartition, ...] | None = None
        self._positions: dict[TopicPartition, int] = {}
        self._in_order: list[TopicPartition] = []
        self._next_partition = 0
        self._on_assigned: Callable[[Sequence[TopicPartition]], Mapping[TopicPartition, int]]
        self._on_revoked: Callable[[Sequence[TopicPartition]], None]

    def subscribe(
        self,
        topics: Sequence[str],
        on_assigned: Callable[[Sequence[TopicPartition]], Mapping[TopicPartition, int]],
        on_revoked: Callable[[Sequence[TopicPartition]], None],
    ) -> None:
        """Join now; the first polls bring the assignment."""
        self._topics = topics
        self._on_assigned = on_assigned
        self._on_revoked = on_revoked
        self._member_id = self._group.join(self._instance, topics)

    @property
    def member_id(self) -> str:
        """As who it last joined; empty before that."""
        return self._member_id

    def poll(self, records_max: int, timeout_ms: int) -> Batch[GroupToken]:  # noqa: ARG002 - no time
        """What is there."""
        if not self._group.knows(self._member_id):
            self._revoke()
            self._member_id = self._group.join(self._instance, self._topics)
        if self._group.must_rejoin(self._member_id):
            self._revoke()
            self._group.rejoin(self._member_id)
        if self._owned is None:
            self._take_assignment()
        return Batch(self._fetch(records_max), self._token)

    def _revoke(self) -> None:
        owned, self._owned = self._owned, None
        self._positions = {}
        self._in_order = []
        self._token = GroupToken(self._group.name, NOT_JOINED, "")
        if owned is not None:
            self._on_revoked(owned)

    def _take_assignment(self) -> None:
        assignment = self._group.assignment(self._member_id, self._log.partitions_of)
        if assignment is not None:
            self._token, partitions = assignment
            self._positions = dict(self._on_assigned(partitions))
            assert self._positions.keys() == set(partitions), "a start for each partition"
            self._owned = partitions
            self._in_order = sorted(partitions)

    def _fetch(self, records_max: int) -> list[Record]:
        """Up to records_max, from one partition after the other, so that none is starved."""
        records: list[Record] = []
        partitions = self._in_order
        for turn in range(len(partitions)):
            at = partitions[(self._next_partition + turn) % len(partitions)]
            position = self._positions[at]
            if position < self._log.start_offset(at):
                msg = f"{at.topic}/{at.partition} no longer reaches back to {position}"
                raise HistoryLostError(msg)
            stable = self._log.stable_offset(at)
            if position >= stable:
                continue
            for record in self._log.scan(at, position, stable):
                if len(records) == records_max:
                    self._next_partition += turn
                    return records
                records.append(record)
                self._positions[at] = record.offset + 1
        self._next_partition += 1
        return records

    def committed(self, partitions: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
        """Refused while a transaction that may change them is undecided."""
        for at in partitions:
            if self._log.unstable(self._group.name, at):
                msg = f"a transaction with offsets of {at.topic}/{at.partition} is still open"
                raise RetriableError(msg)
        return {at: self._group.offsets.get(at, -1) for at in partitions}

    def ends(self) -> Mapping[TopicPartition, int]:
        """As of now: there is no fetch."""
        return {at: self._log.stable_offset(at) for at in self._owned or ()}

    def close(self) -> None:
        """A static member keeps its place: `MemoryGroup.evict` is its session's timeout."""
        self._positions = {}
        self._in_order = []
        self._owned = None


class MemoryProducer:
    """`ports.Producer` over transactional ids used in turn."""

    def __init__(self, log: MemoryLog, transactional_ids: Sequence[str]) -> None:
        self._log = log
        self._ids = tuple(transactional_ids)
        self._epochs: dict[str, int] = {}
        self._turn = 0
        self._open: Transaction | None = None
        self._failure: FencedError | None = None
        """As in Kafka, a refused record shows at the next call that waits for the broker."""

    def initialise(self) -> None:
        """Take over every transactional id."""
        self._open = None
        self._failure = None
        self._epochs = {name: self._log.initialise(name) for name in self._ids}

    def begin(self) -> None:
        """Open a transaction on the next id. A fenced id shows at the commit."""
        assert self._open is None, "a transaction is open already"
        assert self._epochs, "initialise first"
        name = self._ids[self._turn % len(self._ids)]
        self._turn += 1
        try:
            self._open = self._log.begin(name, self._epochs[name])
        except FencedError as error:
            self._open = Transaction(name, 0)
            self._failure = error

    def send(self, records: Sequence[Outgoing]) -> None:
        """Append at once."""
        transaction = self._transaction()
        for record in records:
            if self._failure is not None:
                return
            try:
                self._log.write(transaction, self._epochs[transaction.transactional_id], record)
            except FencedError as error:
                self._failure = error

    def send_offsets(self, offsets: Mapping[TopicPartition, int], token: GroupToken) -> None:
        """Checked against the group now."""
        transaction = self._transaction()
        self._raise_failure()
        epoch = self._epochs[transaction.transactional_id]
        self._log.write_offsets(transaction, epoch, offsets, token)

    def commit(self) -> None:
        """Markers and offsets, together."""
        self._raise_failure()
        transaction = self._transaction()
        self._log.end(transaction, self._epochs[transaction.transactional_id], commit=True)
        self._open = None

    def abort(self) -> None:
        """Write abort markers; a fenced producer has nothing left to abort."""
        transaction, self._open = self._open, None
        failure, self._failure = self._failure, None
        if transaction is not None and failure is None:
            try:
                self._log.end(transaction, self._epochs[transaction.transactional_id], commit=False)
            except FencedError:
                return

    def close(self) -> None:
        """What is open stays open at the broker, until it expires or the id is taken over."""
        self._open = None

    def _transaction(self) -> Transaction:
        assert self._open is not None, "begin first"
        return self._open

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure


class MemoryReader:
    """`ports.LogReader`."""

    def __init__(self, log: MemoryLog, chunk_records_max: int = 1_000) -> None:
        self._log = log
        self._chunk_records_max = chunk_records_max

    def bounds(self, partition: TopicPartition) -> tuple[int, int]:
        """First offset and last stable offset."""
        return self._log.start_offset(partition), self._log.stable_offset(partition)

    def read(self, partition: TopicPartition, start: int, end: int) -> Iterator[Sequence[Record]]:
        """Committed records, in chunks."""
        first = self._log.start_offset(partition)
        if start < first:
            msg = (
                f"{partition.topic}/{partition.partition} begins at offset {first},"
                f" and {start} is needed"
            )
            raise HistoryLostError(msg)
        chunk: list[Record] = []
        for record in self._log.scan(partition, start, end):
            chunk.append(record)
            if len(chunk) == self._chunk_records_max:
                yield chunk
                chunk = []
        if chunk:
            yield chunk

    def topic_id(self, topic: str) -> str:
        """Another one each time the topic is made."""
        return self._log.topic_id(topic)

    def close(self) -> None:
        """Nothing to give up."""


class MemorySnapshots:
    """`ports.Snapshots`, keeping them all."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str, int], dict[int, Snapshot]] = {}
        self._topic_ids: dict[str, str] = {}

    def put(self, snapshot: Snapshot) -> None:
        """Keep it; of the same position the last one."""
        place = (snapshot.room, snapshot.topic, snapshot.partition)
        self._kept.setdefault(place, {})[snapshot.offset] = snapshot

    def newest(self, room: str, topic: str, partition: int, limit: int) -> Sequence[Snapshot]:
        """Highest offset first."""
        kept = self._kept.get((room, topic, partition), {})
        return [kept[offset] for offset in sorted(kept, reverse=True)[:limit]]

    def remember_topic(self, topic: str, topic_id: str) -> str:
        """The id this topic had when it was first seen."""
        return self._topic_ids.setdefault(topic, topic_id)

    def close(self) -> None:
        """Nothing to give up."""

"""The ports the loop stands on, each defined by its docstring. Adapters: kafka.py, memory.py.

Vocabulary. A partition's *position* is the offset of the next record to be polled. Its *committed*
offset is the offset of the first record no committed transaction has consumed. Offsets have gaps
(transaction markers, aborted records), so "next" is never "plus one" of what was read; it is plus
one of the last record only as a lower bound.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, Protocol

import msgspec


class TopicPartition(msgspec.Struct, frozen=True, gc=False, order=True):
    """A partition of a topic, by the topic's plain name (adapters add the deployment's prefix)."""

    topic: str
    partition: int


class Record(msgspec.Struct, frozen=True, gc=False):
    """One record as read from the log."""

    topic: str
    """The topic's plain name, without the deployment's prefix."""
    partition: int
    offset: int
    timestamp_ms: int
    """What the log says: LogAppendTime or the producer's CreateTime, ms since the epoch."""
    key: bytes | None
    value: bytes | None
    traceparent: bytes | None = None
    """The header of a trace, where the adapter reads it (traces.py); no fold may look at it."""


class Outgoing(msgspec.Struct, frozen=True, gc=False):
    """One record to be written, partition chosen by the writer."""

    topic: str
    """The topic's plain name, without the deployment's prefix."""
    partition: int
    key: bytes | None
    value: bytes
    traceparent: bytes | None = None
    """As in `Record`; set by `traces.RoomTraces` alone."""


class Batch[Token](msgspec.Struct, frozen=True, gc=False):
    """What one poll fetched.

    `token` is the consumer's group metadata taken at this very poll: committing with it is what
    lets the broker refuse an instance that lost its partitions since.
    """

    records: Sequence[Record]
    """In offset order within each partition; partitions may interleave."""
    token: Token


class Consumer[Token](Protocol):
    """A member of a consumer group that reads only committed records.

    Called from one thread. Never commits by itself: offsets travel in the producer's transaction.
    """

    def subscribe(
        self,
        topics: Sequence[str],
        on_assigned: Callable[[Sequence[TopicPartition]], Mapping[TopicPartition, int]],
        on_revoked: Callable[[Sequence[TopicPartition]], None],
    ) -> None:
        """Join the group. Callbacks run inside `poll`, on the caller's thread.

        Eager: a rebalance revokes all partitions, then assigns all anew. `on_assigned` gets them
        (none, if others own all) and returns the offset to start each at. It restores state
        meanwhile and may block: the member keeps its place by a thread of its own, up to the
        adapter's limit between two polls. `on_revoked` must abort what is open and drop state
        before it returns; it is also called when partitions were lost. What a callback raises,
        `poll` raises; close the consumer then.
        """

    def poll(self, records_max: int, timeout_ms: int) -> Batch[Token]:
        """What has arrived, at most records_max; waits up to timeout_ms only for the first.

        Empty while a rebalance is under way. Records and token belong to one assignment.

        Raises:
            RetriableError: the broker does not answer for now; poll again.
            RestoreNeededError: close this consumer and join anew.
            FencedError: another process joined under this instance's name.
            HistoryLostError: the log no longer reaches back to this member's position.
        """

    def committed(self, partitions: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
        """Committed offsets with stable isolation (waits out pending transactions); -1: none.

        May be called from within `on_assigned`.

        Raises:
            RetriableError: not to be had within the adapter's time limit; ask again.
        """

    def ends(self) -> Mapping[TopicPartition, int]:
        """Where the log of each owned partition ended when something was last fetched of it.

        The last stable offset, exclusive. Asks nobody; a partition of which nothing is known yet is
        left out.
        """

    def close(self) -> None:
        """Leave (a static member keeps its place until its session times out). Never raises."""


class Producer[Token](Protocol):
    """A transactional writer. One transaction is open at a time. Called from one thread.

    Order of calls: initialise, then begin, send*, send_offsets, commit | abort, begin, ...
    After any error: abort, then initialise again (or close). The loop restores in between,
    so that it need not matter to it whether a failed commit happened.
    """

    def initialise(self) -> None:
        """Fence out every earlier holder of these transactional ids; ends their transactions.

        Also this producer's own: may be called again, whatever happened before. Must return
        before committed offsets are read. May block up to the adapter's limit.

        Raises:
            RetriableError: not done within the limit; call again.
            ConfigurationError: the broker refuses such a producer.
        """

    def begin(self) -> None:
        """Open a transaction (on the next of the alternating transactional ids). Never blocks.

        Raises:
            RestoreNeededError: this producer is of no use any more.
        """

    def send(self, records: Sequence[Outgoing]) -> None:
        """Queue records into the transaction; may block while the local queue is full.

        That a record was refused may show only at a later call.

        Raises:
            RestoreNeededError: abort.
            ConfigurationError: a record no broker will take: too large, or no such partition.
        """

    def send_offsets(self, offsets: Mapping[TopicPartition, int], token: Token) -> None:
        """Put consumed offsets (next to read) into the transaction, under the batch's token.

        Raises:
            FencedError: the group or the transactional id has moved on; abort.
            RestoreNeededError: abort.
        """

    def commit(self) -> None:
        """Make the transaction's records and offsets visible, together.

        Raises:
            UnknownOutcomeError: it may have happened.
            FencedError: another producer has these transactional ids.
            RestoreNeededError: it did not happen.
        """

    def abort(self) -> None:
        """Drop the open transaction, if any. Never raises: a failure leaves it to the timeout."""

    def close(self) -> None:
        """Give up the connection. Never raises."""


class LogReader(Protocol):
    """Reads ranges of committed records outside any group: restores, replays, audits, archives."""

    def bounds(self, partition: TopicPartition) -> tuple[int, int]:
        """First offset still there, and the last stable offset (exclusive)."""

    def read(self, partition: TopicPartition, start: int, end: int) -> Iterator[Sequence[Record]]:
        """Committed records with start <= offset < end, in order, in bounded chunks.

        Ends when `end` is reached even if the last offsets are markers or aborted records.

        Raises:
            HistoryLostError: the log no longer reaches back to `start`.
            RetriableError: the broker does not answer for now.
        """

    def topic_id(self, topic: str) -> str:
        """The topic's UUID: a topic deleted and made again has another one."""

    def close(self) -> None:
        """Give up the connection. Never raises."""


class Snapshot(msgspec.Struct, frozen=True):
    """A fold's state at a committed position, in its envelope."""

    room: str
    topic: str
    """The topic's plain name."""
    partition: int
    offset: int
    """The next offset to fold: the state is the fold of everything below it."""
    topic_id: str
    format_version: int
    genesis_hash: str
    """Hexadecimal BLAKE2b-256 of the genesis; empty before it."""
    state: bytes
    """Canonical: equal states have equal bytes, whatever path led to them."""
    state_hash: str
    """Hexadecimal BLAKE2b-256 of `state`."""


class Snapshots(Protocol):
    """Where one deployment's snapshots are kept, and what its topics were when first seen.

    All methods may block; the loop calls `put` only through a background writer with room for one,
    whose thread is not that of the other methods.
    """

    def put(self, snapshot: Snapshot) -> None:
        """Keep a snapshot, in the place of one of the same position: that one may be damaged.

        Raises:
            RetriableError: the store is away; the snapshot may be dropped, a later one serves.
        """

    def newest(self, room: str, topic: str, partition: int, limit: int) -> Sequence[Snapshot]:
        """Up to `limit` snapshots, highest offset first, as stored: the reader checks hashes.

        Raises:
            RetriableError: the store is away.
        """

    def remember_topic(self, topic: str, topic_id: str) -> str:
        """Note a topic's id when it is first seen; returns the one first seen.

        Raises:
            RetriableError: the store is away.
        """

    def close(self) -> None:
        """Give up the connection. Never raises."""


class Fold(Protocol):
    """One input partition's state machine, as the loop sees it: records in, records out.

    Pure and deterministic: no clock, no chance, no I/O. What `handle` returns follows from the
    records so far alone; only what `at_batch_end` returns may depend on batching, and it must not
    change what `handle` will return.
    """

    def handle(self, record: Record) -> Sequence[Outgoing]:
        """Fold one record; raises only on a broken invariant."""

    def at_batch_end(self) -> Sequence[Outgoing]:
        """Views of the state (the book's depth), conflated to one a transaction."""

    def dump(self) -> bytes:
        """The state, canonical. Only called between a commit and the next batch."""

    def genesis_hash(self) -> str:
        """Hash of the genesis this state stands on; empty before it."""


type Migration = Callable[[bytes], bytes]
"""A room's dump in one format as the next one: pure, ValueError if it is no dump of its format."""

NO_MIGRATIONS: Final[Mapping[int, Migration]] = {}


class FoldFactory(Protocol):
    """Makes the folds of a room."""

    @property
    def format_version(self) -> int:
        """Of `Fold.dump`, counted from 1. Snapshots of a later one are refused."""

    @property
    def migrations(self) -> Mapping[int, Migration]:
        """By the format each reads; it writes the next. Every published format has one."""

    @property
    def stateful(self) -> bool:
        """False: nothing to restore or snapshot (ingest)."""

    def fresh(self, partition: TopicPartition) -> Fold:
        """The fold before the partition's first record."""

    def load(self, partition: TopicPartition, state: bytes) -> Fold:
        """The fold from its dump.

        Raises:
            ValueError: these bytes are no dump of this format.
        """

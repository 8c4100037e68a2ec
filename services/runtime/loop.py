"""The transactional loop every room of folds runs.

One turn, and what is durable after each step if the process dies there:

1. Read a batch: what has arrived, up to a limit, and the group metadata of this very poll.
2. Decode, 3. fold and 4. encode each record (`Fold.handle`), then the views (`at_batch_end`).
   Nothing is durable so far; the state in memory is ahead of the log.
5. Produce the outputs into the open transaction. In the log, seen by nobody.
6. Put the consumed offsets into the transaction, under the batch's group metadata.
7. Commit. Outputs and offsets become visible together; before, neither is, and the next process
   folds the same records again.
Then, if one is due, a snapshot is taken of the committed position and handed to the background.

When partitions are assigned, in this order: take over the transactional ids (which ends what an
earlier process left open), read the committed offsets with stable isolation, restore each fold,
and only then read. When they are revoked: abort, throw the state away, return.

Whatever fails after a fold ran leaves the state in memory ahead of the log, so the session is
dropped, clients and all, and the next one restores. Whether the failed commit happened does not
matter then: the committed offset says it.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from functools import partial
from typing import Final

from services.runtime.errors import OperatingError, RestoreNeededError, RetriableError
from services.runtime.ports import (
    Batch,
    Consumer,
    Fold,
    FoldFactory,
    Outgoing,
    Producer,
    Record,
    Snapshot,
    TopicPartition,
)
from services.runtime.restore import (
    FoldRestorer,
    Pacer,
    RestoreInterruptedError,
    restore_committed,
    snapshot_of,
)
from services.runtime.telemetry import (
    BATCH_RECORDS,
    COMMITTED_OFFSET,
    FOLD_SECONDS,
    LAG_OFFSETS,
    RECORD_AGE_SECONDS,
    RECORDS_CONSUMED,
    RECORDS_PRODUCED,
    RESTARTS,
    TRANSACTION_SECONDS,
    Telemetry,
)
from services.runtime.traces import RoomTraces

BACKOFF_S_MIN: Final = 0.05
BACKOFF_S_MAX: Final = 5.0
TAKEOVER_TRIES_MAX: Final = 10
MARKERS_NOTED_AFTER_S: Final = 10.0
"""How long nothing must come before the offsets behind the markers of transactions are committed as
well: else the retention of an idle partition would one day look like a loss."""
LAG_INTERVAL_S: Final = 1.0
HALVINGS_MAX: Final = 10
COMMITS_TO_DOUBLE: Final = 8
"""A batch that was halved after a failure is doubled again after so many commits in a row. At once,
and a broker too slow for full batches would see one after each small one: each costs a restore."""


class Turn(Enum):
    """What one call of `run_once` did."""

    JOINED = auto()
    """New clients; the first poll follows."""
    IDLE = auto()
    """Nothing had arrived. Rebalances are served here too."""
    COMMITTED = auto()
    """One batch, in one transaction."""
    RETRIED = auto()
    """The broker did not answer; waited a little."""
    RESTARTED = auto()
    """The session was dropped, to be restored; waited a little."""


@dataclass(frozen=True)
class LoopPlan:
    """What a loop works on."""

    room: str
    topics: tuple[str, ...]
    """Plain names of the input topics."""
    batch_records_max: int = 2_000
    outputs_max: int = 20_000
    """A transaction that has so many outputs takes no more records: it has 3 s. One record's may
    be more; the genesis bounds those (`sweep_orders_max`, `live_orders_max`)."""
    poll_timeout_ms: int = 200
    """Longest wait for a first record; also how late a stop is noticed."""
    transaction_interval_s: float = 0.0
    """Shortest time from one transaction's begin to the next's. Records gather meanwhile."""
    snapshot_interval_s: float = 30.0


@dataclass(frozen=True)
class LoopPorts[Token]:
    """How a loop reaches the log. A session makes its clients anew."""

    make_consumer: Callable[[], Consumer[Token]]
    make_producer: Callable[[], Producer[Token]]
    restorer: FoldRestorer
    offer_snapshot: Callable[[Snapshot], None] | None
    """Takes a snapshot without blocking; None for a room that keeps none."""
    past_markers: Callable[[TopicPartition, int], int] = lambda _at, offset: offset
    """Where a partition goes on after this offset, if only markers follow; `restore.past_markers`.
    By default nothing is looked for."""
    is_followed: Callable[[], bool] = lambda: False
    """Whether another process takes this room's snapshots now, so that this one needs no pause."""
    traces: RoomTraces | None = None
    """None: no record has a trace."""


@dataclass
class _Owned:
    """An input partition this process owns, and its fold."""

    at: TopicPartition
    fold: Fold
    offset: int
    """The next offset to read; every offset below is folded and committed."""
    topic_id: str
    snapshot_offset: int
    snapshot_due_s: float


@dataclass
class _Session[Token]:
    consumer: Consumer[Token]
    producer: Producer[Token]
    token: Token | None = None
    """Of the last batch, as long as its partitions are still owned."""
    quiet_since_s: float = 0.0


class Loop[Token]:
    """Runs the folds of a room. Everything happens in the caller's thread, one turn a call."""

    def __init__(
        self,
        plan: LoopPlan,
        ports: LoopPorts[Token],
        factory: FoldFactory,
        telemetry: Telemetry,
        pacer: Pacer,
    ) -> None:
        self._plan = plan
        self._ports = ports
        self._factory = factory
        self._telemetry = telemetry
        self._pacer = pacer
        self._session: _Session[Token] | None = None
        self._owned: dict[tuple[str, int], _Owned] = {}
        self._failures = 0
        self._halvings = 0
        self._commits = 0
        self._next_begin_s = 0.0
        self._lag_due_s = 0.0
        telemetry.count(RESTARTS, 0, error=RestoreNeededError.__name__)

    def run(self) -> None:
        """Turn until asked to stop: the batch in hand is committed, then everything is closed.

        Raises:
            FatalError: a person has to act.
            RestoreInterruptedError: asked to stop during a restore.
        """
        try:
            while not self._pacer.stopping():
                self.run_once()
            self._snapshot_all()
        finally:
            self.close()

    def run_once(self) -> Turn:
        """One turn. Raises as `run`; then close."""
        try:
            if self._session is None:
                self._session = self._join()
                return Turn.JOINED
            turn = self._take_turn(self._session)
        except RetriableError as error:
            self._back_off("retrying", error)
            return Turn.RETRIED
        except RestoreNeededError as error:
            self.close()
            self._telemetry.count(RESTARTS, error=type(error).__name__)
            self._halvings = min(self._halvings + 1, HALVINGS_MAX)
            self._commits = 0
            self._back_off("restarting", error)
            return Turn.RESTARTED
        if turn is Turn.COMMITTED:
            self._failures = 0
            self._commits += 1
            if self._commits % COMMITS_TO_DOUBLE == 0:
                self._halvings = max(self._halvings - 1, 0)
        return turn

    def close(self) -> None:
        """Abort what is open, drop state and clients. The next turn would join anew."""
        session, self._session = self._session, None
        self._drop_state()
        if session is not None:
            session.producer.abort()
            session.producer.close()
            session.consumer.close()

    def folds(self) -> dict[TopicPartition, Fold]:
        """The folds of the partitions this process owns now."""
        return {owned.at: owned.fold for owned in self._owned.values()}

    # --- one turn

    def _take_turn(self, session: _Session[Token]) -> Turn:
        # 1. Read a batch. Rebalances are served inside.
        early_s = self._next_begin_s - self._pacer.now_s()
        if early_s > 0:
            self._pacer.wait(early_s)
        # After failures fewer, since it may be the size that a transaction had no time for.
        records_max = max(self._plan.batch_records_max >> self._halvings, 1)
        batch = session.consumer.poll(records_max, self._plan.poll_timeout_ms)
        if not batch.records:
            self._note_markers_if_due(session)
            self._report_lag_if_due(session)
            self._snapshot_if_due()
            return Turn.IDLE
        self._next_begin_s = self._pacer.now_s() + self._plan.transaction_interval_s
        done = 0
        while done < len(batch.records):
            done += self._commit_part(session, batch, done)
        session.token, session.quiet_since_s = batch.token, self._pacer.now_s()
        self._report_lag_if_due(session)
        self._snapshot_if_due()
        return Turn.COMMITTED

    def _commit_part(self, session: _Session[Token], batch: Batch[Token], start: int) -> int:
        """One transaction: records of the batch from `start` on; returns how many it took.

        Nearly always all of them. A few commands may say very much (each cancels thousands of
        orders, say), and a transaction has no time for more than so many outputs.
        """
        started_s = self._pacer.now_s()
        traces = self._ports.traces
        if traces is not None:
            traces.begin()
        session.producer.begin()
        # 2-4. Decode, fold, encode.
        records, offsets, outgoing = self._fold(batch.records, start)
        folded_s = self._pacer.now_s()
        # 5. Produce.
        session.producer.send(outgoing)
        # 6. Offsets into the transaction, 7. commit.
        self._commit(session, offsets, batch.token)
        if traces is not None:
            traces.committed()
        self._telemetry.observe(FOLD_SECONDS, folded_s - started_s)
        self._telemetry.observe(TRANSACTION_SECONDS, self._pacer.now_s() - started_s)
        self._count(records, offsets, outgoing)
        return len(records)

    def _note_markers_if_due(self, session: _Session[Token]) -> None:
        """Commit where the log goes on behind the last records, when nothing came for a while."""
        if session.token is None or not self._owned:
            return
        if self._pacer.now_s() - session.quiet_since_s < MARKERS_NOTED_AFTER_S:
            return
        session.quiet_since_s = self._pacer.now_s()
        offsets: dict[tuple[str, int], int] = {}
        for place, owned in self._owned.items():
            offset = self._ports.past_markers(owned.at, owned.offset)
            if offset > owned.offset:
                offsets[place] = offset
        if offsets:
            session.producer.begin()
            self._commit(session, offsets, session.token)

    def _commit(
        self, session: _Session[Token], offsets: Mapping[tuple[str, int], int], token: Token
    ) -> None:
        moved = {TopicPartition(*place): offset for place, offset in offsets.items()}
        session.producer.send_offsets(moved, token)
        session.producer.commit()
        for place, offset in offsets.items():
            self._owned[place].offset = offset

    def _fold(
        self, records: Sequence[Record], start: int
    ) -> tuple[Sequence[Record], dict[tuple[str, int], int], list[Outgoing]]:
        """The records folded, of each partition the next offset to read, and all outputs."""
        outgoing: list[Outgoing] = []
        offsets: dict[tuple[str, int], int] = {}
        traces = self._ports.traces
        end = start
        while end < len(records) and len(outgoing) < self._plan.outputs_max:
            record = records[end]
            place = (record.topic, record.partition)
            offsets[place] = record.offset + 1
            said = self._owned[place].fold.handle(record)
            outgoing.extend(said if traces is None else traces.carry(record, said))
            end += 1
        for place in offsets:
            outgoing.extend(self._owned[place].fold.at_batch_end())
        return records[start:end], offsets, outgoing

    def _count(
        self,
        records: Sequence[Record],
        offsets: dict[tuple[str, int], int],
        outgoing: Sequence[Outgoing],
    ) -> None:
        telemetry = self._telemetry
        telemetry.observe(BATCH_RECORDS, len(records))
        for topic, count in Counter(record.topic for record in records).items():
            telemetry.count(RECORDS_CONSUMED, count, topic=topic)
            oldest_ms = min(record.timestamp_ms for record in records if record.topic == topic)
            telemetry.observe_age(RECORD_AGE_SECONDS, oldest_ms, topic=topic)
        for topic, count in Counter(record.topic for record in outgoing).items():
            telemetry.count(RECORDS_PRODUCED, count, topic=topic)
        for (topic, partition), offset in offsets.items():
            telemetry.set(COMMITTED_OFFSET, offset, topic=topic, partition=str(partition))

    def _report_lag_if_due(self, session: _Session[Token]) -> None:
        """How far each partition is from its end, at most once a second."""
        now_s = self._pacer.now_s()
        if now_s < self._lag_due_s:
            return
        self._lag_due_s = now_s + LAG_INTERVAL_S
        for at, end in session.consumer.ends().items():
            owned = self._owned.get((at.topic, at.partition))
            if owned is not None:
                lag = max(0, end - owned.offset)
                place = {"topic": at.topic, "partition": str(at.partition)}
                self._telemetry.set(LAG_OFFSETS, lag, **place)

    # --- joining, taking over, giving up

    def _join(self) -> _Session[Token]:
        producer = self._ports.make_producer()
        consumer = self._ports.make_consumer()

        def on_assigned(partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
            return self._take_over(consumer, producer, partitions)

        def on_revoked(partitions: Sequence[TopicPartition]) -> None:
            producer.abort()
            self._drop_state()
            if self._session is not None:
                self._session.token = None
            self._telemetry.log.info("partitions_revoked", partitions=len(partitions))

        consumer.subscribe(self._plan.topics, on_assigned, on_revoked)
        self._telemetry.log.info("joining", topics=list(self._plan.topics))
        return _Session(consumer, producer)

    def _take_over(
        self,
        consumer: Consumer[Token],
        producer: Producer[Token],
        partitions: Sequence[TopicPartition],
    ) -> dict[TopicPartition, int]:
        """Joined; now the transactional ids, then the committed offsets, then the folds."""
        self._drop_state()
        self._persist(producer.initialise)
        committed = self._persist(lambda: consumer.committed(partitions))
        interval_s = self._plan.snapshot_interval_s
        restorer = self._ports.restorer
        for number, at in enumerate(partitions, start=1):
            restored = self._persist(
                partial(restore_committed, restorer, at, committed[at], consumer.committed)
            )
            self._owned[at.topic, at.partition] = _Owned(
                at,
                restored.fold,
                restored.offset,
                restored.topic_id,
                restored.snapshot_offset,
                # Spread, so that one turn does not dump every state.
                self._pacer.now_s() + interval_s * number / len(partitions),
            )
        self._telemetry.ready.set()
        self._telemetry.log.info("partitions_assigned", partitions=len(partitions))
        return {owned.at: owned.offset for owned in self._owned.values()}

    def _persist[T](self, ask: Callable[[], T]) -> T:
        """Ask again while the broker does not answer; there is no state to lose yet."""
        for tried in range(1, TAKEOVER_TRIES_MAX + 1):
            try:
                return ask()
            except RetriableError as error:
                self._telemetry.log.warning("takeover_waits", error=str(error), tried=tried)
                if self._pacer.stopping():
                    raise RestoreInterruptedError from error
                self._pacer.wait(backoff_s(tried))
        raise RestoreNeededError("taking over did not come to an end; join again")

    def _drop_state(self) -> None:
        self._telemetry.ready.clear()
        for owned in self._owned.values():
            # Of what is another's now it would say for ever what was once true.
            place = {"topic": owned.at.topic, "partition": str(owned.at.partition)}
            self._telemetry.forget(LAG_OFFSETS, **place)
        self._owned = {}

    def _back_off(self, doing: str, error: OperatingError) -> None:
        self._failures += 1
        pause_s = backoff_s(self._failures)
        self._telemetry.log.warning(
            doing, error=str(error), kind=type(error).__name__, pause_s=pause_s
        )
        self._pacer.wait(pause_s)

    # --- snapshots

    def _snapshot_if_due(self) -> None:
        """At most one a turn."""
        if self._ports.offer_snapshot is None:
            return
        now_s = self._pacer.now_s()
        for owned in self._owned.values():
            if owned.snapshot_due_s <= now_s and owned.offset > owned.snapshot_offset:
                owned.snapshot_due_s = now_s + self._plan.snapshot_interval_s
                if not self._ports.is_followed():
                    self._snapshot(owned, self._ports.offer_snapshot)
                return

    def _snapshot_all(self) -> None:
        """At a clean stop, so that the next start has no tail to fold."""
        if self._ports.offer_snapshot is not None and not self._ports.is_followed():
            for owned in self._owned.values():
                if owned.offset > owned.snapshot_offset:
                    self._snapshot(owned, self._ports.offer_snapshot)

    def _snapshot(self, owned: _Owned, offer: Callable[[Snapshot], None]) -> None:
        owned.snapshot_offset = owned.offset
        room, factory = self._plan.room, self._factory
        offer(snapshot_of(room, factory, owned.at, owned.fold, owned.offset, owned.topic_id))


def backoff_s(failures: int) -> float:
    """How long to wait after this many failures in a row (1 or more): doubling, bounded."""
    return float(min(BACKOFF_S_MIN * 2 ** min(failures - 1, 20), BACKOFF_S_MAX))

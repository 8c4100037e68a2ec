"""A second process of a room that folds the same committed input, with outputs held back.

It takes the room's snapshots, so that the process that works makes no pause for them, and stands
by with folds that are nearly where the group is.

It never folds past the group's committed offset: of what lies beyond, the outputs are not yet in
the log, and a fold that had swallowed it could not say them any more. So it reads ahead into a
bounded queue, asks every 50 ms how far the group is, and folds up to there. What it hands over at a
takeover is at most that far behind, and the rest lies in its queue.
"""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from services.runtime.errors import RetriableError
from services.runtime.loop import LoopPlan, backoff_s
from services.runtime.ports import Fold, FoldFactory, LogReader, Record, Snapshot, TopicPartition
from services.runtime.restore import FoldRestorer, Pacer, Restored, restore_committed, snapshot_of
from services.runtime.telemetry import RESTORE_SECONDS, RESTORES, STANDING_BY, Telemetry

COMMITTED_ASKED_S: Final = 0.05
READ_WAIT_MS: Final = 20
"""How late the death of the leader is noticed, at most, beside one step of folding."""
READ_RECORDS_MAX: Final = 500
FOLDED_RECORDS_MAX: Final = 500
"""Of one turn, some 50 ms of work: then the lock is tried again."""
AHEAD_RECORDS_MAX: Final = 20_000
"""Read and not yet committed by the group; then it reads no further."""
CATCH_UP_S_MAX: Final = 2.0
"""How long a takeover waits for the tail before it restores in the ordinary way."""


class Tail(Protocol):
    """Committed records of many partitions as they come; `kafka_tail.KafkaGroupTail` is one."""

    def start(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Read from these offsets on."""

    def read(self, records_max: int, timeout_ms: int) -> Sequence[Record]:
        """What has arrived, in order within each partition; waits only for the first.

        Raises:
            RetriableError: the broker does not answer for now.
            HistoryLostError: the log no longer reaches back to the position.
        """

    def committed(self, partitions: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
        """The group's committed offsets, which may be early but never ahead; -1: none.

        Raises:
            RetriableError: the broker does not answer for now.
        """

    def close(self) -> None:
        """Give up the connection. Never raises."""


@dataclass
class _Followed:
    """An input partition and its fold."""

    at: TopicPartition
    fold: Fold
    offset: int
    """Every offset below is folded, and was committed by the group."""
    topic_id: str
    snapshot_offset: int
    snapshot_due_s: float
    committed: int
    ahead: deque[Record] = field(default_factory=deque)


class Follower:
    """Follows all partitions of a room's input. Called from one thread.

    Args:
        offer_snapshot: takes a snapshot without blocking; None where none are kept.
    """

    def __init__(
        self,
        plan: LoopPlan,
        partitions: Sequence[TopicPartition],
        tail: Tail,
        restorer: FoldRestorer,
        factory: FoldFactory,
        offer_snapshot: Callable[[Snapshot], None] | None,
        telemetry: Telemetry,
        pacer: Pacer,
    ) -> None:
        self._plan = plan
        self._partitions = list(partitions)
        self._tail = tail
        self._restorer = restorer
        self._factory = factory
        self._offer = offer_snapshot
        self._telemetry = telemetry
        self._pacer = pacer
        self._followed: dict[TopicPartition, _Followed] = {}
        self._asked_s = 0.0
        self._failures = 0
        self._closed = False

    def run(self, may_lead: Callable[[], bool]) -> bool:
        """Follow until this process may lead; False: asked to stop first.

        Raises:
            FatalError: a person has to act.
            RestoreInterruptedError: asked to stop during a restore.
        """
        self._telemetry.set(STANDING_BY, 1)
        try:
            while not self._pacer.stopping():
                if may_lead():
                    return True
                self.follow_once()
            self._snapshot_all()
            return False
        finally:
            self._telemetry.set(STANDING_BY, 0)

    def follow_once(self) -> None:
        """One turn: read, ask how far the group is, fold up to there, snapshot if one is due."""
        try:
            if not self._followed:
                self._begin()
            self._read()
            self._ask()
            self._fold(FOLDED_RECORDS_MAX)
        except RetriableError as error:
            self._failures += 1
            pause_s = backoff_s(self._failures)
            self._telemetry.log.warning("following_waits", error=str(error), pause_s=pause_s)
            self._pacer.wait(pause_s)
            return
        self._failures = 0
        self._snapshot_if_due()

    def folds(self) -> dict[TopicPartition, tuple[Fold, int]]:
        """The folds, and up to which offset each has folded."""
        return {at: (followed.fold, followed.offset) for at, followed in self._followed.items()}

    # --- following

    def _begin(self) -> None:
        committed = self._tail.committed(self._partitions)
        interval_s = self._plan.snapshot_interval_s
        found: dict[TopicPartition, _Followed] = {}
        for number, at in enumerate(self._partitions, start=1):
            restored = restore_committed(self._restorer, at, committed[at], self._tail.committed)
            due_s = self._pacer.now_s() + interval_s * number / len(self._partitions)
            found[at] = _Followed(
                at,
                restored.fold,
                restored.offset,
                restored.topic_id,
                restored.snapshot_offset,
                due_s,
                restored.offset,
            )
        self._tail.start({at: followed.offset for at, followed in found.items()})
        self._followed = found
        self._telemetry.ready.set()
        self._telemetry.log.info("following", partitions=len(found))

    def _read(self) -> None:
        waiting = sum(len(followed.ahead) for followed in self._followed.values())
        if waiting >= AHEAD_RECORDS_MAX:
            self._pacer.wait(READ_WAIT_MS / 1_000)
            return
        for record in self._tail.read(READ_RECORDS_MAX, READ_WAIT_MS):
            followed = self._followed.get(TopicPartition(record.topic, record.partition))
            if followed is not None:  # else it is given away already
                followed.ahead.append(record)

    def _ask(self) -> None:
        now_s = self._pacer.now_s()
        behind = [at for at, followed in self._followed.items() if followed.ahead]
        if behind and now_s - self._asked_s >= COMMITTED_ASKED_S:
            self._asked_s = now_s
            for at, offset in self._tail.committed(behind).items():
                self._followed[at].committed = offset

    def _fold(self, records_max: int) -> None:
        left = records_max
        for followed in self._followed.values():
            left -= _fold_committed(followed, left)

    def _snapshot_if_due(self) -> None:
        """At most one a turn."""
        now_s = self._pacer.now_s()
        for followed in self._followed.values():
            if followed.snapshot_due_s <= now_s and followed.offset > followed.snapshot_offset:
                followed.snapshot_due_s = now_s + self._plan.snapshot_interval_s
                self._snapshot(followed)
                return

    def _snapshot_all(self) -> None:
        for followed in self._followed.values():
            if followed.offset > followed.snapshot_offset:
                self._snapshot(followed)

    def _snapshot(self, followed: _Followed) -> None:
        if self._offer is None:
            return
        followed.snapshot_offset = followed.offset
        self._offer(
            snapshot_of(
                self._plan.room,
                self._factory,
                followed.at,
                followed.fold,
                followed.offset,
                followed.topic_id,
            )
        )

    # --- handing over

    def hand_over(self, at: TopicPartition, committed: int) -> Restored | None:
        """Give away a partition's fold at the committed offset; None: it is not to be had.

        The outputs of everything below `committed` must be in the log: called in a takeover, with
        the offsets that it read. Blocks for as long as the tail takes, 2 s at most.
        """
        followed = self._followed.get(at)
        if followed is None:
            self.close()  # given away before: another session of the loop, so the rest is stale
            return None
        end = followed.committed = max(committed, 0)
        if followed.offset > end:
            return None
        give_up_at_s = self._pacer.now_s() + CATCH_UP_S_MAX
        _fold_committed(followed, AHEAD_RECORDS_MAX)
        while followed.offset < end:
            if self._pacer.now_s() > give_up_at_s or self._pacer.stopping():
                return None
            self._read()
            _fold_committed(followed, AHEAD_RECORDS_MAX)
        del self._followed[at]
        if not self._followed:
            self.close()
        return Restored(followed.fold, end, followed.topic_id, "follower", followed.snapshot_offset)

    def close(self) -> None:
        """Forget what is left, and give up the connection. Safe to repeat."""
        self._followed = {}
        if not self._closed:
            self._closed = True
            self._tail.close()


def _fold_committed(followed: _Followed, records_max: int) -> int:
    """Fold what is read and committed, its outputs held back; returns how many records."""
    folded = 0
    ahead, committed, handle = followed.ahead, followed.committed, followed.fold.handle
    while folded < records_max and ahead and ahead[0].offset < committed:
        record = ahead.popleft()
        handle(record)
        followed.offset = record.offset + 1
        folded += 1
    return folded


class HandedOver:
    """`restore.FoldRestorer`: takes a follower's folds once, and restores as `ordinary` does else.

    A fold that was given away moves with the loop that has it, so the next takeover of this process
    restores in the ordinary way.
    """

    def __init__(
        self,
        follower: Follower,
        ordinary: FoldRestorer,
        reader: LogReader,
        telemetry: Telemetry,
        pacer: Pacer,
    ) -> None:
        self._follower = follower
        self._ordinary = ordinary
        self._reader = reader
        self._telemetry = telemetry
        self._pacer = pacer

    def restore(self, at: TopicPartition, committed: int) -> Restored:
        """Raises as `Restorer.restore`, which also refuses a topic made anew meanwhile."""
        started_s = self._pacer.now_s()
        restored = self._follower.hand_over(at, committed)
        if restored is None or self._reader.topic_id(at.topic) != restored.topic_id:
            return self._ordinary.restore(at, committed)
        seconds = self._pacer.now_s() - started_s
        place = {"topic": at.topic, "partition": str(at.partition)}
        self._telemetry.count(RESTORES, source=restored.source)
        self._telemetry.set(RESTORE_SECONDS, seconds, **place)
        self._telemetry.log.info(
            "restored", **place, source=restored.source, offset=restored.offset,
            seconds=round(seconds, 3),
        )  # fmt: skip
        return restored

"""Is a snapshot what the log says? Each one against a replay from zero, and taken anew from it."""

from collections.abc import Callable, Iterable
from typing import Final

import msgspec

from services.matcher.service import make_folds as make_matcher_folds
from services.risk.service import make_folds as make_risk_folds
from services.runtime.fold import FoldMaker
from services.runtime.ports import (
    Fold,
    FoldFactory,
    LogReader,
    Record,
    Snapshot,
    Snapshots,
    TopicPartition,
)
from services.runtime.restore import (
    Pacer,
    Restorer,
    hash_state,
    load_state,
    snapshot_of,
)
from services.runtime.telemetry import Telemetry
from services.wire.topics import ACCOUNTS, MATCHING, Topic

STATEFUL: Final[dict[str, tuple[FoldMaker, Topic]]] = {
    "risk": (make_risk_folds, ACCOUNTS),
    "matcher": (make_matcher_folds, MATCHING),
}
"""Rooms that keep snapshots: their folds, and the topic they fold."""

type Progress = Callable[[int], None]
"""Takes the number of records folded so far."""


class Judged(msgspec.Struct, frozen=True):
    """One snapshot and what is wrong with it."""

    room: str
    topic: str
    partition: int
    offset: int
    fault: str = ""
    """Empty: it is what a replay from zero gives, at its own offset and at the committed one."""


class VerifiedPartition(msgspec.Struct, frozen=True):
    """A replay of one partition from zero, and its snapshots beside it."""

    room: str
    topic: str
    partition: int
    committed: int
    """Up to where the group has come, and this replay went."""
    records: int
    state_hash: str
    """Of the replayed state there."""
    snapshots: list[Judged]
    fault: str = ""
    """Why the log itself can't be folded; empty if it can."""

    @property
    def first_fault(self) -> str:
        """The first thing wrong, with its place; empty: nothing."""
        at = f"{self.room} {self.topic}/{self.partition}"
        if self.fault:
            return f"{at}: {self.fault}"
        return next(
            (f"{at} snapshot at {s.offset}: {s.fault}" for s in self.snapshots if s.fault), ""
        )


class TakenSnapshot(msgspec.Struct, frozen=True):
    """A snapshot made from the log, outside the room."""

    room: str
    topic: str
    partition: int
    offset: int
    state_bytes: int
    state_hash: str
    source: str
    """What it was made from: an earlier snapshot and the tail, or the log alone."""


def verify_partition(
    room: str,
    factory: FoldFactory,
    at: TopicPartition,
    log: LogReader,
    kept: Iterable[Snapshot],
    committed: int,
    progress: Progress = lambda _records: None,
) -> VerifiedPartition:
    """Replay from zero to the committed offset; every snapshot is held against it twice.

    At its own offset its bytes must be the replayed state's; and its fold, fed the tail, must come
    to the same end. Blocks; holds one fold more for each good snapshot.

    Raises:
        HistoryLostError: neither Kafka nor the archive reaches back to zero.
        RetriableError: Kafka or PostgreSQL does not answer.
    """
    topic_id = log.topic_id(at.topic)
    judged: list[Judged] = []
    waiting: list[tuple[Snapshot, Fold]] = []
    for snapshot in sorted(kept, key=lambda s: s.offset):
        try:
            waiting.append((snapshot, _load(factory, at, snapshot, topic_id, committed)))
        except ValueError as refused:
            judged.append(Judged(room, at.topic, at.partition, snapshot.offset, str(refused)))
    replay = _Replay(factory.fresh(at), waiting)
    fault = ""
    try:
        for chunk in log.read(at, 0, max(committed, 0)):
            for record in chunk:
                replay.pass_by(record.offset)
                replay.handle(record)
            progress(replay.records)
        replay.pass_by(committed)
    except AssertionError as broken:
        fault = " ".join(str(broken).split())
    final = replay.full.dump()
    for snapshot, _ in waiting:
        found = replay.faults.get(snapshot.offset, "")
        if not found and not fault and replay.restored[snapshot.offset].dump() != final:
            found = f"with the tail up to {committed} it gives another state than the whole log"
        judged.append(Judged(room, at.topic, at.partition, snapshot.offset, found))
    judged.sort(key=lambda one: one.offset)
    return VerifiedPartition(
        room, at.topic, at.partition, committed, replay.records, hash_state(final), judged, fault
    )


def _load(
    factory: FoldFactory, at: TopicPartition, snapshot: Snapshot, topic_id: str, committed: int
) -> Fold:
    if snapshot.topic_id != topic_id:
        raise ValueError(f"it is of another topic of this name, {snapshot.topic_id}")
    if snapshot.offset > committed:
        raise ValueError(f"it is ahead of the committed offset {committed}")
    return load_state(factory, at, snapshot)


class _Replay:
    """The fold of everything, and beside it the fold of each snapshot from its offset on."""

    def __init__(self, full: Fold, waiting: list[tuple[Snapshot, Fold]]) -> None:
        self.full = full
        self.records = 0
        self.restored: dict[int, Fold] = {}
        self.faults: dict[int, str] = {}
        self._waiting = list(waiting)

    def pass_by(self, offset: int) -> None:
        """Every record below this offset is folded: hold the snapshots up to there against it."""
        while self._waiting and self._waiting[0][0].offset <= offset:
            snapshot, fold = self._waiting.pop(0)
            # Of an earlier format, the bytes are compared as the present one writes them.
            if fold.dump() != self.full.dump():
                self.faults[snapshot.offset] = "its state is not what the log gives at its offset"
            self.restored[snapshot.offset] = fold

    def handle(self, record: Record) -> None:
        """One record, to all."""
        self.records += 1
        for fold in (self.full, *self.restored.values()):
            fold.handle(record)


class FromZero:
    """`ports.Snapshots` that shows none of them: what is left is the log."""

    def __init__(self, store: Snapshots) -> None:
        self._store = store

    def put(self, snapshot: Snapshot) -> None:
        """Kept as ever."""
        self._store.put(snapshot)

    def newest(self, room: str, topic: str, partition: int, limit: int) -> list[Snapshot]:
        """None."""
        del room, topic, partition, limit
        return []

    def remember_topic(self, topic: str, topic_id: str) -> str:
        """As ever: another topic of this name is refused."""
        return self._store.remember_topic(topic, topic_id)

    def close(self) -> None:
        """As ever."""
        self._store.close()


def take_snapshot(
    room: str,
    factory: FoldFactory,
    at: TopicPartition,
    log: LogReader,
    store: Snapshots,
    committed: int,
    telemetry: Telemetry,
    pacer: Pacer,
) -> TakenSnapshot | None:
    """Fold the committed input as a restore would, and store the state; None: nothing is committed.

    Safe while the room runs: what it makes is of a committed position.

    Raises: as `Restorer.restore`.
    """
    if committed <= 0:
        return None
    restored = Restorer(room, factory, log, store, telemetry, pacer).restore(at, committed)
    snapshot = snapshot_of(room, factory, at, restored.fold, committed, restored.topic_id)
    store.put(snapshot)
    return TakenSnapshot(
        room,
        at.topic,
        at.partition,
        committed,
        len(snapshot.state),
        snapshot.state_hash,
        restored.source,
    )

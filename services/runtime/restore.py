"""Bringing a fold to the committed offset: the newest good snapshot, then the tail of the log.

The tail is folded with outputs held back: they were committed together with the offsets. A
snapshot is only a shortcut, so a bad one is passed over for the one before it, and without any
the whole log is folded. One of an earlier format is brought to the present one first.
"""

from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b
from typing import Final, Literal, Protocol

import msgspec

from services.runtime.errors import (
    ConfigurationError,
    HistoryLostError,
    OffsetsLostError,
    RetriableError,
)
from services.runtime.ports import (
    Fold,
    FoldFactory,
    LogReader,
    Snapshot,
    Snapshots,
    TopicPartition,
)
from services.runtime.telemetry import RESTORE_SECONDS, RESTORES, Telemetry

SNAPSHOTS_TRIED: Final = 5
NO_COMMITTED_OFFSET: Final = -1

UNREADABLE: Final = (ValueError, LookupError, TypeError, AssertionError, msgspec.MsgspecError)
"""What a load raises for bytes that are no state, whatever their hash."""

type AskCommitted = Callable[[Sequence[TopicPartition]], Mapping[TopicPartition, int]]
"""Of the group: its committed offsets, -1 where there is none."""
type Source = Literal["snapshot", "log", "nothing", "follower"]


class RestoreInterruptedError(Exception):
    """The room was asked to stop meanwhile. No fault: nothing was written."""


class Pacer(Protocol):
    """Time, for the loop: how late it is, waiting, and whether to stop. The only clock it has."""

    def now_s(self) -> float:
        """Monotonic seconds from an arbitrary point."""

    def wait(self, seconds: float) -> None:
        """Let time pass; returns at once when asked to stop."""

    def stopping(self) -> bool:
        """Whether the room was asked to stop."""


class Restored(msgspec.Struct, frozen=True):
    """A fold that stands at the committed offset."""

    fold: Fold
    offset: int
    """The next offset to read."""
    topic_id: str
    source: Source
    snapshot_offset: int
    """Where its newest good snapshot stands; 0: there is none, nor a need of one at 0."""


def hash_state(state: bytes) -> str:
    """Hexadecimal BLAKE2b-256."""
    return blake2b(state, digest_size=32).hexdigest()


def first_good[T](
    newest: Callable[[int], Sequence[Snapshot]],
    load: Callable[[Snapshot], T],
    telemetry: Telemetry,
) -> tuple[Snapshot, T] | None:
    """The newest snapshot that loads; each before it is said in the log and passed over.

    Args:
        newest: up to so many, highest offset first.
        load: raises ValueError with the cause for one that is not good.
        telemetry: of the room that asks.
    """
    tried: set[int] = set()
    # A state may have tens of megabytes: those behind the newest are asked for when it is bad.
    for limit in (1, SNAPSHOTS_TRIED):
        for snapshot in newest(limit):
            if snapshot.offset in tried:
                continue
            tried.add(snapshot.offset)
            try:
                return snapshot, load(snapshot)
            except ValueError as fault:
                telemetry.log.warning(
                    "snapshot_refused", topic=snapshot.topic, partition=snapshot.partition,
                    offset=snapshot.offset, cause=str(fault),
                )  # fmt: skip
        if len(tried) < limit:
            break
    return None


def require_topic(snapshot: Snapshot, topic_id: str) -> None:
    """Raises ValueError for one of a topic that is gone."""
    if snapshot.topic_id != topic_id:
        raise ValueError(f"it is of another topic of this name, {snapshot.topic_id}")


def require_hash(snapshot: Snapshot) -> None:
    """Raises ValueError for a damaged state."""
    if hash_state(snapshot.state) != snapshot.state_hash:
        raise ValueError("its state does not have its hash")


def load_state(factory: FoldFactory, at: TopicPartition, snapshot: Snapshot) -> Fold:
    """The fold of a snapshot's state, through every migration that it needs.

    Raises:
        ValueError: it has another hash, a format this version can't read, or is no state at all.
    """
    require_hash(snapshot)
    state, readable = snapshot.state, factory.format_version
    if snapshot.format_version > readable:
        raise ValueError(
            f"its format version is {snapshot.format_version}, and this version of Outcry reads up"
            f" to {readable}"
        )
    try:
        for version in range(snapshot.format_version, readable):
            state = factory.migrations[version](state)
        fold = factory.load(at, state)
    except UNREADABLE as error:
        raise ValueError(f"it can't be read: {type(error).__name__}: {error}") from error
    if fold.genesis_hash() != snapshot.genesis_hash:
        raise ValueError("its genesis is not the one it states")
    return fold


def snapshot_of(
    room: str, factory: FoldFactory, at: TopicPartition, fold: Fold, offset: int, topic_id: str
) -> Snapshot:
    """The fold's state in its envelope. Blocks for as long as the dump takes."""
    state = fold.dump()
    return Snapshot(
        room=room,
        topic=at.topic,
        partition=at.partition,
        offset=offset,
        topic_id=topic_id,
        format_version=factory.format_version,
        genesis_hash=fold.genesis_hash(),
        state=state,
        state_hash=hash_state(state),
    )


class FoldRestorer(Protocol):
    """What the loop asks for its folds at a takeover."""

    def restore(self, at: TopicPartition, committed: int) -> Restored:
        """The fold of everything below the committed offset. As `Restorer.restore`."""


def restore_committed(
    restorer: FoldRestorer, at: TopicPartition, committed: int, ask: AskCommitted
) -> Restored:
    """Restores at `committed`, and at what `ask` says if that seems to be lost.

    Since the offset was asked for, another process of this identity may have committed the
    group's first, and kept a snapshot of it. Raises as `Restorer.restore`.
    """
    try:
        return restorer.restore(at, committed)
    except OffsetsLostError:
        again = ask([at])[at]
        if again == committed:
            raise
        return restorer.restore(at, again)


def past_markers(reader: LogReader, at: TopicPartition, offset: int) -> int:
    """The stable end of a partition, if no record stands between `offset` and it; else `offset`.

    Raises:
        RetriableError: the broker does not answer for now.
        HistoryLostError: the log no longer reaches back to `offset`.
    """
    _, end = reader.bounds(at)
    if end <= offset:
        return offset
    behind = next((record for chunk in reader.read(at, offset, end) for record in chunk), None)
    return end if behind is None else offset


class Restorer:
    """Restores the folds of one room.

    Args:
        snapshots: None for a room that keeps none.
    """

    def __init__(
        self,
        room: str,
        factory: FoldFactory,
        reader: LogReader,
        snapshots: Snapshots | None,
        telemetry: Telemetry,
        pacer: Pacer,
    ) -> None:
        self._room = room
        self._factory = factory
        self._reader = reader
        self._snapshots = snapshots
        self._telemetry = telemetry
        self._pacer = pacer

    def restore(self, at: TopicPartition, committed: int) -> Restored:
        """The fold of everything below the committed offset. Blocks for as long as that takes.

        Args:
            at: the input partition.
            committed: its committed offset, -1 if there is none.

        Raises:
            ConfigurationError: the topic was deleted and made again.
            HistoryLostError: the log, or the group, no longer has what is needed.
            RetriableError: the broker does not answer for now.
            RestoreInterruptedError: asked to stop.
        """
        started_s = self._pacer.now_s()
        topic_id = self._checked_topic_id(at.topic)
        first, _ = self._reader.bounds(at)
        if committed == NO_COMMITTED_OFFSET and self._factory.stateful:
            self._refuse_lost_offsets(at, topic_id)
        end = max(committed, 0)
        snapshot, fold = self._load_newest_good(at, topic_id, end)
        start = snapshot.offset if snapshot else 0
        self._refuse_lost_history(at, first, start if self._factory.stateful else end, end)
        replayed = 0
        if self._factory.stateful:
            replayed = self._replay(fold, at, start, end)
        source: Source = "snapshot" if snapshot else "log" if replayed else "nothing"
        seconds = self._pacer.now_s() - started_s
        place = {"topic": at.topic, "partition": str(at.partition)}
        self._telemetry.count(RESTORES, source=source)
        self._telemetry.set(RESTORE_SECONDS, seconds, **place)
        self._telemetry.log.info(
            "restored", **place, source=source, snapshot_offset=start if snapshot else None,
            replayed_records=replayed, offset=end, seconds=round(seconds, 3),
        )  # fmt: skip
        return Restored(fold, end, topic_id, source, snapshot.offset if snapshot else 0)

    def _checked_topic_id(self, topic: str) -> str:
        topic_id = self._reader.topic_id(topic)
        if self._snapshots is None:
            return topic_id
        snapshots = self._snapshots
        first_seen = self._unless_away(lambda: snapshots.remember_topic(topic, topic_id), topic_id)
        if first_seen != topic_id:
            raise ConfigurationError(
                f"topic {topic} was deleted and made again (id {topic_id}, first seen as"
                f" {first_seen}): its history is gone. Begin a new deployment under another"
                " OUTCRY_TOPIC_PREFIX"
            )
        return topic_id

    def _newest(self, at: TopicPartition, limit: int) -> list[Snapshot]:
        if self._snapshots is None:
            return []
        snapshots = self._snapshots
        return self._unless_away(
            lambda: list(snapshots.newest(self._room, at.topic, at.partition, limit)), []
        )

    def _unless_away[T](self, ask: Callable[[], T], otherwise: T) -> T:
        """The store's answer. Without a store the log alone must do."""
        try:
            return ask()
        except RetriableError as error:
            self._telemetry.log.warning("snapshot_store_away", error=str(error))
            return otherwise

    def _refuse_lost_history(self, at: TopicPartition, first: int, needed: int, end: int) -> None:
        """Whether the log still has what lies between the snapshot and the committed offset."""
        if needed >= first:
            return
        place = f"{at.topic}/{at.partition} begins at offset {first} and {needed} is needed"
        if end < first:
            raise HistoryLostError(
                f"{place}: retention has taken records before {self._room} acted on them. Begin a"
                " new deployment under another OUTCRY_TOPIC_PREFIX, or accept the loss by moving"
                f" the group's offset to {first} with kafka-consumer-groups.sh --reset-offsets"
            )
        raise HistoryLostError(
            f"{place}: retention has passed the newest good snapshot. Run `outcry snapshots take"
            f" --from-zero`, which makes one from PostgreSQL's archive, and start {self._room}"
            " again"
        )

    def _refuse_lost_offsets(self, at: TopicPartition, topic_id: str) -> None:
        """Snapshots are of committed positions: if there are any, offsets were committed.

        To begin at the log's start then would write every output a second time.
        """
        kept = self._newest(at, SNAPSHOTS_TRIED)
        ours = [snapshot.offset for snapshot in kept if snapshot.topic_id == topic_id]
        if any(ours):
            raise OffsetsLostError(
                f"the group's committed offset of {at.topic}/{at.partition} is gone, and a"
                f" snapshot says it was at least {max(ours)}. Set it with"
                " kafka-consumer-groups.sh --reset-offsets to the offset after the last one whose"
                " outputs are in the log"
            )

    def _load_newest_good(
        self, at: TopicPartition, topic_id: str, committed: int
    ) -> tuple[Snapshot | None, Fold]:
        found = None
        if self._factory.stateful:
            found = first_good(
                lambda limit: self._newest(at, limit),
                lambda snapshot: self._load(at, snapshot, topic_id, committed),
                self._telemetry,
            )
        return found or (None, self._factory.fresh(at))

    def _load(self, at: TopicPartition, snapshot: Snapshot, topic_id: str, committed: int) -> Fold:
        """The snapshot's fold; ValueError says why not."""
        place = (snapshot.room, snapshot.topic, snapshot.partition)
        if place != (self._room, at.topic, at.partition):
            raise ValueError(f"it is of {'/'.join(map(str, place))}")
        if snapshot.offset > committed:
            raise ValueError(f"it is ahead of the committed offset {committed}")
        require_topic(snapshot, topic_id)
        return load_state(self._factory, at, snapshot)

    def _replay(self, fold: Fold, at: TopicPartition, start: int, end: int) -> int:
        replayed = 0
        for chunk in self._reader.read(at, start, end):
            for record in chunk:
                fold.handle(record)
            replayed += len(chunk)
            if self._pacer.stopping():
                raise RestoreInterruptedError
        return replayed

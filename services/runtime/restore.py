"""Bringing a fold to the committed offset: the newest good snapshot, then the tail of the log.

The tail is folded with outputs held back: they were committed together with the offsets. A
snapshot is only a shortcut, so a bad one is passed over for the one before it, and without any
the whole log is folded.
"""

from collections.abc import Callable
from hashlib import blake2b
from typing import Final, Literal, Protocol

import msgspec

from services.runtime.errors import ConfigurationError, HistoryLostError, RetriableError
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

type Source = Literal["snapshot", "log", "nothing"]


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
    """Where its newest good snapshot stands; -1: there is none."""


def hash_state(state: bytes) -> str:
    """Hexadecimal BLAKE2b-256."""
    return blake2b(state, digest_size=32).hexdigest()


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
        kept = self._newest(at) if self._factory.stateful else []
        first, _ = self._reader.bounds(at)
        if committed == NO_COMMITTED_OFFSET:
            self._refuse_lost_offsets(at, kept, topic_id)
        end = max(committed, 0)
        snapshot, fold = self._load_newest_good(at, kept, topic_id, end)
        start = snapshot.offset if snapshot else 0
        needed = start if self._factory.stateful else end
        if needed < first:
            raise HistoryLostError(
                f"{at.topic}/{at.partition} begins at offset {first} and {needed} is needed:"
                " retention has passed. Bring back PostgreSQL with its snapshots, or begin a new"
                " deployment under another OUTCRY_TOPIC_PREFIX"
            )
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
        return Restored(fold, end, topic_id, source, snapshot.offset if snapshot else -1)

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

    def _newest(self, at: TopicPartition) -> list[Snapshot]:
        if self._snapshots is None:
            return []
        snapshots = self._snapshots
        return self._unless_away(
            lambda: list(
                snapshots.newest(self._room, at.topic, at.partition, limit=SNAPSHOTS_TRIED)
            ),
            [],
        )

    def _unless_away[T](self, ask: Callable[[], T], otherwise: T) -> T:
        """The store's answer. Without a store the log alone must do."""
        try:
            return ask()
        except RetriableError as error:
            self._telemetry.log.warning("snapshot_store_away", error=str(error))
            return otherwise

    def _refuse_lost_offsets(self, at: TopicPartition, kept: list[Snapshot], topic_id: str) -> None:
        """Snapshots are of committed positions: if there are any, offsets were committed.

        To begin at the log's start then would write every output a second time.
        """
        ours = [snapshot.offset for snapshot in kept if snapshot.topic_id == topic_id]
        if ours:
            raise HistoryLostError(
                f"the group's committed offset of {at.topic}/{at.partition} is gone, and a"
                f" snapshot says it was at least {max(ours)}. Set it with"
                " kafka-consumer-groups.sh --reset-offsets to the offset after the last one whose"
                " outputs are in the log"
            )

    def _load_newest_good(
        self, at: TopicPartition, kept: list[Snapshot], topic_id: str, committed: int
    ) -> tuple[Snapshot | None, Fold]:
        for snapshot in kept:
            fault, fold = self._load(at, snapshot, topic_id, committed)
            if fold is not None:
                return snapshot, fold
            self._telemetry.log.warning(
                "snapshot_refused", topic=at.topic, partition=at.partition,
                offset=snapshot.offset, cause=fault,
            )  # fmt: skip
        return None, self._factory.fresh(at)

    def _load(
        self, at: TopicPartition, snapshot: Snapshot, topic_id: str, committed: int
    ) -> tuple[str, Fold | None]:
        """The snapshot's fold, or why not."""
        if snapshot.offset > committed:
            return f"it is ahead of the committed offset {committed}", None
        if snapshot.topic_id != topic_id:
            return f"it is of another topic of this name, {snapshot.topic_id}", None
        if snapshot.format_version != self._factory.format_version:
            return f"its format version is {snapshot.format_version}", None
        if hash_state(snapshot.state) != snapshot.state_hash:
            return "its state does not have its hash", None
        try:
            fold = self._factory.load(at, snapshot.state)
        except (ValueError, msgspec.MsgspecError) as error:
            return f"it can't be read: {error}", None
        if fold.genesis_hash() != snapshot.genesis_hash:
            return "its genesis is not the one it states", None
        return "", fold

    def _replay(self, fold: Fold, at: TopicPartition, start: int, end: int) -> int:
        replayed = 0
        for chunk in self._reader.read(at, start, end):
            for record in chunk:
                fold.handle(record)
            replayed += len(chunk)
            if self._pacer.stopping():
                raise RestoreInterruptedError
        return replayed

"""Where a process can be hit: before and after each numbered step of the loop.

A tap is told of each step as it comes and as it is done. It may raise what the step could raise,
let the process die there, or let time and other processes go on while this one stands still.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, Literal, Protocol, get_args

from services.runtime.ports import (
    Batch,
    Consumer,
    Fold,
    FoldFactory,
    LogReader,
    Outgoing,
    Producer,
    Record,
    TopicPartition,
)

type Step = Literal[
    "initialise", "committed", "read", "poll", "begin", "fold", "views", "send", "send_offsets",
    "commit", "snapshot",
]  # fmt: skip
"""Taking over: initialise, committed, read. A turn: poll to commit; then a snapshot."""
type When = Literal["before", "after"]

TAPPED_STEPS: Final[tuple[Step, ...]] = get_args(Step.__value__)
"""Every step. Of the loop's own numbers, `fold` is decoding, folding and encoding in one."""
TURN_STEPS: Final[tuple[Step, ...]] = ("poll", "begin", "fold", "send", "send_offsets", "commit")


class Killed(BaseException):
    """The process is no more: nothing of it runs, nothing is cleaned up."""


class Tap(Protocol):
    """Hears of a process's steps, and may raise instead of letting it go on."""

    def at(self, step: Step, when: When) -> None: ...


class TappedProducer[Token]:
    """`ports.Producer` that tells a tap."""

    def __init__(self, inner: Producer[Token], tap: Tap) -> None:
        self._inner = inner
        self._tap = tap

    def initialise(self) -> None:
        """Tapped."""
        self._tap.at("initialise", "before")
        self._inner.initialise()
        self._tap.at("initialise", "after")

    def begin(self) -> None:
        """Tapped."""
        self._tap.at("begin", "before")
        self._inner.begin()
        self._tap.at("begin", "after")

    def send(self, records: Sequence[Outgoing]) -> None:
        """Tapped."""
        self._tap.at("send", "before")
        self._inner.send(records)
        self._tap.at("send", "after")

    def send_offsets(self, offsets: Mapping[TopicPartition, int], token: Token) -> None:
        """Tapped."""
        self._tap.at("send_offsets", "before")
        self._inner.send_offsets(offsets, token)
        self._tap.at("send_offsets", "after")

    def commit(self) -> None:
        """Tapped."""
        self._tap.at("commit", "before")
        self._inner.commit()
        self._tap.at("commit", "after")

    def abort(self) -> None:
        """Not tapped: never raises."""
        self._inner.abort()

    def close(self) -> None:
        """Not tapped: never raises."""
        self._inner.close()


class TappedConsumer[Token]:
    """`ports.Consumer` that tells a tap."""

    def __init__(self, inner: Consumer[Token], tap: Tap) -> None:
        self._inner = inner
        self._tap = tap

    def subscribe(
        self,
        topics: Sequence[str],
        on_assigned: Callable[[Sequence[TopicPartition]], Mapping[TopicPartition, int]],
        on_revoked: Callable[[Sequence[TopicPartition]], None],
    ) -> None:
        """Not tapped: joins in the background."""
        self._inner.subscribe(topics, on_assigned, on_revoked)

    def poll(self, records_max: int, timeout_ms: int) -> Batch[Token]:
        """Tapped."""
        self._tap.at("poll", "before")
        batch = self._inner.poll(records_max, timeout_ms)
        self._tap.at("poll", "after")
        return batch

    def committed(self, partitions: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
        """Tapped."""
        self._tap.at("committed", "before")
        offsets = self._inner.committed(partitions)
        self._tap.at("committed", "after")
        return offsets

    def ends(self) -> Mapping[TopicPartition, int]:
        """Not tapped: nobody is asked."""
        return self._inner.ends()

    def close(self) -> None:
        """Not tapped: never raises."""
        self._inner.close()


class TappedReader:
    """`ports.LogReader` that tells a tap of each range read."""

    def __init__(self, inner: LogReader, tap: Tap) -> None:
        self._inner = inner
        self._tap = tap

    def bounds(self, partition: TopicPartition) -> tuple[int, int]:
        """Not tapped: the read after it is."""
        return self._inner.bounds(partition)

    def read(self, partition: TopicPartition, start: int, end: int) -> Iterator[Sequence[Record]]:
        """Tapped before the first chunk and after the last."""
        self._tap.at("read", "before")
        yield from self._inner.read(partition, start, end)
        self._tap.at("read", "after")

    def topic_id(self, topic: str) -> str:
        """Not tapped."""
        return self._inner.topic_id(topic)

    def close(self) -> None:
        """Not tapped: never raises."""
        self._inner.close()


class TappedFold:
    """`ports.Fold` that tells a tap."""

    __slots__ = ("_inner", "_tap")

    def __init__(self, inner: Fold, tap: Tap) -> None:
        self._inner = inner
        self._tap = tap

    def handle(self, record: Record) -> Sequence[Outgoing]:
        """Tapped."""
        self._tap.at("fold", "before")
        said = self._inner.handle(record)
        self._tap.at("fold", "after")
        return said

    def at_batch_end(self) -> Sequence[Outgoing]:
        """Tapped."""
        self._tap.at("views", "before")
        shown = self._inner.at_batch_end()
        self._tap.at("views", "after")
        return shown

    def dump(self) -> bytes:
        """Not tapped: the snapshot made of it is."""
        return self._inner.dump()

    def genesis_hash(self) -> str:
        """Not tapped."""
        return self._inner.genesis_hash()


class TappedFolds:
    """`ports.FoldFactory` whose folds tell a tap."""

    def __init__(self, inner: FoldFactory, tap: Tap) -> None:
        self._inner = inner
        self._tap = tap
        self.format_version = inner.format_version
        self.migrations = inner.migrations
        self.stateful = inner.stateful

    def fresh(self, partition: TopicPartition) -> Fold:
        """The fold before the partition's first record."""
        return TappedFold(self._inner.fresh(partition), self._tap)

    def load(self, partition: TopicPartition, state: bytes) -> Fold:
        """The fold from its dump."""
        return TappedFold(self._inner.load(partition, state), self._tap)

"""Between the log and a pure core: records are decoded, folded and encoded here."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from services.runtime.ports import (
    Fold,
    FoldFactory,
    Migration,
    Outgoing,
    Record,
    TopicPartition,
)
from services.wire.codec import Codec, Decoded, UndecodableError
from services.wire.messages import Message

type OnUndecodable = Callable[[Record, UndecodableError], None]
type FoldMaker = Callable[[Codec, OnUndecodable], FoldFactory]
"""Called once at start, when the schema ids are known."""


class Core(Protocol):
    """A room's state machine for one input partition: no clock, no chance, no I/O."""

    def handle(self, offset: int, decoded: Decoded[Any]) -> Sequence[Message]:
        """Fold the message at this offset of the input partition.

        Bad input is a value in what it returns; it raises only on a broken invariant.
        """

    def at_batch_end(self) -> Sequence[Message]:
        """Views of the state, at most one a key; must not change what `handle` will return."""

    def dump(self) -> bytes:
        """The state, canonical: equal states have equal bytes, whatever path led to them."""

    def genesis_hash(self) -> str:
        """Hash of the genesis this state stands on; empty before it."""


class CoreFactory(Protocol):
    """Makes a room's cores."""

    @property
    def format_version(self) -> int:
        """Of `Core.dump`, counted from 1."""

    @property
    def migrations(self) -> Mapping[int, Migration]:
        """As `ports.FoldFactory.migrations`."""

    @property
    def stateful(self) -> bool:
        """False: there is nothing to restore or to snapshot."""

    def fresh(self, partition: int) -> Core:
        """The core before the partition's first record."""

    def load(self, partition: int, state: bytes) -> Core:
        """The core from its dump.

        Raises:
            ValueError: these bytes are no dump of this format.
        """


class CodedFold:
    """A core behind the codec: `ports.Fold` for a core.

    What can't be decoded is passed over, counted and logged with its position: inboxes are
    written by rooms alone, so it is a stranger's junk, and junk must never stop a partition. The
    codec decides it from the bytes alone, so a replay passes over the same records.
    """

    def __init__(self, core: Core, codec: Codec, on_undecodable: OnUndecodable) -> None:
        self._core = core
        self._codec = codec
        self._on_undecodable = on_undecodable

    def handle(self, record: Record) -> Sequence[Outgoing]:
        """Decode, fold, encode."""
        try:
            decoded = self._codec.decode(record.topic, record.value)
        except UndecodableError as error:
            self._on_undecodable(record, error)
            return ()
        try:
            messages = self._core.handle(record.offset, decoded)
        except AssertionError as broken:
            raise _located(broken, record) from broken
        return encode_messages(self._codec, messages)

    def at_batch_end(self) -> Sequence[Outgoing]:
        """The core's views, encoded."""
        return encode_messages(self._codec, self._core.at_batch_end())

    def dump(self) -> bytes:
        """The core's state."""
        return self._core.dump()

    def genesis_hash(self) -> str:
        """The core's genesis."""
        return self._core.genesis_hash()


def _located(broken: AssertionError, record: Record) -> AssertionError:
    """The same broken invariant, with the record that it broke at: where a person has to look."""
    return AssertionError(
        f"{record.topic}/{record.partition} offset {record.offset}: {broken}. Nothing of this batch"
        " was written, and a restart stops at this record again; `outcry audit` shows what is"
        " wrong with the log"
    )


class CodedFolds:
    """`ports.FoldFactory` for a room of cores."""

    def __init__(self, cores: CoreFactory, codec: Codec, on_undecodable: OnUndecodable) -> None:
        self._cores = cores
        self._codec = codec
        self._on_undecodable = on_undecodable
        self.format_version = cores.format_version
        self.migrations = cores.migrations
        self.stateful = cores.stateful

    def fresh(self, partition: TopicPartition) -> Fold:
        """The fold before the partition's first record."""
        return self._wrap(self._cores.fresh(partition.partition))

    def load(self, partition: TopicPartition, state: bytes) -> Fold:
        """The fold from its core's dump."""
        return self._wrap(self._cores.load(partition.partition, state))

    def _wrap(self, core: Core) -> Fold:
        return CodedFold(core, self._codec, self._on_undecodable)


def coded(cores: CoreFactory) -> FoldMaker:
    """What `run_room` wants, from a room's cores."""

    def make(codec: Codec, on_undecodable: OnUndecodable) -> FoldFactory:
        return CodedFolds(cores, codec, on_undecodable)

    return make


def encode_messages(codec: Codec, messages: Sequence[Message]) -> list[Outgoing]:
    """Messages as they go to the log; an empty key is none."""
    return [
        Outgoing(
            message.topic,
            message.partition,
            message.key.encode() or None,
            codec.encode(message.topic, message.origin, message.payload),
        )
        for message in messages
    ]

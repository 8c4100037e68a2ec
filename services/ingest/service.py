"""Ingest on the loop: records in, encoded messages out, nothing kept in between."""

from collections.abc import Sequence

from services.ingest.core import ingest
from services.runtime.fold import OnUndecodable, encode_messages
from services.runtime.ports import (
    NO_MIGRATIONS,
    Fold,
    FoldFactory,
    Outgoing,
    Record,
    TopicPartition,
)
from services.wire.codec import Codec

_US_PER_MS = 1_000


class IngestFold:
    """`ports.Fold` without a state."""

    def __init__(self, codec: Codec) -> None:
        self._codec = codec

    def handle(self, record: Record) -> Sequence[Outgoing]:
        """Translate one record; bytes that are no command become a dead letter."""
        messages = ingest(
            self._codec,
            record.topic,
            record.partition,
            record.offset,
            record.timestamp_ms * _US_PER_MS,
            record.value,
        )
        return encode_messages(self._codec, messages)

    def at_batch_end(self) -> Sequence[Outgoing]:
        """Nothing to show."""
        return ()

    def dump(self) -> bytes:
        """No state."""
        return b""

    def genesis_hash(self) -> str:
        """No genesis."""
        return ""


class IngestFolds:
    """`ports.FoldFactory` of ingest."""

    format_version = 1
    migrations = NO_MIGRATIONS
    stateful = False

    def __init__(self, codec: Codec) -> None:
        self._fold = IngestFold(codec)

    def fresh(self, partition: TopicPartition) -> Fold:
        """One fold serves every partition: it keeps nothing."""
        del partition
        return self._fold

    def load(self, partition: TopicPartition, state: bytes) -> Fold:
        """There is nothing to load."""
        del state
        return self.fresh(partition)


def make_folds(codec: Codec, on_undecodable: OnUndecodable) -> FoldFactory:
    """What `run_room` wants. Undecodable records are dead letters here, so nobody is told."""
    del on_undecodable
    return IngestFolds(codec)

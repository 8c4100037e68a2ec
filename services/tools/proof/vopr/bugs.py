"""The planted bugs themselves: subclasses of real parts that do what people get wrong.

What each breaks stands in mutations.py.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

import msgspec

from services.domain.codes import BUY
from services.domain.controls import OpenAccount
from services.domain.events import OrderFilled
from services.matcher.core import MatcherCore
from services.matcher.service import MatcherCores
from services.recorder.core import Rows
from services.recorder.postgres import Move
from services.risk.core import RiskCore
from services.risk.service import RiskCores
from services.runtime.errors import FencedError, OperatingError, UnknownOutcomeError
from services.runtime.fold import Core
from services.runtime.loop import Loop, Turn, _Session
from services.runtime.memory import MemoryConsumer
from services.runtime.memory_group import GroupToken, OffsetWrite
from services.runtime.ports import (
    Batch,
    Consumer,
    Fold,
    Outgoing,
    Producer,
    Record,
    Snapshot,
    TopicPartition,
)
from services.runtime.restore import Restored, Restorer, hash_state
from services.tools.proof.vopr.ledger import MemoryLedger
from services.tools.proof.vopr.parts import LateProducer
from services.wire.codec import Decoded
from services.wire.messages import Message

type _Offsets = Mapping[TopicPartition, int]


# --- how a batch is committed


class _OwnCommit(Loop[GroupToken], ABC):
    """A loop whose transaction is another one."""

    def _commit_part(
        self, session: _Session[GroupToken], batch: Batch[GroupToken], start: int
    ) -> int:
        records, offsets, outgoing = self._fold(batch.records, start)
        moved = {TopicPartition(*place): offset for place, offset in offsets.items()}
        self.transact(session.producer, outgoing, moved, batch.token)
        for place, offset in offsets.items():
            self._owned[place].offset = offset
        return len(records)

    @abstractmethod
    def transact(
        self,
        producer: Producer[GroupToken],
        outgoing: Sequence[Outgoing],
        offsets: _Offsets,
        token: GroupToken,
    ) -> None:
        """Write the outputs, move the offsets."""


class OffsetsFirst(_OwnCommit):
    def transact(
        self,
        producer: Producer[GroupToken],
        outgoing: Sequence[Outgoing],
        offsets: _Offsets,
        token: GroupToken,
    ) -> None:
        producer.begin()
        producer.send_offsets(offsets, token)
        producer.commit()
        producer.begin()
        producer.send(outgoing)
        producer.commit()


class OutputsFirst(_OwnCommit):
    def transact(
        self,
        producer: Producer[GroupToken],
        outgoing: Sequence[Outgoing],
        offsets: _Offsets,
        token: GroupToken,
    ) -> None:
        producer.begin()
        producer.send(outgoing)
        producer.commit()
        producer.begin()
        producer.send_offsets(offsets, token)
        producer.commit()


class UnknownIsSuccess(_OwnCommit):
    def transact(
        self,
        producer: Producer[GroupToken],
        outgoing: Sequence[Outgoing],
        offsets: _Offsets,
        token: GroupToken,
    ) -> None:
        producer.begin()
        producer.send(outgoing)
        producer.send_offsets(offsets, token)
        try:
            producer.commit()
        except UnknownOutcomeError:
            producer.abort()


class UnknownIsFailure(_OwnCommit):
    def transact(
        self,
        producer: Producer[GroupToken],
        outgoing: Sequence[Outgoing],
        offsets: _Offsets,
        token: GroupToken,
    ) -> None:
        while True:
            producer.begin()
            producer.send(outgoing)
            producer.send_offsets(offsets, token)
            try:
                producer.commit()
            except UnknownOutcomeError:
                producer.abort()
                producer.initialise()
            else:
                return


class KeepsStateAfterErrors(Loop[GroupToken]):
    def run_once(self) -> Turn:
        if self._session is None:
            return super().run_once()
        try:
            return self._take_turn(self._session)
        except OperatingError:
            self._session.producer.abort()
            return Turn.RETRIED


class SnapshotBeforeCommit(Loop[GroupToken]):
    def _fold(
        self, records: Sequence[Record], start: int
    ) -> tuple[Sequence[Record], dict[tuple[str, int], int], list[Outgoing]]:
        found = super()._fold(records, start)
        offer = self._ports.offer_snapshot
        if offer is not None:
            for place, offset in found[1].items():
                self._owned[place].offset = offset
                self._snapshot(self._owned[place], offer)
        return found


# --- taking over


class _Answered:
    """A consumer that was asked for its offsets before."""

    def __init__(self, offsets: _Offsets) -> None:
        self._offsets = offsets

    def committed(self, partitions: Sequence[TopicPartition]) -> _Offsets:
        del partitions
        return self._offsets


class OffsetsBeforeIds(Loop[GroupToken]):
    def _take_over(
        self,
        consumer: Consumer[GroupToken],
        producer: Producer[GroupToken],
        partitions: Sequence[TopicPartition],
    ) -> dict[TopicPartition, int]:
        offsets = self._persist(lambda: consumer.committed(partitions))
        answered = cast("Consumer[GroupToken]", _Answered(offsets))
        return super()._take_over(answered, producer, partitions)


class UnstableOffsets(MemoryConsumer):
    def committed(self, partitions: Sequence[TopicPartition]) -> _Offsets:
        return {at: self._group.offsets.get(at, -1) for at in partitions}


class FreshToken(MemoryConsumer):
    """Fetches a batch ahead, and gives it out under the token of the moment."""

    _ahead: Sequence[Record] = ()

    def poll(self, records_max: int, timeout_ms: int) -> Batch[GroupToken]:
        batch = super().poll(records_max, timeout_ms)
        records, self._ahead = self._ahead, batch.records
        return Batch(records, batch.token)


class KeepsFolds(Restorer):
    """State of before a revoke, taken for that of the committed offset."""

    _kept: dict[TopicPartition, Fold] | None = None

    def restore(self, at: TopicPartition, committed: int) -> Restored:
        restored = super().restore(at, committed)
        if self._kept is None:
            self._kept = {}
        return msgspec.structs.replace(restored, fold=self._kept.setdefault(at, restored.fold))


class CollectsReplay(Restorer):
    said: tuple[Outgoing, ...] = ()

    def _replay(self, fold: Fold, at: TopicPartition, start: int, end: int) -> int:
        replayed = 0
        for chunk in self._reader.read(at, start, end):
            for record in chunk:
                self.said += tuple(fold.handle(record))
                replayed += 1
        return replayed


class SaysReplay(Loop[GroupToken]):
    def _fold(
        self, records: Sequence[Record], start: int
    ) -> tuple[Sequence[Record], dict[tuple[str, int], int], list[Outgoing]]:
        folded, offsets, outgoing = super()._fold(records, start)
        restorer = self._ports.restorer
        assert isinstance(restorer, CollectsReplay)
        said, restorer.said = restorer.said, ()
        return folded, offsets, [*said, *outgoing]


class BelievesHashes(Restorer):
    def _load(self, at: TopicPartition, snapshot: Snapshot, topic_id: str, committed: int) -> Fold:
        hashed = msgspec.structs.replace(snapshot, state_hash=hash_state(snapshot.state))
        return super()._load(at, hashed, topic_id, committed)


class UncheckedToken(LateProducer):
    """Sends offsets as an own consumer outside the group would: nobody looks at the generation."""

    def send_offsets(self, offsets: _Offsets, token: GroupToken) -> None:
        try:
            super().send_offsets(offsets, token)
        except FencedError:
            self._raise_failure()
            pending = self._transaction().group_offsets.setdefault(token.group, {})
            for at, offset in offsets.items():
                pending[at] = OffsetWrite(offset, 1_000_000 + offset)


# --- what is in a snapshot


def _without(state: bytes, *fields: int) -> bytes:
    """A dump with some fields (by place) emptied."""
    dumped: list[Any] = msgspec.msgpack.decode(state)
    for field in fields:
        dumped[field] = []
    return msgspec.msgpack.encode(dumped)


_DEPARTURES: Final = 3
_ENDED: Final = -1
_BIDS: Final = -2
_ASKS: Final = -1
_ROW_PRICE: Final = 2


class ForgetfulRisk(RiskCores):
    def load(self, partition: int, state: bytes) -> Core:
        return super().load(partition, _without(state, _ENDED))


class RiskCountsAnew(RiskCores):
    def load(self, partition: int, state: bytes) -> Core:
        return super().load(partition, _without(state, _DEPARTURES))


class UnfairMatcher(MatcherCores):
    """Its snapshot keeps the price of each order and not its place in the line."""

    def load(self, partition: int, state: bytes) -> Core:
        dumped: list[Any] = msgspec.msgpack.decode(state)
        dumped[_BIDS].sort(key=lambda row: (-row[_ROW_PRICE], row[0]))
        dumped[_ASKS].sort(key=lambda row: (row[_ROW_PRICE], row[0]))
        return super().load(partition, msgspec.msgpack.encode(dumped))


# --- in a core


class _LeakyRisk(RiskCore):
    """A fill that ends an order leaves what a replace under way had reserved beyond it."""

    def handle(self, offset: int, decoded: Decoded[Any]) -> list[Message]:
        fill = decoded.payload
        if not isinstance(fill, OrderFilled):
            return super().handle(offset, decoded)
        account = self._shard.accounts[fill.account]
        order = account.live[fill.order_id]
        beyond = order.reserved_quantity - (order.quantity - order.cumulative_quantity)
        said = super().handle(offset, decoded)
        if beyond > 0 and fill.order_id not in account.live:
            holding = account.holdings[order.ticker]
            if order.side == BUY:
                holding.buy_quantity += beyond
                holding.buy_value += beyond * order.value
            else:
                holding.sell_quantity += beyond
                holding.sell_value += beyond * order.value
        return said


class LeakyRisks(RiskCores):
    def fresh(self, partition: int) -> Core:
        return _LeakyRisk(partition)

    def load(self, partition: int, state: bytes) -> Core:
        return _LeakyRisk.load(partition, state)


class _LenientRisk(RiskCore):
    """Whoever opens an account may sell short."""

    def handle(self, offset: int, decoded: Decoded[Any]) -> list[Message]:
        if isinstance(decoded.payload, OpenAccount):
            allowed = msgspec.structs.replace(decoded.payload, short_allowed=True)
            decoded = msgspec.structs.replace(decoded, payload=allowed)
        return super().handle(offset, decoded)


class LenientRisks(RiskCores):
    def fresh(self, partition: int) -> Core:
        return _LenientRisk(partition)

    def load(self, partition: int, state: bytes) -> Core:
        return _LenientRisk.load(partition, state)


class _MarksByBatch(MatcherCore):
    def at_batch_end(self) -> list[Message]:
        views = super().at_batch_end()
        if not self._mark_stale:
            return views
        before = len(self._outbox.messages)
        self._send_mark()
        return [*self._outbox.messages[before:], *views]


class BatchMarkers(MatcherCores):
    def fresh(self, partition: int) -> Core:
        return _MarksByBatch(partition)

    def load(self, partition: int, state: bytes) -> Core:
        return _MarksByBatch.load(partition, state)


# --- the recorder


class TwoTransactions(MemoryLedger):
    def append(self, rows: Rows, moves: Mapping[TopicPartition, Move]) -> None:
        self.tap.at("commit", "before")
        self.require_session()
        self.add(rows)
        self.tap.at("commit", "after")
        self.require_session()
        self.move(moves)


class WithoutLock(MemoryLedger):
    """Neither the lock nor the offsets' old place is looked at."""

    def try_lock(self) -> bool:
        self.require_session()
        return True

    def move(self, moves: Mapping[TopicPartition, Move]) -> None:
        self.database.offsets.update({at: move.next_offset for at, move in moves.items()})

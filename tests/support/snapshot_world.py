"""A crowd through the rooms in memory, with a snapshot of every fold at every stop."""

from itertools import islice
from random import Random
from typing import Final

from services.domain.genesis import default_genesis
from services.runtime.memory import MemoryReader, MemorySnapshots
from services.runtime.ports import Fold, FoldFactory, Snapshot, TopicPartition
from services.runtime.restore import snapshot_of
from services.tools.market.population import crowd_controls
from services.tools.market.publish import encode
from services.tools.market.simulator import Crowd
from services.tools.proof.snapshots_verify import STATEFUL
from services.wire.topics import CONTROLS, ORDERS
from tests.support.memory_exchange import MemoryExchange

BATCH_MAX: Final = 80


class SnapshotWorld:
    """Filled once; its snapshots and its log may then be damaged."""

    def __init__(self, seed: int, commands: int) -> None:
        self.exchange = MemoryExchange()
        self.store = MemorySnapshots()
        self.folds: dict[tuple[str, TopicPartition], FoldFactory] = {}
        self.committed: dict[tuple[str, TopicPartition], int] = {}
        for room, (make_folds, topic) in STATEFUL.items():
            factory = make_folds(self.exchange.codec, lambda _record, _error: None)
            for at in self.exchange.log.partitions_of(topic.name):
                self.folds[room, at] = factory
        self._fill(seed, commands)

    @property
    def reader(self) -> MemoryReader:
        return MemoryReader(self.exchange.log)

    def _fill(self, seed: int, commands: int) -> None:
        exchange, random = self.exchange, Random(seed)
        exchange.publish(CONTROLS.name, 0, "", default_genesis("test"))
        for control in crowd_controls(seed):
            exchange.publish(CONTROLS.name, 0, "", control)
        stream = islice(Crowd(seed).commands(), commands)
        while batch := list(islice(stream, random.randint(1, BATCH_MAX))):
            for outbound in batch:
                exchange.publish_raw(ORDERS.name, 0, encode(exchange.codec, outbound, 0))
            exchange.run()
            self._snapshot_all()

    def _snapshot_all(self) -> None:
        for room in self.exchange.rooms:
            for at, fold in room._folds.items():
                if (room.name, at) in self.folds:
                    offset = self.committed[room.name, at] = room._next[at]
                    self.store.put(self.snapshot(room.name, at, fold, offset))

    def snapshot(self, room: str, at: TopicPartition, fold: Fold, offset: int) -> Snapshot:
        topic_id = self.exchange.log.topic_id(at.topic)
        return snapshot_of(room, self.folds[room, at], at, fold, offset, topic_id)

    def kept(self, room: str, at: TopicPartition) -> list[Snapshot]:
        return list(self.store.newest(room, at.topic, at.partition, 10_000))

"""For every book and every account shard: each snapshot and its tail give the whole log's state."""

import pytest

from services.runtime.ports import Fold, FoldFactory, LogReader, TopicPartition
from services.runtime.restore import hash_state
from services.tools.proof.snapshots_verify import verify_partition
from tests.support.snapshot_world import SnapshotWorld

COMMANDS = 400


@pytest.fixture(scope="module", params=[1, 2])
def world(request: pytest.FixtureRequest) -> SnapshotWorld:
    return SnapshotWorld(request.param, COMMANDS)


def folded(fold: Fold, log: LogReader, at: TopicPartition, start: int, end: int) -> bytes:
    for chunk in log.read(at, start, end):
        for record in chunk:
            fold.handle(record)
    return fold.dump()


def from_zero(factory: FoldFactory, log: LogReader, at: TopicPartition, end: int) -> bytes:
    return folded(factory.fresh(at), log, at, 0, end)


def test_each_snapshot_is_the_state_of_the_log_before_it(world: SnapshotWorld) -> None:
    for (room, at), factory in world.folds.items():
        kept = world.kept(room, at)
        assert len(kept) > 3
        for snapshot in kept[::4]:
            assert snapshot.state == from_zero(factory, world.reader, at, snapshot.offset)


def test_restored_from_each_snapshot_the_tail_leads_to_the_same_end(world: SnapshotWorld) -> None:
    for (room, at), factory in world.folds.items():
        end = world.committed[room, at]
        whole = from_zero(factory, world.reader, at, end)
        for snapshot in world.kept(room, at):
            fold = factory.load(at, snapshot.state)
            assert folded(fold, world.reader, at, snapshot.offset, end) == whole


def test_the_verification_says_the_same_of_every_one(world: SnapshotWorld) -> None:
    for (room, at), factory in world.folds.items():
        kept = world.kept(room, at)
        end = world.committed[room, at]
        found = verify_partition(room, factory, at, world.reader, kept, end)
        assert found.first_fault == ""
        assert len(found.snapshots) == len(kept)
        assert found.records > 40
        assert found.state_hash == hash_state(from_zero(factory, world.reader, at, end))

"""A log that lost a record: the room stops there, says where, and has written nothing of it."""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from services.matcher.service import make_folds as matcher_folds
from services.risk.service import make_folds as risk_folds
from services.runtime.fold import FoldMaker
from services.runtime.loop import Loop, LoopPlan, LoopPorts
from services.runtime.memory import (
    MemoryConsumer,
    MemoryProducer,
    MemoryReader,
    MemorySnapshots,
)
from services.runtime.memory_group import GroupToken
from services.runtime.memory_log import MemoryLog, _Entry
from services.runtime.ports import Record, TopicPartition
from services.runtime.restore import Restorer
from services.runtime.telemetry import Telemetry
from services.wire.codec import Codec
from services.wire.topics import ACCOUNTS, MATCHING, ORIGIN_NUMBERS, Topic
from tests.support.loop_kit import ManualPacer
from tests.support.snapshot_world import SnapshotWorld

BATCH = 5


@dataclass(frozen=True)
class Room:
    """A room of folds, by what it reads and by one inbox that it writes to."""

    make_folds: FoldMaker
    inbox: Topic
    output: Topic

    @property
    def at(self) -> TopicPartition:
        """Where the record is lost."""
        return TopicPartition(self.inbox.name, 0)


@pytest.fixture(params=["matcher", "risk"])
def room(request: pytest.FixtureRequest) -> Room:
    if request.param == "matcher":
        return Room(matcher_folds, MATCHING, ACCOUNTS)
    return Room(risk_folds, ACCOUNTS, MATCHING)


@pytest.fixture
def world() -> SnapshotWorld:
    return SnapshotWorld(5, 300)


def loop_of(room: Room, log: MemoryLog, codec: Codec) -> Loop[GroupToken]:
    """A room of its own on this log, under another group, with no snapshots."""
    factory = room.make_folds(codec, lambda _record, _error: None)
    telemetry, pacer = Telemetry("test"), ManualPacer()
    ports = LoopPorts(
        lambda: MemoryConsumer(log, "again"),
        lambda: MemoryProducer(log, ("again-a", "again-b")),
        Restorer("again", factory, MemoryReader(log), MemorySnapshots(), telemetry, pacer),
        None,
    )
    plan = LoopPlan("again", (room.inbox.name,), batch_records_max=BATCH, poll_timeout_ms=0)
    return Loop(plan, ports, factory, telemetry, pacer)


def lose_one(world: SnapshotWorld, at: TopicPartition) -> tuple[int, Record]:
    """Take a record of a writer that counts out of the middle; and the record where it shows."""
    log, codec = world.exchange.log, world.exchange.codec

    def sent() -> Iterator[tuple[Record, tuple[int, int]]]:
        for record in log.scan(at, 25, log.end_offset(at)):
            origin = codec.decode(at.topic, record.value).origin
            assert origin is not None
            if origin.sequence:  # ingest, which keeps no state, keeps no count either
                yield record, (origin.topic, origin.partition)

    (lost, writer), *later = sent()
    log._entries(at)[lost.offset] = _Entry(None, None)
    return lost.offset, next(record for record, source in later if source == writer)


def run_until_it_stops(loop: Loop[GroupToken]) -> str:
    try:
        for _ in range(1_000):
            loop.run_once()
    except AssertionError as broken:
        return str(broken)
    finally:
        loop.close()
    pytest.fail("it never stopped")


def test_it_stops_at_the_record_after_the_hole_and_says_where(
    world: SnapshotWorld, room: Room
) -> None:
    _, shows_at = lose_one(world, room.at)
    said = run_until_it_stops(loop_of(room, world.exchange.log, world.exchange.codec))
    assert said.startswith(
        f"{room.inbox.name}/0 offset {shows_at.offset}: the log has a hole: after"
    )
    assert re.search(r"source topic \d, partition \d comes \d+, so a message is missing", said)
    assert "Nothing of this batch was written" in said
    assert "`outcry audit` shows what is wrong" in said


def test_nothing_that_follows_the_hole_is_ever_written(world: SnapshotWorld, room: Room) -> None:
    log = world.exchange.log
    _, shows_at = lose_one(world, room.at)
    for _ in range(3):
        run_until_it_stops(loop_of(room, log, world.exchange.codec))
        log.expire_transactions(0)
    committed = log.group("again").offsets[room.at]
    assert committed <= shows_at.offset
    # The first run of this log wrote all of it, before the hole; the second one stops short.
    caused = Counter(answers_of(world, room))
    again = [offset for (offset, _), count in caused.items() if count > 1]
    assert again
    assert max(again) < committed


def answers_of(world: SnapshotWorld, room: Room) -> Iterator[tuple[int, int]]:
    """Which record caused each message to the other inbox, and which of its outputs it is."""
    at, output = room.at, room.output.name
    for record in world.exchange.records(output):
        origin = world.exchange.codec.decode(output, record.value).origin
        assert origin is not None
        if (origin.topic, origin.partition) == (ORIGIN_NUMBERS[at.topic], at.partition):
            yield origin.offset, origin.index


def test_a_restore_stops_at_it_too_before_anything_is_written(
    world: SnapshotWorld, room: Room
) -> None:
    log = world.exchange.log
    _, shows_at = lose_one(world, room.at)
    end = log.end_offset(room.at)
    log.group("again").offsets[room.at] = end
    ends = [log.end_offset(at) for at in log.partitions_of(room.output.name)]
    said = run_until_it_stops(loop_of(room, log, world.exchange.codec))
    assert said.startswith(f"{room.inbox.name}/0 offset {shows_at.offset}: the log has a hole")
    assert [log.end_offset(at) for at in log.partitions_of(room.output.name)] == ends
    assert log.group("again").offsets == {room.at: end}

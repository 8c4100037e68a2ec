"""A log that lost a record: the room stops there, says where, and has written nothing of it."""

import re
from collections import Counter
from collections.abc import Iterator

import pytest

from services.matcher.service import make_folds
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
from services.wire.topics import ACCOUNTS, MATCHING, ORIGIN_NUMBERS
from tests.support.loop_kit import ManualPacer
from tests.support.snapshot_world import SnapshotWorld

AT = TopicPartition(MATCHING.name, 0)
BATCH = 5


@pytest.fixture
def world() -> SnapshotWorld:
    return SnapshotWorld(5, 300)


def matcher(log: MemoryLog, codec: Codec) -> Loop[GroupToken]:
    """A matcher of its own on this log, under another group, with no snapshots."""
    factory = make_folds(codec, lambda _record, _error: None)
    telemetry, pacer = Telemetry("test"), ManualPacer()
    ports = LoopPorts(
        lambda: MemoryConsumer(log, "again"),
        lambda: MemoryProducer(log, ("again-a", "again-b")),
        Restorer("again", factory, MemoryReader(log), MemorySnapshots(), telemetry, pacer),
        None,
    )
    plan = LoopPlan("again", (MATCHING.name,), batch_records_max=BATCH, poll_timeout_ms=0)
    return Loop(plan, ports, factory, telemetry, pacer)


def lose_one(world: SnapshotWorld) -> tuple[int, Record]:
    """Take a record out of the middle; its offset, and the record where that shows."""
    log, codec = world.exchange.log, world.exchange.codec

    def sent() -> Iterator[tuple[Record, tuple[int, int]]]:
        for record in log.scan(AT, 25, log.end_offset(AT)):
            origin = codec.decode(AT.topic, record.value).origin
            assert origin is not None
            yield record, (origin.topic, origin.partition)

    (lost, writer), *later = sent()
    log._entries(AT)[lost.offset] = _Entry(None, None)
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


def test_it_stops_at_the_record_after_the_hole_and_says_where(world: SnapshotWorld) -> None:
    _, shows_at = lose_one(world)
    said = run_until_it_stops(matcher(world.exchange.log, world.exchange.codec))
    assert said.startswith(f"matching/0 offset {shows_at.offset}: the log has a hole: after")
    assert re.search(r"source topic 2, partition \d comes \d+, so a message is missing", said)
    assert "Nothing of this batch was written" in said
    assert "`outcry audit` shows what is wrong" in said


def test_nothing_that_follows_the_hole_is_ever_written(world: SnapshotWorld) -> None:
    log = world.exchange.log
    _, shows_at = lose_one(world)
    for _ in range(3):
        run_until_it_stops(matcher(log, world.exchange.codec))
        log.expire_transactions(0)
    committed = log.group("again").offsets[AT]
    assert committed <= shows_at.offset
    # The first run of this log wrote all of it, before the hole; the second one stops short.
    caused = Counter(answers_of(world))
    again = [offset for (offset, _), count in caused.items() if count > 1]
    assert again
    assert max(again) < committed


def answers_of(world: SnapshotWorld) -> Iterator[tuple[int, int]]:
    """Which record of the book caused each message to risk, and which of its outputs it is."""
    for record in world.exchange.records(ACCOUNTS.name):
        origin = world.exchange.codec.decode(ACCOUNTS.name, record.value).origin
        assert origin is not None
        if (origin.topic, origin.partition) == (ORIGIN_NUMBERS[AT.topic], AT.partition):
            yield origin.offset, origin.index


def test_a_restore_stops_at_it_too_before_anything_is_written(world: SnapshotWorld) -> None:
    log = world.exchange.log
    _, shows_at = lose_one(world)
    end = log.end_offset(AT)
    log.group("again").offsets[AT] = end
    ends = [log.end_offset(at) for at in log.partitions_of("accounts")]
    said = run_until_it_stops(matcher(log, world.exchange.codec))
    assert said.startswith(f"matching/0 offset {shows_at.offset}: the log has a hole")
    assert [log.end_offset(at) for at in log.partitions_of("accounts")] == ends
    assert log.group("again").offsets == {AT: end}

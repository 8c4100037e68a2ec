"""What `outcry snapshots verify` finds, and what `take` makes."""

from dataclasses import dataclass

import msgspec
import pytest

from services.runtime.errors import ConfigurationError, HistoryLostError
from services.runtime.memory import MemoryReader, MemorySnapshots
from services.runtime.memory_log import _Entry
from services.runtime.ports import Snapshot, TopicPartition
from services.runtime.restore import hash_state
from services.runtime.telemetry import Telemetry
from services.tools.proof.snapshots_verify import (
    FromZero,
    TakenSnapshot,
    VerifiedPartition,
    take_snapshot,
    verify_partition,
)
from services.tools.proof.whole_log import WholeLog
from tests.support.loop_kit import ManualPacer
from tests.support.snapshot_world import SnapshotWorld

BOOK = ("matcher", TopicPartition("matching", 0))
SHARD = ("risk", TopicPartition("accounts", 1))


@pytest.fixture(scope="module")
def world() -> SnapshotWorld:
    return SnapshotWorld(5, 300)


def verify(
    world: SnapshotWorld, place: tuple[str, TopicPartition], kept: list[Snapshot]
) -> VerifiedPartition:
    room, at = place
    return verify_partition(
        room, world.folds[place], at, world.reader, kept, world.committed[place]
    )


def faults(found: VerifiedPartition) -> dict[int, str]:
    return {one.offset: one.fault for one in found.snapshots if one.fault}


@pytest.mark.parametrize("place", [BOOK, SHARD], ids=["book", "shard"])
def test_one_changed_byte_of_one_snapshot_is_found(
    world: SnapshotWorld, place: tuple[str, TopicPartition]
) -> None:
    kept = world.kept(*place)
    for at_byte in range(0, len(kept[1].state), max(len(kept[1].state) // 10, 1)):
        state = bytearray(kept[1].state)
        state[at_byte] ^= 1
        damaged = [kept[0], msgspec.structs.replace(kept[1], state=bytes(state)), *kept[2:]]
        assert faults(verify(world, place, damaged)) == {
            kept[1].offset: "its state does not have its hash"
        }


def test_a_state_that_is_not_the_logs_is_found_however_well_it_is_sealed(
    world: SnapshotWorld,
) -> None:
    newer, older = world.kept(*BOOK)[:2]
    forged = msgspec.structs.replace(newer, state=older.state, state_hash=older.state_hash)
    found = verify(world, BOOK, [forged, older])
    assert faults(found) == {newer.offset: "its state is not what the log gives at its offset"}
    assert found.first_fault == (
        f"matcher matching/0 snapshot at {newer.offset}: its state is not what the log gives at its"
        " offset"
    )


@pytest.mark.parametrize(
    "change,fault",
    [
        ({"offset": 10**9}, "it is ahead of the committed offset"),
        ({"topic_id": "another"}, "it is of another topic of this name, another"),
        ({"genesis_hash": "f" * 64}, "its genesis is not the one it states"),
        ({"format_version": 99}, "its format version is 99"),
        ({"state": b"\x00", "state_hash": hash_state(b"\x00")}, "it can't be read"),
    ],
    ids=lambda value: "+".join(value) if isinstance(value, dict) else "",
)
def test_a_foreign_or_damaged_envelope_is_found(
    world: SnapshotWorld, change: dict[str, object], fault: str
) -> None:
    newest = world.kept(*SHARD)[0]
    found = verify(world, SHARD, [msgspec.structs.replace(newest, **change)])
    assert next(iter(faults(found).values())).startswith(fault)


def test_a_log_with_a_hole_is_the_fault_of_the_partition(world: SnapshotWorld) -> None:
    holed = SnapshotWorld(5, 300)
    offset = remove_one(holed, BOOK[1])
    found = verify(holed, BOOK, holed.kept(*BOOK))
    assert f"matching/0 offset {offset}: the log has a hole" in found.fault
    assert "`outcry audit` shows" in found.first_fault
    assert verify(world, BOOK, []).fault == ""


def remove_one(world: SnapshotWorld, at: TopicPartition) -> int:
    """Lose a record in the middle; returns the offset of the next one of the same writer."""
    log, codec = world.exchange.log, world.exchange.codec
    records = [r for r in log.scan(at, 0, log.end_offset(at)) if r.offset > 20]
    origins = [codec.decode(at.topic, record.value).origin for record in records]
    first = origins[0]
    assert first is not None
    log._entries(at)[records[0].offset] = _Entry(None, None)
    writer = (first.topic, first.partition)
    return next(
        record.offset
        for record, origin in zip(records[1:], origins[1:], strict=True)
        if origin is not None and (origin.topic, origin.partition) == writer
    )


@dataclass
class Exchange:
    """A log whose beginning retention has taken, and an archive of it."""

    world: SnapshotWorld
    trimmed: int
    archived: bool = True

    def whole_log(self) -> WholeLog:
        kafka = SnapshotWorld(5, 300)
        kafka.exchange.log.drop_records(BOOK[1], self.trimmed)
        archive = self.world.reader if self.archived else Recorded(self.world, 10)
        return WholeLog(MemoryReader(kafka.exchange.log), archive)


class Recorded(MemoryReader):
    """An archive whose recorder came no further."""

    def __init__(self, world: SnapshotWorld, end: int) -> None:
        super().__init__(world.exchange.log)
        self._end = end

    def bounds(self, partition: TopicPartition) -> tuple[int, int]:
        return 0, self._end


def take(log: WholeLog, store: MemorySnapshots, world: SnapshotWorld) -> TakenSnapshot | None:
    return take_snapshot(
        "matcher", world.folds[BOOK], BOOK[1], log, FromZero(store), world.committed[BOOK],
        Telemetry("test"), ManualPacer(),
    )  # fmt: skip


def test_one_taken_from_zero_through_the_archive_is_what_the_room_had(
    world: SnapshotWorld,
) -> None:
    store = MemorySnapshots()
    taken = take(Exchange(world, trimmed=30).whole_log(), store, world)
    newest = world.kept(*BOOK)[0]
    assert taken is not None
    assert (taken.offset, taken.state_hash, taken.source) == (
        newest.offset,
        newest.state_hash,
        "log",
    )
    assert store.newest("matcher", "matching", 0, 9) == [newest]


def test_an_archive_that_does_not_reach_to_kafka_is_refused(world: SnapshotWorld) -> None:
    log = Exchange(world, trimmed=30, archived=False).whole_log()
    with pytest.raises(HistoryLostError, match="ends at offset 10, and Kafka has taken everything"):
        take(log, MemorySnapshots(), world)


def test_one_of_another_topic_of_this_name_is_not_taken(world: SnapshotWorld) -> None:
    store = MemorySnapshots()
    store.remember_topic("matching", "another")
    with pytest.raises(ConfigurationError, match="deleted and made again"):
        take(Exchange(world, trimmed=0).whole_log(), store, world)


def test_where_nothing_is_committed_nothing_is_taken(world: SnapshotWorld) -> None:
    taken = take_snapshot(
        "matcher", world.folds[BOOK], BOOK[1], world.reader, MemorySnapshots(), -1,
        Telemetry("test"), ManualPacer(),
    )  # fmt: skip
    assert taken is None

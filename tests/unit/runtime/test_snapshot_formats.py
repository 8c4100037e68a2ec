"""Snapshots of earlier formats are brought to the present one; of later ones refused."""

from collections.abc import Callable

import msgspec
import pytest

from services.runtime.ports import Fold, Snapshot, TopicPartition
from services.runtime.restore import hash_state, load_state
from tests.support.loop_kit import GENESIS, House, RunningSum, RunningSums

NUMBERS = list(range(1, 21))
AT = TopicPartition("in", 0)


class Sums2(RunningSums):
    """The same room after its dump has changed twice: named fields, then a unit in the name."""

    def __init__(self) -> None:
        super().__init__(format_version=3)
        self.migrations = {1: name_fields, 2: rename_total}

    def fresh(self, partition: TopicPartition) -> Fold:
        return NamedSum(partition.partition)

    def load(self, partition: TopicPartition, state: bytes) -> Fold:
        named = msgspec.json.decode(state, type=dict[str, int])
        return NamedSum(partition.partition, named["total_cents"], named["records"])


class NamedSum(RunningSum):
    def dump(self) -> bytes:
        return msgspec.json.encode({"total_cents": self._total, "records": self._records})


def name_fields(state: bytes) -> bytes:
    total, records = msgspec.msgpack.decode(state, type=tuple[int, int])
    return msgspec.json.encode({"total": total, "records": records})


def rename_total(state: bytes) -> bytes:
    named = msgspec.json.decode(state, type=dict[str, int])
    return msgspec.json.encode({"total_cents": named["total"], "records": named["records"]})


@pytest.fixture
def house() -> House:
    """Everything is consumed, and the snapshots are of format 1."""
    house = House()
    house.feed(NUMBERS)
    house.drain(house.process(snapshot_interval_s=0.001, batch_records_max=4))
    return house


def restored(house: House, factory: RunningSums) -> dict[TopicPartition, bytes]:
    loop = house.process(factory=factory)
    while not loop.folds():
        loop.run_once()
    return {at: fold.dump() for at, fold in loop.folds().items()}


def test_a_snapshot_two_formats_old_restores_the_same_state_as_the_log(house: House) -> None:
    from_old = restored(house, Sums2())
    assert house.metric('outcry_restores_total{source="snapshot"} 2.0')
    house.snapshots._kept.clear()
    assert restored(house, Sums2()) == from_old


def test_a_later_format_is_passed_over_for_the_log(house: House) -> None:
    newer = house.process(factory=Sums2(), snapshot_interval_s=0.001)
    house.feed(NUMBERS)
    house.drain(newer)
    for place in house.snapshots._kept.values():
        for offset in [o for o, kept in place.items() if kept.format_version == 1]:
            del place[offset]
    restored(house, RunningSums())
    assert house.metric('outcry_restores_total{source="log"} 2.0')


def snapshot(state: bytes, version: int) -> Snapshot:
    return Snapshot("sums", "in", 0, 5, "id", version, GENESIS, state, hash_state(state))


@pytest.mark.parametrize(
    "found,factory,cause",
    [
        (snapshot(b"{}", 4), Sums2, "its format version is 4, and this version of Outcry reads up"),
        (snapshot(b"{}", 1), Sums2, "it can't be read: ValidationError"),
        (snapshot(b"{}", 2), Sums2, "it can't be read: KeyError"),
        (snapshot(b"{}", 0), Sums2, "it can't be read: KeyError: 0"),
    ],
)
def test_what_can_not_be_brought_to_the_present_format_says_why(
    found: Snapshot, factory: Callable[[], RunningSums], cause: str
) -> None:
    with pytest.raises(ValueError, match=cause):
        load_state(factory(), AT, found)


def test_the_hash_is_of_what_was_stored_not_of_what_a_migration_made() -> None:
    good = snapshot(msgspec.msgpack.encode([7, 2]), 1)
    assert load_state(Sums2(), AT, good).dump() == b'{"total_cents":7,"records":2}'
    torn = msgspec.structs.replace(good, state=good.state[:-1])
    with pytest.raises(ValueError, match="does not have its hash"):
        load_state(Sums2(), AT, torn)

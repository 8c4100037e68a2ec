"""An idle room commits behind the markers of transactions, so that retention may take them."""

import pytest

from services.runtime.errors import HistoryLostError
from services.runtime.loop import MARKERS_NOTED_AFTER_S, Loop, Turn
from services.runtime.memory_group import GroupToken
from services.runtime.ports import Outgoing, TopicPartition
from tests.support.loop_kit import House

PLACE = TopicPartition("in", 0)


def write(house: House, number: int, *, commit: bool = True) -> None:
    """One record of a transaction: it takes an offset, and its marker another."""
    epoch = house.log.initialise("writer")
    transaction = house.log.begin("writer", epoch)
    house.log.write(transaction, epoch, Outgoing("in", 0, None, str(number).encode()))
    house.log.end(transaction, epoch, commit=commit)
    house.log.settle()


def committed(house: House) -> int:
    house.log.settle()
    return house.log.group("sums").offsets[PLACE]


def start(loop: Loop[GroupToken]) -> None:
    while not loop.folds():
        loop.run_once()


@pytest.mark.parametrize("defer_markers", [False, True])
def test_what_is_behind_the_last_record_is_committed_once_nothing_comes(
    defer_markers: bool,  # noqa: FBT001 - drawn
) -> None:
    house = House(defer_markers=defer_markers)
    write(house, 1)
    write(house, 2, commit=False)
    loop = house.process()
    house.drain(loop)
    assert (committed(house), house.log.end_offset(PLACE)) == (1, 4)
    assert loop.run_once() is Turn.IDLE
    assert committed(house) == 1, "not at once: each is a transaction"
    house.pacer.wait(MARKERS_NOTED_AFTER_S)
    assert loop.run_once() is Turn.IDLE
    assert committed(house) == 4
    write(house, 3)
    house.drain(loop)
    assert [line.partition(":")[2] for line in house.said(0)] == ["1", "4"]


def test_retention_may_then_take_all_of_it_and_the_room_starts_again() -> None:
    house = House()
    write(house, 1)
    loop = house.process(snapshot_interval_s=0.001)
    house.drain(loop)
    house.pacer.wait(MARKERS_NOTED_AFTER_S)
    for _ in range(4):
        loop.run_once()
    house.log.drop_records(PLACE, 2)
    again = house.process()
    start(again)
    assert again.run_once() is Turn.IDLE


def test_without_it_that_would_be_refused() -> None:
    house = House()
    write(house, 1)
    house.drain(house.process(snapshot_interval_s=0.001))
    house.log.drop_records(PLACE, 2)
    again = house.process()
    with pytest.raises(HistoryLostError):
        start(again)


def test_a_record_that_is_not_read_yet_is_never_passed_over() -> None:
    house = House()
    write(house, 1)
    loop = house.process()
    house.drain(loop)
    house.pacer.wait(MARKERS_NOTED_AFTER_S)
    ports = loop._ports
    write(house, 2)
    assert ports.past_markers(PLACE, 1) == 1
    house.drain(loop)
    assert committed(house) == 3


def test_nothing_is_committed_for_partitions_that_were_given_up() -> None:
    house = House()
    write(house, 1)
    loop = house.process()
    house.drain(loop)
    house.log.group("sums").evict("0")
    house.pacer.wait(MARKERS_NOTED_AFTER_S)
    for _ in range(3):
        loop.run_once()
    assert loop.folds(), "it joined anew"
    assert committed(house) == 1

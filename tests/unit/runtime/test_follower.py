"""The follower: never ahead of the group, its snapshots good, its folds handed over once."""

from contextlib import suppress

import pytest

from services.runtime.loop import Loop, Turn
from services.runtime.memory_group import GroupToken
from services.runtime.ports import TopicPartition
from services.runtime.restore import hash_state
from services.tools.proof.vopr.taps import TURN_STEPS, Killed, Step, When
from tests.support.follower_kit import Beside
from tests.support.loop_kit import Faults, House
from tests.unit.runtime.test_restore import Counted

NUMBERS = list(range(1, 31))
IN_0 = TopicPartition("in", 0)


@pytest.fixture
def house() -> House:
    house = House()
    house.feed(NUMBERS)
    return house


def test_it_folds_nothing_that_the_group_has_not_committed(house: House) -> None:
    beside = Beside(house)
    beside.follow()
    assert {offset for _, offset in beside.follower.folds().values()} == {0}


def test_it_comes_as_far_as_the_group_and_to_the_same_state(house: House) -> None:
    beside = Beside(house)
    beside.follow(2)
    loop = house.process()
    house.drain(loop)
    beside.follow()
    committed = house.log.group("sums").offsets
    for at, (fold, offset) in beside.follower.folds().items():
        assert offset == committed[at]
        assert fold.dump() == loop.folds()[at].dump()


def test_it_writes_nothing(house: House) -> None:
    house.drain(house.process())
    ends = [house.log.end_offset(at) for at in house.log.partitions_of("out")]
    Beside(house).follow()
    assert [house.log.end_offset(at) for at in house.log.partitions_of("out")] == ends


def test_its_snapshots_are_of_committed_positions_and_restore_a_room(house: House) -> None:
    beside = Beside(house, snapshot_interval_s=0.05)
    loop = house.process()
    for _ in range(60):
        loop.run_once()
        beside.follow(1)
        committed = house.log.group("sums").offsets
        for snapshot in beside.taken:
            assert snapshot.offset <= committed[TopicPartition("in", snapshot.partition)]
            assert snapshot.state_hash == hash_state(snapshot.state)
    assert len({(s.partition, s.offset) for s in beside.taken}) > 5
    again = house.process()
    while not again.folds():
        again.run_once()
    house.check_states(again)
    assert house.metric('outcry_restores_total{source="snapshot"} 2.0')


def test_a_room_that_is_followed_makes_no_pause_for_snapshots(house: House) -> None:
    taken: list[object] = []
    loop = house.process(snapshot_interval_s=0.001, keep=taken.append, is_followed=lambda: True)
    house.drain(loop)
    assert taken == []


def test_a_room_takes_its_snapshots_itself_once_nobody_follows(house: House) -> None:
    taken: list[object] = []
    answers = iter([True] * 3)
    loop = house.process(
        snapshot_interval_s=0.001, keep=taken.append, is_followed=lambda: next(answers, False)
    )
    house.drain(loop)
    assert taken


def follow_until_killed(dying: Loop[GroupToken], beside: Beside) -> None:
    with suppress(Killed):
        for _ in range(200):
            dying.run_once()
            beside.follow(1)
        pytest.fail("it was not killed")


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("step", TURN_STEPS)
def test_a_standby_takes_over_from_one_killed_at_any_step(
    house: House, step: Step, when: When
) -> None:
    beside = Beside(house, factory=Counted())
    dying = house.process(faults=Faults({(step, when, 4): Killed()}))
    follow_until_killed(dying, beside)
    heir = beside.lead()
    house.drain(heir)
    house.check_exactly_once()
    house.check_states(heir)
    assert house.metric('outcry_restores_total{source="follower"} 2.0')
    assert beside.tail.closed


def test_a_takeover_folds_only_what_the_follower_had_not(house: House) -> None:
    house.drain(house.process())
    factory = Counted()
    beside = Beside(house, factory=factory)
    beside.follow()
    house.feed([100, 200, 300, 400])
    house.drain(house.process())
    before = factory.handled
    heir = beside.lead()
    while not heir.folds():
        heir.run_once()
    assert factory.handled == before + 4
    house.check_states(heir)


def test_folds_are_handed_over_once_and_a_later_takeover_restores(house: House) -> None:
    beside = Beside(house)
    beside.follow()
    heir = beside.lead()
    house.drain(heir)
    heir.close()
    assert heir.run_once() is Turn.JOINED
    while not heir.folds():
        heir.run_once()
    house.check_states(heir)
    assert house.metric('outcry_restores_total{source="follower"} 2.0')
    assert house.metric('outcry_restores_total{source="log"} 2.0')


def test_a_group_that_was_moved_back_gets_no_fold_from_beyond(house: House) -> None:
    house.drain(house.process())
    beside = Beside(house)
    beside.follow()
    house.log.group("sums").offsets[IN_0] = 3
    assert beside.follower.hand_over(IN_0, 3) is None


def test_a_follower_that_can_not_catch_up_leaves_it_to_an_ordinary_restore(house: House) -> None:
    beside = Beside(house)
    beside.tail.brings_nothing = True
    beside.follow(1)
    house.drain(house.process())
    heir = beside.lead()
    while not heir.folds():
        heir.run_once()
    house.check_states(heir)
    assert house.metric('outcry_restores_total{source="log"} 2.0')


def test_a_broker_that_does_not_answer_is_asked_again(house: House) -> None:
    beside = Beside(house)
    beside.follow(1)
    beside.tail.away = 3
    house.drain(house.process())
    beside.follow(20)
    assert all(offset for _, offset in beside.follower.folds().values())


def test_a_stop_ends_the_following_with_a_last_snapshot(house: House) -> None:
    house.drain(house.process())
    beside = Beside(house)
    turns = 0

    def may_lead() -> bool:
        nonlocal turns
        turns += 1
        house.pacer.stop = turns > 3
        return False

    assert not beside.follower.run(may_lead)
    offsets = house.log.group("sums").offsets
    assert [snapshot.offset for snapshot in beside.taken] == list(offsets.values())


def test_it_leads_as_soon_as_it_may(house: House) -> None:
    assert Beside(house).follower.run(lambda: True)

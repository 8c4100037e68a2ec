"""The loop on the log in memory: each input once, whatever dies when."""

from collections.abc import Sequence

import pytest

from services.runtime.errors import (
    ConfigurationError,
    FencedError,
    HistoryLostError,
    RestoreNeededError,
    RetriableError,
    UnknownOutcomeError,
)
from services.runtime.loop import BACKOFF_S_MAX, Loop, Turn, backoff_s
from services.runtime.memory import MemoryReader
from services.runtime.memory_group import GroupToken
from services.runtime.ports import Fold, Outgoing, Record, TopicPartition
from services.tools.proof.vopr.taps import TURN_STEPS, Killed, Step, When
from tests.support.loop_kit import Faults, House, RunningSum, RunningSums

NUMBERS = list(range(1, 21))


@pytest.fixture(params=[False, True], ids=["markers at once", "markers later"])
def house(request: pytest.FixtureRequest) -> House:
    house = House(defer_markers=request.param)
    house.feed(NUMBERS)
    return house


def test_every_record_is_folded_once_and_in_order(house: House) -> None:
    loop = house.process()
    turns = house.drain(loop)
    assert turns.count(Turn.COMMITTED) == len(NUMBERS) / 2 / 3 * 2 // 1 + 1
    house.check_exactly_once()
    house.check_states(loop)


@pytest.mark.parametrize("records_max", [1, 2, 7, 1_000])
def test_outputs_do_not_depend_on_the_batch(house: House, records_max: int) -> None:
    loop = house.process(batch_records_max=records_max)
    house.drain(loop)
    house.check_exactly_once()
    house.check_states(loop)


def test_views_are_written_once_a_batch_in_its_transaction(house: House) -> None:
    house.drain(house.process(batch_records_max=1_000))
    house.log.settle()
    totals = [str(sum(NUMBERS[partition::2])).encode() for partition in (0, 1)]
    assert house.log.values("view") == totals


def test_transactions_keep_their_distance_and_a_record_after_a_pause_does_not_wait(
    house: House,
) -> None:
    house.transaction_interval_s = 1.0
    loop = house.process(batch_records_max=5)
    turns = house.drain(loop)
    assert turns.count(Turn.COMMITTED) == 4
    assert [0.9 < wait <= 1.0 for wait in house.pacer.waits] == [True] * 3
    house.pacer.time_s += 1.0
    house.feed([7])
    assert loop.run_once() is Turn.COMMITTED
    assert len(house.pacer.waits) == 3


def test_nothing_consumed_opens_no_transaction() -> None:
    house = House()
    faults = Faults()
    loop = house.process(faults=faults)
    assert [loop.run_once() for _ in range(5)] == [Turn.JOINED] + [Turn.IDLE] * 4
    assert ("begin", "before") not in faults.calls
    assert [house.log.end_offset(at) for at in house.log.partitions_of("out")] == [0, 0]


def test_a_batch_that_says_nothing_still_commits_its_offsets(house: House) -> None:
    house.drain(house.process(factory=SilentSums()))
    assert house.lag() == 0
    assert house.said(0) == []


class SilentSum(RunningSum):
    def handle(self, record: Record) -> Sequence[Outgoing]:
        super().handle(record)
        return ()

    def at_batch_end(self) -> Sequence[Outgoing]:
        return ()


class SilentSums(RunningSums):
    def fresh(self, partition: TopicPartition) -> Fold:
        return SilentSum(partition.partition)


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("step", TURN_STEPS)
@pytest.mark.parametrize("call", [1, 4])
def test_a_process_killed_at_any_step_loses_and_repeats_nothing(
    house: House, step: Step, when: When, call: int
) -> None:
    faults = Faults({(step, when, call): Killed()})
    with pytest.raises(Killed):
        house.drain(house.process(faults=faults))
    successor = house.process()
    house.drain(successor)
    house.check_exactly_once()
    house.check_states(successor)


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("step", TURN_STEPS)
def test_another_instance_takes_over_from_one_killed_at_any_step(
    house: House, step: Step, when: When
) -> None:
    faults = Faults({(step, when, 4): Killed()})
    with pytest.raises(Killed):
        house.drain(house.process(faults=faults))
    house.log.group("sums").evict("0")
    successor = house.process(instance="1")
    while not successor.folds():
        successor.run_once()
    house.drain(successor)
    house.check_exactly_once()
    house.check_states(successor)


@pytest.mark.parametrize("error", [UnknownOutcomeError, FencedError, RestoreNeededError])
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("step", TURN_STEPS)
def test_an_error_at_any_step_restores_from_the_committed_offset(
    house: House, step: Step, when: When, error: type[RestoreNeededError]
) -> None:
    faults = Faults({(step, when, 4): error("planted")})
    loop = house.process(faults=faults)
    turns = house.drain(loop)
    assert turns.count(Turn.RESTARTED) == 1
    house.check_exactly_once()
    house.check_states(loop)


def test_a_broker_that_does_not_answer_is_asked_again_with_the_state_kept(house: House) -> None:
    faults = Faults({("poll", "before", n): RetriableError("away") for n in (3, 4, 5)})
    loop = house.process(faults=faults)
    turns = house.drain(loop)
    assert turns.count(Turn.RETRIED) == 3
    assert Turn.RESTARTED not in turns
    assert house.pacer.waits == [backoff_s(1), backoff_s(2), backoff_s(3)]
    house.check_exactly_once()


def test_a_batch_too_large_for_a_transaction_is_taken_in_parts(house: House) -> None:
    loop = house.process(batch_records_max=1_000, faults=Faults(send_records_max=4))
    turns = house.drain(loop)
    assert Turn.RESTARTED in turns
    house.check_exactly_once()
    house.check_states(loop)


def test_a_broker_too_slow_for_full_batches_sees_few_of_them(house: House) -> None:
    house.feed(range(400))
    loop = house.process(batch_records_max=64, faults=Faults(send_records_max=4))
    turns = house.drain(loop)
    assert turns.count(Turn.COMMITTED) > 100
    assert turns.count(Turn.RESTARTED) < turns.count(Turn.COMMITTED) / 4
    house.check_exactly_once()


def test_a_batch_that_says_very_much_is_committed_in_parts(house: House) -> None:
    loop = house.process(batch_records_max=1_000, outputs_max=3, faults=Faults(send_records_max=5))
    turns = house.drain(loop)
    assert Turn.RESTARTED not in turns
    house.check_exactly_once()
    house.check_states(loop)


def test_a_process_killed_between_two_parts_loses_and_repeats_nothing(house: House) -> None:
    faults = Faults({("begin", "before", 3): Killed()})
    first = house.process(batch_records_max=1_000, outputs_max=3, faults=faults)
    with pytest.raises(Killed):
        house.drain(first)
    successor = house.process()
    house.drain(successor)
    house.check_exactly_once()
    house.check_states(successor)


def test_the_backoff_doubles_and_is_bounded() -> None:
    assert [backoff_s(n) for n in (1, 2, 3)] == [0.05, 0.1, 0.2]
    assert backoff_s(1_000_000) == BACKOFF_S_MAX


def test_a_zombie_that_wakes_before_its_commit_changes_nothing(house: House) -> None:
    successor = house.process(instance="1")

    def meanwhile() -> None:
        house.log.group("sums").evict("0")
        while not successor.folds():
            successor.run_once()
        house.drain(successor)

    faults = Faults({("send_offsets", "before", 2): meanwhile})
    zombie = house.process(faults=faults)
    assert run_until_restarted(zombie)
    house.check_exactly_once()


def test_a_zombie_that_wakes_within_its_commit_changes_nothing(house: House) -> None:
    successor = house.process(instance="1")

    def meanwhile() -> None:
        house.log.group("sums").evict("0")
        while not successor.folds():
            successor.run_once()
        house.drain(successor)

    faults = Faults({("commit", "before", 2): meanwhile})
    zombie = house.process(faults=faults)
    assert run_until_restarted(zombie)
    house.check_exactly_once()


def run_until_restarted(loop: Loop[GroupToken]) -> bool:
    return any(loop.run_once() is Turn.RESTARTED for _ in range(50))


def test_a_revoked_partition_leaves_no_state_and_no_readiness(house: House) -> None:
    first, second = house.process(instance="0"), house.process(instance="1")
    first.run_once()
    second.run_once()
    house.drain(first, second)
    assert len(first.folds()) == 1
    house.process(instance="2").run_once()
    # The second process does not poll, so the rebalance waits for it.
    assert first.run_once() is Turn.IDLE
    assert first.folds() == {}
    assert not house.telemetry.ready.is_set()


def test_taking_over_fences_first_then_asks_for_offsets_then_restores(house: House) -> None:
    faults = Faults()

    class Reader(MemoryReader):
        def bounds(self, partition: TopicPartition) -> tuple[int, int]:
            faults.happened.append("restore")
            return super().bounds(partition)

    house.reader = Reader(house.log)
    loop = house.process(faults=faults)
    loop.run_once()
    loop.run_once()
    assert faults.happened == ["initialise", "committed", "restore", "restore"]


def test_two_processes_share_the_work(house: House) -> None:
    loops = [house.process(instance=instance) for instance in ("0", "1")]
    for loop in loops:
        loop.run_once()
    house.drain(*loops)
    assert [len(loop.folds()) for loop in loops] == [1, 1]
    house.check_exactly_once()
    for loop in loops:
        house.check_states(loop)


def test_a_third_process_in_the_middle_changes_nothing(house: House) -> None:
    loops = [house.process(instance="0")]
    for number in ("1", "2"):
        for _ in range(4):
            for loop in loops:
                loop.run_once()
        loops.append(house.process(instance=number))
    house.drain(*loops)
    house.check_exactly_once()


def test_a_stop_before_anything_was_committed_lets_the_next_process_start() -> None:
    """A snapshot of offset 0 would claim that there were committed offsets, and are none."""
    house = House()
    idle = house.process(snapshot_interval_s=0.001)
    for _ in range(5):
        idle.run_once()
    assert len(idle.folds()) == 2
    house.pacer.stop = True
    idle.run()
    house.pacer.stop = False
    house.feed(NUMBERS)
    house.drain(house.process())
    house.check_exactly_once()


def test_a_stop_leaves_nothing_open_and_snapshots_behind(house: House) -> None:
    loop = house.process()
    house.drain(loop)
    house.pacer.stop = True
    loop.run()
    house.log.settle()
    for at in house.log.partitions_of("out"):
        assert house.log.stable_offset(at) == house.log.end_offset(at)
    offsets = house.log.group("sums").offsets
    kept = [house.snapshots.newest("sums", "in", p, 1)[0].offset for p in (0, 1)]
    assert kept == [offsets[TopicPartition("in", p)] for p in (0, 1)]
    assert not house.telemetry.ready.is_set()


def test_a_crash_aborts_what_is_open_and_is_raised(house: House) -> None:
    faults = Faults({("send", "after", 2): AssertionError("broken invariant")})
    with pytest.raises(AssertionError, match="broken invariant"):
        house.process(faults=faults).run()
    house.log.settle()
    for at in house.log.partitions_of("out"):
        assert house.log.stable_offset(at) == house.log.end_offset(at)


@pytest.mark.parametrize("error", [ConfigurationError, HistoryLostError])
def test_a_fatal_error_ends_the_run(house: House, error: type[Exception]) -> None:
    faults = Faults({("send", "before", 1): error("a person has to act")})
    with pytest.raises(error, match="a person has to act"):
        house.process(faults=faults).run()
    assert house.lag() == len(NUMBERS)


def test_it_is_ready_only_while_it_owns_restored_folds(house: House) -> None:
    faults = Faults({("commit", "before", 2): UnknownOutcomeError("planted")})
    loop = house.process(faults=faults)
    ready = house.telemetry.ready
    seen = [(loop.run_once(), ready.is_set()) for _ in range(5)]
    assert seen == [
        (Turn.JOINED, False),
        (Turn.COMMITTED, True),
        (Turn.RESTARTED, False),
        (Turn.JOINED, False),
        (Turn.COMMITTED, True),
    ]


def test_counts_are_of_what_was_committed(house: House) -> None:
    faults = Faults({("commit", "before", 2): UnknownOutcomeError("planted")})
    house.drain(house.process(faults=faults))
    assert house.metric('outcry_records_consumed_total{topic="in"} 20.0')
    assert house.metric('outcry_records_produced_total{topic="out"} 20.0')
    assert house.metric('outcry_loop_restarts_total{error="UnknownOutcomeError"} 1.0')

"""Any batches, any deaths, any rebalances: each input once, and the state that of the whole log."""

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from services.runtime.errors import (
    FencedError,
    RestoreNeededError,
    RetriableError,
    UnknownOutcomeError,
)
from services.runtime.loop import Loop
from services.runtime.memory_group import GroupToken
from services.tools.proof.vopr.taps import TURN_STEPS, Killed, Step, When
from tests.support.loop_kit import Faults, House


@dataclass(frozen=True)
class Fault:
    """One planted fault: where, at which call, and what."""

    step: Step
    when: When
    call: int
    kind: type[BaseException]


FAULTS = st.builds(
    Fault,
    step=st.sampled_from(TURN_STEPS),
    when=st.sampled_from(["before", "after"]),
    call=st.integers(1, 12),
    kind=st.sampled_from([Killed, UnknownOutcomeError, FencedError, RestoreNeededError]),
)
# Only a poll may ask to be tried again; after a fold ran, that would repeat its outputs.
AWAY = st.builds(
    Fault,
    step=st.just("poll"),
    when=st.just("before"),
    call=st.integers(1, 12),
    kind=st.just(RetriableError),
)


def planned(faults: list[Fault]) -> Faults:
    return Faults({(f.step, f.when, f.call): f.kind("planted") for f in faults})


@given(
    numbers=st.lists(st.integers(-1_000, 1_000), min_size=1, max_size=40),
    records_max=st.integers(1, 10),
    snapshot_interval_s=st.sampled_from([0.001, 0.01, 1e9]),
    faults=st.lists(st.one_of(FAULTS, AWAY), max_size=5),
    defer_markers=st.booleans(),
)
def test_one_room_survives_any_faults(
    numbers: list[int],
    records_max: int,
    snapshot_interval_s: float,
    faults: list[Fault],
    defer_markers: bool,  # noqa: FBT001 - drawn
) -> None:
    house = House(defer_markers=defer_markers)
    house.feed(numbers)
    shared = planned(faults)

    def start() -> Loop[GroupToken]:
        return house.process(
            batch_records_max=records_max,
            snapshot_interval_s=snapshot_interval_s,
            faults=shared,
        )

    loop = start()
    while house.lag():
        try:
            house.drain(loop)
        except Killed:
            loop = start()
    house.check_exactly_once()
    while not loop.folds():
        loop.run_once()
    house.check_states(loop)


@given(
    numbers=st.lists(st.integers(-1_000, 1_000), min_size=1, max_size=30),
    turns=st.lists(st.integers(0, 3), max_size=60),
    faults=st.lists(st.one_of(FAULTS, AWAY), max_size=4),
    defer_markers=st.booleans(),
)
def test_instances_that_come_and_go_in_any_order_share_the_work_exactly_once(
    numbers: list[int],
    turns: list[int],
    faults: list[Fault],
    defer_markers: bool,  # noqa: FBT001 - drawn
) -> None:
    """Each drawn turn runs one of three instances; 3 lets the session of one time out."""
    house = House(defer_markers=defer_markers)
    house.feed(numbers)
    shared = planned(faults)
    loops: dict[int, Loop[GroupToken]] = {}

    def turn(instance: int) -> None:
        if instance not in loops:
            loops[instance] = house.process(instance=str(instance), faults=shared)
        try:
            loops[instance].run_once()
        except Killed:
            del loops[instance]
            house.log.group("sums").evict(str(instance))

    for drawn in turns:
        if drawn == 3:
            house.log.group("sums").evict(str(len(loops) % 3))
        else:
            turn(drawn)
    for _ in range(500):
        if not house.lag():
            break
        for instance in sorted(loops) or [0]:
            turn(instance)
    assert not house.lag()
    house.check_exactly_once()

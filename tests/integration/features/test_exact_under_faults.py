"""Rows on `features` are those of the direct fold over the log, whatever happens to the processes.

A short form by default. Longer ones: OUTCRY_TEST_FEATURE_ROUNDS=20 OUTCRY_TEST_SEED=7 pytest
--timeout 3600 tests/integration/features/test_exact_under_faults.py
"""

import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

import pytest

from tests.support.feature_world import FeatureProcess, FeatureWorld
from tests.support.stack_fixture import StackInfra
from tests.support.trade_tape import V1, V2
from tests.support.waiting import wait_until

pytestmark = pytest.mark.kafka

ROUNDS = int(os.environ.get("OUTCRY_TEST_FEATURE_ROUNDS", "1"))
SEED = int(os.environ.get("OUTCRY_TEST_SEED", "20"))
PAST_THE_SESSION_S = 8.0
LOAD_PER_S = 300


@contextmanager
def load(world: FeatureWorld) -> Iterator[None]:
    """Trades in a thread of their own, until what is done to the processes is done."""
    enough = Event()

    def trade() -> None:
        while not enough.is_set():
            world.trade_for(0.3, LOAD_PER_S)

    thread = Thread(target=trade)
    thread.start()
    try:
        yield
    finally:
        enough.set()
        thread.join()


class Scene:
    """A room under load, and a seed that says when things happen."""

    def __init__(self, world: FeatureWorld) -> None:
        self.world = world
        self.random = random.Random(SEED)
        self.room = world.start()
        self.room.wait_until_ready()

    def pause(self, longest_s: float = 2.0) -> None:
        time.sleep(self.random.uniform(0.3, longest_s))

    def assignments(self, process: FeatureProcess) -> int:
        """How often it was given partitions."""
        return process.count("restored")


def kill(scene: Scene) -> None:
    """SIGKILL with rows that are written and not committed, and once more soon after."""
    scene.world.kill_amid_rows(scene.room, scene.pause)
    scene.room = scene.world.start()
    scene.room.wait_until_ready()
    scene.pause()
    scene.room.kill()
    scene.room = scene.world.start()
    scene.room.wait_until_ready()


def join_and_leave(scene: Scene) -> None:
    """A second process takes some of the partitions, and gives them back."""
    second = scene.world.start("1")
    second.wait_until_ready()
    wait_until(lambda: scene.assignments(second) > 0, "partitions for the second process")
    scene.pause()
    before = scene.assignments(scene.room)
    assert second.stop() == 0
    wait_until(lambda: scene.assignments(scene.room) >= before + 5, "all partitions to be back")


def freeze(scene: Scene) -> None:
    """SIGSTOP past the session, and back: it wakes with a batch of partitions it lost."""
    second = scene.world.start("1")
    second.wait_until_ready()
    scene.room.signal(signal.SIGSTOP)
    time.sleep(PAST_THE_SESSION_S)
    wait_until(lambda: second.events()[-1]["event"] == "restored", "the other one to take over")
    before = scene.assignments(scene.room)
    scene.room.signal(signal.SIGCONT)
    wait_until(lambda: scene.assignments(scene.room) > before, "its return to the group")
    scene.pause()
    assert second.stop() == 0


@pytest.mark.parametrize(
    "harm",
    [
        kill,
        pytest.param(join_and_leave, marks=pytest.mark.long),
        pytest.param(freeze, marks=pytest.mark.long),
    ],
)
def test_rows_are_those_of_the_direct_fold_whatever_happens_to_the_processes(
    harm: Callable[[Scene], None], stack_infra: StackInfra, tmp_path: Path
) -> None:
    world = FeatureWorld(stack_infra.addresses, tmp_path, seed=SEED, sets=(V1, V2))
    try:
        scene = Scene(world)
        with load(world):
            for _ in range(ROUNDS):
                harm(scene)
                scene.pause()
        rows, repeated = world.require_equal()
        assert rows > 200
        assert repeated < rows
        if harm is kill:
            assert repeated > 0, "trades were not delivered twice, so this shows nothing"
        assert scene.room.stop() == 0
    finally:
        world.close()


def test_a_row_that_is_missing_is_found(world: FeatureWorld) -> None:
    """The comparison itself: one trade too many in what it expects, and it fails."""
    world.trade(200)
    room = world.start()
    room.wait_until_ready()
    world.require_equal()
    assert room.stop() == 0
    world.trade(50)
    with pytest.raises(AssertionError, match="waited 1 s in vain for every row") as failure:
        world.require_equal(timeout_s=1.0)
    (note,) = failure.value.__notes__
    assert "rows are missing, of partitions [" in note
    assert "exit code 0" in note

import os
import subprocess

from services.tools.stack.frozen import FreezeWatch, processor_ticks


class World:
    """A process as the watch sees it, and a clock that moves when told, or by a probe."""

    def __init__(self, timeout_s: float = 2.0) -> None:
        self.now_s = 100.0
        self.ticks = 7
        self.answers = False
        self.probes = 0
        self.watch = FreezeWatch(1, self.probe, timeout_s, self.now_s, lambda _pid: self.ticks)

    def probe(self, _pid: int) -> bool:
        self.probes += 1
        self.now_s += 0.0 if self.answers else 1.0
        return self.answers

    def after(self, seconds: float) -> float:
        self.now_s += seconds
        return self.watch.silent_s(lambda: self.now_s)


def test_a_process_that_works_is_not_even_asked() -> None:
    world = World()
    for _ in range(20):
        world.ticks += 1
        assert world.after(5.0) == 0
    assert world.probes == 0


def test_an_idle_process_that_answers_is_alive() -> None:
    world = World()
    world.answers = True
    assert [world.after(0.75), world.after(0.25), world.after(0.5)] == [0.75, 0.0, 0.5]
    assert world.probes == 1


def test_one_that_neither_works_nor_answers_is_found_in_time() -> None:
    world = World()
    assert world.after(0.75) == 0.75
    assert world.after(0.25) == 2.0
    assert world.probes == 1


def test_one_that_wakes_up_while_it_is_asked_is_alive() -> None:
    world = World()

    def probe(pid: int) -> bool:
        world.ticks += 1
        return World.probe(world, pid)

    world.watch = FreezeWatch(1, probe, 2.0, world.now_s, lambda _pid: world.ticks)
    assert world.after(1.5) == 0.0


def test_processor_time_is_that_of_the_process_and_none_once_it_is_gone() -> None:
    before = processor_ticks(os.getpid())
    assert before is not None
    spin = 0
    while processor_ticks(os.getpid()) == before:
        spin += sum(range(10_000))
    assert spin
    with subprocess.Popen(("true",)) as child:
        pass
    assert processor_ticks(child.pid) is None

import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from services.tools.stack.backoff import Backoff
from services.tools.stack.components import Component
from services.tools.stack.errors import StackError
from services.tools.stack.identity import identify, write_pid_file
from services.tools.stack.readiness import Probe
from services.tools.stack.status import ComponentStatus, Phase, State, read_status
from services.tools.stack.supervisor import (
    START_ATTEMPTS_MAX,
    UNREADY_AFTER_MISSES,
    Supervisor,
    _Child,
)
from tests.support.waiting import wait_until

_FOREVER = ("sleep", "600")


def _always(_pid: int) -> bool:
    return True


def _never(_pid: int) -> bool:
    return False


def _has_missed(child: _Child, probes: int) -> bool:
    return child.misses == probes


class Driven:
    """A supervisor whose rounds the test drives, so that no signal handler is needed."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.trace = home / "trace"
        for name in ("run", "logs"):
            (home / name).mkdir()
        self._supervisor: Supervisor | None = None

    def component(
        self,
        name: str,
        argv: tuple[str, ...] = _FOREVER,
        ready: Probe | None = _always,
        needs: tuple[str, ...] = (),
        after: tuple[str, ...] = (),
        stop_timeout_s: float = 5.0,
        initialise: Callable[[], None] | None = None,
        answers: Probe | None = None,
    ) -> Component:
        return Component(
            name=name,
            argv=argv,
            env=os.environ,
            ready=ready,
            needs=needs,
            after=after,
            stop_timeout_s=stop_timeout_s,
            initialise=initialise,
            answers=answers,
        )

    def traced(self, name: str, after: tuple[str, ...] = ()) -> Component:
        """Writes its name when it starts and when it is told to stop."""
        script = (
            f"trap 'echo -{name} >> {self.trace}; exit 0' TERM; echo +{name} >> {self.trace}; "
            "while :; do sleep 0.05; done"
        )

        def ready(_pid: int) -> bool:
            return f"+{name}" in self.traces

        return self.component(name, ("sh", "-c", script), ready, after=after)

    @property
    def traces(self) -> list[str]:
        return self.trace.read_text(encoding="utf-8").split() if self.trace.exists() else []

    def supervise(self, *components: Component, frozen_timeout_s: float = 0.0) -> None:
        self._supervisor = Supervisor(self.home, components, frozen_timeout_s)
        for child in self._supervisor._children.values():
            child.backoff = Backoff(first_delay_s=0.05, delay_max_s=0.1)

    def turn_until(self, holds: Callable[[], object], what: str) -> None:
        def turn() -> object:
            assert self._supervisor is not None
            self._supervisor._tick()
            self._supervisor._publish()
            return holds()

        wait_until(turn, what)

    def turn_for(self, seconds: float) -> None:
        end_s = time.monotonic() + seconds
        self.turn_until(lambda: time.monotonic() > end_s, "time to pass")

    def child(self, name: str) -> _Child:
        assert self._supervisor is not None
        return self._supervisor._children[name]

    @property
    def phase(self) -> Phase:
        status = read_status(self.home)
        assert status is not None
        return status.phase

    def row(self, name: str) -> ComponentStatus:
        status = read_status(self.home)
        assert status is not None
        return status.row(name)

    def kill(self, name: str) -> int:
        process = self.row(name).process
        assert process is not None
        os.kill(process.pid, signal.SIGKILL)
        return process.pid

    def ask(self, *signals: signal.Signals) -> None:
        """As if these had come."""
        assert self._supervisor is not None
        for number in signals:
            self._supervisor._request_stop(number, None)

    def stop(self) -> None:
        if self._supervisor is not None:
            self._supervisor._stop()
            self._supervisor._publish()


@pytest.fixture
def driven(tmp_path: Path) -> Iterator[Driven]:
    driven = Driven(tmp_path)
    yield driven
    driven.stop()


def test_components_start_in_order_of_readiness_and_stop_in_reverse(driven: Driven) -> None:
    driven.supervise(
        driven.traced("c", after=("b",)), driven.traced("b", after=("a",)), driven.traced("a")
    )
    driven.turn_until(lambda: driven.phase is Phase.UP, "all to be up")
    driven.stop()
    assert driven.traces == ["+a", "+b", "+c", "-c", "-b", "-a"]
    assert driven.phase is Phase.STOPPED
    assert not list((driven.home / "run").glob("*.pid"))


def test_what_dies_is_started_again(driven: Driven) -> None:
    driven.supervise(driven.component("a"))
    driven.turn_until(lambda: driven.phase is Phase.UP, "it to be up")
    first = driven.kill("a")
    driven.turn_until(lambda: driven.row("a").restarts == 1, "the death to be seen")
    assert "SIGKILL" in driven.row("a").note
    driven.turn_until(lambda: driven.row("a").state is State.UP, "it to be up again")
    process = driven.row("a").process
    assert process is not None
    assert process.pid != first


def test_what_a_dead_component_left_is_cleared_before_it_starts_again(driven: Driven) -> None:
    cleared: list[State] = []
    component = replace(
        driven.component("a"), on_death=lambda: cleared.append(driven.child("a").state)
    )
    driven.supervise(component)
    driven.turn_until(lambda: driven.phase is Phase.UP, "it to be up")
    driven.kill("a")
    driven.turn_until(lambda: driven.row("a").restarts == 1, "the death to be seen")
    assert len(cleared) == 1
    assert driven.row("a").state is not State.UP
    driven.turn_until(lambda: driven.row("a").state is State.UP, "it to be up again")
    driven.stop()
    assert len(cleared) == 1, "a stop that was asked for is no death"


def test_a_chore_runs_each_time_that_its_component_has_become_ready(driven: Driven) -> None:
    chore = ("sh", "-c", f"echo done >> {driven.trace}; exit 3")
    driven.supervise(replace(driven.component("a"), chore=chore))
    driven.turn_until(lambda: driven.traces == ["done"], "the chore of the first start")
    driven.turn_until(lambda: driven.child("a").chore is None, "its end to be seen")
    driven.turn_until(lambda: driven.phase is Phase.UP, "its failure to change nothing")
    driven.kill("a")
    driven.turn_until(lambda: len(driven.traces) == 2, "the chore of the restart")
    assert driven.row("a").restarts == 1


def test_a_chore_may_have_its_component_stopped_and_started_again(driven: Driven) -> None:
    asks_once = f"test -e {driven.home}/asked && exit 0; touch {driven.home}/asked; exit 75"
    driven.supervise(replace(driven.traced("a"), chore=("sh", "-c", asks_once)))
    driven.turn_until(lambda: driven.row("a").restarts == 1, "the restart")
    driven.turn_until(lambda: driven.row("a").state is State.UP, "it to be up again")
    assert driven.traces == ["+a", "-a", "+a"], "it was told to stop, not killed"
    assert driven.row("a").restarts == 1


def test_a_component_that_does_not_stop_for_its_chore_is_killed(driven: Driven) -> None:
    deaf = ("sh", "-c", "trap '' TERM; while :; do sleep 0.05; done")
    asks_once = f"test -e {driven.home}/asked && exit 0; touch {driven.home}/asked; exit 75"
    driven.supervise(
        replace(driven.component("a", deaf, stop_timeout_s=0.3), chore=("sh", "-c", asks_once))
    )
    driven.turn_until(lambda: driven.row("a").restarts == 1, "the kill and the restart")
    assert driven.row("a").state in (State.BACKOFF, State.STARTING, State.UP)


def test_a_component_that_does_not_get_ready_has_what_it_needs_looked_after(
    driven: Driven,
) -> None:
    chore = ("sh", "-c", f"echo done >> {driven.trace}")
    waits = replace(driven.component("b", ready=_never, needs=("a",)), ready_timeout_s=0.2)
    driven.supervise(replace(driven.component("a"), chore=chore), waits)
    driven.turn_until(lambda: len(driven.traces) >= 2, "the chore of the start and one more")
    assert driven.row("a").restarts == 0


def test_a_chore_ends_with_the_stack(driven: Driven) -> None:
    driven.supervise(replace(driven.component("a"), chore=_FOREVER))
    driven.turn_until(lambda: driven.phase is Phase.UP, "it to be up")
    chore = driven.child("a").chore
    assert chore is not None
    assert chore.poll() is None
    driven.stop()
    assert chore.poll() is not None


def test_once_all_was_up_a_component_is_tried_again_for_ever(driven: Driven) -> None:
    broken = driven.home / "broken"
    script = f"test -e {broken} && exit 3; exec sleep 600"
    driven.supervise(driven.component("a", ("sh", "-c", script)))
    driven.turn_until(lambda: driven.phase is Phase.UP, "it to be up")
    broken.touch()
    driven.kill("a")
    many = START_ATTEMPTS_MAX + 2
    driven.turn_until(lambda: driven.row("a").restarts >= many, "many restarts")
    broken.unlink()
    driven.turn_until(lambda: driven.row("a").state is State.UP, "it to recover")
    assert driven.phase is Phase.UP


def test_a_component_that_cannot_start_fails_the_stack_and_says_why(driven: Driven) -> None:
    driven.supervise(
        driven.component("good"), driven.component("bad", ("sh", "-c", "exit 7"), _never)
    )
    driven.turn_until(lambda: driven.phase is Phase.FAILED, "the start to fail")
    status = read_status(driven.home)
    assert status is not None
    assert (status.failed, status.cause) == ("bad", "ended with 7")
    assert status.row("bad").restarts == START_ATTEMPTS_MAX - 1
    driven.stop()
    assert driven.phase is Phase.FAILED
    assert driven.row("good").process is None


def test_a_program_that_is_missing_fails_the_stack(driven: Driven) -> None:
    driven.supervise(driven.component("a", ("/nowhere/program",)))
    driven.turn_until(lambda: driven.phase is Phase.FAILED, "the start to fail")
    assert "/nowhere/program" in driven.row("a").note


def test_a_set_up_that_fails_is_tried_again_and_then_reported(driven: Driven) -> None:
    calls: list[None] = []

    def initialise() -> None:
        calls.append(None)
        raise StackError("no room on the disk")

    driven.supervise(driven.component("a", initialise=initialise))
    driven.turn_until(lambda: driven.phase is Phase.FAILED, "the start to fail")
    assert len(calls) == START_ATTEMPTS_MAX
    assert "no room on the disk" in driven.row("a").note


def test_what_runs_once_opens_the_way_when_it_is_done(driven: Driven) -> None:
    once = driven.component("once", ("true",), ready=None)
    driven.supervise(driven.component("room", needs=("once",)), once)
    driven.turn_until(lambda: driven.phase is Phase.UP, "all to be up")
    assert driven.row("once").state is State.DONE
    assert driven.row("once").restarts == 0


def test_what_runs_once_and_fails_is_not_repeated(driven: Driven) -> None:
    driven.supervise(driven.component("once", ("false",), ready=None))
    driven.turn_until(lambda: driven.phase is Phase.FAILED, "the start to fail")
    assert driven.row("once").restarts == 0


def test_a_room_waits_for_the_broker_it_needs_before_it_is_restarted(driven: Driven) -> None:
    away = driven.home / "away"

    def broker_ready(_pid: int) -> bool:
        return not away.exists()

    broker = driven.component("broker", ready=broker_ready)
    driven.supervise(broker, driven.component("room", needs=("broker",)))
    driven.turn_until(lambda: driven.phase is Phase.UP, "all to be up")
    away.touch()
    driven.kill("broker")
    driven.turn_until(lambda: driven.row("broker").state is State.STARTING, "a new broker")
    driven.kill("room")
    driven.turn_until(lambda: driven.row("room").state is State.BACKOFF, "the room to be down")
    rounds = iter(range(20))
    driven.turn_until(lambda: next(rounds, None) is None, "twenty more rounds")
    assert driven.row("room").state is State.BACKOFF
    away.unlink()
    driven.turn_until(lambda: driven.row("room").state is State.UP, "both to be up")


def test_a_component_that_does_not_stop_is_killed(driven: Driven) -> None:
    script = f"trap '' TERM; touch {driven.trace}; while :; do sleep 0.05; done"
    stubborn = driven.component(
        "a", ("sh", "-c", script), lambda _pid: driven.trace.exists(), stop_timeout_s=0.2
    )
    driven.supervise(stubborn)
    driven.turn_until(lambda: driven.phase is Phase.UP, "it to be up")
    driven.stop()
    assert driven.row("a").state is State.STOPPED
    assert driven.row("a").note == "did not stop in time and was killed"


@pytest.mark.parametrize(
    "signals,note",
    [
        ((signal.SIGTERM, signal.SIGTERM), "did not stop in time and was killed"),
        ((signal.SIGTERM, signal.SIGINT), "was hurried and was killed"),
    ],
)
def test_a_second_request_to_stop_waits_and_only_a_hurry_kills(
    driven: Driven, signals: tuple[signal.Signals, ...], note: str
) -> None:
    script = f"trap '' TERM; touch {driven.trace}; while :; do sleep 0.05; done"
    stop_timeout_s = 600.0 if signal.SIGINT in signals else 0.2
    stubborn = driven.component(
        "a",
        ("sh", "-c", script),
        lambda _pid: driven.trace.exists(),
        stop_timeout_s=stop_timeout_s,
    )
    driven.supervise(stubborn)
    driven.turn_until(lambda: driven.phase is Phase.UP, "it to be up")
    driven.ask(*signals)
    driven.stop()
    assert driven.row("a").note == note


def test_a_live_component_that_is_not_ready_is_shown_and_left_alone(driven: Driven) -> None:
    busy = driven.home / "busy"
    driven.supervise(driven.component("a", ready=lambda _pid: not busy.exists()))
    driven.turn_until(lambda: driven.phase is Phase.UP, "it to be up")
    busy.touch()
    child = driven.child("a")
    for missed in range(1, UNREADY_AFTER_MISSES):
        child.probe_due_s = 0
        driven.turn_until(partial(_has_missed, child, missed), "a probe")
        assert driven.row("a").state is State.UP
    child.probe_due_s = 0
    driven.turn_until(lambda: driven.row("a").state is State.UNREADY, "it to be not ready")
    status = read_status(driven.home)
    assert status is not None
    assert not status.is_up
    assert driven.row("a").restarts == 0


def test_a_component_that_stands_still_is_killed_and_started_again(driven: Driven) -> None:
    driven.supervise(driven.component("a", answers=_never), frozen_timeout_s=0.3)
    driven.turn_until(lambda: driven.row("a").restarts == 1, "it to be killed")
    assert "stood still" in driven.row("a").note
    driven.turn_until(lambda: driven.row("a").state is State.UP, "it to be up again")


def test_a_stopped_process_is_killed_although_it_can_not_die_of_itself(driven: Driven) -> None:
    busy = ("sh", "-c", "while :; do :; done")
    driven.supervise(driven.component("a", busy, answers=_never), frozen_timeout_s=0.3)
    driven.turn_until(lambda: driven.phase is Phase.UP, "it to be up")
    driven.turn_for(1.0)
    assert driven.row("a").restarts == 0, "it works"
    process = driven.row("a").process
    assert process is not None
    os.kill(process.pid, signal.SIGSTOP)
    driven.turn_until(lambda: driven.row("a").restarts == 1, "it to be killed")
    assert "stood still" in driven.row("a").note


@pytest.mark.parametrize("timeout_s,answers", [(0.3, _always), (0.3, None), (0.0, _never)])
def test_what_answers_or_is_not_to_be_judged_may_stand_still(
    driven: Driven, timeout_s: float, answers: Probe | None
) -> None:
    driven.supervise(driven.component("a", answers=answers), frozen_timeout_s=timeout_s)
    driven.turn_until(lambda: driven.phase is Phase.UP, "it to be up")
    driven.turn_for(1.0)
    assert driven.row("a").restarts == 0
    assert driven.row("a").state is State.UP


def test_a_stale_pid_file_costs_no_stranger_its_life(driven: Driven) -> None:
    stranger = identify(os.getpid())
    assert stranger is not None
    stale = type(stranger)(stranger.pid, stranger.start_ticks - 1, stranger.boot_id)
    write_pid_file(driven.home / "run" / "a.pid", stale)
    driven.supervise(driven.component("a"))
    assert driven._supervisor is not None
    driven._supervisor._end_leftovers()
    assert not (driven.home / "run" / "a.pid").exists()

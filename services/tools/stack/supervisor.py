"""Start in order of readiness, restart what dies, stop in reverse: one loop, one thread.

A component's way: WAITING until what it needs is ready, STARTING until its probe says yes, then UP
(or UNREADY while the probe says no). When it dies: BACKOFF, and again from STARTING. During the
first start a component has a few attempts; once everything has been up, it is tried for ever.
"""

import os
import select
import signal
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Final

import structlog

from services.runtime.log_lines import Log
from services.tools.stack.backoff import Backoff
from services.tools.stack.components import CHORE_ASKS_RESTART, Component, start_layers
from services.tools.stack.errors import StackError
from services.tools.stack.frozen import LOOK_INTERVAL_S, FreezeWatch
from services.tools.stack.identity import (
    ProcessIdentity,
    identify,
    is_alive,
    read_pid_file,
    send_signal,
    write_pid_file,
)
from services.tools.stack.logfiles import rotate
from services.tools.stack.spawn import account_to_use, spawn
from services.tools.stack.status import (
    ComponentStatus,
    Phase,
    StackStatus,
    State,
    run_directory,
    write_status,
)

START_ATTEMPTS_MAX: Final = 3
STARTING_POLL_S: Final = 0.1
STEADY_POLL_S: Final = 1.0
PROBE_INTERVAL_S: Final = 5.0
"""Between probes of a component that is up."""
UNREADY_AFTER_MISSES: Final = 3
"""One late answer on a busy machine says nothing."""
ROTATE_INTERVAL_S: Final = 10.0
LEFTOVER_WAIT_S: Final = 5.0
"""How long the children of a killed supervisor may take to die before they are killed again."""


@dataclass
class _Child:
    """A component and what became of it."""

    component: Component
    state: State = State.WAITING
    process: subprocess.Popen[bytes] | None = None
    identity: ProcessIdentity | None = None
    backoff: Backoff = field(default_factory=Backoff)
    attempts: int = 0
    restarts: int = 0
    was_up: bool = False
    started_s: float = 0.0
    """By the monotonic clock, like the other times here without a date."""
    ready_s: float | None = None
    """Since when the present process has been ready; None: not yet."""
    started_at_s: float | None = None
    """By the calendar, for people."""
    restart_due_s: float = 0.0
    probe_due_s: float = 0.0
    misses: int = 0
    """Probes in a row without a yes, since it was ready."""
    freeze: FreezeWatch | None = None
    chore: subprocess.Popen[bytes] | None = None
    """The present or the last one."""
    verdict: str = ""
    """Why the supervisor ended the present process, if it did."""
    kill_due_s: float | None = None
    """When it is killed if it has not stopped as asked; None: nobody asked."""
    note: str = ""


class Supervisor:
    """Runs components until told to stop. The caller holds the lock on `home`.

    Args:
        frozen_timeout_s: how long a component may stand still; 0: for ever.
    """

    def __init__(
        self, home: Path, components: tuple[Component, ...], frozen_timeout_s: float = 0.0
    ) -> None:
        self._home = home
        self._log: Log = structlog.get_logger().bind(room="supervisor")
        self._children = {component.name: _Child(component) for component in components}
        self._layers = start_layers(components)
        self._frozen_timeout_s = frozen_timeout_s
        self._steady_poll_s = LOOK_INTERVAL_S if frozen_timeout_s else STEADY_POLL_S
        self._phase = Phase.STARTING
        self._failed = ""
        self._cause = ""
        self._stop_asked = False
        self._hurried = False
        self._rotate_due_s = 0.0
        self._published: StackStatus | None = None
        self._wakeup_read, self._wakeup_write = os.pipe()
        for end in (self._wakeup_read, self._wakeup_write):
            os.set_blocking(end, False)
        identity = identify(os.getpid())
        assert identity is not None, "this process runs"
        self._identity = identity

    def run(self) -> int:
        """Block until stopped by SIGTERM or SIGINT; 0, or 1 if the stack could not start.

        SIGTERM stops in order, however often it comes: two people may ask for the same. SIGINT
        kills at once what has not stopped.
        """
        signal.set_wakeup_fd(self._wakeup_write, warn_on_full_buffer=False)
        for sig in (signal.SIGTERM, signal.SIGINT):
            signal.signal(sig, self._request_stop)
        signal.signal(signal.SIGCHLD, _wake_only)
        self._end_leftovers()
        self._publish()
        while not self._stop_asked and self._phase is not Phase.FAILED:
            self._tick()
            self._publish()
            settled = self._phase is Phase.UP and self._all_well()
            self._wait(self._steady_poll_s if settled else STARTING_POLL_S)
        self._stop()
        self._publish()
        return 1 if self._phase is Phase.FAILED else 0

    def _request_stop(self, sig: int, _frame: FrameType | None) -> None:
        self._stop_asked = True
        self._hurried = self._hurried or sig == signal.SIGINT

    def _wait(self, timeout_s: float) -> None:
        """Sleep, but not past a signal: a child's death or a request to stop."""
        select.select([self._wakeup_read], [], [], timeout_s)
        try:
            os.read(self._wakeup_read, 4096)
        except BlockingIOError:
            return

    # --- one round -----------------------------------------------------------------------

    def _tick(self) -> None:
        now_s = time.monotonic()
        for child in self._children.values():
            if child.process is not None and child.process.poll() is not None:
                self._on_exit(child, child.process.returncode)
        for child in self._children.values():
            if child.kill_due_s is not None:
                self._hurry(child, child.kill_due_s)
            elif child.state is State.STARTING:
                self._check_start(child)
            elif child.state in (State.UP, State.UNREADY):
                if child.freeze is not None and self._is_frozen(child, child.freeze):
                    continue
                if now_s >= child.probe_due_s:
                    self._check_health(child)
        for child in self._children.values():
            if self._is_due(child, now_s):
                self._start(child)
            self._look_at_chore(child)
        if self._phase is Phase.STARTING and self._all_well():
            self._phase = Phase.UP
            self._log.info("everything_up")
        if now_s >= self._rotate_due_s:
            self._rotate_due_s = now_s + ROTATE_INTERVAL_S
            for log in self._log_directory.glob("*.log"):
                with suppress(OSError):  # no room to move it now; tried again soon
                    rotate(log)

    def _all_well(self) -> bool:
        return all(child.state in (State.UP, State.DONE) for child in self._children.values())

    def _is_due(self, child: _Child, now_s: float) -> bool:
        if child.state is State.WAITING or (
            child.state is State.BACKOFF and now_s >= child.restart_due_s
        ):
            component = child.component
            first = () if child.was_up else component.after
            return all(self._is_ready(name) for name in (*component.needs, *first))
        return False

    def _is_ready(self, name: str) -> bool:
        other = self._children.get(name)
        return other is None or other.state in (State.UP, State.DONE)

    def _start(self, child: _Child) -> None:
        component = child.component
        child.attempts += 1
        try:
            if component.initialise is not None:
                component.initialise()
            child.process = spawn(
                component.argv,
                env=component.env,
                cwd=self._home,
                log=self._log_of(component.name),
                account=account_to_use(component.account),
            )
        except (StackError, OSError, subprocess.SubprocessError) as error:
            self._on_death(child, f"could not be started: {error}", was_ready_s=0.0)
            return
        child.identity = identify(child.process.pid)
        if child.identity is not None:
            with suppress(OSError):  # a full disk must not stop what runs
                write_pid_file(self._pid_file_of(component.name), child.identity)
        child.state = State.STARTING
        child.started_s = time.monotonic()
        child.started_at_s = time.time()
        self._log.info("component_started", component=component.name, pid=child.process.pid)

    def _check_start(self, child: _Child) -> None:
        component = child.component
        assert child.process is not None
        if component.ready is not None and component.ready(child.process.pid):
            child.state = State.UP
            child.was_up = True
            child.ready_s = time.monotonic()
            if component.answers is not None and self._frozen_timeout_s:
                child.freeze = FreezeWatch(
                    child.process.pid, component.answers, self._frozen_timeout_s, child.ready_s
                )
            child.misses = 0
            child.note = ""
            child.probe_due_s = time.monotonic() + PROBE_INTERVAL_S
            self._log.info("component_ready", component=component.name)
            self._start_chore(child)
        elif time.monotonic() - child.started_s > component.ready_timeout_s:
            self._condemn(child, f"was not ready after {component.ready_timeout_s:.0f} s")
            for name in component.needs:  # perhaps something is amiss there
                if name in self._children and self._children[name].state is State.UP:
                    self._start_chore(self._children[name])

    def _start_chore(self, child: _Child) -> None:
        component = child.component
        if not component.chore or (child.chore is not None and child.chore.poll() is None):
            return
        try:
            child.chore = spawn(
                component.chore,
                env=component.env,
                cwd=self._home,
                log=self._log_of(f"{component.name}.chore"),
            )
        except (OSError, subprocess.SubprocessError) as error:
            self._log.warning("chore_not_started", component=component.name, error=str(error))

    def _look_at_chore(self, child: _Child) -> None:
        if child.chore is None or child.chore.poll() is None:
            return
        name, code = child.component.name, child.chore.returncode
        child.chore = None
        if code == CHORE_ASKS_RESTART and child.process is not None:
            child.verdict = child.note = "was asked by its chore to start again"
            child.kill_due_s = time.monotonic() + child.component.stop_timeout_s
            child.process.send_signal(child.component.stop_signal)
            self._log.warning(
                "restart_asked", component=name, log=str(self._log_of(f"{name}.chore"))
            )
        elif code:
            self._log.warning(
                "chore_failed", component=name, log=str(self._log_of(f"{name}.chore"))
            )

    def _is_frozen(self, child: _Child, freeze: FreezeWatch) -> bool:
        """Whether it stands still; then it is killed, since others may wait for it."""
        if child.verdict:
            return True  # killed already; its exit has not come yet
        silent_s = freeze.silent_s(time.monotonic)
        if silent_s < self._frozen_timeout_s:
            return False
        self._condemn(child, f"stood still for {silent_s:.1f} s")
        return True

    def _check_health(self, child: _Child) -> None:
        """A live process that isn't ready is shown, not restarted: it may be catching up."""
        assert child.process is not None
        assert child.component.ready is not None
        answered = child.component.ready(child.process.pid)
        child.misses = 0 if answered else child.misses + 1
        ready = child.misses < UNREADY_AFTER_MISSES
        if ready != (child.state is State.UP):
            self._log.warning(
                "component_ready" if ready else "component_not_ready",
                component=child.component.name,
            )
        child.state = State.UP if ready else State.UNREADY
        child.note = "" if ready else "its ready check fails"
        child.probe_due_s = time.monotonic() + (PROBE_INTERVAL_S if answered else STEADY_POLL_S)

    # --- deaths --------------------------------------------------------------------------

    def _condemn(self, child: _Child, verdict: str) -> None:
        """Kill it; its exit is met in the next round."""
        assert child.process is not None
        child.verdict = child.note = verdict
        self._log.error("component_killed", component=child.component.name, cause=verdict)
        child.process.kill()

    def _hurry(self, child: _Child, due_s: float) -> None:
        """Wait for the end of one that was asked to stop, and not for ever."""
        if time.monotonic() >= due_s and child.process is not None:
            self._log.warning(
                "component_killed", component=child.component.name, cause="does not stop"
            )
            child.process.kill()

    def _on_exit(self, child: _Child, code: int) -> None:
        was_ready_s = 0.0 if child.ready_s is None else time.monotonic() - child.ready_s
        verdict = child.verdict
        self._forget_process(child)
        if child.component.ready is None and code == 0:
            child.state = State.DONE
            child.was_up = True
            self._log.info("component_done", component=child.component.name)
            return
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with {code}"
        if child.component.on_death is not None:
            child.component.on_death()
        self._on_death(child, verdict or how, was_ready_s)

    def _on_death(self, child: _Child, cause: str, was_ready_s: float) -> None:
        child.note = cause
        delay_s = child.backoff.delay_s(was_ready_s)
        attempts_max = 1 if child.component.ready is None else START_ATTEMPTS_MAX
        if self._phase is Phase.STARTING and child.attempts >= attempts_max:
            child.state = State.FAILED
            self._phase = Phase.FAILED
            self._failed, self._cause = child.component.name, cause
            self._log.error("gave_up", component=child.component.name, cause=cause)
            return
        child.state = State.BACKOFF
        child.restarts += 1
        child.restart_due_s = time.monotonic() + delay_s
        self._log.warning(
            "component_died",
            component=child.component.name,
            cause=cause,
            again_in_s=round(delay_s, 1),
        )

    def _forget_process(self, child: _Child) -> None:
        child.process = None
        child.identity = None
        child.started_at_s = None
        child.ready_s = None
        child.freeze = None
        child.verdict = ""
        child.kill_due_s = None
        self._pid_file_of(child.component.name).unlink(missing_ok=True)

    # --- the end -------------------------------------------------------------------------

    def _stop(self) -> None:
        """Layer by layer, the last started first: each has its time, then it is killed."""
        for child in self._children.values():
            if child.chore is not None:
                child.chore.kill()
                child.chore.wait()
        if self._phase is not Phase.FAILED:
            self._phase = Phase.STOPPING
        for layer in reversed(self._layers):
            running = [
                child
                for child in (self._children[component.name] for component in layer)
                if child.process is not None
            ]
            for child in running:
                assert child.process is not None
                child.state = State.STOPPING
                child.process.send_signal(child.component.stop_signal)
            self._publish()
            deadline_s = time.monotonic()
            for child in running:
                self._await_end(child, deadline_s)
        for child in self._children.values():
            if child.state not in (State.FAILED, State.DONE):
                child.state = State.STOPPED
        if self._phase is not Phase.FAILED:
            self._phase = Phase.STOPPED
        self._log.info("stopped")

    def _await_end(self, child: _Child, since_s: float) -> None:
        process = child.process
        assert process is not None
        while process.poll() is None:
            if self._hurried or time.monotonic() - since_s > child.component.stop_timeout_s:
                why = "was hurried" if self._hurried else "did not stop in time"
                child.note = f"{why} and was killed"
                self._log.warning(
                    "component_killed", component=child.component.name, cause=child.note
                )
                process.kill()
                process.wait()
            else:
                self._wait(STARTING_POLL_S)
        self._forget_process(child)
        if child.state is not State.FAILED:
            child.state = State.STOPPED
        self._log.info("component_stopped", component=child.component.name)
        self._publish()

    def _end_leftovers(self) -> None:
        """Children of a supervisor that was killed die with it; make sure that they have."""
        deadline_s = time.monotonic() + LEFTOVER_WAIT_S
        for name in self._children:
            path = self._pid_file_of(name)
            leftover = read_pid_file(path)
            while leftover is not None and is_alive(leftover):
                if time.monotonic() > deadline_s:
                    self._log.warning("leftover_killed", component=name)
                    send_signal(leftover, signal.SIGKILL)
                time.sleep(STARTING_POLL_S)
            path.unlink(missing_ok=True)

    # --- what others see -----------------------------------------------------------------

    @property
    def _log_directory(self) -> Path:
        return self._home / "logs"

    def _log_of(self, name: str) -> Path:
        return self._log_directory / f"{name}.log"

    def _pid_file_of(self, name: str) -> Path:
        return run_directory(self._home) / f"{name}.pid"

    def _publish(self) -> None:
        rows = tuple(
            ComponentStatus(
                name=child.component.name,
                state=child.state,
                process=child.identity,
                port=next(iter(child.component.ports.values()), None),
                restarts=child.restarts,
                started_at_s=child.started_at_s,
                log=str(self._log_of(child.component.name)),
                note=child.note,
            )
            for child in self._children.values()
        )
        status = StackStatus(
            self._phase, self._identity, rows, failed=self._failed, cause=self._cause
        )
        if status != self._published:
            with suppress(OSError):  # as above; tried again in the next round
                write_status(self._home, status)
                self._published = status


def _wake_only(_signal: int, _frame: FrameType | None) -> None:
    """A handler, so that the death of a child ends the wait."""

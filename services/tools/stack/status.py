"""What the supervisor says of itself: a file that anyone may read at any time."""

import time
from enum import StrEnum
from pathlib import Path

import msgspec

from services.tools.stack.identity import ProcessIdentity, is_alive


class State(StrEnum):
    """Of one component."""

    WAITING = "waiting"
    """for what it needs"""
    STARTING = "starting"
    UP = "up"
    UNREADY = "not ready"
    """runs, but its ready check fails"""
    BACKOFF = "restarting"
    """died, waits to be started again"""
    DONE = "done"
    """ran once, to its end"""
    STOPPING = "stopping"
    STOPPED = "stopped"
    FAILED = "failed"


class Phase(StrEnum):
    """Of the whole stack."""

    STARTING = "starting"
    UP = "up"
    """every component has been up; one may be restarting now"""
    STOPPING = "stopping"
    STOPPED = "stopped"
    FAILED = "failed"
    """did not start; what had started was stopped again"""


class ComponentStatus(msgspec.Struct, frozen=True):
    """One row of `outcry status`."""

    name: str
    state: State
    process: ProcessIdentity | None
    port: int | None
    restarts: int
    started_at_s: float | None
    """Seconds since the epoch, of the present process."""
    log: str
    note: str = ""
    """Why it last died or is not ready."""


class StackStatus(msgspec.Struct, frozen=True):
    """The whole answer; JSON of this is what `outcry status --json` prints."""

    phase: Phase
    supervisor: ProcessIdentity
    components: tuple[ComponentStatus, ...]
    failed: str = ""
    """The component because of which the start failed."""
    cause: str = ""

    @property
    def is_up(self) -> bool:
        """Everything runs and is ready."""
        running = [row for row in self.components if row.state is not State.DONE]
        return self.phase is Phase.UP and all(row.state is State.UP for row in running)

    def row(self, name: str) -> ComponentStatus:
        return next(row for row in self.components if row.name == name)


def run_directory(home: Path) -> Path:
    """Pid files, lock, plan and status."""
    return home / "run"


def write_status(home: Path, status: StackStatus) -> None:
    """Replace the file at once, so that a reader never sees half of it."""
    path = run_directory(home) / "status.json"
    fresh = path.with_suffix(".new")
    fresh.write_bytes(msgspec.json.encode(status))
    fresh.replace(path)


def read_status(home: Path) -> StackStatus | None:
    """The last word of a supervisor that may have ended since; None if there was none."""
    try:
        content = (run_directory(home) / "status.json").read_bytes()
    except FileNotFoundError:
        return None
    return msgspec.json.decode(content, type=StackStatus)


def read_live_status(home: Path) -> StackStatus | None:
    """The word of a supervisor that runs; None if none does."""
    status = read_status(home)
    return status if status is not None and is_alive(status.supervisor) else None


def uptime_s(row: ComponentStatus) -> float | None:
    return None if row.started_at_s is None else max(0.0, time.time() - row.started_at_s)


def memory_mb(row: ComponentStatus) -> int | None:
    """Memory of the component's process and its children now, shared pages counted once.

    None if it doesn't run.
    """
    import psutil

    if row.process is None or not is_alive(row.process):
        return None
    try:
        process = psutil.Process(row.process.pid)
        tree = [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return None
    return sum(_own_share_kb(member.pid) for member in tree) // 1024


def _own_share_kb(pid: int) -> int:
    """A process's memory, each shared page divided by its sharers; 0 once the process is gone."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return 0
    return next(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:"))

"""Which process a pid means: a number alone may by now be a stranger's.

A pid is kept with the process's start time and the boot it belongs to, and a signal is sent only
through a pidfd opened before that identity was checked, so that it can't reach a later process.
"""

import os
import signal
from contextlib import suppress
from functools import cache
from pathlib import Path

import msgspec


class ProcessIdentity(msgspec.Struct, frozen=True):
    """One process for ever; no later one is equal to it."""

    pid: int
    start_ticks: int
    """Clock ticks from boot to the process's start, as the kernel counts them."""
    boot_id: str


@cache
def _boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def identify(pid: int) -> ProcessIdentity | None:
    """The process that has this pid now; None if there is none, or only its remains (a zombie)."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The program's name, in parentheses, may hold anything, so count from its end: the state is
    # the first field after it, the number of threads the eighteenth, the start time the twentieth.
    fields = stat.rpartition(")")[2].split()
    # The first thread of a killed JVM is a zombie while its others still hold files and ports.
    if fields[0] in ("Z", "X") and int(fields[17]) <= 1:
        return None
    return ProcessIdentity(pid, int(fields[19]), _boot_id())


def is_alive(identity: ProcessIdentity) -> bool:
    return identify(identity.pid) == identity


def send_signal(identity: ProcessIdentity, sig: signal.Signals) -> bool:
    """Signal this very process; False if it is gone, even if its pid is in use again."""
    try:
        pidfd = os.pidfd_open(identity.pid)
    except ProcessLookupError:
        return False
    try:
        if not is_alive(identity):
            return False
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(pidfd, sig)
            return True
        return False
    finally:
        os.close(pidfd)


def write_pid_file(path: Path, identity: ProcessIdentity) -> None:
    """Replace the file at once, so that a reader never sees half of it."""
    fresh = path.with_name(path.name + ".new")
    fresh.write_bytes(msgspec.json.encode(identity))
    fresh.replace(path)


def read_pid_file(path: Path) -> ProcessIdentity | None:
    """The identity kept there, alive or not; None without a file, or with one that isn't ours."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=ProcessIdentity)
    except (FileNotFoundError, msgspec.DecodeError):
        return None

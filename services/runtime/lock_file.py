"""A locked file: one holder at a time, freed when its holder dies, however it dies.

Local disk and one host. Threads count like processes.
"""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

_LOOK_AGAIN_S: Final = 0.02


class LockHeldError(Exception):
    """Another process holds it."""

    def __init__(self, holder: str) -> None:
        super().__init__(f"held by process {holder}")
        self.holder = holder
        """Its process number, or `unknown`."""


@contextmanager
def lock_file(path: Path, wait_s: float = 0.0) -> Iterator[None]:
    """Hold it, with one's process number in it; wait so long for another to leave.

    Raises:
        LockHeldError: another does not leave.
        OSError: the file can't be made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        _take(descriptor, time.monotonic() + wait_s)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode("ascii"), 0)
        yield
    finally:
        os.close(descriptor)


def _take(descriptor: int, deadline_s: float) -> None:
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() >= deadline_s:
                holder = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip()
                raise LockHeldError(holder or "unknown") from error
            time.sleep(_LOOK_AGAIN_S)
        else:
            return

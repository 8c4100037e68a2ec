"""One process changes the registry at a time: a locked file, freed when its holder dies."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from services.models.errors import ModelNotWrittenError, RegistryLockedError

WAIT_S: Final = 60.0
"""A registration copies some megabytes, a promotion reads them: seconds each."""
_LOOK_AGAIN_S: Final = 0.02


@contextmanager
def locked(path: Path, wait_s: float = WAIT_S) -> Iterator[None]:
    """Wait until nobody else is in here. Local disk, one host; threads count like processes.

    Raises:
        RegistryLockedError: another process is, and stays for longer than that.
        ModelNotWrittenError: the folder can't be made.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise ModelNotWrittenError(
            f"{path} can't be made ({error.strerror}); see OUTCRY_HOME"
        ) from error
    try:
        _wait(descriptor, path, time.monotonic() + wait_s)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode("ascii"), 0)
        yield
    finally:
        os.close(descriptor)


def _wait(descriptor: int, path: Path, deadline_s: float) -> None:
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError as error:
            if time.monotonic() >= deadline_s:
                holder = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip()
                raise RegistryLockedError(
                    f"process {holder or 'unknown'} changes the registry ({path}); try again"
                ) from error
            time.sleep(_LOOK_AGAIN_S)

"""One writer at a time for each part of the lake: a locked file, freed when its holder dies."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from typing import Final

from services.lake.errors import LakeError, LakeLockedError
from services.lake.places import Lake

HISTORY: Final = "history"
"""Who writes trades, orders and bars."""
STREAM: Final = "stream"
"""Who writes the streamed rows of features."""
BACKFILL: Final = "backfill"
"""Who writes backfilled rows and compacts."""


@contextlib.contextmanager
def locked(lake: Lake, writer: str) -> Iterator[None]:
    """Be the only writer of this kind. Local disk, one host; never waits.

    Raises:
        LakeLockedError: another process is; the message has its number.
        LakeError: the lake's folder can't be made.
    """
    path = lake.lock(writer)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise LakeError(f"{path} can't be made ({error.strerror}); see OUTCRY_HOME") from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip() or "unknown"
            raise LakeLockedError(
                f"process {holder} writes {writer} into {lake.root}; wait until it has ended"
            ) from error
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode("ascii"), 0)
        yield
    finally:
        os.close(descriptor)

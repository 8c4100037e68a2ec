"""One writer at a time for each part of the lake: a locked file, freed when its holder dies."""

import contextlib
from collections.abc import Iterator
from typing import Final

from services.lake.errors import LakeError, LakeLockedError
from services.lake.places import Lake
from services.runtime.lock_file import LockHeldError, lock_file

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
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(lock_file(path))
        except LockHeldError as error:
            raise LakeLockedError(
                f"process {error.holder} writes {writer} into {lake.root}; wait until it has ended"
            ) from error
        except OSError as error:
            raise LakeError(f"{path} can't be made ({error.strerror}); see OUTCRY_HOME") from error
        yield

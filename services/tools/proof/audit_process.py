"""What a process that shares in an audit is told when it begins, before it imports the audit."""

import gc
from pathlib import Path
from typing import TYPE_CHECKING

from services.tools.proof import compiled

if TYPE_CHECKING:
    from multiprocessing.sharedctypes import Synchronized

_counter: "Synchronized[int] | None" = None


def begin(build: Path | None, counter: "Synchronized[int]") -> None:
    """Take the form of the audit that the others have, and where to count what is read."""
    if build is not None:
        compiled.load(build)
    # What the folds hold is no garbage, and makes no circles to look for again and again.
    gc.disable()
    global _counter  # noqa: PLW0603 - what a pool's process can be given only at its start
    _counter = counter


def count_read(records: int) -> None:
    """Count records that this process has read."""
    assert _counter is not None, "set when the process began"
    with _counter.get_lock():
        _counter.value += records

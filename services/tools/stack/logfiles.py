"""Log files of bounded size, written by programs that know nothing of it."""

import os
from pathlib import Path
from typing import Final

LOG_BYTES_MAX: Final = 16 * 1024 * 1024
LOGS_KEPT: Final = 3
"""Older files beside the current one: `name.log.1` is the youngest."""
_TAIL_BYTES: Final = 16 * 1024


def rotate(log: Path, bytes_max: int = LOG_BYTES_MAX, kept: int = LOGS_KEPT) -> bool:
    """Move the content away if the file is too large; True if it was.

    The writer holds the file open, so it is copied and cut, not renamed; what is written between
    the two is lost. Writers append, so that their next line lands at the new beginning.
    """
    if not log.exists() or log.stat().st_size <= bytes_max:
        return False
    for age in range(kept - 1, 0, -1):
        older = log.with_name(f"{log.name}.{age}")
        if older.exists():
            older.replace(log.with_name(f"{log.name}.{age + 1}"))
    log.with_name(f"{log.name}.1").write_bytes(log.read_bytes())
    os.truncate(log, 0)
    return True


def tail(log: Path, lines_max: int = 20) -> str:
    """The last lines of a log, for people; empty if there is none."""
    if not log.exists():
        return ""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - _TAIL_BYTES))
        text = file.read().decode("utf-8", errors="replace")
    return "\n".join(text.splitlines()[-lines_max:])

"""Telling a process that stands still from one that is busy.

A room that is stopped inside a transaction hides everyone's records behind it, until the broker
ends the transaction; its restart ends it at once. A busy room (restoring, decoding) may not answer
either, but uses processor time.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Final

from services.tools.stack.readiness import PROBE_TIMEOUT_S, Probe

LOOK_INTERVAL_S: Final = 0.25
"""Between two looks at the processor time; each look costs microseconds."""


def processor_ticks(pid: int) -> int | None:
    """User and system time of all threads so far, in clock ticks; None if it is gone."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    # After the program's name in parentheses: the state, then ten fields, then the two times.
    fields = stat.rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


class FreezeWatch:
    """Watches one process from when it is made.

    Args:
        pid: the process.
        answers: any answer counts as life; asked only when no processor time was used for a while.
        timeout_s: how long neither must have been seen.
    """

    def __init__(
        self,
        pid: int,
        answers: Probe,
        timeout_s: float,
        now_s: float,
        ticks: Callable[[int], int | None] = processor_ticks,
    ) -> None:
        self._pid = pid
        self._answers = answers
        self._timeout_s = timeout_s
        self._read_ticks = ticks
        self._ticks = ticks(pid)
        self._alive_s = now_s

    def silent_s(self, clock_s: Callable[[], float]) -> float:
        """How long no sign of life has been seen; may block for one probe when that is long."""
        is_long = clock_s() - self._alive_s >= self._timeout_s - PROBE_TIMEOUT_S
        # The probe takes its whole time with a process that stands still; one that woke up
        # meanwhile has used processor time by its end.
        if self._has_worked() or (is_long and (self._answers(self._pid) or self._has_worked())):
            self._alive_s = clock_s()
        return clock_s() - self._alive_s

    def _has_worked(self) -> bool:
        before, self._ticks = self._ticks, self._read_ticks(self._pid)
        return self._ticks != before

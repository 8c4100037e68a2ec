"""Which windows are over and not judged yet: those that a run takes, the oldest first."""

from collections.abc import Collection
from typing import Final

from services.drift.core.windows import SECOND_US, Window, windows_of

LOOK_BACK_MAX: Final = 500
"""Windows that are over: where a room was down for longer, the oldest are never judged."""
WINDOWS_A_RUN_MAX: Final = 24
"""More are left for the next run. The first run of a model looks no further back either."""
SETTLE_S: Final = 60
"""Event time must be so far past a window: a row is written when the next trade of its ticker
comes, and lies in the lake some seconds later."""


def over_windows(
    first_us: int, newest_us: int | None, length_s: int, step_s: int, needed_s: int
) -> list[Window]:
    """The latest windows that are over.

    Args:
        first_us: none begins before it.
        newest_us: how far event time has come; None: it has not begun.
        length_s: of a window.
        step_s: from one to the next; shorter than a window, they roll.
        needed_s: how long after a window its result is still open.
    """
    if newest_us is None:
        return []
    last_us = newest_us - (needed_s + SETTLE_S) * SECOND_US
    back_us = (length_s + LOOK_BACK_MAX * step_s) * SECOND_US
    begin_us = max(first_us, last_us + SECOND_US - back_us)
    return windows_of(begin_us, last_us, length_s, step_s)[-LOOK_BACK_MAX:]


def due_windows(over: list[Window], recorded: Collection[Window]) -> list[Window]:
    """Of windows that are over, those that are not judged: from the first recorded one on.

    Holes count, too: a run that failed half-way may have left some.
    """
    if not recorded:
        return over[-WINDOWS_A_RUN_MAX:]
    known, first = set(recorded), min(recorded)
    return [window for window in over if window not in known and window > first]


def of_a_run(due: list[Window]) -> list[Window]:
    """Those that one run takes."""
    return due[:WINDOWS_A_RUN_MAX]

"""Of windows that are due, those of the serving version: what it said, or should have said.

A version begins to serve somewhere. Windows before its first answer are nobody's, and one that
holds it began without the version: neither can be judged. Once one of its windows is recorded, the
later ones are its own, whether or not it said something at their first second, or at all. Only what
another version served instead (before a rollback to this one) is not; most of that the ledger knows
without the log, and the rest costs a run no window.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from services.drift.core.arrays import Bools
from services.drift.core.outcomes import Outcome
from services.drift.core.predicted import Predictions
from services.drift.core.standing import Standing
from services.drift.core.windows import Window
from services.drift.ledger import Job
from services.drift.predictions_source import TooManyPredictionsError
from services.tools.drift.jobs.windows import of_a_run

type Read = Callable[[int, int], Predictions]
"""What was said of the grid times from the one on and before the other."""

_SAID_NOTHING: Final = frozenset({Outcome.EMPTY_WINDOW, Standing.NO_PREDICTIONS})


@dataclass(frozen=True)
class Served:
    """What a run judges."""

    windows: list[Window]
    partly: list[Window]
    """They began before the version's first answer."""
    said: Predictions
    """Where `is_cut`, nobody knows since when the version serves: the newest window, by itself."""


def served_since(recorded: Collection[Job]) -> int | None:
    """Begin of the first recorded window in which the version said something; None: of none."""
    return min((one.begin_us for one in spoken_windows(recorded)), default=None)


def spoken_windows(recorded: Collection[Job]) -> list[Window]:
    """Of recorded windows, those in which the version that was judged said something."""
    return [one.window for one in recorded if one.outcome not in _SAID_NOTHING]


def served_windows(
    read: Read, windows: Sequence[Window], model: str, version: int, since_us: int | None
) -> Served:
    """Of due windows, the oldest first, as many as a run takes.

    Where the version has not answered at all, the newest one, which then says so. Fewer of them,
    the oldest, where all are more than can be read at once.

    Args:
        read: the log.
        windows: at least one.
        model: the registered name.
        version: the champion.
        since_us: as `served_since`.

    Raises:
        TooManyPredictionsError: one window alone is too many.
    """
    left, partly = list(windows), list[Window]()
    while True:
        part, said = said_of_first(read, of_a_run(left))
        if said.is_cut:
            return Served([left[-1]], [], read(left[-1].begin_us, left[-1].end_us))
        left = left[len(part) :]
        is_own, is_anothers = _spoken(said, model, version)
        if since_us is None:
            since_us = _first_us(said, is_own, part)
        own = []
        for window in part:
            if since_us is None or window.end_us <= since_us:
                continue
            if window.begin_us < since_us:
                partly.append(window)
            elif _has(said, window, is_own) or not _has(said, window, is_anothers):
                own.append(window)
        if own or (partly and not left):
            return Served(own, partly, said)
        if not left:
            return Served(part[-1:], [], said)


def said_of_first(read: Read, windows: list[Window]) -> tuple[list[Window], Predictions]:
    """As many windows as can be read at once, from the oldest on, and what was said in them.

    The others are left to the next run: after days without one all of them are too many.

    Raises:
        TooManyPredictionsError: one alone is too many.
    """
    part = windows
    while True:
        try:
            return part, read(part[0].begin_us, part[-1].end_us)
        except TooManyPredictionsError:
            if len(part) == 1:
                raise
            part = part[: len(part) // 2]


def _spoken(said: Predictions, model: str, version: int) -> tuple[Bools, Bools]:
    """Answers of the version, and those of others of its name; what a shadow says is none."""
    names = np.array([name == model for name in said.models], dtype=np.bool_)
    is_served = ~said.is_shadow
    if len(names):
        is_served &= names[said.model]
    return is_served & (said.version == version), is_served & (said.version != version)


def _first_us(said: Predictions, chosen: Bools, windows: Sequence[Window]) -> int | None:
    """Of what was said from the first of these windows on, to the end of the last."""
    times = said.grid_time_us[chosen]
    times = times[(times >= windows[0].begin_us) & (times < windows[-1].end_us)]
    return int(times.min()) if len(times) else None


def _has(said: Predictions, window: Window, chosen: Bools) -> bool:
    inside = (said.grid_time_us >= window.begin_us) & (said.grid_time_us < window.end_us)
    return bool((inside & chosen).any())

"""When a process is struck, at which step of its turn, and with what."""

from random import Random
from typing import Final

from services.runtime.errors import (
    FencedError,
    OperatingError,
    RestoreNeededError,
    RetriableError,
    UnknownOutcomeError,
)
from services.tools.proof.vopr.parts import RECORDER
from services.tools.proof.vopr.stage import Conditions
from services.tools.proof.vopr.taps import Step, When

_NEVER: Final = 1 << 60
_AIMS: Final[tuple[Step, ...]] = (
    "commit", "commit", "commit", "commit", "commit", "send_offsets", "send", "begin", "poll",
    "views", "snapshot", "initialise", "committed", "read",
)  # fmt: skip

type _Errors = dict[tuple[Step, When], tuple[type[OperatingError], ...]]

_ROOM_ERRORS: Final[_Errors] = {
    ("initialise", "before"): (RetriableError,),
    ("initialise", "after"): (RetriableError,),
    ("committed", "before"): (RetriableError, RestoreNeededError),
    ("read", "before"): (RetriableError,),
    ("read", "after"): (RetriableError,),
    ("poll", "before"): (RetriableError, RestoreNeededError, FencedError),
    ("poll", "after"): (RestoreNeededError,),
    ("begin", "before"): (RestoreNeededError,),
    ("begin", "after"): (RestoreNeededError,),
    ("send", "before"): (RestoreNeededError,),
    ("send", "after"): (RestoreNeededError,),
    ("send_offsets", "before"): (FencedError, RestoreNeededError),
    ("send_offsets", "after"): (FencedError, RestoreNeededError),
    ("commit", "before"): (UnknownOutcomeError, UnknownOutcomeError, RestoreNeededError),
    ("commit", "after"): (UnknownOutcomeError,),
}
"""What each call may raise by its port's contract: before it took effect, and after."""

_RECORDER_ERRORS: Final[_Errors] = {
    ("poll", "before"): (RetriableError,),
    ("commit", "before"): (RetriableError,),
    ("commit", "after"): (RetriableError,),
}


class Strikes:
    """Counts the steps of processes down to the next strike."""

    def __init__(self, random: Random, conditions: Conditions) -> None:
        self._random = random
        self._mean = conditions.steps_between_strikes
        self._kinds = conditions.strikes
        self._due_in = _NEVER
        self._aim: Step | None = None
        self.draw()

    def draw(self) -> None:
        """Choose when the next one comes."""
        drawn = self._random.random()
        self._due_in = 1 + int(drawn * 2 * self._mean) if self._mean else _NEVER
        # Folding has by far the most steps, so every other strike waits for one of another kind.
        is_aimed = int(drawn * 1e6) % 2
        self._aim = _AIMS[int(self._random.random() * len(_AIMS))] if is_aimed else None

    def is_due(self, step: Step) -> bool:
        """Whether this step is the one. Asked at every step, so cheap."""
        self._due_in -= 1
        return self._due_in <= 0 and self._aim in (None, step)

    def kind(self) -> str:
        """Which kind of strike."""
        return self._kinds[int(self._random.random() * len(self._kinds))]

    def error(self, room: str, step: Step, when: When) -> type[OperatingError] | None:
        """An error this call may raise; None if none can be."""
        errors = _RECORDER_ERRORS if room == RECORDER else _ROOM_ERRORS
        possible = errors.get((step, when))
        if possible is None:
            return None
        return possible[int(self._random.random() * len(possible))]

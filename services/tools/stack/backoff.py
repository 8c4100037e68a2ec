"""How long to wait before a program that died is started again."""

from typing import Final

FIRST_DELAY_S: Final = 0.5
DELAY_MAX_S: Final = 30.0
HEALTHY_AFTER_S: Final = 10.0
"""A program that was ready for so long was well: whatever ended it, it is started again at once.
One that dies of itself each time it has been ready for so long costs a start every ten seconds."""


class Backoff:
    """Exponential, without jitter: one supervisor has no herd to spread."""

    def __init__(
        self,
        first_delay_s: float = FIRST_DELAY_S,
        delay_max_s: float = DELAY_MAX_S,
        healthy_after_s: float = HEALTHY_AFTER_S,
    ) -> None:
        self._first_delay_s = first_delay_s
        self._delay_max_s = delay_max_s
        self._healthy_after_s = healthy_after_s
        self._next_delay_s = first_delay_s

    def delay_s(self, ready_s: float) -> float:
        """Seconds to wait after a run that was ready for `ready_s` seconds.

        None after a healthy run; each early death doubles the next.
        """
        if ready_s >= self._healthy_after_s:
            self._next_delay_s = self._first_delay_s
            return 0.0
        delay_s = self._next_delay_s
        self._next_delay_s = min(self._delay_max_s, delay_s * 2)
        return delay_s

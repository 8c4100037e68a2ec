"""When each job is due: at multiples of its interval by wall clock, and soon again if it failed."""

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Task:
    """One job, and how often."""

    job: str
    interval_s: int


@dataclass
class Schedule:
    """One at a time: of those that are due the one that waited longest, at first in their order.

    So a job that takes as long as its interval keeps no other one from its turn.

    A time that passed while another job ran, or the machine slept, is made up for once. A clock
    that is put back makes a job due again, which does no harm.
    """

    tasks: Sequence[Task]
    first_s: float
    """Wall clock, seconds since the epoch: not before."""
    retry_s: float
    _slot: dict[str, int] = field(default_factory=dict)
    _retry_at_s: dict[str, float] = field(default_factory=dict)
    _turns: dict[str, int] = field(default_factory=dict)
    """When each had its last turn, counted in turns of all."""

    def due(self, now_s: float) -> Task | None:
        """The task whose turn it is."""
        if now_s < self.first_s:
            return None
        due = [task for task in self.tasks if self._is_due(task, now_s)]
        return min(due, key=lambda task: self._turns.get(task.job, 0), default=None)

    def done(self, task: Task, began_s: float) -> None:
        """It came to its end, having begun then."""
        self._slot[task.job] = int(began_s) // task.interval_s
        self._retry_at_s.pop(task.job, None)
        self._had_its_turn(task)

    def failed(self, task: Task, now_s: float) -> None:
        """It did not; what it left undone is the next try's."""
        self._retry_at_s[task.job] = now_s + self.retry_s
        self._had_its_turn(task)

    def _had_its_turn(self, task: Task) -> None:
        self._turns[task.job] = max(self._turns.values(), default=0) + 1

    def _is_due(self, task: Task, now_s: float) -> bool:
        retry_at_s = self._retry_at_s.get(task.job)
        if retry_at_s is not None:
            # A clock that was put back must not stop the tries.
            return now_s >= retry_at_s or now_s < retry_at_s - self.retry_s
        return self._slot.get(task.job) != int(now_s) // task.interval_s

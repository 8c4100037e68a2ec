"""When a long run's figures count as flat, as a rule that is stated before the run.

The median of a figure in the run's last quarter may not exceed that in its second quarter by more
than 15 % and a small amount of its own. The first quarter is the warm-up. Lag and latency within
a minute of a kill are recovery, which the kill's own time tells of, and are left out here.
"""

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Final

import msgspec

GROWTH_MAX: Final = 0.15
RUN_S_MIN: Final = 1_800.0
"""A shorter run is all warm-up; its figures are shown, not judged."""
RECOVERY_S: Final = 60.0
_SAMPLES_MIN: Final = 10
"""In a quarter; fewer have no median to speak of."""
_SLACK: Final = {"memory": 8.0, "lag": 200.0, "order": 50.0}
"""MiB, offsets, milliseconds: by the first word of the figure's name."""


class Flat(msgspec.Struct, frozen=True):
    """One figure's verdict."""

    name: str
    second: float
    """Median of the second quarter."""
    last: float
    """Median of the last quarter."""
    limit: float
    """What the last may be."""

    @property
    def holds(self) -> bool:
        return self.last <= self.limit


def judge_flat(
    series: Mapping[str, Sequence[tuple[float, float]]],
    kills_s: Sequence[float],
    run_s: float,
    rooms: Sequence[str],
) -> list[Flat]:
    """The figures of these rooms, and of latency; empty for a run too short to judge.

    Args:
        series: times since the beginning, and values, by name.
        kills_s: when something was killed.
        run_s: how long the run was.
        rooms: whose memory and lag are judged; what else runs is only shown.
    """
    if run_s < RUN_S_MIN:
        return []
    names = [f"{what} of {room}" for what in ("memory", "lag") for room in rooms]
    found = []
    for name in (*names, "order to trade, p50", "order to trade, p99"):
        points = series.get(name, ())
        if not name.startswith("memory"):
            points = [point for point in points if not _recovers(point[0], kills_s)]
        second = _quarter(points, run_s, 1)
        last = _quarter(points, run_s, 3)
        if len(second) < _SAMPLES_MIN or len(last) < _SAMPLES_MIN:
            continue
        before = median(second)
        limit = before * (1 + GROWTH_MAX) + _SLACK[name.split()[0]]
        found.append(Flat(name, before, median(last), limit))
    return found


def _recovers(at_s: float, kills_s: Sequence[float]) -> bool:
    return any(0 <= at_s - kill_s < RECOVERY_S for kill_s in kills_s)


def _quarter(points: Sequence[tuple[float, float]], run_s: float, number: int) -> list[float]:
    begin_s = run_s * number / 4
    return [value for at_s, value in points if begin_s <= at_s <= begin_s + run_s / 4]

"""Offsets that stay undecided are told from those of a group at work."""

import os
import time
from pathlib import Path

from services.tools.stack.stuck_offsets import (
    LOOKS,
    RESTART_PAUSE_S,
    Place,
    may_restart,
    stuck_offsets,
)

RISK: Place = ("risk", "accounts", 0)
MATCHER: Place = ("matcher", "matching", 3)


class Broker:
    """Says at each look what the next entry names; the last one for ever."""

    def __init__(self, *looks: set[Place]) -> None:
        self.looks = list(looks)
        self.asked = 0

    def __call__(self) -> set[Place]:
        self.asked += 1
        return set(self.looks.pop(0) if len(self.looks) > 1 else self.looks[0])


def _no_pause(_pause_s: float) -> None:
    """The looks follow each other at once."""


def test_an_offset_that_is_undecided_at_every_look_is_stuck() -> None:
    broker = Broker({RISK, MATCHER}, {RISK}, {RISK, MATCHER}, {RISK})
    assert stuck_offsets(broker, _no_pause) == {RISK}
    assert broker.asked == LOOKS


def test_offsets_of_a_group_at_work_are_not_stuck() -> None:
    broker = Broker({RISK}, {RISK}, {MATCHER}, {RISK, MATCHER})
    assert stuck_offsets(broker, _no_pause) == set()
    assert broker.asked == 3, "nothing is left to look for"


def test_one_look_is_enough_where_nothing_is_undecided() -> None:
    broker = Broker(set())
    assert stuck_offsets(broker, _no_pause) == set()
    assert broker.asked == 1


def test_a_broker_is_not_started_again_twice_in_a_row_for_the_same_reason(tmp_path: Path) -> None:
    stamp = tmp_path / "stamp"
    assert may_restart(stamp)
    assert not may_restart(stamp)
    long_ago_s = time.time() - RESTART_PAUSE_S - 1
    os.utime(stamp, (long_ago_s, long_ago_s))
    assert may_restart(stamp)
    assert not may_restart(stamp)

"""Two processes of one room at once: of the loser, no record is ever readable.

Their producer epochs can't be seen from outside; what can be is the outcome: each input of the log
has its outputs once (`Evidence`), in the order and with the content that the folds give.
"""

import json
import signal
import time
from pathlib import Path
from typing import Final

import psutil

from services.tools.proof.chaos.run import TRADE_TIMEOUT_S, Run
from services.tools.proof.chaos.scenarios import SLEEP_S
from services.tools.proof.chaos.site import wait_for
from services.tools.proof.chaos.timeline import lines_since, mark

TWIN_ROOMS: Final = ("ingest", "risk", "matcher", "recorder")
SAME: Final = "0"
"""The instance under which the supervisor runs every room."""
OTHER: Final = "twin"
_TWIN_WAIT_S: Final = 60.0
_AT_WORK: Final = ("partitions_assigned", "recording", "standing_by")
_FENCED: Final = ("FencedError", "standing_by")


def twin_rooms(
    run: Run,
    folder: Path,
    rooms: tuple[str, ...] = TWIN_ROOMS,
    instances: tuple[str, ...] = (SAME, OTHER),
    fight_s: float = 6.0,
) -> None:
    """Each room beside a twin under its own name and under another; then both asleep, and awake.

    Where the supervisor judges freezes only the twin sleeps.
    """
    for room in rooms:
        for instance in instances:
            _fight(run, folder, room, instance, fight_s)


def _fight(run: Run, folder: Path, room: str, instance: str, fight_s: float) -> None:
    identity = "the same identity" if instance == SAME else "another identity"
    log = folder / f"twin-{room}-{instance}.log"
    own_mark, twin_mark = mark(run.site.log_of(room)), mark(log)
    with run.site.twin(room, instance, log) as twin:
        wait_for(
            lambda: any(word in line for line in lines_since(twin_mark) for word in _AT_WORK),
            f"the twin of {room} to be at work",
            _TWIN_WAIT_S,
        )
        run.pause_randomly(fight_s / 2, fight_s)
        _sleep_both(run, room, twin.pid)
        run.pause_randomly(fight_s / 2, fight_s)
        exited = twin.poll()
        ended_s = time.time()
    own, other = lines_since(own_mark), lines_since(twin_mark)
    fenced = (_count(own, _FENCED), _count(other, _FENCED))
    taken = (_count(own, _AT_WORK), _count(other, _AT_WORK))
    run.say(
        f"{room} beside a twin of {identity}: took over {taken[0]} and {taken[1]} times,"
        f" fenced {fenced[0]} and {fenced[1]} times; the twin {_end(exited)}"
    )
    if instance == SAME and not sum(fenced):
        run.fault(f"two {room} of the same identity, and neither was fenced")
    trade_s = run.probe.trade_after(ended_s, TRADE_TIMEOUT_S) - ended_s
    run.site.wait_until_back()
    run.measure(f"twin of {room} ({identity}) gone: next trade", trade_s)


def _sleep_both(run: Run, room: str, twin_pid: int) -> None:
    twin = psutil.Process(twin_pid)
    both = not run.site.rooms.plan.frozen_timeout_s
    if both:
        run.site.signal(room, signal.SIGSTOP)
    if twin.is_running() and twin.status() != psutil.STATUS_ZOMBIE:
        twin.suspend()
    time.sleep(SLEEP_S)
    if twin.is_running() and twin.status() != psutil.STATUS_ZOMBIE:
        twin.resume()
    if both:
        run.site.signal(room, signal.SIGCONT)


def _count(lines: list[str], words: tuple[str, ...]) -> int:
    return sum(any(word in line for word in words) for line in lines if _is_event(line))


def _is_event(line: str) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except json.JSONDecodeError:
        return False


def _end(exited: int | None) -> str:
    return "was killed" if exited is None else f"had ended with {exited}"

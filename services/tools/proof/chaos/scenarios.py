"""What is done to the processes: killed, stopped past their session, held down, all at once."""

import signal
import time
from threading import Thread
from typing import Final

from services.tools.proof.chaos.run import Run
from services.tools.proof.chaos.site import wait_for
from services.tools.stack.rooms import TRADING_ROOMS
from services.tools.stack.status import State

SESSION_S: Final = 6.0
"""The broker's session timeout of a room; one that slept longer has lost its place."""
SLEEP_S: Final = SESSION_S + 2.0
POSTGRES_AWAY_S: Final = 60.0
REGISTRY_AWAY_S: Final = 20.0
REGISTRY_DEATH_S: Final = 6.0
"""How long the registry stays down when a room dies meanwhile."""
OUTAGE_PAUSE_MAX_S: Final = 5.0
"""What does not stand on the way of an order must not stop trading for longer."""
JUDGED_AFTER_TURNS: Final = 5
"""Of kills of every room."""
_AGAIN: Final = 0.15
"""Share of kills that are followed by another while the room starts."""


def kill_rooms(run: Run, kills: int, rooms: tuple[str, ...] = TRADING_ROOMS) -> None:
    """Each room so many times, in random order, at random moments.

    Judged on the way too, so that what a kill broke is known to within some of them.
    """
    for turn in range(kills):
        if turn and turn % JUDGED_AFTER_TURNS == 0:
            run.judge_now()
        for room in run.random.sample(rooms, len(rooms)):
            run.pause_randomly(0.2, 2.0)
            run.kill(room)
            if run.random.random() < _AGAIN:
                _kill_while_starting(run, room)


def _kill_while_starting(run: Run, room: str) -> None:
    run.pause_randomly(0.1, 0.6)
    run.site.signal(room, signal.SIGKILL)
    run.pause_randomly(0.2, 1.5)
    run.kill(room, what=f"SIGKILL {room} while it starts")


def sleep_rooms(run: Run, rooms: tuple[str, ...] = TRADING_ROOMS) -> None:
    """SIGSTOP past the session timeout, then SIGCONT. The supervisor must not judge freezes."""
    for room in rooms:
        run.pause_randomly(0.2, 1.0)
        sleeper = run.site.signal(room, signal.SIGSTOP)
        time.sleep(SLEEP_S)
        run.site.signal(room, signal.SIGCONT)
        woke_s = time.time()
        run.recover(f"SIGSTOP {room} for {SLEEP_S:.0f} s, from waking up", woke_s)
        if run.site.process(room) != sleeper:
            run.fault(f"{room} did not live through its sleep, so nothing was shown")


def kill_broker(run: Run) -> None:
    """SIGKILL of Kafka; the supervisor starts it again."""
    run.pause_randomly(0.5, 2.0)
    run.kill("kafka")


def kill_everything(run: Run) -> None:
    """Every process of the exchange, at once."""
    run.pause_randomly(0.5, 2.0)
    names = run.site.names()
    run.kill(*names, what=f"SIGKILL all {len(names)} processes")


def postgres_away(
    run: Run, seconds: float = POSTGRES_AWAY_S, limit_s: float = OUTAGE_PAUSE_MAX_S
) -> None:
    """No PostgreSQL for a minute: matching goes on, the recorder catches up."""
    _hold_down(run, "postgres", seconds, limit_s)


def registry_away(
    run: Run,
    seconds: float = REGISTRY_AWAY_S,
    death_s: float = REGISTRY_DEATH_S,
    limit_s: float = OUTAGE_PAUSE_MAX_S,
) -> None:
    """No registry: what runs does not need it; a room that dies meanwhile waits for it."""
    _hold_down(run, "registry", seconds, limit_s)
    run.pause_randomly(0.2, 1.0)
    holder = Thread(target=run.site.hold_down, args=("registry", death_s))
    holder.start()
    wait_for(lambda: run.site.state("registry") is not State.UP, "the registry to fall", 10.0)
    signal_s = time.time()
    victim = run.site.signal("matcher", signal.SIGKILL)
    run.say("SIGKILL matcher while the registry is held down")
    holder.join()
    run.recover("matcher killed while the registry was away", signal_s, (victim,))


def _hold_down(run: Run, name: str, seconds: float, limit_s: float) -> None:
    run.pause_randomly(0.2, 1.0)
    signal_s = time.time()
    kills: list[int] = []
    holder = Thread(target=lambda: kills.append(run.site.hold_down(name, seconds)))
    holder.start()
    holder.join()
    released_s = time.time()
    pause_s = run.probe.longest_pause(signal_s, released_s)
    run.say(
        f"{name} held down for {seconds:.0f} s ({kills[0]} kills);"
        f" longest pause between trades {pause_s:.2f} s"
    )
    run.measure(f"{name} away: longest pause between trades", pause_s, limit_s)
    run.site.wait_until_back()
    run.measure(f"{name} released: all up", time.time() - released_s)

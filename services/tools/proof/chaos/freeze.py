"""A room that stands still inside an open transaction, and how soon everyone else is back."""

import signal
import time
from collections.abc import Iterable
from typing import Final

from services.runtime.ports import TopicPartition
from services.tools.proof.chaos.errors import ChaosError
from services.tools.proof.chaos.run import TRADE_TIMEOUT_S, Run
from services.tools.proof.chaos.site import Ends
from services.tools.proof.chaos.timeline import mark, spell, steps_after
from services.tools.stack.identity import ProcessIdentity
from services.wire.topics import ACCOUNTS, TOPICS, Topic

OTHERS_BACK_MAX_S: Final = 5.0
_TRIES_MAX: Final = 200
_SETTLE_S: Final = 0.08
"""A marker that was under way is written by then."""
_ASKED_S: Final = 0.02


def freeze_inside_transaction(
    run: Run, room: str = "matcher", times: int = 3, limit_s: float = OTHERS_BACK_MAX_S
) -> None:
    """SIGSTOP at random moments until one falls into a transaction; the supervisor does the rest.

    Everyone else: risk must answer in every account partition, those included whose records are
    hidden behind the open transaction, and whoever reads any partition that the room writes
    (recorder, gateway, features) must be able to read on.
    """
    with Ends(run.site.connection) as ends:
        for _ in range(times):
            run.pause_randomly(0.5, 1.5)
            _freeze_once(run, ends, room, limit_s)


def _freeze_once(run: Run, ends: Ends, room: str, limit_s: float) -> None:
    places = mark(run.site.rooms.log), mark(run.site.log_of(room))
    for tried in range(1, _TRIES_MAX + 1):
        signal_s = time.time()
        frozen = run.site.signal(room, signal.SIGSTOP)
        hidden = _hidden_accounts(ends)
        if hidden:
            names = ", ".join(f"accounts-{place.partition}" for place in hidden)
            run.say(f"{room} stands still inside a transaction (try {tried}), hiding {names}")
            readable_s = (
                _wait_until_readable(ends, _open(ends, (t for t in TOPICS if room in t.writers)))
                - signal_s
            )
            run.say(f"whatever it writes can be read on after {readable_s:.2f} s")
            run.measure(f"{room} frozen: all it writes readable", readable_s, limit_s)
            _wait_for_everyone(run, room, signal_s, frozen, limit_s)
            run.say(f"  {spell(steps_after(room, signal_s, *places))}")
            return
        run.site.signal(room, signal.SIGCONT)
        run.pause_randomly(0.05, 0.3)
    raise ChaosError(f"{room} was never inside a transaction in {_TRIES_MAX} tries")


def _wait_for_everyone(
    run: Run, room: str, signal_s: float, frozen: ProcessIdentity, limit_s: float
) -> None:
    heard = run.probe.voices_after(signal_s, TRADE_TIMEOUT_S)
    others_s = max(heard) - signal_s
    run.say(f"everyone else is back after {others_s:.2f} s")
    run.measure(f"{room} frozen: everyone else back", others_s, limit_s)
    run.recover(f"{room} frozen", signal_s, (frozen,))


def _hidden_accounts(ends: Ends) -> list[TopicPartition]:
    """Partitions of `accounts` with an open transaction in front of their readers."""
    found = _open(ends, (ACCOUNTS,))
    if not found:
        return []
    time.sleep(_SETTLE_S)
    return [place for place, before in found.items() if ends.stable(place) == before]


def _open(ends: Ends, topics: Iterable[Topic]) -> dict[TopicPartition, int]:
    """Partitions that go on behind their last stable offset, and that offset."""
    found = {}
    for topic in topics:
        for number in range(topic.partitions):
            place = TopicPartition(topic.name, number)
            before = ends.stable(place)
            if ends.last(place) > before:
                found[place] = before
    return found


def _wait_until_readable(ends: Ends, hidden: dict[TopicPartition, int]) -> float:
    """The time, as `time.time`, at which the last of them was seen to go on."""
    deadline_s = time.time() + TRADE_TIMEOUT_S
    while True:
        hidden = {place: at for place, at in hidden.items() if ends.stable(place) <= at}
        if not hidden:
            return time.time()
        if time.time() > deadline_s:
            names = ", ".join(f"{place.topic}-{place.partition}" for place in sorted(hidden))
            raise ChaosError(f"{names}: hidden behind a transaction for {TRADE_TIMEOUT_S:g} s")
        time.sleep(_ASKED_S)

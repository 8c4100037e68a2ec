"""What alarms may cause: a retraining, or a rollback. Both are off unless a deployment wants them.

An action is named by its kind and by the job that alarmed, so each alarm acts once, whoever asks
and how often. That it began is recorded before it is done, and what came of it after: an action
whose process died is listed as unfinished until somebody takes it up, whatever was found since, and
is safe to repeat. Between two that began lies a cool-down, by the database's clock, so that a
restart forgets nothing.
"""

from collections.abc import Sequence
from hashlib import sha256
from typing import Final, Literal, Protocol

import msgspec

type ActionKind = Literal["retrain", "rollback"]
type Claim = Literal["begun", "unfinished", "cooling_down", "known", "outdated"]
"""`outdated`: it never began and may not any more; nothing is recorded. `begun`: do it.
`unfinished`: it began before and did not end; do it again. `cooling_down`: another began too short
ago, and this one is never done. `known`: it ended, or was left out."""
type Came = Literal["promoted", "not_promoted", "rolled_back", "outdated", "refused", "failed"]
"""`outdated`: it began, its process died, and by now a version serves that it did not put there."""

ACTIONS_MAX: Final = 10_000
UNFINISHED_MAX: Final = 100
"""Taken up at a time; a cool-down leaves few."""
DETAIL_LETTERS_MAX: Final = 4_000
CAUSES: Final[dict[ActionKind, frozenset[tuple[str, str]]]] = {
    "retrain": frozenset(
        {
            ("data", "drift"),
            ("data", "constant_changed"),
            ("predictions", "drift"),
            ("labels", "drift"),
            ("performance", "fallen"),
        }
    ),
    "rollback": frozenset({("performance", "fallen")}),
}
"""By job and outcome. A broken source (`quality`, `parity`, a class that nobody knows, records of
strangers) is mended, not learnt from."""


class Action(msgspec.Struct, frozen=True):
    """What to do, and why."""

    kind: ActionKind
    job_id: str
    model: str
    model_version: int
    """Which alarmed."""

    @property
    def action_id(self) -> str:
        """Of kind and cause alone."""
        return sha256(msgspec.json.encode([self.kind, self.job_id])).hexdigest()


class Entry(msgspec.Struct, frozen=True):
    """One row of what was done."""

    action: Action
    outcome: str
    """A Claim, or what came of it."""
    detail: str
    at_us: int
    """Wall clock of the database, microseconds since the epoch."""


class Actions(Protocol):
    """What was done, append-only. Each method blocks.

    Raises, from every method:
        RetriableError: the store is away; do it again.
        ConfigurationError: the store is not one this code can use.
    """

    def claim(self, action: Action, cooldown_s: float, *, may_begin: bool) -> Claim:
        """Whether to do it; what is decided is recorded. One caller at a time.

        Args:
            action: what, and why.
            cooldown_s: least time since another of its kind began.
            may_begin: whether what it is about still is as it was.
        """
        ...

    def finish(self, action: Action, outcome: Came, detail: str) -> None:
        """Record what came of it, unless that was recorded before."""
        ...

    def unfinished(self) -> Sequence[Action]:
        """Those that began and did not end, the oldest first: their processes died, or still work.

        At most UNFINISHED_MAX.
        """
        ...

    def history(self, limit: int) -> Sequence[Entry]:
        """Up to so many rows, the latest first."""
        ...


def wanted(kind: str, outcome: str, *, retrains: bool, rolls_back: bool) -> tuple[ActionKind, ...]:
    """What an alarm causes where these are on, the first choice first.

    A rollback is done at once, so it goes before; who has nothing to go back to trains anew.
    """
    on: tuple[tuple[ActionKind, bool], ...] = (("rollback", rolls_back), ("retrain", retrains))
    return tuple(each for each, is_on in on if is_on and (kind, outcome) in CAUSES[each])

"""What happened to the aliases: each change as it is recorded, and who was champion before."""

from collections.abc import Iterable, Sequence
from typing import Final, Literal

import msgspec

CHAMPION: Final = "champion"
CHALLENGER: Final = "challenger"
SHADOW: Final = "shadow"
ALIASES: Final = (CHAMPION, CHALLENGER, SHADOW)
WHY_LETTERS_MAX: Final = 500
NUMBERS: Final = range(1, 1_000_000)
_PREFIX: Final = "change."


class Change(msgspec.Struct, frozen=True):
    """One promotion or rollback. It is recorded before the alias moves, and marked after."""

    number: int
    """From 1 on, for each registered name."""
    at_us: int
    """Microseconds since the Unix epoch, by the clock of the machine that did it."""
    action: Literal["promote", "rollback"]
    alias: str
    version: int
    before: int | None
    """Whose the alias was."""
    why: str = ""
    forced: tuple[str, ...] = ()
    """Gates that were closed, and were passed by force."""
    is_done: bool = False
    """False: whoever did it died between record and alias; the next change finishes it first."""

    @property
    def tag(self) -> str:
        """Under which it is kept; tags sort by number."""
        return f"{_PREFIX}{self.number:06}"


def read_changes(tags: Iterable[tuple[str, str]]) -> list[Change]:
    """The changes among a registered model's tags, by number; tags of others are left alone."""
    found = []
    for tag, text in tags:
        if tag.startswith(_PREFIX):
            try:
                found.append(msgspec.json.decode(text, type=Change))
            except msgspec.DecodeError:
                continue  # Written by hand: it says nothing that can be relied on.
    return sorted(found, key=lambda change: change.number)


def champion_before(changes: Sequence[Change], now: int | None) -> int | None:
    """Whom a rollback puts back; None: there was nobody.

    A promotion goes on top of a stack and a rollback takes from it, so two rollbacks go back
    twice. A champion that somebody set by MLflow itself stands in it from where it is seen.
    """
    stack: list[int] = []
    for change in changes:
        if change.alias != CHAMPION:
            continue
        if change.before is not None and (not stack or stack[-1] != change.before):
            stack.append(change.before)
        if change.action == "promote":
            stack.append(change.version)
        else:
            while stack and stack[-1] != change.version:
                stack.pop()
    while stack and stack[-1] == now:
        stack.pop()
    return stack[-1] if stack else None

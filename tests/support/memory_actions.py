"""Actions in memory, with a clock that a test moves: the twin of those in PostgreSQL."""

from collections.abc import Sequence

from services.drift.actions import Action, Came, Claim, Entry


class MemoryActions:
    """As PostgreSQL keeps them."""

    def __init__(self) -> None:
        self.now_s = 1_000_000.0
        self._rows: list[tuple[Entry, int]] = []

    def claim(self, action: Action, cooldown_s: float, *, may_begin: bool) -> Claim:
        known = {place: entry.outcome for entry, place in self._rows if entry.action == action}
        if known:
            return "unfinished" if known == {0: "begun"} else "known"
        if not may_begin:
            return "outdated"
        is_recent = any(
            entry.outcome == "begun"
            and entry.action.kind == action.kind
            and entry.at_us > (self.now_s - cooldown_s) * 1_000_000
            for entry, _ in self._rows
        )
        claim: Claim = "cooling_down" if is_recent else "begun"
        self._add(action, 0, claim, "another began" if is_recent else "")
        return claim

    def finish(self, action: Action, outcome: Came, detail: str) -> None:
        if not any(entry.action == action and place == 1 for entry, place in self._rows):
            self._add(action, 1, outcome, detail)

    def unfinished(self) -> Sequence[Action]:
        ended = {entry.action for entry, place in self._rows if place == 1}
        return [e.action for e, _ in self._rows if e.outcome == "begun" and e.action not in ended]

    def history(self, limit: int) -> Sequence[Entry]:
        return [entry for entry, _ in self._rows[::-1][:limit]]

    def _add(self, action: Action, place: int, outcome: str, detail: str) -> None:
        self._rows.append((Entry(action, outcome, detail, int(self.now_s * 1_000_000)), place))

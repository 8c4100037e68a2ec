"""`actions.Actions` in PostgreSQL."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import psycopg

from services.drift.actions import (
    ACTIONS_MAX,
    DETAIL_LETTERS_MAX,
    UNFINISHED_MAX,
    Action,
    Came,
    Claim,
    Entry,
)
from services.drift.database import in_transaction

_BEGINS: Final = 0
_ENDS: Final = 1
# Any number, as long as nobody else locks it: "drift" in ASCII.
_LOCK: Final = 0x6472696674

_KNOWN: Final = """
SELECT place, outcome FROM outcry.drift_actions
WHERE deployment = %s AND action_id = %s ORDER BY place
"""
_RECENT: Final = """
SELECT 1 FROM outcry.drift_actions
WHERE deployment = %s AND kind = %s AND outcome = 'begun'
  AND recorded_at > now() - make_interval(secs => %s)
LIMIT 1
"""
_INSERT: Final = """
INSERT INTO outcry.drift_actions (deployment, action_id, place, kind, job_id, model, model_version,
                                  outcome, detail)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (deployment, action_id, place) DO NOTHING
"""
_UNFINISHED: Final = """
SELECT kind, job_id, model, model_version FROM outcry.drift_actions AS b
WHERE deployment = %s AND place = 0 AND outcome = 'begun' AND NOT EXISTS (
    SELECT 1 FROM outcry.drift_actions AS e
    WHERE e.deployment = b.deployment AND e.action_id = b.action_id AND e.place = 1
)
ORDER BY recorded_at, action_id LIMIT %s
"""
_HISTORY: Final = """
SELECT kind, job_id, model, model_version, outcome, detail, recorded_at FROM outcry.drift_actions
WHERE deployment = %s ORDER BY recorded_at DESC, action_id, place DESC LIMIT %s
"""


class PostgresActions:
    """Of one deployment."""

    def __init__(self, dsn: str, deployment: str) -> None:
        self._dsn = dsn
        self._deployment = deployment

    def claim(self, action: Action, cooldown_s: float, *, may_begin: bool) -> Claim:
        """Whoever else asks at this moment waits, so that two alarms are no two actions."""

        def decide(connection: psycopg.Connection) -> Claim:
            connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
            rows = connection.execute(_KNOWN, (self._deployment, action.action_id)).fetchall()
            known: dict[int, str] = dict(rows)
            if known:
                return "unfinished" if known == {_BEGINS: "begun"} else "known"
            if not may_begin:
                return "outdated"
            wanted = self._deployment, action.kind, cooldown_s
            is_recent = connection.execute(_RECENT, wanted).fetchone() is not None
            claim: Claim = "cooling_down" if is_recent else "begun"
            detail = f"another began less than {cooldown_s:,.0f} s ago" if is_recent else ""
            connection.execute(_INSERT, self._row(action, _BEGINS, claim, detail))
            return claim

        return in_transaction(self._dsn, "recording an action of drift", decide)

    def finish(self, action: Action, outcome: Came, detail: str) -> None:
        """The first result stays."""
        row = self._row(action, _ENDS, outcome, detail)
        in_transaction(
            self._dsn,
            "recording what came of an action of drift",
            lambda connection: connection.execute(_INSERT, row),
        )

    def unfinished(self) -> Sequence[Action]:
        """The oldest first."""
        wanted = self._deployment, UNFINISHED_MAX
        rows = in_transaction(
            self._dsn,
            "reading what drift began",
            lambda conn: conn.execute(_UNFINISHED, wanted).fetchall(),
        )
        return [Action(*row) for row in rows]

    def history(self, limit: int) -> Sequence[Entry]:
        """The latest first."""
        assert 0 < limit <= ACTIONS_MAX, f"a history of {limit}"
        rows = in_transaction(
            self._dsn,
            "reading drift's actions",
            lambda conn: conn.execute(_HISTORY, (self._deployment, limit)).fetchall(),
        )
        return [_entry(row) for row in rows]

    def _row(self, action: Action, place: int, outcome: str, detail: str) -> tuple[object, ...]:
        return (
            self._deployment, action.action_id, place, action.kind, action.job_id, action.model,
            action.model_version, outcome, detail.replace("\0", "")[:DETAIL_LETTERS_MAX],
        )  # fmt: skip


def _entry(row: tuple[Any, ...]) -> Entry:
    kind, job_id, model, version, outcome, detail, recorded_at = row
    assert isinstance(recorded_at, datetime), "the column is a time"
    at_us = int(recorded_at.timestamp() * 1_000_000)
    return Entry(Action(kind, job_id, model, version), outcome, detail, at_us)

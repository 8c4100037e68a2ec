"""Partitions for the days that rows fall on, made before the rows come."""

import time
from collections.abc import Set as AbstractSet
from datetime import date, timedelta
from typing import Final

import psycopg

DAYS_AHEAD: Final = 3
"""Days that have partitions before their first row."""
_LOCK_WAIT_MS: Final = 500
"""How long a reader may hold up a new day; until it is made its rows go to `other`."""
_LOCKED_RETRY_S: Final = 30.0
_REFUSED_RETRY_S: Final = 3_600.0
_MADE_PER_CALL_MAX: Final = 16
"""Each takes some 30 ms, and the recorder waits."""
_EPOCH: Final = date(1970, 1, 1)
_DAY_MAX: Final = (date.max - _EPOCH).days
"""A topic's timestamps may be anything; a date may not."""
_NEVER: Final = float("inf")


class DayPartitions:
    """Makes days in the recorder's own session, between two transactions. One thread.

    Whatever can't be made now does no harm: rows without a day of their own go to `other`.
    """

    def __init__(self, connection: psycopg.Connection) -> None:
        self._connection = connection
        self._ask_at_s: dict[int, float] = {}
        """When to ask (again) for a day; of one that is made: never."""

    def prepare(self, days: AbstractSet[int]) -> None:
        """See to these days (since 1970, UTC) and the next few. Raises what psycopg raises."""
        now_s = time.monotonic()
        wanted = {day + ahead for day in days for ahead in range(DAYS_AHEAD + 1)}
        asked = self._ask_at_s
        due = [d for d in wanted if 0 <= d <= _DAY_MAX and asked.get(d, 0.0) <= now_s]
        due.sort(key=lambda day: (day not in days, -day))  # those of rows first
        for day in due[:_MADE_PER_CALL_MAX]:
            try:
                made = self._add(day)
            except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected):
                for waiting in due:
                    asked[waiting] = now_s + _LOCKED_RETRY_S
                return
            asked[day] = _NEVER if made else now_s + _REFUSED_RETRY_S

    def _add(self, day: int) -> bool:
        with self._connection.transaction():
            self._connection.execute(
                "SELECT set_config('lock_timeout', %s, true)", (f"{_LOCK_WAIT_MS}ms",)
            )
            found = self._connection.execute(
                "SELECT outcry.add_day(%s)", (_EPOCH + timedelta(days=day),)
            ).fetchone()
        assert found is not None
        return bool(found[0])

"""What the scenarios share: users who keep to a schedule, and what they are told.

A user who waits for an answer before it asks again hides a slow server: what it would have asked
meanwhile is not in the figures (coordinated omission). Here each question has a moment at which it
is due, fixed beforehand, and is in the figures twice: from when it was sent, under its own name,
and from when it was due, with `, from when it was due`. Read the second.
"""

import os
import time
from collections.abc import Callable, Mapping
from itertools import count
from typing import Any, Final

from locust import FastHttpUser
from locust.exception import StopUser

ACCOUNTS: Final = [name for name in os.environ.get("OUTCRY_LOAD_ACCOUNTS", "").split(",") if name]
"""Open, with wide limits; `outcry load` names them. Users take them in turns."""
RATE_PER_S: Final = float(os.environ.get("OUTCRY_LOAD_RATE", "50"))
"""Questions a second of all users together."""
USERS: Final = int(os.environ.get("OUTCRY_LOAD_USERS", "10"))
PREDICT: Final = os.environ.get("OUTCRY_LOAD_PREDICT", "")
"""host:port of the room inference."""
RUN: Final = f"{time.time_ns() // 1_000_000:x}"
"""Part of each id, so that no run repeats another's."""
CENTS: Final = {"AAPL": 18_725, "MSFT": 41_510, "GOOGL": 17_240, "TSLA": 24_880, "NVDA": 12_035}
"""About where each ticker opens."""
DUE: Final = ", from when it was due"

_numbers: Final = count()
OK: Final = 200
ACCEPTED: Final = 202


def price(ticker: str, per_mille: int) -> str:
    """A part of the ticker's opening price, in dollars."""
    cents = CENTS[ticker] * per_mille // 1_000
    return f"{cents // 100}.{cents % 100:02}"


class PacedUser(FastHttpUser):
    """Asks one thing after the other, each at its own time; each scenario says what."""

    abstract = True
    connection_timeout = 10.0
    network_timeout = 10.0

    def on_start(self) -> None:
        self.number = next(_numbers)
        self.account = ACCOUNTS[self.number % len(ACCOUNTS)] if ACCOUNTS else "alice"
        self.gap_s = USERS / RATE_PER_S
        # Not all at once: each has its place within the first gap.
        self.due_s = time.time() + self.gap_s * (self.number % USERS) / USERS

    def wait_time(self) -> float:
        """None between two tasks: a question waits for its own time."""
        return 0.0

    def ask(
        self,
        method: str,
        path: str,
        name: str,
        *,
        body: Mapping[str, Any] | None = None,
        fine: Callable[[int], bool] = lambda status: status == OK,
    ) -> Any:  # noqa: ANN401 - the answer's JSON
        """One question; its answer, None where it was not fine.

        Args:
            method: of HTTP.
            path: with what is behind the `?`.
            name: in the figures.
            body: as JSON.
            fine: which statuses are no failure.
        """
        due_s = self.due_s
        self.due_s += self.gap_s
        # Locust has made this one wait for its own user alone.
        time.sleep(max(0.0, due_s - time.time()))
        headers = {"X-Outcry-Account": self.account}
        with self.client.request(
            method, path, name=name, headers=headers, catch_response=True, json=body
        ) as answer:
            if fine(answer.status_code):
                answer.success()
            else:
                answer.failure(f"{answer.status_code}: {(answer.text or '')[:200]}")
            found = answer.json() if fine(answer.status_code) and answer.text else None
        self.environment.events.request.fire(
            request_type=method,
            name=name + DUE,
            response_time=(time.time() - due_s) * 1_000,
            response_length=0,
            exception=None if fine(answer.status_code) else RuntimeError(answer.status_code),
            context={},
        )
        return found

    def give_up(self, cause: str) -> None:
        """There is nothing to ask for."""
        self.environment.process_exit_code = 1
        raise StopUser(cause)

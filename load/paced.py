"""What the scenarios share: users who keep to a schedule, and what they are told.

A user who waits for an answer before it asks again hides a slow server: what it would have asked
meanwhile is not in the figures (coordinated omission). Here each question has a moment at which it
is due, fixed beforehand, and is in the figures twice: from when it was sent, under its own name,
and from when it was due, with `, from when it was due`. Read the second.

What is asked of the gateway are calls of the product's own client (services/client): it says what
to send and what the answer means, errors included. They travel by locust's HTTP library, which
counts them and waits as its users do, and not by the client's.
"""

import os
import time
from collections.abc import Callable, Mapping
from itertools import count
from typing import Any, Final

from locust import FastHttpUser
from locust.contrib.fasthttp import FastResponse
from locust.exception import StopUser

from services.client.calls import Call
from services.client.errors import ClientError, UnreachableError
from services.client.keys import Proof
from services.client.sending import Manner

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
_CAUSE_MAX: Final = 200
_OK: Final = 200
_MANNER: Final = Manner(wait_s=None, tries=1)
"""A command is answered once it is durable; what fails is counted, and not sent again."""


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
        self.proof = Proof(self.account, None, None)
        self.gap_s = USERS / RATE_PER_S
        # Not all at once: each has its place within the first gap.
        self.due_s = time.time() + self.gap_s * (self.number % USERS) / USERS

    def wait_time(self) -> float:
        """None between two tasks: a question waits for its own time."""
        return 0.0

    def call[A](self, call: Call[A], name: str) -> A | None:
        """One call of the gateway's client; its answer, None where it failed.

        Args:
            call: as services/client/calls.py makes it.
            name: in the figures.
        """

        def read(answer: FastResponse) -> A:
            # When to come back matters to nobody here: each question has its own time.
            return call.read(answer.status_code, None, answer.content or b"")

        return self._ask(name, _MANNER.request(call), read)

    def ask(self, url: str, name: str, body: Mapping[str, Any]) -> Any:  # noqa: ANN401 - JSON
        """One question to somebody else; what is answered with 200, None where it failed."""

        def read(answer: FastResponse) -> Any:  # noqa: ANN401 - JSON
            if answer.status_code != _OK:
                raise UnreachableError(f"{answer.status_code}: {(answer.text or '')[:200]}")
            return answer.json()

        return self._ask(name, {"method": "POST", "url": url, "json": body}, read)

    def _ask[A](
        self, name: str, request: Mapping[str, Any], read: Callable[[FastResponse], A]
    ) -> A | None:
        due_s = self.due_s
        self.due_s += self.gap_s
        # Locust has made this one wait for its own user alone.
        time.sleep(max(0.0, due_s - time.time()))
        found: A | None = None
        failure: ClientError | None = None
        headers = {**self.proof.headers, **request.get("headers", {})}
        arguments = {**request, "headers": headers}
        with self.client.request(**arguments, name=name, catch_response=True) as answer:
            try:
                found = read(answer)
            except ClientError as error:
                failure = error
                answer.failure(str(error)[:_CAUSE_MAX])
            else:
                answer.success()
        self.environment.events.request.fire(
            request_type=request["method"],
            name=name + DUE,
            response_time=(time.time() - due_s) * 1_000,
            response_length=0,
            exception=failure,
            context={},
        )
        return found

    def give_up(self, cause: str) -> None:
        """There is nothing to ask for."""
        self.environment.process_exit_code = 1
        raise StopUser(cause)

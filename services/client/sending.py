"""What both clients send, and when they try again."""

from typing import Any, Final

import httpx
import msgspec

from services.client.calls import Call
from services.client.errors import (
    ClientError,
    OutcomeUnknownError,
    UnavailableError,
    UnreachableError,
    nobody_answers,
)

URL: Final = "http://127.0.0.1:19080"
"""Where `outcry up` serves the gateway, unless told otherwise."""
TIMEOUT_S: Final = 20.0
"""Longer than any wait that a gateway grants."""
_PAUSE_S: Final = 0.2
"""Before a call is tried again of which nobody said when."""


class Manner(msgspec.Struct, frozen=True):
    """How a client calls."""

    wait_s: int | None
    """How long a command waits for what becomes of it; None: until it is durable."""
    tries: int
    """Most times that a call is sent while the gateway is away or an outcome is unknown."""

    def request(self, call: Call[Any]) -> dict[str, Any]:
        """The arguments of an HTTP library's `request`."""
        found: dict[str, Any] = {"method": call.method, "url": call.path, "params": call.query}
        if call.body is not None:
            found["json"] = call.body
            if self.wait_s is not None:
                found["headers"] = {"Prefer": f"wait={self.wait_s}"}
        return found

    def pause_s(self, failure: ClientError, tried: int) -> float | None:
        """How long to wait before the next try; None: there is none."""
        if tried >= self.tries:
            return None
        match failure:
            case UnavailableError():
                return failure.retry_after_s
            case OutcomeUnknownError() | UnreachableError():
                return _PAUSE_S
            case _:
                return None


def failure_of(call: Call[Any], error: httpx.TransportError) -> ClientError:
    """What it means that no answer came."""
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
        return nobody_answers(error)
    if call.command_id:
        return OutcomeUnknownError(call.command_id, f"no answer came ({error!r})")
    return UnreachableError(f"the gateway did not answer ({error!r})")


def read[A](call: Call[A], response: httpx.Response) -> A:
    """The answer, or the ClientError that it is."""
    return call.read(response.status_code, response.headers.get("retry-after"), response.content)

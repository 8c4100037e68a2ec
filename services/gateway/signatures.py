"""Signatures that were taken, so that none is taken twice."""

from collections import deque
from typing import Final

from services.door.problems import ProblemError
from services.gateway.problems import HttpReason, problem


class SignatureLog:
    """Remembers each signature for as long as its timestamp could be taken.

    Of one process: several gateways refuse a signature once each. What a command does it does once
    all the same, by its client's own id.

    Args:
        window_ms: how far a timestamp may be from the gateway's clock, either way.
        signatures_max: most signatures remembered; with as many no further one is taken.
    """

    def __init__(self, window_ms: int, signatures_max: int) -> None:
        self._window_ms = window_ms
        self._signatures_max = signatures_max
        self._known: set[str] = set()
        self._order: deque[tuple[int, str]] = deque()
        """When each may be forgotten, ms since the epoch, in the order they came."""

    def require_timely(self, timestamp_ms: int, now_ms: int) -> None:
        """Refuse a timestamp too far from the clock.

        Raises:
            ProblemError: SIGNATURE_STALE; it says what time it is here.
        """
        if abs(timestamp_ms - now_ms) > self._window_ms:
            raise problem(
                HttpReason.SIGNATURE_STALE,
                f"its timestamp is more than {self._window_ms} ms from the gateway's clock; GET"
                " /time tells how far yours is off",
                headers=CHALLENGE,
                members={"time_ms": now_ms, "window_ms": self._window_ms},
            )

    def take(self, signature: str, now_ms: int) -> None:
        """Take a signature that was found right.

        Raises:
            ProblemError: SIGNATURE_REUSED; or OVERLOADED, and it was not taken.
        """
        while self._order and self._order[0][0] < now_ms:
            self._known.discard(self._order.popleft()[1])
        if signature in self._known:
            raise problem(
                HttpReason.SIGNATURE_REUSED,
                "this very request was taken before; sign it again with the present time",
                headers=CHALLENGE,
            )
        if len(self._known) >= self._signatures_max:
            raise _full(self._signatures_max)
        self._known.add(signature)
        # A timestamp from the future is taken the longest: twice the window from now.
        self._order.append((now_ms + 2 * self._window_ms, signature))


CHALLENGE: Final = {"WWW-Authenticate": 'Bearer realm="outcry"'}
"""With every 401, as HTTP asks for."""


def _full(signatures_max: int) -> ProblemError:
    return problem(
        HttpReason.OVERLOADED,
        f"{signatures_max} signed requests came within the window; nothing was done",
    )

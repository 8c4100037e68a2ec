"""Signatures that were taken, so that none is taken twice."""

from collections import deque
from typing import Final, Protocol

from services.door.problems import ProblemError
from services.gateway.problems import HttpReason, problem


class FullError(Exception):
    """As many signatures are remembered as may be; this one was not taken."""


class Signatures(Protocol):
    """What remembers them. Adapters: here, and shared_signatures.py."""

    def add(self, signature: str, now_ms: int, forget_at_ms: int, signatures_max: int) -> bool:
        """Remember it until then; False: it is there already.

        Raises:
            FullError: there are as many as may be.
            ProblemError: they can't be remembered at present.
        """


class MemorySignatures:
    """`Signatures` of one process."""

    def __init__(self) -> None:
        self._known: set[str] = set()
        self._order: deque[tuple[int, str]] = deque()
        """When each may be forgotten, ms since the epoch, in the order they came."""

    def add(self, signature: str, now_ms: int, forget_at_ms: int, signatures_max: int) -> bool:
        while self._order and self._order[0][0] < now_ms:
            self._known.discard(self._order.popleft()[1])
        if signature in self._known:
            return False
        if len(self._known) >= signatures_max:
            raise FullError
        self._known.add(signature)
        self._order.append((forget_at_ms, signature))
        return True


class SignatureLog:
    """Takes each signature once, for as long as its timestamp could be taken.

    What a command does it does once all the same, by its client's own id.

    Args:
        window_ms: how far a timestamp may be from the gateway's clock, either way.
        signatures_max: most signatures remembered; with as many no further one is taken.
    """

    def __init__(
        self, window_ms: int, signatures_max: int, signatures: Signatures | None = None
    ) -> None:
        self._window_ms = window_ms
        self._signatures_max = signatures_max
        self._signatures = signatures or MemorySignatures()

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
            ProblemError: SIGNATURE_REUSED; or OVERLOADED or KEYS_UNAVAILABLE, and it was not taken.
        """
        # A timestamp from the future is taken the longest: twice the window from now.
        forget_at_ms = now_ms + 2 * self._window_ms
        try:
            is_new = self._signatures.add(signature, now_ms, forget_at_ms, self._signatures_max)
        except FullError:
            raise _full(self._signatures_max) from None
        if not is_new:
            raise problem(
                HttpReason.SIGNATURE_REUSED,
                "this very request was taken before; sign it again with the present time",
                headers=CHALLENGE,
            )


CHALLENGE: Final = {"WWW-Authenticate": 'Bearer realm="outcry"'}
"""With every 401, as HTTP asks for."""


def _full(signatures_max: int) -> ProblemError:
    return problem(
        HttpReason.OVERLOADED,
        f"{signatures_max} signed requests came within the window; nothing was done",
    )

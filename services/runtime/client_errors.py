"""What Kafka's clients say in the background, without the flood of it.

A broker that is away is told by each client of a process at each try to connect, 40 times a second.
"""

import time
from collections.abc import Callable
from typing import Final

from services.runtime.telemetry import Telemetry

QUIET_S: Final = 10.0
"""How long an error of a kind is only counted after one that was logged."""
_KINDS_MAX: Final = 64


class ClientErrors:
    """Logs the first error of a kind, then one each 10 s with how many came since.

    Args:
        now_s: monotonic seconds.
    """

    def __init__(self, telemetry: Telemetry, now_s: Callable[[], float] = time.monotonic) -> None:
        self._log = telemetry.log
        self._now_s = now_s
        self._said: dict[str, tuple[float, int]] = {}

    def __call__(self, text: str) -> None:
        """Say it, or count it."""
        # A kind is librdkafka's name for the error, at the end: what stands before it has times.
        kind = text.rpartition("(")[2]
        now_s = self._now_s()
        said_s, since = self._said.get(kind, (now_s - QUIET_S, 0))
        if now_s - said_s < QUIET_S:
            self._said[kind] = said_s, since + 1
            return
        if len(self._said) >= _KINDS_MAX:
            self._said.clear()
        self._said[kind] = now_s, 0
        self._log.warning("kafka_client", error=text, left_out=since)

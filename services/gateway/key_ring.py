"""The keys as one gateway knows them: in memory, asked anew every second, trusted for a minute.

A look-up never waits for the database, and a key that does not exist costs it nothing. What was
revoked stops counting at every gateway within one interval; while the database is away nobody
learns of revocations, so after a while nothing counts any more.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec

from services.gateway.core.keys import ApiKey
from services.gateway.key_source import KeySource, Mark
from services.runtime.errors import OperatingError
from services.runtime.telemetry import Telemetry

_US_PER_S: Final = 1_000_000
_MS_PER_S: Final = 1_000


class RingLimits(msgspec.Struct, frozen=True):
    """How a ring keeps itself."""

    refresh_ms: int
    """From one question to the next: how long a new or revoked key may take to be known."""
    stale_ms_max: int
    """How old the last answer may be before no key counts."""
    keys_max: int
    """Most keys in memory; of more, the youngest do not count."""


class KeyRing:
    """Called on the event loop only; asks on a thread.

    Args:
        server_secret: what keys are hashed with.
        now_s: a clock that never goes back, seconds.
        wall_us: microseconds since the Unix epoch.
    """

    def __init__(
        self,
        source: KeySource,
        server_secret: bytes,
        limits: RingLimits,
        telemetry: Telemetry,
        *,
        now_s: Callable[[], float] = time.monotonic,
        wall_us: Callable[[], int] = lambda: time.time_ns() // 1_000,
    ) -> None:
        self._source = source
        self.server_secret = server_secret
        self._limits = limits
        self._telemetry = telemetry
        self._now_s = now_s
        self._wall_us = wall_us
        self._keys: Mapping[str, ApiKey] = {}
        self._mark: Mark | None = None
        self._answered_at_s: float | None = None
        self._is_away = False

    @property
    def is_fresh(self) -> bool:
        """Whether the last answer is young enough to be relied on."""
        if self._answered_at_s is None:
            return False
        return self._now_s() - self._answered_at_s <= self._limits.stale_ms_max / _MS_PER_S

    def find(self, key_id: str) -> ApiKey | None:
        """The key of this id, if it counts now."""
        found = self._keys.get(key_id)
        return found if found is not None and found.counts_at(self._wall_us()) else None

    async def refresh(self) -> None:
        """Ask once; an answer that does not come changes nothing."""
        # Before the question: an answer is as old as what it may not have seen.
        asked_at_s = self._now_s()
        try:
            mark = await asyncio.to_thread(self._source.mark)
            if mark != self._mark:
                # Asked in this order, a key made in between is loaded again, never missed.
                loaded = await asyncio.to_thread(self._source.load, self._limits.keys_max)
                self._take(mark, loaded)
        except OperatingError as error:
            if not self._is_away:
                self._telemetry.log.warning("keys_away", error=str(error))
            self._is_away = True
            return
        if self._is_away:
            self._telemetry.log.warning("keys_back", keys=len(self._keys))
            self._is_away = False
        self._answered_at_s = asked_at_s

    async def keep_fresh(self, after_each: Callable[[], None]) -> None:
        """Ask again and again, until cancelled; `after_each` is called after every try."""
        while True:
            await self.refresh()
            after_each()
            await asyncio.sleep(self._limits.refresh_ms / _MS_PER_S)

    def close(self) -> None:
        """Give up the connection. Blocks."""
        self._source.close()

    def _take(self, mark: Mark, loaded: Sequence[ApiKey]) -> None:
        self._keys = {key.key_id: key for key in loaded}
        self._mark = mark
        self._telemetry.log.info("keys_loaded", keys=len(loaded))
        if len(loaded) >= self._limits.keys_max:
            self._telemetry.log.error("keys_full", keys_max=self._limits.keys_max)

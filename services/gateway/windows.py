"""Counts of the library `limits`, for one event loop.

The library's own storage in memory starts a thread every hundredth of a second of load, which looks
through every count: with many clients that costs more than what is limited.
"""

import time
from collections.abc import Callable
from typing import Final, override

from limits.storage import Storage

_SWEEP_INTERVAL_S: Final = 1.0


class WindowStorage(Storage):
    """Counts that end with their window. Called on one thread.

    Args:
        now_s: Unix time, in seconds.
    """

    STORAGE_SCHEME = None

    def __init__(self, now_s: Callable[[], float] = time.time) -> None:
        super().__init__()
        self._now_s = now_s
        self._counts: dict[str, tuple[int, float]] = {}
        """By key: how many, and when the window ends."""
        self._swept_at_s = now_s()

    @property
    @override
    def base_exceptions(self) -> type[Exception]:
        return ValueError

    @override
    def incr(self, key: str, expiry: float, amount: int = 1) -> int:
        now_s = self._now_s()
        if now_s - self._swept_at_s >= _SWEEP_INTERVAL_S:
            self._sweep(now_s)
        count, ends_at_s = self._counts.get(key, (0, 0.0))
        if ends_at_s <= now_s:
            count, ends_at_s = 0, now_s + expiry
        self._counts[key] = (count + amount, ends_at_s)
        return count + amount

    @override
    def get(self, key: str) -> int:
        count, ends_at_s = self._counts.get(key, (0, 0.0))
        return count if ends_at_s > self._now_s() else 0

    @override
    def get_expiry(self, key: str) -> float:
        return self._counts.get(key, (0, self._now_s()))[1]

    def window_of(self, key: str) -> tuple[int, float]:
        """How many were counted, and when (Unix time) their window ends or ended."""
        return self._counts.get(key, (0, self._now_s()))

    @override
    def check(self) -> bool:
        return True

    @override
    def reset(self) -> int:
        count = len(self._counts)
        self._counts.clear()
        return count

    @override
    def clear(self, key: str) -> None:
        self._counts.pop(key, None)

    def __len__(self) -> int:
        return len(self._counts)

    def _sweep(self, now_s: float) -> None:
        """Forget whoever has not come for a window, so that strangers do not fill the memory."""
        self._swept_at_s = now_s
        self._counts = {key: kept for key, kept in self._counts.items() if kept[1] > now_s}

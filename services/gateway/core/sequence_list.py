"""Items by a number that rises, without a place for those that were dropped."""

from bisect import bisect_left
from collections.abc import Iterator
from typing import Final

_SLACK: Final = 64
"""Dropped places that are never worth moving the rest for."""


class SequenceList[T]:
    """Appended at the new end, dropped at the old one, read from any number towards the old end.

    Reading while it is changed is not allowed.
    """

    def __init__(self) -> None:
        self._numbers: list[int] = []
        self._items: list[T] = []
        self._start = 0
        """Where the oldest one kept stands."""

    def __len__(self) -> int:
        return len(self._numbers) - self._start

    def append(self, number: int, item: T) -> None:
        """Add the newest. One whose number does not rise is a stranger's, and is left out."""
        if self._numbers and number <= self._numbers[-1]:
            return
        self._numbers.append(number)
        self._items.append(item)

    def drop_oldest(self) -> None:
        """Forget the oldest; there must be one."""
        assert len(self)
        self._start += 1
        # Half of the places are empty by now, so each item is moved once or twice in its life.
        if self._start > _SLACK and 2 * self._start > len(self._numbers):
            del self._numbers[: self._start]
            del self._items[: self._start]
            self._start = 0

    def before(self, number: int | None) -> Iterator[tuple[int, T]]:
        """Those below this number, or all: the newest first."""
        end = len(self._numbers)
        if number is not None:
            end = bisect_left(self._numbers, number, lo=self._start)
        for place in range(end - 1, self._start - 1, -1):
            yield self._numbers[place], self._items[place]

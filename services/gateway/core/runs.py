"""The newest records of each name with their numbers, for who heard up to one of them."""

from collections import deque


class Runs:
    """Records by name (a ticker, an account); their numbers rise by one where nothing is amiss.

    A stranger's record with a number of its own breaks the run: what lies before the break can't be
    served any more, and nobody is told that it was complete.

    Args:
        kept: of all names together; the oldest is forgotten first.
    """

    def __init__(self, kept: int) -> None:
        self._kept = kept
        self._records: dict[str, deque[tuple[int, bytes]]] = {}
        self._since: deque[str] = deque()
        """Whose record each one kept is, the oldest first."""

    def note(self, name: str, number: int, value: bytes) -> None:
        """Keep the newest record of this name."""
        records = self._records.get(name)
        if records is None:
            records = self._records[name] = deque()
        records.append((number, value))
        self._since.append(name)
        if len(self._since) > self._kept:
            oldest = self._since.popleft()
            self._records[oldest].popleft()
            if not self._records[oldest]:
                del self._records[oldest]

    def newest(self, name: str) -> int | None:
        """The number of the newest record; None: there is none."""
        records = self._records.get(name)
        return records[-1][0] if records else None

    def after(self, name: str, number: int) -> list[bytes] | None:
        """The records with the numbers after this one, oldest first; None: not all are here."""
        found: list[bytes] = []
        expected = self.newest(name)
        for at, value in reversed(self._records.get(name, ())):
            if at == number:
                break
            if at != expected:
                return None
            found.append(value)
            expected = at - 1
        # Numbers begin with 1, so whoever heard nothing yet has all of them with that one.
        if expected != number:
            return None
        found.reverse()
        return found

    def __len__(self) -> int:
        return len(self._since)

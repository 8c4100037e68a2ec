"""The latest fills of every account, as the records of `executions` that report them."""

from collections import deque
from collections.abc import Iterator

from services.gateway.core.sequence_list import SequenceList


class Fills:
    """Fills by account and the number of their report in it.

    Args:
        kept: of all accounts together; the oldest is forgotten first.
    """

    def __init__(self, kept: int) -> None:
        self._kept = kept
        self._accounts: dict[str, SequenceList[bytes]] = {}
        self._since: deque[str] = deque()
        """Whose fill each one kept is, the oldest first."""

    def note(self, account: str, sequence: int, value: bytes) -> None:
        """Fold the report of one fill."""
        fills = self._accounts.get(account)
        if fills is None:
            fills = self._accounts[account] = SequenceList()
        before = len(fills)
        fills.append(sequence, value)
        if len(fills) == before:
            return
        self._since.append(account)
        if len(self._since) > self._kept:
            self._forget_oldest()

    def _forget_oldest(self) -> None:
        account = self._since.popleft()
        fills = self._accounts[account]
        fills.drop_oldest()
        if not len(fills):
            del self._accounts[account]

    def before(self, account: str, sequence: int | None) -> Iterator[tuple[int, bytes]]:
        """Number and report of the account's fills before this number: the newest first."""
        fills = self._accounts.get(account)
        return iter(()) if fills is None else fills.before(sequence)

    def __len__(self) -> int:
        return len(self._since)

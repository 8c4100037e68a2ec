"""The orders of every account, as the last report about each one says."""

from collections import OrderedDict, deque
from typing import Final

from services.domain.codes import LIVE_STATUSES, NO_ORDER
from services.domain.commands import PlaceOrder
from services.domain.ids import ticker_of
from services.gateway.core.order_lists import OrderLists
from services.gateway.core.recorded import Recorded
from services.wire.topics import EXECUTIONS

type LastWord = bytes | PlaceOrder
"""A record of `executions`; before the first one, the command as it was written."""

TOPIC: Final = EXECUTIONS.name


class OrderTable:
    """Live orders of all accounts, and the last so many that ended.

    Keyed by account and order id: a report about somebody else's order (a cancel that was refused)
    names that order's id with the caller's account, and must not be taken for the order.

    Args:
        ended_max: most ended orders kept; the oldest is forgotten first.
        submitted_max: most commands kept between their write and the first report.
    """

    def __init__(self, ended_max: int, submitted_max: int) -> None:
        self._ended_max = ended_max
        self._submitted_max = submitted_max
        self._live: dict[str, dict[str, bytes]] = {}
        self._ended: dict[tuple[str, str], bytes] = {}
        self._ended_since: deque[tuple[str, str]] = deque()
        """The keys of `_ended`, the oldest first."""
        self._submitted: OrderedDict[tuple[str, str], PlaceOrder] = OrderedDict()
        self._sequences: dict[str, int] = {}
        self.lists = OrderLists()

    def begin(self, recorded: Recorded) -> None:
        """Know what was live before the first report is folded."""
        assert not self._sequences, "it has begun already"
        self._sequences.update(recorded.sequences)
        for order in recorded.orders:
            live = self._live.setdefault(order.account, {})
            live[order.order_id] = order.value
            self.lists.note(order.account, order.first_sequence, order.order_id, order.status)

    def note_submitted(self, order_id: str, command: PlaceOrder) -> None:
        """A command is durable; unless it is known already, it is shown as PENDING_NEW."""
        if self.find(command.account, order_id) is not None:
            return
        self._submitted[command.account, order_id] = command
        if len(self._submitted) > self._submitted_max:
            self._submitted.popitem(last=False)

    def note_report(
        self, account: str, sequence: int, order_id: str, status: int, value: bytes
    ) -> None:
        """Fold one report. One that touches no order's status changes none that is known."""
        if sequence:
            self._sequences[account] = sequence
        if not order_id:
            return
        key = (account, order_id)
        self._submitted.pop(key, None)
        if sequence and status != NO_ORDER:
            self.lists.note(account, sequence, order_id, status)
        live = self._live.get(account)
        if status in LIVE_STATUSES:
            if live is None:
                live = self._live[account] = {}
            live[order_id] = value
            return
        if status == NO_ORDER:
            if (live is None or order_id not in live) and key not in self._ended:
                self._keep_ended(key, value)
            return
        if live is not None and live.pop(order_id, None) is not None and not live:
            del self._live[account]
        self._keep_ended(key, value)

    def find(self, account: str, order_id: str) -> LastWord | None:
        """The last word about one of this account's orders; None: unknown, or forgotten."""
        live = self._live.get(account)
        if live is not None and order_id in live:
            return live[order_id]
        key = (account, order_id)
        return self._ended.get(key) or self._submitted.get(key)

    def live_of(self, account: str) -> list[bytes]:
        """The last reports of the account's live orders, oldest order first."""
        return list(self._live.get(account, {}).values())

    def has_live(self, account: str, ticker: str) -> bool:
        """Whether the account has a live order in the ticker."""
        return any(ticker_of(order_id) == ticker for order_id in self._live.get(account, ()))

    def sequence_of(self, account: str) -> int:
        """The account's last sequence number; 0 before its first message."""
        return self._sequences.get(account, 0)

    @property
    def ended_count(self) -> int:
        return len(self._ended)

    def _keep_ended(self, key: tuple[str, str], value: bytes) -> None:
        if key not in self._ended:
            self._ended_since.append(key)
        self._ended[key] = value
        if len(self._ended) > self._ended_max:
            account, order_id = oldest = self._ended_since.popleft()
            del self._ended[oldest]
            if order_id not in self._live.get(account, ()):
                self.lists.forget(account, order_id)

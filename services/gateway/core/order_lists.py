"""Each account's orders in the order in which risk first spoke of them."""

from collections.abc import Iterator
from typing import Final

import msgspec

from services.domain.codes import LIVE_STATUSES
from services.gateway.core.sequence_list import SequenceList

_SLACK: Final = 64
"""Places of forgotten orders that are never worth clearing away."""


class _Place(msgspec.Struct, gc=False):
    sequence: int
    """Of the order's first report, in its account."""
    status: int


class OrderLists:
    """Which orders an account has, by the number of each one's first report.

    That number is the log's, so every gateway pages through the same list. An account that nobody
    opened has no numbers, and no list.
    """

    def __init__(self) -> None:
        self._places: dict[str, dict[str, _Place]] = {}
        self._sequences: dict[str, SequenceList[str]] = {}
        """Order ids of each account; also of orders forgotten since."""

    def note(self, account: str, sequence: int, order_id: str, status: int) -> None:
        """Fold one report that says an order's status."""
        places = self._places.get(account)
        if places is None:
            places = self._places[account] = {}
            self._sequences[account] = SequenceList()
        place = places.get(order_id)
        if place is None or (status in LIVE_STATUSES and place.status not in LIVE_STATUSES):
            # New, or an id that is used again long after its first order ended.
            places[order_id] = _Place(sequence, status)
            self._sequences[account].append(sequence, order_id)
        else:
            place.status = status

    def forget(self, account: str, order_id: str) -> None:
        """The order is not to be listed any more; nothing happens if it is not."""
        places = self._places.get(account)
        if places is None or places.pop(order_id, None) is None:
            return
        if not places:
            del self._places[account], self._sequences[account]
        elif len(self._sequences[account]) > 2 * len(places) + _SLACK:
            rest: SequenceList[str] = SequenceList()
            for order in sorted(places, key=lambda order: places[order].sequence):
                rest.append(places[order].sequence, order)
            self._sequences[account] = rest

    def before(self, account: str, sequence: int | None) -> Iterator[tuple[int, str, int]]:
        """Number, id and status of the orders that came before this number: the newest first."""
        places = self._places.get(account)
        if places is None:
            return
        for number, order_id in self._sequences[account].before(sequence):
            place = places.get(order_id)
            if place is not None and place.sequence == number:
                yield number, order_id, place.status

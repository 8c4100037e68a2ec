"""Pages of an account's orders and fills: the newest first, and a cursor to what came before.

A page ends when it is full, or when enough was looked at: with a filter that little passes it may
be short, or empty, and yet have a cursor. Who wants all goes on until there is none.
"""

from collections.abc import Callable, Iterator
from typing import Any, Final

from services.domain.events import ExecutionReport
from services.domain.ids import ticker_of
from services.domain.origin import Origin
from services.gateway.queries import PageQuery
from services.gateway.viewer import Viewer
from services.gateway.views import View, fill_view, order_view
from services.wire.codec import Decoded
from services.wire.topics import EXECUTIONS

SCANNED_MAX: Final = 5_000
"""Places looked at for one page."""
DECODED_MAX: Final = 1_000
"""Records decoded for one page: some 10 ms of the event loop's time."""

type _Places = Iterator[tuple[int, bytes | None]]
"""Numbers, the highest first, each with its report; None: the filters leave it out."""


def orders_page(viewer: Viewer, account: str, query: PageQuery) -> View:
    """The account's orders, the one that risk spoke of last first."""
    orders = viewer.model.orders

    def places() -> _Places:
        for sequence, order_id, status in orders.lists.before(account, query.cursor):
            is_asked_for = query.statuses is None or status in query.statuses
            value = orders.find(account, order_id) if is_asked_for else None
            yield sequence, value if isinstance(value, bytes) else None

    return _page("orders", viewer, places(), query, order_view)


def fills_page(viewer: Viewer, account: str, query: PageQuery) -> View:
    """The account's fills, the newest first."""
    return _page(
        "fills", viewer, viewer.model.fills.before(account, query.cursor), query, fill_view
    )


def _page(
    name: str,
    viewer: Viewer,
    places: Iterator[tuple[int, bytes | None]],
    query: PageQuery,
    show: Callable[[Decoded[ExecutionReport]], View],
) -> View:
    rows: list[View] = []
    scanned = decoded = last = 0
    next_cursor = None
    for sequence, value in places:
        if len(rows) == query.limit or scanned == SCANNED_MAX or decoded == DECODED_MAX:
            next_cursor = str(last)
            break
        scanned, last = scanned + 1, sequence
        if value is None:
            continue
        decoded += 1
        found = viewer.decode(EXECUTIONS.name, value)
        if found is not None and _passes(query, found):
            rows.append(show(found))
    return {name: rows, "next_cursor": next_cursor}


def _passes(query: PageQuery, found: Decoded[Any]) -> bool:
    report, origin = found.payload, found.origin
    assert isinstance(origin, Origin), "a report without an origin"
    return (
        (query.ticker is None or ticker_of(report.order_id) == query.ticker)
        and (query.order_id is None or report.order_id == query.order_id)
        and query.is_in_time(origin.time_us)
    )

"""A ticker's book as the book channel tells it: whole once, then level by level.

A change is put into JSON once for all who have the same book: at any time most do, and each slow
reader has one of its own only until its next message.
"""

from typing import Any, Final

import msgspec
import orjson

from services.domain.events import BookDepth
from services.gateway.core.book_changes import find_changes
from services.gateway.core.books import KeptBook
from services.gateway.viewer import Viewer
from services.gateway.views import book_change_view, book_view
from services.wire.codec import Decoded

HAS_NONE: Final = -1
"""In place of a book's place: who was told no book yet."""
HAS_LOST_IT: Final = -2
"""Who came back with a book that is not kept any more."""
_DECODED_MAX: Final = 8
"""Books of a ticker that stay decoded: what was told last is what most readers have."""


class _Present(msgspec.Struct):
    kept: KeptBook
    decoded: Decoded[BookDepth]
    messages: dict[int, bytes] = msgspec.field(default_factory=dict)
    """By the place of the book that the reader has."""


class BookMessages:
    """Called from the event loop only.

    What is told is each ticker's book at the last `refresh`, so that readers stay together.
    """

    def __init__(self, viewer: Viewer) -> None:
        self._viewer = viewer
        self._present: dict[str, _Present] = {}
        self._decoded: dict[str, dict[int, BookDepth]] = {}

    def refresh(self, ticker: str) -> None:
        """From now on tell the newest book, if there is one."""
        found = self._viewer.newest_book(ticker)
        present = self._present.get(ticker)
        if found is None or (present is not None and present.kept.place == found[0].place):
            return
        self._present[ticker] = _Present(*found)
        decoded = self._decoded.setdefault(ticker, {})
        decoded[found[0].place] = found[1].payload
        if len(decoded) > _DECODED_MAX:
            del decoded[next(iter(decoded))]

    def after(self, ticker: str, place: int) -> tuple[bytes, int] | None:
        """What to tell who has the book of this place, and the place of the one it has then.

        None: it has the book already, or there is none.
        """
        present = self._present.get(ticker)
        if present is None or place == present.kept.place:
            return None
        message = present.messages.get(place)
        if message is None:
            message = present.messages[place] = self._make(ticker, place, present)
        return message, present.kept.place

    def _make(self, ticker: str, place: int, present: _Present) -> bytes:
        head: dict[str, Any] = {"type": "snapshot", "channel": "book", "ticker": ticker}
        sequence = {"sequence": present.kept.sequence}
        before = self._viewer.model.market.books.at(ticker, place)
        if before is not None:
            depth = self._depth(ticker, before)
            changes = None if depth is None else find_changes(depth, present.decoded.payload)
            if changes is not None:
                head["type"] = "update"
                data = book_change_view(present.decoded, changes)
                previous = {"previous": before.sequence}
                return orjson.dumps(head | sequence | previous | {"data": data})
        elif place == HAS_LOST_IT:
            head["type"] = "resync"
        return orjson.dumps(head | sequence | {"data": book_view(present.decoded)})

    def _depth(self, ticker: str, kept: KeptBook) -> BookDepth | None:
        found = self._decoded[ticker].get(kept.place)
        if found is None:
            decoded = self._viewer.decode_book(kept)
            return None if decoded is None else decoded.payload
        return found

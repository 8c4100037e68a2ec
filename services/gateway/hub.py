"""Who hears what. The read model tells the hub of each change, the hub those who asked.

A change that nobody listens to costs one look-up; one that many hear is put into JSON once.
"""

import asyncio
from collections.abc import Callable

import orjson

from services.gateway import metrics
from services.gateway.session import Key, Session
from services.gateway.viewer import Viewer
from services.gateway.views import View
from services.runtime.telemetry import Telemetry


class Hub:
    """The sessions and their subscriptions. Called from the event loop only.

    Args:
        book_interval_s: a book goes out at most this often.
    """

    def __init__(self, viewer: Viewer, telemetry: Telemetry, book_interval_s: float) -> None:
        self._viewer = viewer
        self._telemetry = telemetry
        self._book_interval_s = book_interval_s
        self._sessions: dict[Session, None] = {}
        self._listeners: dict[Key, dict[Session, None]] = {}
        self._changed_books: dict[str, None] = {}
        self._flush: asyncio.TimerHandle | None = None
        self._empty = asyncio.Event()
        self._empty.set()
        viewer.model.listener = self

    # --- sessions come and go

    def __len__(self) -> int:
        return len(self._sessions)

    def add(self, session: Session) -> None:
        self._sessions[session] = None
        self._empty.clear()
        self._telemetry.set(metrics.SOCKETS, len(self._sessions))

    def remove(self, session: Session) -> None:
        for key in session.subscriptions:
            self.unsubscribe(session, key)
        self._sessions.pop(session, None)
        if not self._sessions:
            self._empty.set()
        self._telemetry.set(metrics.SOCKETS, len(self._sessions))

    def close_all(self, code: int, reason: str) -> None:
        for session in self._sessions:
            session.close(code, reason)

    async def wait_until_empty(self) -> None:
        """Return when no session is left."""
        await self._empty.wait()

    def subscribe(self, session: Session, key: Key) -> None:
        """Begin, with a snapshot first. The caller has checked that the key may be heard."""
        session.begin(key)
        self._listeners.setdefault(key, {})[session] = None
        channel, name = key
        match channel:
            case "book":
                session.show_book(name, _fragment(self._viewer.book(name)))
            case "trades":
                session.tell(key, _fragment(self._viewer.trades(name)))
            case "executions":
                session.tell(key, _fragment(self._viewer.account(name)))

    def unsubscribe(self, session: Session, key: Key) -> None:
        session.end(key)
        listeners = self._listeners.get(key)
        if listeners is not None:
            listeners.pop(session, None)
            if not listeners:
                del self._listeners[key]

    # --- what the read model says (core.read_model.Listener)

    def book_changed(self, ticker: str) -> None:
        """Send the book to its listeners, once for all changes of the next interval."""
        if ("book", ticker) not in self._listeners:
            return
        self._changed_books[ticker] = None
        if self._flush is None:
            loop = asyncio.get_running_loop()
            self._flush = loop.call_later(self._book_interval_s, self.flush_books)

    def traded(self, ticker: str, value: bytes) -> None:
        self._tell(("trades", ticker), value, self._viewer.trade)

    def reported(self, account: str, value: bytes) -> None:
        self._tell(("executions", account), value, self._viewer.report)

    def flush_books(self) -> None:
        """Show every book that changed to those who hear it."""
        self._flush = None
        changed, self._changed_books = self._changed_books, {}
        for ticker in changed:
            listeners = self._listeners.get(("book", ticker))
            if listeners:
                data = _fragment(self._viewer.book(ticker))
                for session in listeners:
                    session.show_book(ticker, data)

    def _tell(self, key: Key, value: bytes, make_view: Callable[[bytes], View | None]) -> None:
        listeners = self._listeners.get(key)
        if not listeners:
            return
        view = make_view(value)
        if view is None:
            return
        data = _fragment(view)
        for session in listeners:
            session.tell(key, data)


def _fragment(view: View | None) -> orjson.Fragment:
    return orjson.Fragment(orjson.dumps(view))

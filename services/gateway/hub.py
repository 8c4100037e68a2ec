"""Who hears what. The read model tells the hub of each change, the hub those who asked.

A change that nobody listens to costs one look-up; one that many hear is put into JSON once.
"""

import asyncio
from collections.abc import Callable

import orjson

from services.gateway import metrics
from services.gateway.book_messages import HAS_LOST_IT, HAS_NONE, BookMessages
from services.gateway.core.runs import Runs
from services.gateway.session import NEWEST, Channel, Key, Session
from services.gateway.standing import no_positions, positions_view
from services.gateway.viewer import Viewer
from services.gateway.views import View
from services.runtime.telemetry import Telemetry


class Hub:
    """The sessions and their subscriptions. Called from the event loop only.

    Args:
        newest_interval_s: that of which only the newest matters goes out at most this often.
    """

    def __init__(self, viewer: Viewer, telemetry: Telemetry, newest_interval_s: float) -> None:
        self._viewer = viewer
        self._telemetry = telemetry
        self._newest_interval_s = newest_interval_s
        self._books = BookMessages(viewer)
        self._sessions: dict[Session, None] = {}
        self._listeners: dict[Key, dict[Session, None]] = {}
        self._changed: dict[Key, None] = {}
        self._flush: asyncio.TimerHandle | None = None
        self._empty = asyncio.Event()
        self._empty.set()
        viewer.model.listener = self

    # --- sessions come and go

    def __len__(self) -> int:
        return len(self._sessions)

    @property
    def sessions(self) -> list[Session]:
        """Those connected now."""
        return list(self._sessions)

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

    def subscribe(self, session: Session, key: Key, after: int | None = None) -> None:
        """Begin, with a snapshot first. The caller has checked that the key may be heard.

        Who was here `after` a number hears what it missed instead; if that is not here any more,
        the snapshot says so by its type.
        """
        self._listeners.setdefault(key, {})[session] = None
        channel, name = key
        if channel == "book":
            self._begin_book(session, key, after)
            return
        session.begin(key)
        if channel in NEWEST:
            session.show(key, self._newest(key))
            return
        missed = None if after is None else self._runs(channel).after(name, after)
        if missed is not None:
            session.tell(key, _fragment({"after": after}), "resumed")
            session.catch_up(key, missed, self._speller(channel))
            return
        show = self._viewer.trades if channel == "trades" else self._viewer.account
        session.tell(key, _fragment(show(name)), None if after is None else "resync")

    def _begin_book(self, session: Session, key: Key, after: int | None) -> None:
        ticker = key[1]
        self._books.refresh(ticker)
        place, resumed = HAS_NONE, None
        if after is not None:
            kept = self._viewer.model.market.books.place_of(ticker, after)
            place = HAS_LOST_IT if kept is None else kept
            if kept is not None:
                head = {"type": "resumed", "channel": "book", "ticker": ticker, "sequence": after}
                resumed = orjson.dumps(head | {"data": {"after": after}})
        session.begin_book(key, self._books, place, resumed)

    def newest_number(self, key: Key) -> int | None:
        """Of the last record of books, trades or executions; None: none is here."""
        if key[0] == "book":
            newest = self._viewer.model.market.books.newest(key[1])
            return None if newest is None else newest.sequence
        return self._runs(key[0]).newest(key[1])

    def _runs(self, channel: Channel) -> Runs:
        model = self._viewer.model
        return model.trade_runs if channel == "trades" else model.report_runs

    def _speller(self, channel: Channel) -> Callable[[bytes], orjson.Fragment | None]:
        make_view = self._viewer.trade if channel == "trades" else self._viewer.report

        def spell(value: bytes) -> orjson.Fragment | None:
            view = make_view(value)
            return None if view is None else _fragment(view)

        return spell

    def unsubscribe(self, session: Session, key: Key) -> None:
        session.end(key)
        listeners = self._listeners.get(key)
        if listeners is not None:
            listeners.pop(session, None)
            if not listeners:
                del self._listeners[key]

    # --- what the read model says (core.read_model.Listener)

    def book_changed(self, ticker: str) -> None:
        self._show_soon(("book", ticker))

    def predicted(self, ticker: str) -> None:
        self._show_soon(("predictions", ticker))

    def traded(self, ticker: str, value: bytes) -> None:
        self._tell(("trades", ticker), value, self._viewer.trade)

    def reported(self, account: str, value: bytes) -> None:
        self._tell(("executions", account), value, self._viewer.report)
        self._show_soon(("positions", account))

    def flush(self) -> None:
        """Show each thing that changed to those who hear it."""
        self._flush = None
        changed, self._changed = self._changed, {}
        for key in changed:
            listeners = self._listeners.get(key)
            if not listeners:
                continue
            if key[0] == "book":
                self._books.refresh(key[1])
                for session in listeners:
                    session.book_changed(key)
            else:
                data = self._newest(key)
                for session in listeners:
                    session.show(key, data)

    def _show_soon(self, key: Key) -> None:
        """Once for all changes of the next interval."""
        if key not in self._listeners:
            return
        self._changed[key] = None
        if self._flush is None:
            loop = asyncio.get_running_loop()
            self._flush = loop.call_later(self._newest_interval_s, self.flush)

    def _newest(self, key: Key) -> orjson.Fragment:
        channel, name = key
        if channel == "positions":
            return _fragment(positions_view(self._viewer, name) or no_positions(name))
        return _fragment(self._viewer.predictions(name))

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

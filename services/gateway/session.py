"""One WebSocket client as the hub sees it: what it hears, and what waits to be sent to it.

Every subscription numbers its messages: 0 is the snapshot, each update one more, without gaps. Only
a book's have the log's own numbers, so that all who have the same book are told the same bytes.
Who comes back is first told what it missed, spelled only when there is room to send it.
Trades and executions wait in a bounded queue; when it overflows the client is closed, since it has
missed something and must know. A book, a ticker's predictions or an account's positions need no
queue: only the newest waits, of a book what changed since the one that the client has.
What many hear goes out at once where nothing waits before it; the rest is the socket's task's.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, Final, Literal, Protocol

import msgspec
import orjson

from services.gateway.book_messages import BookMessages

type Channel = Literal["book", "trades", "executions", "positions", "predictions"]
type Kind = Literal["snapshot", "update", "resumed", "resync"]
type Key = tuple[Channel, str]
"""A channel and its ticker; of those in `OWN`, the account."""

OWN: Final = ("executions", "positions")
"""Channels of the caller's own, which have no ticker."""

NEWEST: Final = ("book", "predictions", "positions")
"""Channels of which only the newest matters: of a book that waits it is told what changed."""

MESSAGES_BETWEEN_NEWEST_MAX: Final = 64
"""Queued messages sent before what waits outside the queue gets its turn."""

NORMAL_CLOSURE: Final = 1000
SERVICE_RESTART: Final = 1012
TRY_AGAIN_LATER: Final = 1013
KEY_ENDED: Final = 4003
SLOW_CONSUMER: Final = 4008
CLOSING_CODES: Final = (NORMAL_CLOSURE, SERVICE_RESTART, TRY_AGAIN_LATER, KEY_ENDED, SLOW_CONSUMER)
"""With which the gateway closes; what it passes on of others may be any."""


class Closing(msgspec.Struct, frozen=True):
    code: int
    reason: str


class Sink(Protocol):
    """Where messages can go at once; `frames.FramedSocket` is one."""

    @property
    def has_room(self) -> bool: ...

    def write(self, text: bytes) -> None: ...


class Missed(msgspec.Struct):
    """What a client that came back has still to hear of one subscription."""

    records: deque[bytes]
    spell: Callable[[bytes], orjson.Fragment | None]
    """None: a stranger's record, which is as if it were not there."""
    since: deque[orjson.Fragment] = msgspec.field(default_factory=deque)
    """What came meanwhile, to be heard after them."""

    def next(self) -> orjson.Fragment | None:
        """The next one; None: that was all."""
        while self.records:
            found = self.spell(self.records.popleft())
            if found is not None:
                return found
        return self.since.popleft() if self.since else None


class Session:
    """Called from the event loop only.

    Args:
        account: whose executions it may hear; empty: nobody's.
        queue_max: most messages waiting.
    """

    def __init__(self, account: str, queue_max: int) -> None:
        self.account = account
        self.key_id = ""
        """By which key it proved its account; empty: by none."""
        self.scopes: tuple[str, ...] = ()
        self.cancels_on_disconnect = False
        """Whether the account's open orders are cancelled when its client is gone."""
        self.commands_under_way = 0
        self.closing: Closing | None = None
        self._queue_max = queue_max
        self._queue: deque[bytes] = deque()
        self.sink: Sink | None = None
        """Set once the client is connected."""
        self.has_spoken = False
        """Whether anything went out past the socket's task since the task last asked."""
        self._newest: dict[Key, orjson.Fragment | None] = {}
        """What waits outside the queue; None: a book, which is asked for when there is room."""
        self._books: BookMessages | None = None
        self._places: dict[Key, int] = {}
        """Of each book subscribed to: which one the client has."""
        self._resumed: dict[Key, bytes] = {}
        """What is to be said of a book before the first change."""
        self._missed: dict[Key, Missed] = {}
        self._sequences: dict[Key, int] = {}
        """The next number of each subscription."""
        self._since_newest = 0
        self._wake = asyncio.Event()

    def become(self, account: str, key_id: str, scopes: tuple[str, ...]) -> None:
        """From now on it is the caller of this key, who has proved it."""
        assert not self.key_id, "a session proves itself once"
        self.account, self.key_id, self.scopes = account, key_id, scopes

    # --- the hub's side

    @property
    def subscriptions(self) -> list[Key]:
        return list(self._sequences)

    def hears(self, key: Key) -> bool:
        return key in self._sequences

    def begin(self, key: Key) -> None:
        self._sequences[key] = 0

    def begin_book(
        self, key: Key, books: BookMessages, place: int, resumed: bytes | None = None
    ) -> None:
        """Have the book told to a client that has the one of this place, or none.

        `resumed` is said before anything else.
        """
        self.begin(key)
        self._books = books
        self._places[key] = place
        if resumed is not None:
            self._resumed[key] = resumed
        self.book_changed(key)

    def end(self, key: Key) -> None:
        self._sequences.pop(key, None)
        self._places.pop(key, None)
        self._resumed.pop(key, None)
        self._newest.pop(key, None)
        self._missed.pop(key, None)

    def say(self, message: dict[str, Any]) -> None:
        """Queue a message that belongs to no subscription's sequence."""
        self._put(orjson.dumps(message))

    def tell(self, key: Key, data: orjson.Fragment, kind: Kind | None = None) -> None:
        """Queue a snapshot (the first one told) or an update; nothing that is told is left out."""
        missed = self._missed.get(key)
        if missed is None:
            message = self._envelope(key, data, kind)
            if self._can_send_now():
                self._send_now(message)
            else:
                self._put(message)
        elif len(missed.since) >= self._queue_max:
            self._close_slow()
        else:
            missed.since.append(data)
            self._wake.set()

    def catch_up(
        self, key: Key, records: list[bytes], spell: Callable[[bytes], orjson.Fragment | None]
    ) -> None:
        """Have these sent as updates before all that is told from now on."""
        if records and self.closing is None:
            self._missed[key] = Missed(deque(records), spell)
            self._wake.set()

    def show(self, key: Key, data: orjson.Fragment) -> None:
        """Have the newest sent when there is room; it takes the place of what waits."""
        self._newest[key] = data
        self._wake.set()

    def book_changed(self, key: Key) -> None:
        """Have the client told what changed in a book, now or when there is room."""
        if not self._can_send_now():
            if self.closing is None:
                self._newest[key] = None
                self._wake.set()
            return
        self._newest.pop(key, None)
        message = self._next_of_book(key)
        if message is not None:
            self._send_now(message)

    def _can_send_now(self) -> bool:
        """Whether nothing waits that must come first, and the client's buffers have room."""
        sink = self.sink
        return (
            sink is not None
            and not self._queue
            and not self._missed
            and self.closing is None
            and sink.has_room
        )

    def _send_now(self, message: bytes) -> None:
        assert self.sink is not None
        self.sink.write(message)
        self.has_spoken = True

    def close(self, code: int, reason: str) -> None:
        """Have the client closed; what waits for it is dropped."""
        if self.closing is None:
            self.closing = Closing(code, reason)
            self._queue.clear()
            self._newest.clear()
            self._missed.clear()
            self._wake.set()

    # --- the socket's side

    async def wait(self) -> None:
        """Return when there is something to send, or to close."""
        await self._wake.wait()
        self._wake.clear()

    def next_message(self) -> bytes | None:
        """The next message to send; None: nothing waits, or it is to be closed."""
        if self.closing is not None:
            return None
        if not self._newest or self._since_newest < MESSAGES_BETWEEN_NEWEST_MAX:
            message = self._queue.popleft() if self._queue else self._next_missed()
            if message is not None:
                self._since_newest += 1
                return message
        while self._newest:
            self._since_newest = 0
            key = next(iter(self._newest))
            data = self._newest.pop(key)
            message = self._next_of_book(key) if data is None else self._envelope(key, data)
            if message is not None:
                return message
        return None

    def _next_of_book(self, key: Key) -> bytes | None:
        """None: the client has what there is."""
        assert self._books is not None
        resumed = self._resumed.pop(key, None)
        if resumed is not None:
            self._newest[key] = None
            self._wake.set()
            return resumed
        found = self._books.after(key[1], self._places[key])
        if found is None:
            return None
        message, self._places[key] = found
        return message

    def _next_missed(self) -> bytes | None:
        while self._missed:
            key, missed = next(iter(self._missed.items()))
            data = missed.next()
            if data is not None:
                return self._envelope(key, data)
            del self._missed[key]
        return None

    def _put(self, message: bytes) -> None:
        if self.closing is not None:
            return
        if len(self._queue) >= self._queue_max:
            self._close_slow()
            return
        self._queue.append(message)
        self._wake.set()

    def _close_slow(self) -> None:
        self.close(SLOW_CONSUMER, f"more than {self._queue_max} messages waited: read faster")

    def _envelope(self, key: Key, data: orjson.Fragment, kind: Kind | None = None) -> bytes:
        channel, name = key
        sequence = self._sequences[key]
        self._sequences[key] = sequence + 1
        kind = kind or ("update" if sequence else "snapshot")
        head: dict[str, Any] = {"type": kind, "channel": channel}
        if channel not in OWN:
            head["ticker"] = name
        return orjson.dumps(head | {"sequence": sequence, "data": data})

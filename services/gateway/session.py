"""One WebSocket client as the hub sees it: what it hears, and what waits to be sent to it.

Every subscription numbers its messages: 0 is the snapshot, each update one more, without gaps.
Who comes back is first told what it missed, spelled only when there is room to send it.
Trades and executions wait in a bounded queue; when it overflows the client is closed, since it has
missed something and must know. A book, a ticker's predictions or an account's positions need no
queue: only the newest waits.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, Final, Literal

import msgspec
import orjson

type Channel = Literal["book", "trades", "executions", "positions", "predictions"]
type Kind = Literal["snapshot", "update", "resumed", "resync"]
type Key = tuple[Channel, str]
"""A channel and its ticker; of those in `OWN`, the account."""

OWN: Final = ("executions", "positions")
"""Channels of the caller's own, which have no ticker."""

NEWEST: Final = ("book", "predictions", "positions")
"""Channels whose messages are whole: of those that wait, only the newest matters."""

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
        self._newest: dict[Key, orjson.Fragment] = {}
        """What waits outside the queue."""
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

    def end(self, key: Key) -> None:
        self._sequences.pop(key, None)
        self._newest.pop(key, None)
        self._missed.pop(key, None)

    def say(self, message: dict[str, Any]) -> None:
        """Queue a message that belongs to no subscription's sequence."""
        self._put(orjson.dumps(message))

    def tell(self, key: Key, data: orjson.Fragment, kind: Kind | None = None) -> None:
        """Queue a snapshot (the first one told) or an update; nothing that is told is left out."""
        missed = self._missed.get(key)
        if missed is None:
            self._put(self._envelope(key, data, kind))
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
        if self._newest:
            self._since_newest = 0
            key = next(iter(self._newest))
            return self._envelope(key, self._newest.pop(key))
        return None

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

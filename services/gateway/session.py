"""One WebSocket client as the hub sees it: what it hears, and what waits to be sent to it.

Every subscription numbers its messages: 0 is the snapshot, each update one more, without gaps.
Trades and executions wait in a bounded queue; when it overflows the client is closed, since it has
missed something and must know. A book, a ticker's predictions or an account's positions need no
queue: only the newest waits.
"""

import asyncio
from collections import deque
from typing import Any, Final, Literal

import msgspec
import orjson

type Channel = Literal["book", "trades", "executions", "positions", "predictions"]
type Key = tuple[Channel, str]
"""A channel and its ticker; of those in `OWN`, the account."""

OWN: Final = ("executions", "positions")
"""Channels of the caller's own, which have no ticker."""

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

    def say(self, message: dict[str, Any]) -> None:
        """Queue a message that belongs to no subscription's sequence."""
        self._put(orjson.dumps(message))

    def tell(self, key: Key, data: orjson.Fragment) -> None:
        """Queue a snapshot (the first one told) or an update; nothing that is told is left out."""
        self._put(self._envelope(key, data))

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
        newest_is_due = self._newest and self._since_newest >= MESSAGES_BETWEEN_NEWEST_MAX
        if self._queue and not newest_is_due:
            self._since_newest += 1
            return self._queue.popleft()
        if self._newest:
            self._since_newest = 0
            key = next(iter(self._newest))
            return self._envelope(key, self._newest.pop(key))
        return None

    def _put(self, message: bytes) -> None:
        if self.closing is not None:
            return
        if len(self._queue) >= self._queue_max:
            self.close(SLOW_CONSUMER, f"more than {self._queue_max} messages waited: read faster")
            return
        self._queue.append(message)
        self._wake.set()

    def _envelope(self, key: Key, data: orjson.Fragment) -> bytes:
        channel, name = key
        sequence = self._sequences[key]
        self._sequences[key] = sequence + 1
        head: dict[str, Any] = {"type": "update" if sequence else "snapshot", "channel": channel}
        if channel not in OWN:
            head["ticker"] = name
        return orjson.dumps(head | {"sequence": sequence, "data": data})

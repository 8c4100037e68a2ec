"""What is said over one stream, whatever carries it.

Subscriptions and commands, and what becomes of both when a connection breaks. Sends nothing itself
and has no clock; both streams use it.
"""

import random
from collections import deque
from collections.abc import Mapping
from math import inf
from typing import Any, Final

import msgspec

from services.client.answers import Problem
from services.client.calls import Call
from services.client.errors import ClientError, EndedError, RefusedError, UnreachableError
from services.client.messages import (
    Channel,
    CommandRefused,
    CommandTaken,
    CommandUnknown,
    Heard,
    Message,
    Reconnected,
    Refused,
    Told,
    number_of,
)

OPEN_TIMEOUT_S: Final = 10.0
MESSAGE_BYTES_MAX: Final = 16 * 2**20
"""Longest message: an account's live orders come in one."""
STREAM_TRIES: Final = 20
"""With the pauses below, a minute and a half."""
PAUSE_S_MIN: Final = 0.2
PAUSE_S_MAX: Final = 5.0
COMMANDS_MAX: Final = 100
"""Commands of one stream that wait for an answer: a gateway takes no more at a time."""
STARTING_PAUSE_S: Final = 0.5
STARTING_TRIES_MAX: Final = 120

_RESUMABLE: Final = ("trades", "executions")
_FINAL_CODES: Final = frozenset({1002, 1003, 1007, 1008, 1009, 1010, 4003})
"""Closed with one of these, the same client would be closed again."""
_AWAY: Final = frozenset({429, 500, 502, 503, 504})

type Subscription = tuple[Channel, str | None]


class Talk:
    """One stream's memory. Used by one thread, or one event loop, at a time.

    Args:
        tries: most attempts to connect, one after the other.
    """

    def __init__(self, tries: int) -> None:
        self.is_connected = False
        self.dial_at_s = 0.0
        """Before then nobody should connect."""
        self._tries = tries
        self._failures = 0
        self._cause = ""
        """Why the last connection ended; empty: there was none yet."""
        self._said: deque[Message] = deque()
        self._outgoing: deque[bytes] = deque()
        self._subscriptions: dict[Subscription, int | None] = {}
        """The last number heard of each, where it has such."""
        self._sequences: dict[Subscription, int] = {}
        """The next sequence of each in this connection."""
        self._starting: dict[Subscription, tuple[int, float]] = {}
        """Refused for now, by how often, and when each is asked for again."""
        self._waiting: dict[str, str] = {}
        """Commands without an answer, and their clients' ids."""
        self._cancels_on_disconnect: bool | None = None
        self._number = 0

    # --- what the caller wants

    def subscribe(self, channel: Channel, ticker: str | None, after: int | None) -> None:
        self._subscriptions[channel, ticker] = after
        if self.is_connected:
            self._ask_for((channel, ticker))

    def unsubscribe(self, channel: Channel, ticker: str | None) -> None:
        self._forget((channel, ticker))
        if self.is_connected:
            self._put({"op": "unsubscribe"} | _members(channel, ticker))

    def cancel_on_disconnect(self, *, enabled: bool) -> None:
        self._cancels_on_disconnect = enabled
        if self.is_connected:
            self._put({"op": "cancel_on_disconnect", "enabled": enabled})

    def command(self, op: str, call: Call[Any], order_id: str | None = None) -> str:
        """Queue a command with the body that REST takes; returns what the answer will name.

        Raises:
            UnreachableError: the connection is lost, and nothing was sent.
            ClientError: too many wait for an answer, and nothing was sent.
        """
        if not self.is_connected:
            raise UnreachableError("the stream is not connected; receive() connects it again")
        if len(self._waiting) >= COMMANDS_MAX:
            raise ClientError(f"{COMMANDS_MAX} commands wait for an answer; receive() first")
        self._number += 1
        name = f"q-{self._number}"
        self._waiting[name] = call.command_id
        document = {"op": op, "id": name, "body": call.body}
        self._put(document if order_id is None else document | {"order_id": order_id})
        return name

    # --- what the connection does

    def connected(self) -> None:
        """A connection stands: everything is asked for that was."""
        self.is_connected = True
        self._outgoing.clear()
        self._sequences.clear()
        self._starting.clear()
        if self._cause:
            self._said.append(Reconnected(self._cause))
        if self._cancels_on_disconnect is not None:
            self.cancel_on_disconnect(enabled=self._cancels_on_disconnect)
        for subscription in self._subscriptions:
            self._ask_for(subscription)

    def lost(self, failure: ClientError, now_s: float) -> None:
        """The connection ended, or there was none.

        Raises:
            ClientError: that it would be so again, or has been often enough.
        """
        self.is_connected = False
        self._cause = str(failure)
        for name, command_id in self._waiting.items():
            self._said.append(CommandUnknown(name, command_id))
        self._waiting.clear()
        self._failures += 1
        if self._failures >= self._tries or not isinstance(failure, UnreachableError):
            raise failure
        longest_s = min(PAUSE_S_MAX, PAUSE_S_MIN * 2**self._failures)
        # Half of it by chance, so that the clients of a gateway do not all come back at once.
        self.dial_at_s = now_s + longest_s * random.uniform(0.5, 1.0)  # noqa: S311

    def hear(self, text: str | bytes, now_s: float) -> None:
        """Take what the gateway said.

        Raises:
            UnreachableError: nothing a gateway says, or not what comes next: connect again.
        """
        try:
            heard = msgspec.json.decode(text, type=Heard)
            self._take(heard, now_s)
        except msgspec.DecodeError as error:
            raise UnreachableError(f"the stream says what can't be read ({error})") from error
        self._failures = 0

    # --- what comes of it

    def next(self) -> Message | None:
        """What was said and not yet received."""
        return self._said.popleft() if self._said else None

    def outgoing(self, now_s: float) -> list[bytes]:
        """What is to be sent now."""
        for subscription, (tried, due_s) in self._starting.items():
            if due_s <= now_s:
                self._starting[subscription] = (tried, inf)
                self._ask_for(subscription)
        found = list(self._outgoing)
        self._outgoing.clear()
        return found

    def wait_s(self, now_s: float, until_s: float | None) -> float | None:
        """How long there is nothing to do but to listen; None: until something comes."""
        due_s = min((due_s for _, due_s in self._starting.values()), default=inf)
        if until_s is not None:
            due_s = min(due_s, until_s)
        return None if due_s == inf else max(0.0, due_s - now_s)

    # --- inside

    def _take(self, heard: Heard, now_s: float) -> None:
        match heard.type:
            case "heartbeat" | "authenticated" | "unsubscribed" | "cancel_on_disconnect":
                return
            case "taken":
                command_id = heard.client_order_id or heard.client_command_id or ""
                self._waiting.pop(heard.id, None)
                self._said.append(CommandTaken(heard.id, command_id, heard.order_id))
            case "error":
                self._take_error(heard, now_s)
            case _:
                self._take_told(heard.told())

    def _take_told(self, told: Told) -> None:
        subscription = (told.channel, told.ticker)
        if subscription not in self._subscriptions:
            return  # said before it heard that we want no more
        if told.channel in _RESUMABLE:
            due = self._sequences.get(subscription, 0)
            if told.sequence != due:
                raise UnreachableError(f"{told.channel} {told.sequence} came in place of {due}")
            self._sequences[subscription] = due + 1
            number = number_of(told)
            if number is not None:
                self._subscriptions[subscription] = number
        self._starting.pop(subscription, None)
        self._said.append(told)

    def _take_error(self, heard: Heard, now_s: float) -> None:
        if heard.id:
            self._waiting.pop(heard.id, None)
            self._said.append(CommandRefused(heard.id, heard.reason, heard.detail))
            return
        subscription = None if heard.channel is None else (heard.channel, heard.ticker)
        if subscription in self._subscriptions and heard.op == "subscribe":
            tried = self._starting.get(subscription, (0, 0.0))[0] + 1
            if heard.reason == "STARTING" and tried < STARTING_TRIES_MAX:
                self._starting[subscription] = (tried, now_s + STARTING_PAUSE_S)
                return
            self._forget(subscription)
        self._said.append(Refused(heard.reason, heard.detail, heard.channel, heard.ticker))

    def _ask_for(self, subscription: Subscription) -> None:
        document: dict[str, Any] = {"op": "subscribe"} | _members(*subscription)
        after = self._subscriptions[subscription]
        self._put(document if after is None else document | {"after": after})

    def _forget(self, subscription: Subscription) -> None:
        self._subscriptions.pop(subscription, None)
        self._sequences.pop(subscription, None)
        self._starting.pop(subscription, None)

    def _put(self, document: Mapping[str, Any]) -> None:
        self._outgoing.append(msgspec.json.encode(document))


def closed(code: int | None, reason: str) -> ClientError:
    """What it means that the gateway closed with this code; None: it just went away."""
    said = f"the stream was closed ({code or 'cut'}{': ' if reason else ''}{reason})"
    return EndedError(said) if code in _FINAL_CODES else UnreachableError(said)


def refused(status: int, body: bytes) -> ClientError:
    """What it means that a handshake was answered so."""
    try:
        problem = msgspec.json.decode(body, type=Problem)
    except msgspec.DecodeError:
        return UnreachableError(f"what answers is no gateway ({status})")
    if status in _AWAY:
        return UnreachableError(f"{problem.reason}: {problem.detail}")
    return RefusedError(problem)


def socket_url(url: str) -> str:
    """Where the WebSocket of a gateway is."""
    return "ws" + url.removeprefix("http").rstrip("/") + "/ws"


def _members(channel: Channel, ticker: str | None) -> dict[str, Any]:
    return {"channel": channel} | ({} if ticker is None else {"ticker": ticker})

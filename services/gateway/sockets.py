"""The WebSocket at /ws: JSON both ways.

The client says {"op": "subscribe", "channel": "book", "ticker": "AAPL"} or "unsubscribe"; channels
are book, trades, predictions, executions and positions (these two the caller's own, without a
ticker). It is answered by a snapshot and then updates, by {"type": "unsubscribed", ...}, or by
{"type": "error", "reason": ...}, which repeats op, channel, ticker and id of what it refuses. Each
message of a subscription but a book's has the next `sequence`, from 0; predictions and positions
come whole each time, and to a slow reader only the newest.
A book's `sequence` is the log's own: the offset in `matching` after which it looked so. Its
snapshot is whole; an update has the `previous` sequence, of the book to change, and the levels that
differ, where quantity 0 says that a price is not among the ten best (any more). A slow reader is
told the changes since the book that it has in one; who falls too far behind, or where most levels
changed, gets another snapshot.
In silence it hears {"type": "heartbeat"}.
Who comes back subscribes to book, trades or executions with "after": the sequence, trade_sequence
or account_sequence of the last one it has, at any gateway, since these are the log's own. It hears
{"type": "resumed", ...} and then, as updates, each that it missed and what follows, once and in
order (of a book what changed, in one); or, where these are not kept any more, {"type": "resync",
...} with a snapshot: something is missing, and GET /fills may still have it. A gateway that has not
read so far yet says STARTING.
What is the caller's own needs a key: in the handshake's headers, as a request brings it, or by
{"op": "authenticate", "key": "outcry_..."}, answered by {"type": "authenticated", "account": ...,
"scopes": [...]}; signed, the message has key_id, timestamp_ms and signature instead (method WS,
path /ws, no query and no body). Never in the address.
With a key to trade (or where access is open) commands go by the same connection: {"op": "place",
"id": "q-1", "body": {...}}, and likewise cancel, reduce, replace (these with "order_id") and
cancel_all; a body is the one of REST with its id in it. Each is answered, once durable, by {"type":
"taken", "id": "q-1", ...}, or by an error with its id. {"op": "cancel_on_disconnect", "enabled":
true} has the account's open orders cancelled when this connection ends, however it ends, also when
the gateway stops; not when the gateway is killed, or the log is away: for a minute, or as the
gateway stops.
The gateway closes with 1012 when it stops, 4008 when the client reads too slowly, 1009 when a
message is too long, 4003 when the key was revoked or has expired, 1013 when keys can't be checked.
"""

import asyncio
import time
from collections.abc import Mapping
from typing import Any, Final, Literal, cast

import orjson
from starlette.websockets import WebSocket, WebSocketDisconnect

from services.domain.ids import is_valid_id
from services.domain.reasons import Reason
from services.door.problems import ProblemError
from services.gateway import metrics
from services.gateway.core.read_model import ReadModel
from services.gateway.frames import EXTENSION, FramedSocket
from services.gateway.hub import Hub
from services.gateway.problems import HttpReason, problem
from services.gateway.session import CLOSING_CODES, OWN, Channel, Key, Session
from services.gateway.settings import GatewaySettings
from services.gateway.socket_entry import AUTHENTICATE, SocketEntry
from services.gateway.socket_orders import OPS as SOCKET_COMMANDS
from services.gateway.socket_orders import SocketOrders
from services.runtime.telemetry import Telemetry
from services.wire.topics import BOOK, EXECUTIONS, PREDICTIONS, TRADES

OPS: Final = ("subscribe", "unsubscribe")
KNOWN_OPS: Final = (*OPS, AUTHENTICATE, *SOCKET_COMMANDS)
CHANNELS: Final = ("book", "trades", "executions", "positions", "predictions")
_FEEDS: Final[Mapping[Channel, tuple[str, ...]]] = {
    "book": (BOOK.name,),
    "trades": (BOOK.name, TRADES.name),
    "executions": (EXECUTIONS.name,),
    "positions": (EXECUTIONS.name,),
    "predictions": (BOOK.name, PREDICTIONS.name),
}
"""What must have been read before a channel's snapshot is the present and not the past."""
RESUMABLE: Final = ("book", "trades", "executions")
"""Channels that the log numbers."""
_MEMBERS: Final = {"op", "channel", "ticker", "after"}
_NUMBER_MAX: Final = 2**63 - 1
_SENT_IN_A_ROW_MAX: Final = 64
"""Messages to one client before the others get their turn."""
_MS_PER_S: Final = 1_000
_NS_PER_US: Final = 1_000

type Op = Literal["subscribe", "unsubscribe"]


class SocketDoor:
    """Lets WebSocket clients in and serves each until it leaves."""

    def __init__(
        self,
        settings: GatewaySettings,
        model: ReadModel,
        hub: Hub,
        entry: SocketEntry,
        orders: SocketOrders,
        telemetry: Telemetry,
    ) -> None:
        self._settings = settings
        self._model = model
        self._hub = hub
        self._entry = entry
        self._orders = orders
        self._telemetry = telemetry
        for code in CLOSING_CODES:
            telemetry.count(metrics.SOCKETS_CLOSED, 0, code=str(code))
        self.stopping = False

    async def serve(self, socket: WebSocket) -> None:
        """Serve one client; returns when its connection has ended."""
        try:
            session = self._entry.admit(socket, stopping=self.stopping)
        except ProblemError as refusal:
            self._telemetry.count(metrics.ACCESS_REFUSED, reason=refusal.reason)
            await socket.send_denial_response(refusal.response())
            return
        self._hub.add(session)
        try:
            await socket.accept()
            async with asyncio.TaskGroup() as tasks:
                sink: FramedSocket = socket.scope["extensions"][EXTENSION]
                session.sink = sink
                writer = tasks.create_task(self._write(socket, sink, session))
                await self._read(socket, session, tasks)
                writer.cancel()
        finally:
            self._hub.remove(session)
            self._entry.leave(socket)
            await self._orders.part(session)
            if session.closing is not None:
                self._telemetry.count(metrics.SOCKETS_CLOSED, code=str(session.closing.code))

    # --- what the client says

    async def _read(self, socket: WebSocket, session: Session, tasks: asyncio.TaskGroup) -> None:
        while True:
            message = await socket.receive()
            if message["type"] == "websocket.disconnect":
                return
            if session.closing is None:
                text = message.get("text") or message.get("bytes") or ""
                self._hear(socket, session, text, tasks)

    def _hear(
        self, socket: WebSocket, session: Session, text: str | bytes, tasks: asyncio.TaskGroup
    ) -> None:
        document: dict[str, Any] = {}
        try:
            self._entry.count_message(socket, session)
            document = _read(text)
            if document.get("op") == AUTHENTICATE:
                self._entry.authenticate(session, document)
                scopes = list(session.scopes)
                session.say({"type": "authenticated", "account": session.account, "scopes": scopes})
                return
            if document.get("op") in SOCKET_COMMANDS:
                self._orders.hear(session, document, tasks)
                return
            op, key = self._parse(session, document)
            after = self._after(op, key, document)
        except ProblemError as refusal:
            said = {"type": "error", "reason": refusal.reason, "detail": refusal.detail}
            session.say(said | _about(document))
            return
        if op == "unsubscribe":
            self._hub.unsubscribe(session, key)
            session.say({"type": "unsubscribed", "channel": key[0]} | _ticker_member(key))
            return
        self._hub.subscribe(session, key, after)

    def _parse(self, session: Session, document: dict[str, Any]) -> tuple[Op, Key]:
        unknown = sorted(document.keys() - _MEMBERS)
        if unknown:
            raise problem(HttpReason.UNKNOWN_FIELD, f"{unknown[0][:40]!r} is no member")
        op, channel, ticker = (document.get(name) for name in ("op", "channel", "ticker"))
        if op not in OPS:
            raise problem(HttpReason.INVALID_FIELD, f"op is one of {', '.join(KNOWN_OPS)}")
        if channel not in CHANNELS:
            raise problem(HttpReason.INVALID_FIELD, f"channel is one of {', '.join(CHANNELS)}")
        key = self._key(session, cast("Channel", channel), ticker)
        self._check(session, cast("Op", op), key)
        return cast("Op", op), key

    def _after(self, op: Op, key: Key, document: dict[str, Any]) -> int | None:
        """The number of the last record that the client has; None: it begins anew."""
        if "after" not in document:
            return None
        after = document["after"]
        if op != "subscribe" or key[0] not in RESUMABLE:
            raise problem(HttpReason.INVALID_FIELD, f"after is for {', '.join(RESUMABLE)}")
        if type(after) is not int or not 0 <= after <= _NUMBER_MAX:
            raise problem(HttpReason.INVALID_FIELD, "after is the number of the last one you have")
        newest = self._hub.newest_number(key)
        if newest is not None and newest < after:
            detail = f"this gateway has read to {newest} of it; subscribe again shortly"
            raise problem(HttpReason.STARTING, detail)
        return after

    def _key(self, session: Session, channel: Channel, ticker: Any) -> Key:  # noqa: ANN401 - JSON
        if channel in OWN:
            if ticker is not None:
                raise problem(HttpReason.INVALID_FIELD, f"{channel} are of all tickers")
            self._entry.require_own(session)
            return channel, session.account
        if not isinstance(ticker, str):
            raise problem(HttpReason.MISSING_FIELD, f"{channel} needs a ticker")
        return channel, ticker

    def _check(self, session: Session, op: Op, key: Key) -> None:
        if op == "unsubscribe":
            if not session.hears(key):
                raise problem(HttpReason.INVALID_FIELD, "not subscribed to that")
            return
        channel, name = key
        if session.hears(key):
            raise problem(HttpReason.INVALID_FIELD, "subscribed to that already")
        if len(session.subscriptions) >= self._settings.gateway_subscriptions_max:
            raise problem(HttpReason.OVERLOADED, "unsubscribe from something first")
        if not all(self._model.is_caught_up(feed) for feed in _FEEDS[channel]):
            raise problem(HttpReason.STARTING, "subscribe again shortly")
        if channel not in OWN and not self._model.market.has_book(name):
            raise problem(Reason.UNKNOWN_TICKER.name, f"{name[:40]!r} is not traded here")

    # --- what it hears

    async def _write(self, socket: WebSocket, sink: FramedSocket, session: Session) -> None:
        heartbeat_s = self._settings.gateway_heartbeat_ms / _MS_PER_S
        try:
            while session.closing is None:
                try:
                    async with asyncio.timeout(heartbeat_s):
                        await session.wait()
                except TimeoutError:
                    if not session.has_spoken:
                        session.say({"type": "heartbeat", "time_us": time.time_ns() // _NS_PER_US})
                    session.has_spoken = False
                sent = 0
                while (message := session.next_message()) is not None:
                    if not await sink.send_when_room(message):
                        return  # the reader hears of it too, and ends the session
                    sent += 1
                    if sent % _SENT_IN_A_ROW_MAX == 0:
                        await asyncio.sleep(0)
            await socket.close(session.closing.code, session.closing.reason)
        except WebSocketDisconnect:
            return  # as above


def _read(text: str | bytes) -> dict[str, Any]:
    """The message as a JSON object; what is said of one that is none does not repeat it."""
    try:
        document = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise problem(HttpReason.INVALID_JSON, f"not JSON: {error.msg}") from error
    if not isinstance(document, dict):
        raise problem(HttpReason.INVALID_JSON, "JSON, but no object")
    return document


def _about(document: dict[str, Any]) -> dict[str, str]:
    """What of a refused message an error repeats, so that its sender knows which it was."""
    op, channel = document.get("op"), document.get("channel")
    found: dict[str, str] = {"op": op} if op in KNOWN_OPS else {}
    if channel in CHANNELS:
        found["channel"] = channel
    for name in ("ticker", "id"):
        value = document.get(name)
        if found and isinstance(value, str) and is_valid_id(value):
            found[name] = value
    return found


def _ticker_member(key: Key) -> dict[str, str]:
    channel, name = key
    return {} if channel in OWN else {"ticker": name}

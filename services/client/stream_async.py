"""A WebSocket as an iterator for an event loop."""

import asyncio
import time
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Self

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException

from services.client import calls
from services.client.calls import NewOrder, Price
from services.client.errors import ClientError, EndedError, UnreachableError, nobody_answers
from services.client.keys import Proof
from services.client.messages import Channel, Message
from services.client.talk import (
    MESSAGE_BYTES_MAX,
    OPEN_TIMEOUT_S,
    Talk,
    closed,
    refused,
    socket_url,
)


class AsyncStream:
    """One WebSocket: what is subscribed to comes as messages, and commands go the same way.

    A connection that breaks is made again, and every subscription with it: trades and executions
    go on after the last one that was received, or say by `resync` that something is missing. Used
    by one task at a time. Made by `AsyncClient.stream`; enter it to connect.
    """

    def __init__(self, url: str, proof: Proof, tries: int) -> None:
        self._url = socket_url(url)
        self._proof = proof
        self._talk = Talk(tries)
        self._socket: ClientConnection | None = None
        self._left = asyncio.Event()

    async def __aenter__(self) -> Self:
        """Connect.

        Raises:
            ClientError: it could not be done, however often.
        """
        while self._socket is None:
            await self._dial(None)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Leave; who receives then is told by EndedError, an iteration ends."""
        self._left.set()
        if self._socket is not None:
            await self._socket.close()

    # --- subscriptions

    async def subscribe(
        self, channel: Channel, ticker: str | None = None, *, after: int | None = None
    ) -> None:
        """Hear a channel from now on; a snapshot comes first.

        No ticker for executions and positions, which are the caller's own. `after` is, of trades
        and executions, the number of the last one known: those after it come.
        """
        self._talk.subscribe(channel, ticker, after)
        await self._flush()

    async def unsubscribe(self, channel: Channel, ticker: str | None = None) -> None:
        self._talk.unsubscribe(channel, ticker)
        await self._flush()

    # --- commands; each returns the id by which CommandTaken, CommandRefused or CommandUnknown
    #     answers, and raises UnreachableError, with nothing sent, while there is no connection

    async def place(self, order: NewOrder) -> str:
        return await self._sent(self._talk.command("place", calls.place(order)))

    async def cancel(self, order_id: str, command_id: str | None = None) -> str:
        call = calls.cancel(order_id, command_id)
        return await self._sent(self._talk.command("cancel", call, order_id))

    async def reduce(self, order_id: str, quantity: int, command_id: str | None = None) -> str:
        """Lower an order's total quantity, filled part included."""
        call = calls.reduce(order_id, quantity, command_id)
        return await self._sent(self._talk.command("reduce", call, order_id))

    async def replace(
        self, order_id: str, price: Price, quantity: int, command_id: str | None = None
    ) -> str:
        """Change an order's price and total quantity, filled part included."""
        call = calls.replace(order_id, price, quantity, command_id)
        return await self._sent(self._talk.command("replace", call, order_id))

    async def cancel_all(self, ticker: str | None = None, command_id: str | None = None) -> str:
        return await self._sent(
            self._talk.command("cancel_all", calls.cancel_all(ticker, command_id))
        )

    async def cancel_on_disconnect(self, *, enabled: bool = True) -> None:
        """Whether the account's open orders are cancelled when this connection ends, however."""
        self._talk.cancel_on_disconnect(enabled=enabled)
        await self._flush()

    # --- messages

    async def __aiter__(self) -> AsyncIterator[Message]:
        """Every message, until the stream is closed. Raises as `receive`."""
        while not self._left.is_set():
            message = await self.receive()
            if message is not None:
                yield message

    async def receive(self, timeout_s: float | None = None) -> Message | None:
        """The next message; None: none came in time, or the stream was closed meanwhile.

        Raises:
            RefusedError: the gateway lets this caller in no more.
            EndedError: it closed the stream for good, or the caller did before.
            UnreachableError: it can't be reached, however often.
        """
        if self._left.is_set():
            raise EndedError("the stream is closed")
        until_s = None if timeout_s is None else time.monotonic() + timeout_s
        while True:
            message = self._talk.next()
            if message is not None:
                return message
            if self._left.is_set():
                return None
            if self._socket is None:
                await self._dial(until_s)
            else:
                await self._listen(self._socket, until_s)
            if until_s is not None and time.monotonic() >= until_s:
                return self._talk.next()

    async def _listen(self, socket: ClientConnection, until_s: float | None) -> None:
        await self._flush()
        try:
            async with asyncio.timeout(self._talk.wait_s(time.monotonic(), until_s)):
                text = await socket.recv()
            self._talk.hear(text, time.monotonic())
        except TimeoutError:
            return
        except ConnectionClosed as ended:
            frame = ended.rcvd
            cause = closed(None, "") if frame is None else closed(frame.code, frame.reason)
            await self._lose(socket, cause)
        except UnreachableError as failure:
            await self._lose(socket, failure)

    async def _lose(self, socket: ClientConnection, failure: ClientError) -> None:
        self._socket = None
        await socket.close()
        if not self._left.is_set():
            self._talk.lost(failure, time.monotonic())

    async def _dial(self, until_s: float | None) -> None:
        """Try once to connect, at its time; or return when the time is up."""
        wait_s = self._talk.dial_at_s - time.monotonic()
        if until_s is not None and self._talk.dial_at_s > until_s:
            await asyncio.sleep(max(0.0, until_s - time.monotonic()))
            return
        await asyncio.sleep(max(0.0, wait_s))
        failure: ClientError
        try:
            self._socket = await connect(
                self._url,
                additional_headers=self._proof.of_handshake(),
                open_timeout=OPEN_TIMEOUT_S,
                max_size=MESSAGE_BYTES_MAX,
            )
        except InvalidStatus as answer:
            failure = refused(answer.response.status_code, bytes(answer.response.body or b""))
        except (OSError, TimeoutError, WebSocketException) as error:
            failure = nobody_answers(error)
        else:
            self._talk.connected()
            await self._flush()
            return
        self._talk.lost(failure, time.monotonic())

    async def _sent(self, name: str) -> str:
        await self._flush()
        return name

    async def _flush(self) -> None:
        if self._socket is None:
            return
        try:
            for text in self._talk.outgoing(time.monotonic()):
                await self._socket.send(text, text=True)
        except ConnectionClosed:
            return  # who receives hears of it, and of what went with it

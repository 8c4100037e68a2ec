"""The client for an event loop."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Self

import httpx

from services.client import answers, calls
from services.client.admin import AsyncAdmin
from services.client.calls import Call, NewOrder, Price
from services.client.errors import ClientError
from services.client.keys import Key, Proof
from services.client.sending import TIMEOUT_S, URL, Manner, failure_of, read
from services.client.stream_async import AsyncStream
from services.client.talk import STREAM_TRIES


class AsyncClient:
    """One account's calls to one gateway.

    Args:
        account: who trades; None: only the market is asked about.
        wait_s: how long a command waits for what becomes of it; None: until it is durable.
        tries: most times that a call is sent while the gateway is away or an outcome is unknown.
        key: `outcry_...`, which says whose account it is; a `SigningKey` signs instead.
        headers: sent with every request beside these.
        transport: how requests travel; None: over the network.
    """

    def __init__(
        self,
        url: str = URL,
        account: str | None = None,
        *,
        key: Key | None = None,
        wait_s: int | None = 2,
        tries: int = 3,
        timeout_s: float = TIMEOUT_S,
        headers: Mapping[str, str] | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._url = url
        self._proof = Proof(account, key, headers)
        self._manner = Manner(wait_s, tries)
        self._http = httpx.AsyncClient(
            base_url=url,
            headers=self._proof.headers,
            auth=self._proof.signer,
            timeout=timeout_s,
            transport=transport,
        )
        self.admin = AsyncAdmin(self._send)

    async def close(self) -> None:
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def stream(self, *, tries: int = STREAM_TRIES) -> AsyncStream:
        """A WebSocket of the same caller, to be used in an `async with`.

        Args:
            tries: most attempts to connect, one after the other, before it gives up.
        """
        return AsyncStream(self._url, self._proof, tries)

    # --- commands

    async def place(self, order: NewOrder) -> answers.Order | answers.Taken:
        """The order once the exchange has spoken; what is durable, if it does not in time.

        Raises:
            RefusedError: it was rejected; `reason` says why.
            OutcomeUnknownError: nobody knows; place the same order again, or `find` it.
        """
        return await self._send(calls.place(order))

    async def place_batch(self, orders: Sequence[NewOrder]) -> list[answers.BatchResult]:
        """Up to 100 orders at once, each with a result of its own."""
        return (await self._send(calls.place_batch(orders))).results

    async def cancel(
        self, order_id: str, command_id: str | None = None
    ) -> answers.Order | answers.Taken:
        """Cancel what remains of an order."""
        return await self._send(calls.cancel(order_id, command_id))

    async def reduce(
        self, order_id: str, quantity: int, command_id: str | None = None
    ) -> answers.Order | answers.Taken:
        """Lower an order's total quantity, filled part included."""
        return await self._send(calls.reduce(order_id, quantity, command_id))

    async def replace(
        self, order_id: str, price: Price, quantity: int, command_id: str | None = None
    ) -> answers.Order | answers.Taken:
        """Change an order's price and total quantity, filled part included."""
        return await self._send(calls.replace(order_id, price, quantity, command_id))

    async def cancel_all(
        self, ticker: str | None = None, command_id: str | None = None
    ) -> answers.Taken:
        """Cancel every live order, of one ticker or of all."""
        return await self._send(calls.cancel_all(ticker, command_id))

    # --- one's own

    async def show(self, order_id: str) -> answers.Order:
        return await self._send(calls.show(order_id))

    async def find(self, client_order_id: str) -> answers.Order:
        """An order by the id that the client gave it."""
        return await self._send(calls.find(client_order_id))

    async def orders(self, **filters: str | int | None) -> answers.Orders:
        """A page of orders, the newest first; filters are those of GET /orders."""
        return await self._send(calls.orders(**filters))

    async def fills(self, **filters: str | int | None) -> answers.Fills:
        """A page of fills, the newest first; filters are those of GET /fills."""
        return await self._send(calls.fills(**filters))

    async def positions(self) -> answers.Positions:
        return await self._send(calls.positions())

    async def account(self) -> answers.Account:
        return await self._send(calls.account())

    # --- the market

    async def book(self, ticker: str, depth: int | None = None) -> answers.Book:
        return await self._send(calls.book(ticker, depth))

    async def trades(self, ticker: str, limit: int | None = None) -> answers.Trades:
        """The latest trades, oldest first."""
        return await self._send(calls.trades(ticker, limit))

    async def candles(
        self, ticker: str, interval: str = "1m", limit: int | None = None
    ) -> answers.Candles:
        return await self._send(calls.candles(ticker, interval, limit))

    async def tickers(self) -> list[answers.Ticker]:
        return (await self._send(calls.tickers())).tickers

    async def status(self) -> answers.ExchangeStatus:
        """What the stages have yet to read, the newest snapshots, and the last audit."""
        return await self._send(calls.status())

    async def server_time_us(self) -> int:
        """The gateway's clock, microseconds since the epoch."""
        return (await self._send(calls.server_time())).time_us

    async def _send[A](self, call: Call[A]) -> A:
        tried = 0
        while True:
            tried += 1
            try:
                return read(call, await self._http.request(**self._manner.request(call)))
            except httpx.TransportError as error:
                failure = failure_of(call, error)
            except ClientError as error:
                failure = error
            pause_s = self._manner.pause_s(failure, tried)
            if pause_s is None:
                raise failure
            await asyncio.sleep(pause_s)

"""The clients of `outcry bench sockets`, a process of its own: they note when each book came.

Each hears one ticker's book and tells by its `updated_at_us`, which the benchmark's writer sets,
how old it was on arrival, be it a change or a whole book in its place, and that each change is of
the book that it has. Some never read. It says `ready` once all have a snapshot, ends at the
end of its standard input, and prints one line of JSON. Frames are read by hand: a client library
would cost the machine more than the gateway does.
"""

import asyncio
import base64
import os
import sys
import time
from collections.abc import Sequence
from functools import partial
from typing import Final, cast

import msgspec
import orjson

from services.domain.genesis import TICKERS
from services.door.serving import run_loop
from services.tools.bench.tries import at_percent

_TIME: Final = b'"updated_at_us":'
_UPDATE: Final = b'"type":"update"'
_SNAPSHOT: Final = b'"type":"snapshot"'
_ERROR: Final = b'"type":"error"'
_SEQUENCE: Final = b'"sequence":'
_PREVIOUS: Final = b'"previous":'
_TEXT: Final = 0x81
_PING: Final = 0x89
_PONG: Final = 0x8A
_LENGTH_16: Final = 126
_LENGTH_64: Final = 127
_HEAD_END: Final = b"\r\n\r\n"
_US_PER_MS: Final = 1_000
_MS_PER_S: Final = 1_000
_READY_S: Final = 120.0


class SocketsOrder(msgspec.Struct, frozen=True):
    """Who connects, handed over as one argument of JSON."""

    port: int
    clients: int
    silent: int
    """Beside them: those that never read."""


class SocketsResult(msgspec.Struct, frozen=True):
    """What they saw."""

    clients: int
    """Those that heard anything after the first book."""
    deaf: int
    """Those that heard nothing: counted with the time that they waited as an age."""
    updates: int
    snapshots: int
    """Whole books that came in place of changes."""
    breaks: int
    """Books that did not follow on what the client had."""
    worst_p50_ms: float
    """Age of a book on arrival, of the client with the oldest: median."""
    worst_p99_ms: float
    worst_ms: float
    """The oldest that any client got."""
    lost: int
    """Clients that were disconnected."""


class Ear(asyncio.Protocol):
    """One client. Its first message is the snapshot."""

    def __init__(self, ticker: str, port: int) -> None:
        self._ticker = ticker
        self._port = port
        self._data = bytearray()
        self._is_open = False
        self._sequence = 0
        """Of the book that it has."""
        self.ages_ms: list[float] = []
        """Of what came after the first book."""
        self.snapshots = 0
        self.breaks = 0
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.is_lost = False
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's own is no subclass of it.
        self.transport = cast("asyncio.Transport", transport)
        self.transport.write(
            f"GET /ws HTTP/1.1\r\nHost: 127.0.0.1:{self._port}\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: "
            f"{base64.b64encode(os.urandom(16)).decode()}\r\n\r\n".encode()
        )

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's
        self.is_lost = True

    def data_received(self, data: bytes) -> None:
        now_us = time.time_ns() // 1_000
        self._data += data
        if not self._is_open:
            end = self._data.find(_HEAD_END)
            if end < 0:
                return
            del self._data[: end + len(_HEAD_END)]
            self._is_open = True
            self._subscribe()
        while (frame := self._next_frame()) is not None:
            kind, payload = frame
            if kind == _TEXT:
                self._hear(payload, now_us)
            elif kind == _PING:
                self._send(_PONG, payload)

    def _subscribe(self) -> None:
        asked = orjson.dumps({"op": "subscribe", "channel": "book", "ticker": self._ticker})
        self._send(_TEXT, asked)

    def _send(self, kind: int, payload: bytes) -> None:
        assert self.transport is not None
        # A client masks what it sends; with zeros the bytes stay as they are.
        self.transport.write(bytes([kind, 0x80 | len(payload), 0, 0, 0, 0]) + payload)

    def _next_frame(self) -> tuple[int, bytes] | None:
        data = self._data
        if len(data) < 2:
            return None
        length, at = data[1], 2
        if length == _LENGTH_16:
            length, at = int.from_bytes(data[2:4]), 4
        elif length == _LENGTH_64:
            length, at = int.from_bytes(data[2:10]), 10
        if len(data) < at + length:
            return None
        frame = data[0], bytes(data[at : at + length])
        del data[: at + length]
        return frame

    def _hear(self, payload: bytes, now_us: int) -> None:
        is_change = _UPDATE in payload
        if not is_change and _SNAPSHOT not in payload:
            if _ERROR in payload and not self.ready.done():
                self.ready.set_exception(RuntimeError(payload.decode()))
            return
        sequence = _number(payload, _SEQUENCE)
        if not self.ready.done():
            # The first book may have stood for long: it has no age.
            self.breaks += is_change
            self._sequence = sequence
            self.ready.set_result(None)
            return
        if is_change:
            self.breaks += _number(payload, _PREVIOUS) != self._sequence
        else:
            self.snapshots += 1
        self.breaks += sequence <= self._sequence
        self._sequence = sequence
        self.ages_ms.append((now_us - _number(payload, _TIME)) / _US_PER_MS)


def _number(payload: bytes, name: bytes) -> int:
    return int(payload.partition(name)[2].partition(b",")[0].partition(b"}")[0])


def summed(heard: Sequence[Ear], waited_ms: float) -> SocketsResult:
    """What these clients saw in so long a time after each had its first book."""
    ages = [ear.ages_ms or [waited_ms] for ear in heard]
    deaf = sum(not ear.ages_ms for ear in heard)
    snapshots = sum(ear.snapshots for ear in heard)
    return SocketsResult(
        clients=len(heard) - deaf,
        deaf=deaf,
        updates=sum(len(ear.ages_ms) for ear in heard) - snapshots,
        snapshots=snapshots,
        breaks=sum(ear.breaks for ear in heard),
        worst_p50_ms=max(at_percent(one, 50) for one in ages),
        worst_p99_ms=max(at_percent(one, 99) for one in ages),
        worst_ms=max(max(one) for one in ages),
        lost=sum(ear.is_lost for ear in heard),
    )


async def listen(order: SocketsOrder) -> SocketsResult:
    """Connect all, and hear until told to end."""
    loop = asyncio.get_running_loop()
    ears = []
    for number in range(order.clients + order.silent):
        make = partial(Ear, TICKERS[number % len(TICKERS)], order.port)
        _, ear = await loop.create_connection(make, "127.0.0.1", order.port)
        ears.append(ear)
    async with asyncio.timeout(_READY_S):
        await asyncio.gather(*(ear.ready for ear in ears))
    heard, silent = ears[: order.clients], ears[order.clients :]
    for ear in silent:
        assert ear.transport is not None
        ear.transport.pause_reading()
    began_s = time.perf_counter()
    print("ready", flush=True)  # noqa: T201 - the protocol with the parent process
    await asyncio.to_thread(sys.stdin.read)
    result = summed(heard, (time.perf_counter() - began_s) * _MS_PER_S)
    for ear in ears:
        assert ear.transport is not None
        ear.transport.abort()
    return result


if __name__ == "__main__":
    found = run_loop(listen(msgspec.json.decode(sys.argv[1], type=SocketsOrder)))
    print(msgspec.json.encode(found).decode(), flush=True)  # noqa: T201 - the same

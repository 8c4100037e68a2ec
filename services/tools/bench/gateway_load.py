"""The load of `outcry bench gateway`, a process of its own: POSTs over kept connections.

Saturating, each connection sends its next request when its last was answered. At a rate, requests
are due whether or not those before were answered, and each one's time begins when it was due.
It prints one line of JSON.
"""

import asyncio
import sys
import time
from collections import deque
from collections.abc import Callable
from typing import Final, Literal, cast

import msgspec

from services.door.serving import run_loop
from services.tools.bench.tries import at_percent

type Kind = Literal["ours", "theirs"]

_HEAD_END: Final = b"\r\n\r\n"
_LENGTH: Final = b"content-length:"
_STATUS_AT: Final = slice(9, 12)
_MS_PER_S: Final = 1_000
_TICKERS: Final = ("AAPL", "MSFT", "GOOGL", "TSLA", "NVDA")


class LoadOrder(msgspec.Struct, frozen=True):
    """What to send, handed over as one argument of JSON."""

    port: int
    kind: Kind
    """Whose orders: this gateway's, which the bare route takes too, or matching-engine's."""
    run: str
    """Part of each order's id, so that no run repeats another's."""
    connections: int
    seconds: float
    rate_per_s: float = 0
    """0: as many as are answered."""


class LoadResult(msgspec.Struct, frozen=True):
    """What came of it."""

    answered_per_s: float
    requests: int
    failed: int
    """Answered by no 2xx."""
    p50_ms: float
    p99_ms: float
    max_ms: float
    late_p99_ms: float
    """Of the generator itself; 0 where it does not keep to a rate."""


class Line(asyncio.Protocol):
    """One HTTP/1.1 connection that is kept; answers have a length and are not chunked."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[int] | None = None
        self._data = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's own is no subclass of it.
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(0)

    def ask(self, request: bytes) -> asyncio.Future[int]:
        """Send it; the status of its answer, 0 if the connection ended."""
        assert self._transport is not None
        self._answer = asyncio.get_running_loop().create_future()
        if self._transport.is_closing():
            self._answer.set_result(0)
        self._transport.write(request)
        return self._answer

    def data_received(self, data: bytes) -> None:
        self._data += data
        head_end = self._data.find(_HEAD_END)
        if head_end < 0:
            return
        head = bytes(self._data[:head_end]).lower()
        _, _, rest = head.partition(_LENGTH)
        length = int(rest.partition(b"\r\n")[0])
        if len(self._data) < head_end + len(_HEAD_END) + length:
            return
        assert self._answer is not None
        self._answer.set_result(int(head[_STATUS_AT]))
        self._data.clear()

    def close(self) -> None:
        """Give it up."""
        assert self._transport is not None
        self._transport.close()


def request_maker(order: LoadOrder) -> Callable[[int], bytes]:
    """What sends the order of this number: prices that never meet, so that all of them rest."""
    if order.kind == "theirs":
        paths = ["/markets/BTC-USDT/orders"]
        body = '{"account":7,"side":"buy","price":"%d.25","quantity":"0.5"}'
    else:
        paths = ["/orders"]
        body = (
            '{"client_order_id":"%s-%d","ticker":"%s","side":"BUY","order_type":"LIMIT",'
            '"time_in_force":"GTC","price":"187.25","quantity":100}'
        )
    head = (
        f"POST {paths[0]} HTTP/1.1\r\nHost: 127.0.0.1:{order.port}\r\n"
        "X-Outcry-Account: alice\r\nContent-Type: application/json\r\nContent-Length: "
    )

    def make(number: int) -> bytes:
        if order.kind == "theirs":
            text = body % (100 + number % 50)
        else:
            text = body % (order.run, number, _TICKERS[number % len(_TICKERS)])
        return f"{head}{len(text)}\r\n\r\n{text}".encode()

    return make


async def _connect(order: LoadOrder) -> list[Line]:
    loop = asyncio.get_running_loop()
    found = []
    for _ in range(order.connections):
        _, line = await loop.create_connection(Line, "127.0.0.1", order.port)
        found.append(line)
    return found


async def saturate(order: LoadOrder) -> LoadResult:
    """Each connection sends its next when its last was answered, for so long."""
    make = request_maker(order)
    lines = await _connect(order)
    took_ms: list[float] = []
    failed = number = 0
    began_s = time.perf_counter()
    until_s = began_s + order.seconds

    async def drive(line: Line) -> None:
        nonlocal failed, number
        while (sent_s := time.perf_counter()) < until_s:
            number += 1
            status = await line.ask(make(number))
            took_ms.append((time.perf_counter() - sent_s) * _MS_PER_S)
            if status // 100 != 2:
                failed += 1
                if status == 0:
                    return

    await asyncio.gather(*(drive(line) for line in lines))
    return _result(lines, took_ms, failed, time.perf_counter() - began_s, [])


async def offer(order: LoadOrder) -> LoadResult:
    """Requests at a rate; one without a free connection waits for it, and its time runs."""
    make = request_maker(order)
    lines = await _connect(order)
    free = deque(lines)
    waiting: deque[tuple[float, int]] = deque()
    took_ms: list[float] = []
    late_ms: list[float] = []
    failed = 0
    done = asyncio.Event()
    count = int(order.rate_per_s * order.seconds)

    def send(line: Line, due_s: float, number: int) -> None:
        line.ask(make(number)).add_done_callback(lambda answer: take(line, due_s, answer))

    def take(line: Line, due_s: float, answer: asyncio.Future[int]) -> None:
        nonlocal failed
        took_ms.append((time.perf_counter() - due_s) * _MS_PER_S)
        failed += answer.result() // 100 != 2
        if waiting:
            send(line, *waiting.popleft())
        else:
            free.append(line)
        if len(took_ms) == count:
            done.set()

    began_s = time.perf_counter()
    for number in range(count):
        due_s = began_s + number / order.rate_per_s
        wait_s = due_s - time.perf_counter()
        if wait_s > 0:
            await asyncio.sleep(wait_s)
        late_ms.append(max(0.0, time.perf_counter() - due_s) * _MS_PER_S)
        if free:
            send(free.popleft(), due_s, number)
        else:
            waiting.append((due_s, number))
    await done.wait()
    return _result(lines, took_ms, failed, time.perf_counter() - began_s, late_ms)


def _result(
    lines: list[Line], took_ms: list[float], failed: int, seconds: float, late_ms: list[float]
) -> LoadResult:
    for line in lines:
        line.close()
    return LoadResult(
        answered_per_s=(len(took_ms) - failed) / seconds,
        requests=len(took_ms),
        failed=failed,
        p50_ms=at_percent(took_ms, 50),
        p99_ms=at_percent(took_ms, 99),
        max_ms=max(took_ms),
        late_p99_ms=at_percent(late_ms, 99) if late_ms else 0.0,
    )


if __name__ == "__main__":
    asked = msgspec.json.decode(sys.argv[1], type=LoadOrder)
    result = run_loop(offer(asked) if asked.rate_per_s else saturate(asked))
    print(msgspec.json.encode(result).decode())  # noqa: T201 - the protocol with the parent process

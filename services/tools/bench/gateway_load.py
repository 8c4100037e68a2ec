"""The load of `outcry bench gateway`, a process of its own: POSTs over kept connections.

Saturating, each connection sends its next request when its last was answered. At a rate, requests
are due whether or not those before were answered, and each one's time begins when it was due.
It prints one line of JSON.
"""

import asyncio
import sys
import time
from collections import Counter, deque
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Final, Literal, cast

import msgspec

from services.domain.genesis import TICKERS
from services.door.serving import run_loop
from services.tools.bench.tries import at_percent
from services.tools.market.population import OPENING_CENTS
from services.tools.proof.chaos.acks import NO_OFFSET, Ack, AckWriter

type Kind = Literal["ours", "theirs"]

_HEAD_END: Final = b"\r\n\r\n"
_LENGTH: Final = b"content-length:"
_STATUS_AT: Final = slice(9, 12)
_MS_PER_S: Final = 1_000
_PRICE_PER_CENT: Final = 95
"""Of a ticker's opening price: within its collar, and below whatever anybody sells for."""


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
    patience_s: float = 0
    """One that found no free connection for so long is given up, as a client with a time limit
    does, and never sent; 0: it waits for as long as it takes. Only at a rate."""
    account: str = "alice"
    tickers: tuple[str, ...] = TICKERS
    time_in_force: Literal["GTC", "IOC"] = "GTC"
    acks: str = ""
    """File to which each order with a 2xx is written as a promise, as `outcry chaos` reads them;
    empty: none is kept."""


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
    statuses: dict[str, int] = msgspec.field(default_factory=dict)
    """Answers by status; `0`: there was none."""
    given_up: int = 0
    """Due, and never sent: no connection became free in time. In no other figure here."""
    cpu_s: float = 0
    """Processor time of the generator, its start included."""


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
    """What sends the order of this number: prices that never meet, so that none trades."""
    if order.kind == "theirs":
        path = "/markets/BTC-USDT/orders"
        body = '{"account":7,"side":"buy","price":"%d.25","quantity":"0.5"}'
    else:
        path = "/orders"
        body = (
            '{"client_order_id":"%s","ticker":"%s","side":"BUY","order_type":"LIMIT",'
            f'"time_in_force":"{order.time_in_force}","price":"%d.25","quantity":100}}'
        )
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{order.port}\r\n"
        f"X-Outcry-Account: {order.account}\r\nContent-Type: application/json\r\nContent-Length: "
    )
    dollars = [OPENING_CENTS[name] * _PRICE_PER_CENT // 10_000 for name in order.tickers]

    def make(number: int) -> bytes:
        if order.kind == "theirs":
            text = body % (100 + number % 50)
        else:
            place = number % len(order.tickers)
            text = body % (id_of(order, number), order.tickers[place], dollars[place])
        return f"{head}{len(text)}\r\n\r\n{text}".encode()

    return make


def id_of(order: LoadOrder, number: int) -> str:
    """The client order id of the order of this number."""
    return f"{order.run}-{number}"


class Tally:
    """What was answered, and what was promised by it."""

    def __init__(self, order: LoadOrder) -> None:
        self._order = order
        self._acks = AckWriter(Path(order.acks)) if order.acks else None
        self.took_ms: list[float] = []
        self.statuses: Counter[str] = Counter()
        self.given_up = 0

    @property
    def failed(self) -> int:
        """Answered by no 2xx."""
        return sum(count for status, count in self.statuses.items() if status[0] != "2")

    @property
    def done(self) -> int:
        """Of all that were due."""
        return len(self.took_ms) + self.given_up

    def take(self, number: int, status: int, since_s: float) -> None:
        """One answer; its time runs since then, on the clock of `perf_counter`."""
        self.took_ms.append((time.perf_counter() - since_s) * _MS_PER_S)
        self.statuses[str(status)] += 1
        if self._acks is not None and status // 100 == 2:
            command_id = id_of(self._order, number)
            self._acks.write(Ack(0, NO_OFFSET, "", self._order.account, command_id, time.time()))

    def close(self) -> None:
        """No more comes."""
        if self._acks is not None:
            self._acks.close()


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
    tally = Tally(order)
    numbers = count(1)
    began_s = time.perf_counter()
    until_s = began_s + order.seconds

    async def drive(line: Line) -> None:
        while (sent_s := time.perf_counter()) < until_s:
            number = next(numbers)
            status = await line.ask(make(number))
            tally.take(number, status, sent_s)
            if status == 0:
                return

    await asyncio.gather(*(drive(line) for line in lines))
    return _result(lines, tally, time.perf_counter() - began_s, [])


async def offer(order: LoadOrder) -> LoadResult:
    """Requests at a rate; one without a free connection waits for it, and its time runs."""
    make = request_maker(order)
    lines = await _connect(order)
    free = deque(lines)
    waiting: deque[tuple[float, int]] = deque()
    tally = Tally(order)
    late_ms: list[float] = []
    done = asyncio.Event()
    wanted = int(order.rate_per_s * order.seconds)

    def send(line: Line, due_s: float, number: int) -> None:
        answer = line.ask(make(number))
        answer.add_done_callback(lambda found: take(line, due_s, number, found.result()))

    def take(line: Line, due_s: float, number: int, status: int) -> None:
        tally.take(number, status, due_s)
        drop_impatient()
        # A connection that ended takes no more.
        if status and waiting:
            send(line, *waiting.popleft())
        elif status:
            free.append(line)
        else:
            lost.append(line)
        if tally.done == wanted or len(lost) == len(lines):
            done.set()

    def drop_impatient() -> None:
        now_s = time.perf_counter()
        while order.patience_s and waiting and now_s - waiting[0][0] > order.patience_s:
            waiting.popleft()
            tally.given_up += 1

    lost: list[Line] = []
    began_s = time.perf_counter()
    for number in range(wanted):
        due_s = began_s + number / order.rate_per_s
        wait_s = due_s - time.perf_counter()
        if wait_s > 0:
            await asyncio.sleep(wait_s)
        late_ms.append(max(0.0, time.perf_counter() - due_s) * _MS_PER_S)
        if free:
            send(free.popleft(), due_s, number)
        else:
            waiting.append((due_s, number))
            drop_impatient()
    await done.wait()
    return _result(lines, tally, time.perf_counter() - began_s, late_ms)


def _result(lines: list[Line], tally: Tally, seconds: float, late_ms: list[float]) -> LoadResult:
    for line in lines:
        line.close()
    tally.close()
    took_ms = tally.took_ms
    return LoadResult(
        answered_per_s=(len(took_ms) - tally.failed) / seconds,
        requests=len(took_ms),
        failed=tally.failed,
        p50_ms=at_percent(took_ms, 50),
        p99_ms=at_percent(took_ms, 99),
        max_ms=max(took_ms),
        late_p99_ms=at_percent(late_ms, 99) if late_ms else 0.0,
        statuses=dict(tally.statuses),
        given_up=tally.given_up,
        cpu_s=time.process_time(),
    )


if __name__ == "__main__":
    asked = msgspec.json.decode(sys.argv[1], type=LoadOrder)
    result = run_loop(offer(asked) if asked.rate_per_s else saturate(asked))
    print(msgspec.json.encode(result).decode())  # noqa: T201 - the protocol with the parent process

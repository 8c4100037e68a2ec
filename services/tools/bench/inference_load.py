"""Requests at a steady rate, whether or not the ones before were answered, and how long each took.

A request's time begins when it was due, not when a connection was free: who falls behind shows it.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import msgspec

from services.tools.bench.servers import Server
from services.tools.bench.tries import at_percent

CONNECTIONS: Final = 32
OK: Final = 200
_LINE_END: Final = b"\r\n"


class Load(msgspec.Struct, frozen=True):
    """What a rate of requests met."""

    name: str
    rate_per_s: int
    requests: int
    failed: int
    """Answered with anything but 200, or not at all."""
    p50_ms: float
    p95_ms: float
    p99_ms: float
    max_ms: float
    cpu_ms: float
    """Processor time of the servers, a request."""
    lateness_p99_ms: float
    """Of the generator itself: what the figures can't be better than."""


class Line:
    """One HTTP/1.1 connection that is kept. For benchmarks of one's own servers alone."""

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def post(self, path: str, body: bytes) -> tuple[int, bytes]:
        """Status and body of the answer; status 0: there was none."""
        try:
            return await self._post(path, body)
        except (OSError, EOFError, ValueError, asyncio.IncompleteReadError):
            self.close()
            return 0, b""

    async def _post(self, path: str, body: bytes) -> tuple[int, bytes]:
        if self._streams is None:
            self._streams = await asyncio.open_connection(self._host, self._port)
        reader, writer = self._streams
        head = (
            f"POST {path} HTTP/1.1\r\nHost: {self._host}:{self._port}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        writer.write(head.encode() + body)
        status = int((await reader.readuntil(_LINE_END)).split()[1])
        length = 0
        while (line := await reader.readuntil(_LINE_END)) != _LINE_END:
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        return status, await reader.readexactly(length)

    def close(self) -> None:
        """Give it up; the next request opens it again."""
        if self._streams is not None:
            self._streams[1].close()
        self._streams = None


type Ask = Callable[[Sequence[Line]], Awaitable[bool]]
"""One request over the lines of one place; whether it was answered well."""


async def offer(
    name: str, ask: Ask, servers: Sequence[Server], rate_per_s: int, seconds: float
) -> Load:
    """Ask at this rate for so long.

    Args:
        name: of the load, for the report.
        ask: given one line to each port.
        servers: on this machine.
        rate_per_s: requests.
        seconds: for how long.
    """
    free: asyncio.Queue[list[Line]] = asyncio.Queue()
    for _ in range(CONNECTIONS):
        free.put_nowait([Line("127.0.0.1", server.port) for server in servers])
    took_ms: list[float] = []
    late_ms: list[float] = []
    failed = 0

    async def one(due_s: float) -> None:
        nonlocal failed
        lines = await free.get()
        try:
            is_answered = await ask(lines)
        except (LookupError, TypeError, ValueError):  # a 200 whose body is not what was asked for
            is_answered = False
        finally:
            free.put_nowait(lines)
        failed += not is_answered
        took_ms.append((time.perf_counter() - due_s) * 1_000)

    tasks: set[asyncio.Task[None]] = set()
    began_cpu_s = sum(server.cpu_s() for server in servers)
    began_s = time.perf_counter()
    for number in range(int(rate_per_s * seconds)):
        due_s = began_s + number / rate_per_s
        wait_s = due_s - time.perf_counter()
        if wait_s > 0:
            await asyncio.sleep(wait_s)
        late_ms.append(max(0.0, time.perf_counter() - due_s) * 1_000)
        task = asyncio.create_task(one(due_s))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    await asyncio.gather(*tasks)
    cpu_s = sum(server.cpu_s() for server in servers) - began_cpu_s
    while not free.empty():
        for line in free.get_nowait():
            line.close()
    return Load(
        name=name,
        rate_per_s=rate_per_s,
        requests=len(took_ms),
        failed=failed,
        p50_ms=at_percent(took_ms, 50),
        p95_ms=at_percent(took_ms, 95),
        p99_ms=at_percent(took_ms, 99),
        max_ms=max(took_ms),
        cpu_ms=cpu_s / len(took_ms) * 1_000,
        lateness_p99_ms=at_percent(late_ms, 99),
    )

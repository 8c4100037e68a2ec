"""What clients may do before they have asked for anything."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from services.gateway.parts import Gateway
from tests.support.gateway_memory import book, feed, make_gateway, serving

WAIT_S = 20
HEAD = b"GET /time HTTP/1.1\r\nHost: 127.0.0.1\r\n"


class Line:
    """One connection, byte by byte."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def say(self, data: bytes) -> None:
        try:
            self._writer.write(data)
            await self._writer.drain()
        except ConnectionError:
            return  # it was closed; what it said before is still there to be read

    async def hear(self) -> bytes:
        """All that comes until the gateway closes."""
        found = b""
        try:
            async with asyncio.timeout(WAIT_S):
                while chunk := await self._reader.read(65_536):
                    found += chunk
        except ConnectionError:
            pass
        return found

    async def hear_status(self) -> bytes:
        async with asyncio.timeout(WAIT_S):
            head = await self._reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            await self._reader.readexactly(length)
        return head.split(b" ")[1]


@asynccontextmanager
async def lines(gateway: Gateway, count: int = 1) -> AsyncIterator[list[Line]]:
    async with serving(gateway) as service:
        found = [await asyncio.open_connection("127.0.0.1", service.port) for _ in range(count)]
        yield [Line(*pair) for pair in found]
        for _, writer in found:
            writer.close()


@pytest.mark.parametrize(
    "begin,more",
    [
        (HEAD, b"X-Many: 1\r\n"),
        (HEAD + b"X-Long: ", b"x" * 64),
        (HEAD, b"x" * 64),
        (b"GET /", b"x" * 64),
    ],
)
async def test_headers_that_never_end_are_cut_off(begin: bytes, more: bytes) -> None:
    async with lines(make_gateway(gateway_head_bytes_max=2_048)) as (line,):
        await line.say(begin)
        for _ in range(100):
            await line.say(more * 10)
            await asyncio.sleep(0)
        answer = await line.hear()
    assert answer.startswith(b"HTTP/1.1 431 ") or answer == b"", answer
    assert answer == b"" or b'"reason":"HEAD_TOO_LARGE"' in answer


async def test_a_head_that_is_too_long_in_one_piece_is_answered_with_431() -> None:
    async with lines(make_gateway(gateway_head_bytes_max=2_048)) as (line,):
        await line.say(HEAD + b"X-Many: 1\r\n" * 200 + b"\r\n")
        answer = await line.hear()
    assert answer.startswith(b"HTTP/1.1 431 ")
    assert b'"bytes_max":2048' in answer


@pytest.mark.parametrize("begin", [b"", b"GET", HEAD, HEAD + b"X-Slow"])
async def test_headers_that_never_come_are_cut_off(begin: bytes) -> None:
    async with lines(make_gateway(gateway_head_timeout_ms=50)) as (line,):
        await line.say(begin)
        answer = await line.hear()
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b'"reason":"REQUEST_TIMEOUT"' in answer


async def test_only_so_many_connections_are_held() -> None:
    async with lines(make_gateway(gateway_connections_max=2), 3) as (one, two, three):
        assert (await three.hear()).startswith(b"HTTP/1.1 503 ")
        for line in (one, two):
            await line.say(HEAD + b"\r\n")
            assert await line.hear_status() == b"200"


async def test_one_connection_takes_one_request_after_another_whatever_they_add_up_to() -> None:
    gateway = make_gateway(gateway_head_bytes_max=1_024, gateway_head_timeout_ms=60_000)
    feed(gateway, book())
    order = HEAD.replace(b"GET /time", b"POST /orders/cancel-all") + (
        b"X-Outcry-Account: alice\r\nContent-Type: application/json\r\nContent-Length: 4000\r\n\r\n"
    )
    body = b'{"client_command_id": "c-1"}'.ljust(4_000)
    async with lines(gateway) as (line,):
        for _ in range(30):
            await line.say(HEAD + b"X-Some: " + b"x" * 200 + b"\r\n\r\n")
            assert await line.hear_status() == b"200"
        for part in (order, body[:100], body[100:]):
            await line.say(part)
        assert await line.hear_status() == b"202"

"""What the server's own end of a request gives, and what it declines."""

import asyncio
import logging
from typing import cast

import pytest
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from services.door.exchange import Exchange


class Transport:
    """What was written to it."""

    def __init__(self) -> None:
        self.written = b""

    def write(self, data: bytes) -> None:
        self.written += data

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


def cycle_of(transport: Transport, method: str = "POST") -> RequestResponseCycle:
    socket = cast("asyncio.Transport", transport)
    return RequestResponseCycle(
        scope={"method": method},  # type: ignore[typeddict-item] # all that it looks at
        transport=socket,
        flow=FlowControl(socket),
        logger=logging.getLogger(),
        access_logger=logging.getLogger(),
        access_log=False,
        default_headers=[(b"date", b"today")],
        message_event=asyncio.Event(),
        expect_100_continue=False,
        keep_alive=True,
        on_response=lambda: None,
    )


async def test_a_body_is_given_once_and_only_whole() -> None:
    cycle = cycle_of(Transport())
    exchange = Exchange(cycle)
    cycle.body += b"abc"
    assert exchange.take_body(6) is None
    cycle.body += b"def"
    assert exchange.take_body(6) is None, "more may come"
    cycle.more_body = False
    assert exchange.take_body(6) == b"abcdef"
    assert exchange.take_body(6) is None


async def test_a_body_that_somebody_received_is_not_given_again() -> None:
    cycle = cycle_of(Transport())
    cycle.body += b"abcdef"
    cycle.more_body = False
    cycle.message_event.set()
    await cycle.receive()
    assert Exchange(cycle).take_body(6) is None


async def test_an_answer_is_written_once() -> None:
    transport = Transport()
    exchange = Exchange(cycle_of(transport))
    assert exchange.write(202, b"x: y\r\n", [(b"a", b"b")], b"{}")
    assert not exchange.write(202, b"", [], b"{}")
    assert transport.written == (
        b"HTTP/1.1 202 Accepted\r\ndate: today\r\na: b\r\nx: y\r\ncontent-length: 2\r\n\r\n{}"
    )


async def test_nothing_is_written_to_who_asked_for_the_head_or_reads_slowly() -> None:
    transport = Transport()
    assert not Exchange(cycle_of(transport, "HEAD")).write(200, b"", [], b"{}")
    slow = cycle_of(transport)
    slow.flow.pause_writing()
    assert not Exchange(slow).write(200, b"", [], b"{}")
    assert transport.written == b""


async def test_no_header_can_begin_another_line() -> None:
    exchange = Exchange(cycle_of(Transport()))
    with pytest.raises(ValueError, match="control character"):
        exchange.write(202, b"", [(b"location", b"/a\r\nset-cookie: b")], b"{}")

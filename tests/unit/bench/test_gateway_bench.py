"""The generators of the gateway's benchmarks: what they count, and when time begins."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import orjson
import pytest
from rich.console import Console

from services.tools.bench.gateway import BARE, OURS, GatewayReport, Way, gateway_table
from services.tools.bench.gateway_load import (
    LoadOrder,
    LoadResult,
    offer,
    request_maker,
    saturate,
)
from services.tools.bench.sockets import require_whole_chains
from services.tools.bench.sockets_load import Ear, summed
from services.tools.bench.tries import Spread
from services.tools.proof.chaos.acks import AckReader


@asynccontextmanager
async def server(*, fails_every: int = 0, wait_s: float = 0.0) -> AsyncIterator[int]:
    """In this process; answers each request, every so many with 503; its port."""
    asked = 0

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = int(head.lower().partition(b"content-length:")[2].split()[0])
                await reader.readexactly(length)
                asked = number = asked + 1
                await asyncio.sleep(wait_s)
                status = b"503" if fails_every and number % fails_every == 0 else b"202"
                writer.write(b"HTTP/1.1 " + status + b" x\r\nContent-Length: 2\r\n\r\n{}")
        except asyncio.IncompleteReadError:
            writer.close()

    listening = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with listening:
        yield listening.sockets[0].getsockname()[1]


def order(port: int, **changes: float) -> LoadOrder:
    return LoadOrder(port, "ours", "r", 4, changes.get("seconds", 0.3), changes.get("rate", 0))


async def test_what_is_not_taken_is_counted_as_failed() -> None:
    async with server(fails_every=5) as port:
        found = await offer(order(port, rate=200, seconds=0.5))
    assert (found.requests, found.failed) == (100, 20)


async def test_who_falls_behind_shows_it_in_every_later_request() -> None:
    # 4 lines of 50 ms each answer 80 a second; 160 are due in it, so the last waits a second.
    async with server(wait_s=0.05) as port:
        found = await offer(order(port, rate=160, seconds=1))
    assert found.failed == 0
    assert found.p99_ms > 700


async def test_at_saturation_each_line_asks_again_when_it_was_answered() -> None:
    async with server(wait_s=0.01) as port:
        found = await saturate(order(port, seconds=0.5))
    assert found.failed == 0
    assert 4 <= found.requests <= 4 * 51


async def test_a_server_that_is_gone_fails_and_ends_the_load() -> None:
    async with server() as port:
        load = asyncio.create_task(saturate(order(port, seconds=30)))
        await asyncio.sleep(0.2)
        for task in asyncio.all_tasks():
            if "answer" in repr(task.get_coro()):
                task.cancel()
        found = await asyncio.wait_for(load, 20)
    assert found.failed == 4


async def test_who_waits_too_long_is_given_up_and_never_sent(tmp_path: Path) -> None:
    # 4 lines of 50 ms each answer 80 a second; twice as many come, and wait for 100 ms at most.
    acks = tmp_path / "acks"
    async with server(wait_s=0.05, fails_every=7) as port:
        found = await offer(LoadOrder(port, "ours", "r", 4, 1, 160, patience_s=0.1, acks=str(acks)))
    assert found.given_up > 20
    assert found.requests + found.given_up == 160
    assert found.statuses == {"202": found.requests - found.failed, "503": found.failed}
    promised = list(AckReader(acks).fresh())
    assert len(promised) == found.requests - found.failed > 0
    assert {ack.account for ack in promised} == {"alice"}
    assert len({ack.command_id for ack in promised}) == len(promised)


async def test_a_server_that_is_gone_ends_a_steady_load_too() -> None:
    async with server() as port:
        load = asyncio.create_task(offer(order(port, rate=50, seconds=1)))
        await asyncio.sleep(0.2)
        for task in asyncio.all_tasks():
            if "answer" in repr(task.get_coro()):
                task.cancel()
        found = await asyncio.wait_for(load, 20)
    assert found.statuses["0"] == 4


def test_every_order_has_an_id_of_its_own_and_prices_that_rest() -> None:
    make = request_maker(LoadOrder(1, "ours", "r", 1, 1))
    bodies = [orjson.loads(make(number).partition(b"\r\n\r\n")[2]) for number in range(10)]
    assert len({body["client_order_id"] for body in bodies}) == 10
    assert {body["side"] for body in bodies} == {"BUY"}
    theirs = request_maker(LoadOrder(1, "theirs", "r", 1, 1))(3)
    assert orjson.loads(theirs.partition(b"\r\n\r\n")[2])["side"] == "buy"


def told(kind: str, sequence: int, previous: int | None = None) -> bytes:
    """A frame of a book, as the gateway spells it."""
    head: dict[str, object] = {"type": kind, "channel": "book", "ticker": "AAPL"}
    head["sequence"] = sequence
    if previous is not None:
        head["previous"] = previous
    book = orjson.dumps(head | {"data": {"bids": [1] * 100, "updated_at_us": 1}})
    return bytes([0x81, 126]) + len(book).to_bytes(2) + book


def ear_after(*frames: bytes) -> Ear:
    """A client that was told these, seven bytes at a time."""
    ear = Ear("AAPL", 1)
    ear._is_open = True
    whole = b"".join(frames)
    for at in range(0, len(whole), 7):
        ear.data_received(whole[at : at + 7])
    return ear


WHOLE = (told("snapshot", 7), told("update", 9, 7), told("snapshot", 20), told("update", 21, 20))


async def test_a_client_takes_books_apart_wherever_the_network_cut_them() -> None:
    ear = ear_after(*WHOLE)
    assert (len(ear.ages_ms), ear.snapshots, ear.breaks) == (3, 1, 0)
    assert min(ear.ages_ms) > 1_000


@pytest.mark.parametrize(
    "frames",
    [
        (told("update", 9, 7), *WHOLE[2:]),
        (*WHOLE[:2], told("update", 12, 11)),
        (*WHOLE[:2], told("update", 9, 9)),
        (*WHOLE[:2], told("snapshot", 8)),
    ],
)
async def test_a_book_that_does_not_follow_on_what_a_client_had_fails_the_run(
    frames: tuple[bytes, ...],
) -> None:
    found = summed([ear_after(*WHOLE), ear_after(*frames)], 10.0)
    assert found.breaks == 1
    with pytest.raises(RuntimeError, match="1 books did not follow"):
        require_whole_chains(found)
    require_whole_chains(summed([ear_after(*WHOLE)], 10.0))


async def test_a_client_that_heard_nothing_is_the_worst() -> None:
    forever_ms = 1e15
    found = summed([ear_after(*WHOLE), ear_after(WHOLE[0])], forever_ms)
    assert (found.clients, found.deaf, found.updates, found.snapshots) == (1, 1, 2, 1)
    assert found.worst_p50_ms == found.worst_p99_ms == found.worst_ms == forever_ms


async def test_a_client_that_is_refused_is_not_ready() -> None:
    error = b'{"type":"error","reason":"STARTING"}'
    ear = ear_after(bytes([0x81, len(error)]) + error)
    with pytest.raises(RuntimeError, match="STARTING"):
        await ear.ready


def test_the_table_compares_what_was_measured() -> None:
    once = Spread(1, 1, 1)
    ways = tuple(
        Way(name, Spread(rate, rate, rate), once, 0, once, Spread(65, 65, 65), Spread(72, 72, 72))
        for name, rate in ((BARE, 1_000.0), (OURS, 1_250.0))
    )
    steady = LoadResult(500, 5_000, 0, 3.0, 12.5, 40.0, 0.5)
    console = Console(width=200, record=True)
    console.print(gateway_table(GatewayReport(ways, 562.5, steady, "no peer here")))
    text = " ".join(console.export_text().split())
    assert "ours / bare │ 1.25x" in text
    assert "65 us [65, 65] │ 72 us [72, 72]" in text
    assert "p99 12.5 ms" in text
    assert "no peer here" in text

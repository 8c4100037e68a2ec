"""The benchmark's generator: it counts what fails, and time begins when a request was due."""

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest
from rich.console import Console

from services.tools.bench.inference import (
    FIVE,
    ONE,
    RELOADED,
    InferenceReport,
    inference_tables,
)
from services.tools.bench.inference_load import Line, Load, offer
from services.tools.bench.servers import Server
from services.tools.bench.serving_peers import FEAST, OURS, figures_of
from services.tools.bench.tries import at_percent


@asynccontextmanager
async def server(*, fails_every: int = 0, wait_s: float = 0.0) -> AsyncIterator[Server]:
    """In this process; answers each request, every so many with 503."""
    asked = 0

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        while head := await reader.readuntil(b"\r\n\r\n"):
            length = int(head.lower().partition(b"content-length:")[2].split()[0])
            await reader.readexactly(length)
            asked = number = asked + 1
            await asyncio.sleep(wait_s)
            status = b"503" if fails_every and number % fails_every == 0 else b"200"
            writer.write(b"HTTP/1.1 " + status + b" x\r\nContent-Length: 2\r\n\r\n{}")
        writer.close()

    async def until_closed(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await answer(reader, writer)
        except asyncio.IncompleteReadError:
            writer.close()

    listening = await asyncio.start_server(until_closed, "127.0.0.1", 0)
    async with listening:
        yield Server(listening.sockets[0].getsockname()[1], os.getpid())


async def ask(lines: Sequence[Line]) -> bool:
    return (await lines[0].post("/predict", b"{}"))[0] == 200


async def test_what_is_not_answered_with_200_is_counted_as_failed() -> None:
    async with server(fails_every=5) as here:
        load = await offer("planted", ask, [here], 200, 0.25)
    assert (load.requests, load.failed) == (50, 10)
    assert 0 < load.cpu_ms < 1_000


async def test_an_answer_that_is_not_what_was_asked_for_is_counted_as_failed() -> None:
    asked = 0

    async def ask_for_more(lines: Sequence[Line]) -> bool:
        nonlocal asked
        asked = number = asked + 1  # others ask while this one waits
        await ask(lines)
        return {"answer": True}["answer" if number % 5 else "nothing"]

    async with server() as here:
        load = await offer("planted", ask_for_more, [here], 200, 0.25)
    assert (load.requests, load.failed) == (50, 10)


async def test_a_server_that_is_not_there_fails_every_request() -> None:
    async with server() as here:
        pass
    load = await offer("gone", ask, [here], 100, 0.1)
    assert load.failed == load.requests == 10


async def test_who_falls_behind_shows_it_in_every_later_request() -> None:
    # 32 lines of 100 ms each answer 320 a second; 640 are due, so the last waits a second.
    async with server(wait_s=0.1) as here:
        load = await offer("behind", ask, [here], 640, 1.0)
    assert load.failed == 0
    assert load.p99_ms > 800


@pytest.mark.parametrize("percent,value", [(0, 1), (50, 51), (99, 100), (100, 100)])
def test_a_percentile_is_one_of_the_values(percent: int, value: int) -> None:
    assert at_percent([float(each) for each in range(1, 101)], percent) == value


def load_of(name: str, p50: float, rate_per_s: int = 200) -> Load:
    return Load(name, rate_per_s, 100, 0, p50, p50, 4 * p50, 9.0, 1.5, 0.1)


def test_the_tables_compare_what_was_measured() -> None:
    loads = tuple(load_of(name, p50) for name, p50 in ((ONE, 2.0), (FIVE, 2.5), (RELOADED, 3.0)))
    reference = figures_of([[load_of(OURS, 1.0, 20), load_of(FEAST, 10.0, 20)]])
    console = Console(width=250, record=True)
    for table in inference_tables(InferenceReport(loads, 20, reference)):
        console.print(table)
    text = " ".join(console.export_text().split())
    assert "five tickers 1.25x of one (p50); 20 reloads, p99 1.50x" in text
    assert "│ 0.10 │ 10.0 │" in text
    assert f"{FEAST} lacks: a prediction" in text
    assert len(inference_tables(InferenceReport(loads, 20, ()))) == 1

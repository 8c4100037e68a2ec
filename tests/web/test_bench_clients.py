"""The clients of `outcry bench sockets` at a real gateway: they read what it spells."""

import asyncio
from functools import partial

from services.tools.bench.sockets_load import Ear
from tests.support.gateway_memory import book, eventually, feed, make_gateway, serving


async def test_the_benchmark_s_clients_follow_the_books_that_the_gateway_tells() -> None:
    gateway = make_gateway(gateway_books_kept=2)
    feed(gateway, book(quantity=1))
    async with serving(gateway) as service:
        loop = asyncio.get_running_loop()
        transport, ear = await loop.create_connection(
            lambda: Ear("AAPL", service.port), "127.0.0.1", service.port
        )
        await ear.ready
        for number in range(1, 4):
            feed(gateway, book(quantity=1 + number))
            await eventually(partial(_has_heard, ear, number))
        # So many at once that the client's book is not kept: the next one comes whole.
        feed(gateway, *(book(quantity=10 + number) for number in range(3)))
        await eventually(lambda: ear.snapshots == 1)
        transport.abort()
    assert (len(ear.ages_ms), ear.breaks) == (4, 0)


def _has_heard(ear: Ear, number: int) -> bool:
    return len(ear.ages_ms) == number

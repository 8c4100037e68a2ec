"""Requests that mean nothing: each is answered, none breaks anything, and nothing of them stays.

`make fuzz-junk` makes it long.
"""

import gc
import os
import random
from collections import Counter
from collections.abc import Callable
from mmap import mmap
from typing import Final, NamedTuple

import httpx
import psutil

from services.gateway.app import make_app
from tests.support.gateway_keys import ALICE, OPERATOR, make_ring
from tests.support.gateway_memory import HOST, MemoryCommandLog, book, feed, make_gateway

KEYS_REFRESHED_EACH: Final = 200
MIB: Final = 2**20
RESIDENT_MIB_MAX: Final = 24
"""More memory after the second half of requests than after the first: what the allocator keeps."""
LEAK_BYTES: Final = 500_000
"""Planted in each of a hundred requests."""
REQUESTS: Final = int(os.environ.get("OUTCRY_JUNK_REQUESTS", "800"))
PATHS: Final = (
    "/", "/orders", "/orders/batch", "/orders/cancel-all", "/orders/x/cancel", "/orders/%00",
    "/orders/" + "y" * 300, "/book/AAPL", "/book/%F0%9F%98%80", "/candles/AAPL", "/fills",
    "/positions", "/account", "/admin/halt", "/admin/nothing", "/assets/../app.py", "//", "/ws",
    "/openapi.json", "/time", "/healthz",
)  # fmt: skip
METHODS: Final = (*["GET"] * 5, *["POST"] * 9, "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD", "BREW")
BODIES: Final = (
    b"", b"{", b"null", b"[" * 900, b'{"a":' * 300, b"\xff\xfe", b'{"ticker": "AAPL"}',
    b'{"orders": [{}, [], null, 1]}', b'{"client_command_id": "c", "ticker": "\\u0000"}',
    b'{"client_command_id": "c", "quantity": 1e999}', b'{"price": NaN}', b"x" * 70_000,
)  # fmt: skip


def junk(draw: random.Random) -> httpx.Request:
    headers = {
        "Content-Type": draw.choice(["application/json"] * 5 + ["text/plain", "", "a/json; x"]),
        "Host": draw.choice([HOST] * 9 + ["evil.example", "[::1", ""]),
    }
    if draw.random() < 0.9:
        good = [f"Bearer {ALICE.key}", f"Bearer {OPERATOR.key}"]
        headers["Authorization"] = draw.choice(good * 4 + ["Bearer x", "Basic x", "", ALICE.key])
    if draw.random() < 0.05:
        headers["X-Outcry-Signature"] = draw.choice(["0" * 64, "", "z"])
    if draw.random() < 0.2:
        headers["Idempotency-Key"] = draw.choice(["a", "", '"', "x" * 100])
    if draw.random() < 0.2:
        headers["Prefer"] = draw.choice(["wait=0", "wait=-1", "wait=x", ",,,", "wait=99999"])
    query = draw.choice([""] * 9 + ["?a=1", "?limit=0", "?limit=1&limit=2", "?cursor=%00", "?=&&="])
    return httpx.Request(
        draw.choice(METHODS),
        f"http://{HOST}{draw.choice(PATHS)}{query}",
        headers=headers,
        content=draw.choice(BODIES),
    )


class Put(NamedTuple):
    """What came of the second half of some requests; the first fills what fills once."""

    statuses: Counter[int]
    objects: int
    """More that Python's collector knows."""
    resident_mib: float
    """More memory of the process: also what the collector does not know, as bytes."""


async def put(requests: int, keep: Callable[[httpx.Request], None]) -> Put:
    """Have a gateway answer so many; `keep` is called with each."""
    log = MemoryCommandLog()
    ring = await make_ring()
    gateway = make_gateway(log, ring=ring, gateway_access="keys", gateway_wait_max_ms=1)
    feed(gateway, book())
    statuses: Counter[int] = Counter()
    draw = random.Random(20_261_126)
    transport = httpx.ASGITransport(make_app(gateway))
    objects, resident = [], []
    for _ in range(2):
        for number in range(requests // 2):
            if number % KEYS_REFRESHED_EACH == 0:
                await ring.refresh()  # as the process does, lest the keys grow too old to count
            request = junk(draw)
            response = await transport.handle_async_request(request)
            await response.aread()
            statuses[response.status_code] += 1
            assert response.status_code < 500, (request, response.status_code)
            log.records.clear()
            keep(request)
        gc.collect()
        objects.append(len(gc.get_objects()))
        resident.append(psutil.Process().memory_info().rss / MIB)
    return Put(statuses, objects[1] - objects[0], resident[1] - resident[0])


async def test_junk_is_answered_without_a_server_error_and_leaves_nothing_behind() -> None:
    found = await put(REQUESTS, lambda _: None)
    assert {200, 400, 401, 403, 404, 405, 413, 415, 421, 422} <= set(found.statuses), found.statuses
    # Less than one object a request: what is left is what fills once, whoever asks.
    assert found.objects < REQUESTS // 2
    assert found.resident_mib < RESIDENT_MIB_MAX


def new_pages() -> mmap:
    """So much memory, and none that the allocator had at hand from earlier tests."""
    pages = mmap(-1, LEAK_BYTES)
    pages.write(bytes(LEAK_BYTES))
    return pages


async def test_what_stays_of_requests_is_found_in_either_figure() -> None:
    kept: list[object] = []
    requests = await put(200, lambda request: kept.extend([request, {"of": request}]))
    assert requests.objects >= 100
    bodies = await put(200, lambda _: kept.append(new_pages()))
    assert bodies.resident_mib > RESIDENT_MIB_MAX

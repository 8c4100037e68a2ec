"""Several gateways on one log: each reads what any of them wrote, and none sooner than that."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import httpx
import pytest

from services.domain.ids import make_order_id
from services.gateway.parts import Gateway
from tests.support.gateway_memory import (
    ORDER,
    MemoryCommandLog,
    eventually,
    feed,
    make_client,
    make_gateway,
    report,
)

ORDER_ID: Final = make_order_id("alice", "a-1", "AAPL")
PATH: Final = f"/orders/{ORDER_ID}"
LONG_MS: Final = 10_000


@asynccontextmanager
async def other_after_202(
    wait_ms: int,
) -> AsyncIterator[tuple[Gateway, httpx.AsyncClient]]:
    """A gateway beside that which has just answered with 202, and a client of it."""
    log = MemoryCommandLog()
    one, other = (
        make_gateway(log, gateway_processes=2, gateway_elsewhere_wait_ms=wait_ms) for _ in range(2)
    )
    async with make_client(one) as first, make_client(other) as second:
        placed = await first.post("/orders", json=ORDER)
        assert (placed.status_code, placed.headers["location"]) == (202, PATH)
        assert (await first.get(PATH)).json()["status"] == "PENDING_NEW"
        yield other, second
    assert not other.verdicts._awaited


async def test_an_order_that_another_gateway_took_is_shown_once_risk_has_spoken() -> None:
    async with other_after_202(LONG_MS) as (other, client):
        asking = asyncio.create_task(client.get(PATH))
        await eventually(lambda: other.verdicts._awaited)
        feed(other, report(), report(account="bob", order_id=ORDER_ID))
        await asyncio.sleep(0.05)
        assert not asking.done()
        feed(other, report(order_id=ORDER_ID, account_sequence=2))
        shown = await asking
    assert (shown.status_code, shown.json()["status"]) == (200, "NEW")


async def test_an_order_that_risk_is_silent_about_is_a_404_that_says_to_ask_again() -> None:
    async with other_after_202(20) as (_, client):
        unknown = await client.get(PATH)
    assert (unknown.status_code, unknown.json()["reason"]) == (404, "UNKNOWN_ORDER")
    assert unknown.headers["retry-after"] == "1"
    assert "ask again" in unknown.json()["detail"]


@pytest.mark.parametrize("order_id", ["AAPL-1", ORDER_ID[:-1], ORDER_ID.replace("-5", "-4", 1)])
async def test_what_no_gateway_can_have_taken_is_unknown_at_once(order_id: str) -> None:
    async with other_after_202(LONG_MS) as (_, client):
        unknown = await client.get(f"/orders/{order_id}")
    assert (unknown.status_code, "retry-after" in unknown.headers) == (404, False)


async def test_a_gateway_that_stops_keeps_nobody_waiting() -> None:
    async with other_after_202(LONG_MS) as (other, client):
        asking = asyncio.create_task(client.get(PATH))
        await eventually(lambda: other.verdicts._awaited)
        other.verdicts.stopping.set()
        assert (await asking).status_code == 404

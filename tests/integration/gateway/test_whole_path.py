"""From a POST to a fill on the WebSocket, with every room between on the real stack."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any, Final

import httpx
import pytest
import pytest_asyncio
from websockets.asyncio.client import ClientConnection, connect

from services.gateway.metrics import METRICS
from services.gateway.service import Service
from services.gateway.settings import GatewaySettings
from services.runtime.telemetry import Telemetry
from tests.support.gateway_memory import ORDER, eventually
from tests.support.stack_fixture import StackInfra
from tests.support.trading_path import TradingPath, running_path

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(180)]

PREFIX: Final = "gateway-path."
WAIT_S: Final = 60


@pytest.fixture(scope="module")
def path(stack_infra: StackInfra) -> Iterator[TradingPath]:
    with running_path(stack_infra, PREFIX, rooms=("ingest", "risk", "matcher")) as path:
        for account in ("alice", "bob"):
            path.open_account(account)
        yield path


@pytest_asyncio.fixture
async def service(path: TradingPath) -> AsyncIterator[Service]:
    settings = GatewaySettings(
        kafka_bootstrap=path.addresses.kafka_bootstrap,
        registry_url=path.addresses.registry_url,
        topic_prefix=PREFIX,
        gateway_port=0,
    )
    telemetry = Telemetry("gateway", metrics=METRICS)
    service = Service(settings, telemetry)
    task = asyncio.create_task(service.run())
    await eventually(lambda: telemetry.ready.is_set() or task.done())
    yield service
    service.stop()
    await task


async def post(service: Service, account: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{service.port}") as client:
        response = await client.post(path, json=body, headers={"X-Outcry-Account": account})
    assert response.status_code == 202, response.text
    accepted: dict[str, Any] = response.json()
    return accepted


async def hear(socket: ClientConnection) -> dict[str, Any]:
    while True:
        message: dict[str, Any] = json.loads(await asyncio.wait_for(socket.recv(), WAIT_S))
        if message["type"] != "heartbeat":
            return message


async def hear_status(socket: ClientConnection, order_id: str, status: str) -> dict[str, Any]:
    """The first execution that gives this order this status."""
    while True:
        data: dict[str, Any] = (await hear(socket)).get("data", {})
        if (data.get("order_id"), data.get("status")) == (order_id, status):
            return data


async def test_an_order_is_filled_and_everybody_hears_what_is_theirs(service: Service) -> None:
    url = f"ws://127.0.0.1:{service.port}/ws"
    async with connect(url) as public, connect(f"{url}?account=alice") as alice:
        await public.send('{"op": "subscribe", "channel": "trades", "ticker": "AAPL"}')
        await alice.send('{"op": "subscribe", "channel": "executions"}')
        assert [(await hear(s))["type"] for s in (public, alice)] == ["snapshot"] * 2
        sell = await post(service, "bob", "/orders", ORDER | {"side": "SELL"})
        buy = await post(service, "alice", "/orders", ORDER | {"quantity": 150})
        fill = await hear_status(alice, buy["order_id"], "PARTIALLY_FILLED")
        assert (fill["last_quantity"], fill["last_price"]) == (100, "187.25")
        assert (fill["position"], fill["liquidity"]) == (100, "TAKER")
        trade = (await hear(public))["data"]
        assert (trade["price"], trade["quantity"]) == ("187.25", 100)
        assert sell["order_id"] not in json.dumps(trade)

        again = await post(service, "alice", "/orders", ORDER | {"quantity": 150})
        assert again == buy | {"status": "PARTIALLY_FILLED"}
        await post(service, "alice", f"/orders/{buy['order_id']}/cancel",
                   {"client_command_id": "cancel"})  # fmt: skip
        ended = await hear_status(alice, buy["order_id"], "CANCELED")
    assert (ended["cumulative_quantity"], ended["remaining_quantity"]) == (100, 0)
    assert ended["reason"] == "CANCEL_REQUESTED"


@pytest.mark.parametrize(
    "name,changes,reason",
    [
        ("off-tick", {"price": "187.2501"}, "OFF_TICK"),
        ("far", {"price": "1.00"}, "PRICE_OUTSIDE_COLLAR"),
        ("nowhere", {"ticker": "NOPE"}, "UNKNOWN_TICKER"),
        ("mixed", {"order_type": "MARKET", "price": None}, "INVALID_COMBINATION"),
    ],
)
async def test_what_the_rules_refuse_is_an_order_that_is_rejected_with_a_reason(
    service: Service, name: str, changes: dict[str, Any], reason: str
) -> None:
    order = {k: v for k, v in (ORDER | {"client_order_id": name} | changes).items() if v}
    order_id = (await post(service, "alice", "/orders", order))["order_id"]
    shown = await settled(service, "alice", order_id)
    assert (shown["status"], shown["reason"]) == ("REJECTED", reason)


async def test_an_account_nobody_opened_has_its_order_refused_as_a_command(
    service: Service,
) -> None:
    order_id = (await post(service, "nobody", "/orders", ORDER))["order_id"]
    shown = await settled(service, "nobody", order_id)
    assert (shown["status"], shown["reason"]) == ("NO_ORDER", "UNKNOWN_ACCOUNT")


async def test_a_cancel_of_anothers_order_changes_nothing_and_says_so(service: Service) -> None:
    resting = ORDER | {"client_order_id": "rests", "price": "180.00"}
    order_id = (await post(service, "alice", "/orders", resting))["order_id"]
    async with connect(f"ws://127.0.0.1:{service.port}/ws?account=bob") as bob:
        await bob.send('{"op": "subscribe", "channel": "executions"}')
        assert (await hear(bob))["type"] == "snapshot"
        await post(service, "bob", f"/orders/{order_id}/cancel", {"client_command_id": "theft"})
        refused = (await hear(bob))["data"]
    assert (refused["client_command_id"], refused["reason"]) == ("theft", "UNKNOWN_ORDER")
    assert (await settled(service, "alice", order_id))["status"] == "NEW"


async def settled(service: Service, account: str, order_id: str) -> dict[str, Any]:
    """The order once risk has spoken about it."""
    base = f"http://127.0.0.1:{service.port}"
    headers = {"X-Outcry-Account": account}
    async with (
        httpx.AsyncClient(base_url=base, headers=headers) as client,
        asyncio.timeout(WAIT_S),
    ):
        while True:
            shown: dict[str, Any] = (await client.get(f"/orders/{order_id}")).json()
            if shown["status"] != "PENDING_NEW":
                return shown
            await asyncio.sleep(0.02)

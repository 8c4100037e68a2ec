"""Every route and channel with every kind of caller; a new one fails until it is classified."""

import asyncio
import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

import httpx
import pytest
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from starlette.requests import Request
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from services.domain.events import ExecutionReport
from services.domain.ids import make_order_id
from services.gateway.app import describe, make_app
from services.gateway.core.keys import spell_key
from services.gateway.parts import Gateway
from services.gateway.service import Service
from services.gateway.sockets import CHANNELS
from tests.support.gateway_keys import (
    ALICE,
    ALICE_READS,
    ALICE_SIGNS,
    ALICE_TRADES,
    BOB,
    EXPIRED,
    OPERATOR,
    REVOKED,
    make_owner,
    make_ring,
)
from tests.support.gateway_memory import (
    HOST,
    MemoryCommandLog,
    book,
    feed,
    make_gateway,
    report,
    serving,
    trade,
)

PUBLIC, READ, TRADE, ADMIN = "public", "read", "trade", "admin"

CLASSES: Final[Mapping[tuple[str, str], str]] = {
    ("GET", "/"): PUBLIC,
    ("GET", "/assets/{name}"): PUBLIC,
    ("GET", "/openapi.json"): PUBLIC,
    ("GET", "/asyncapi.json"): PUBLIC,
    ("GET", "/healthz"): PUBLIC,
    ("GET", "/readyz"): PUBLIC,
    ("GET", "/status"): PUBLIC,
    ("GET", "/time"): PUBLIC,
    ("GET", "/tickers"): PUBLIC,
    ("GET", "/book/{ticker}"): PUBLIC,
    ("GET", "/trades/{ticker}"): PUBLIC,
    ("GET", "/candles/{ticker}"): PUBLIC,
    ("GET", "/drift/verdicts"): PUBLIC,
    ("GET", "/drift/history"): PUBLIC,
    ("GET", "/drift/performance"): PUBLIC,
    ("GET", "/drift/performance/{job_id}"): PUBLIC,
    ("GET", "/drift/actions"): PUBLIC,
    ("GET", "/drift/jobs/{job_id}"): PUBLIC,
    ("GET", "/drift/reports/{job_id}"): PUBLIC,
    ("GET", "/orders"): READ,
    ("GET", "/orders/{order_id}"): READ,
    ("GET", "/orders/by-client-order-id/{client_order_id}"): READ,
    ("GET", "/fills"): READ,
    ("GET", "/positions"): READ,
    ("GET", "/account"): READ,
    ("POST", "/orders"): TRADE,
    ("POST", "/orders/batch"): TRADE,
    ("POST", "/orders/cancel-all"): TRADE,
    ("POST", "/orders/{order_id}/cancel"): TRADE,
    ("POST", "/orders/{order_id}/reduce"): TRADE,
    ("POST", "/orders/{order_id}/replace"): TRADE,
    ("POST", "/admin/halt"): ADMIN,
    ("POST", "/admin/resume"): ADMIN,
    ("POST", "/admin/mark"): ADMIN,
    ("POST", "/admin/kill"): ADMIN,
    ("POST", "/admin/accounts"): ADMIN,
    ("POST", "/admin/deposit"): ADMIN,
    ("POST", "/admin/limits"): ADMIN,
}
"""What each route is for. A path that is READ or TRADE is of one account, the caller's own."""

CHANNEL_CLASSES: Final = {
    "book": PUBLIC, "trades": PUBLIC, "predictions": PUBLIC, "executions": READ, "positions": READ,
}  # fmt: skip

WRONG_SECRET: Final = spell_key(ALICE.kept.key_id, "x" * 43)
STRANGER: Final = make_owner(999, "alice", "read", "trade", "admin")
REFUSED: Final = {
    "a wrong secret": WRONG_SECRET,
    "an unknown key": STRANGER.key,
    "a revoked key": REVOKED.key,
    "an expired key": EXPIRED.key,
    "a key that must sign": ALICE_SIGNS.key,
    "no key at all": "nonsense",
}
"""Keys that count for nothing anywhere, not even where none is needed."""
ACCEPTED: Final = {
    "alice": ALICE, "alice's key to read": ALICE_READS, "alice's key to trade": ALICE_TRADES,
    "bob": BOB, "the operator": OPERATOR,
}  # fmt: skip

SHARES: Final = 7_654_321
MARKER: Final = str(SHARES)
"""In whatever shows alice's order, and nowhere else."""
CLIENT_ORDER_ID: Final = "alices-own"
ORDER_ID: Final = make_order_id("alice", CLIENT_ORDER_ID, "AAPL")
UNCOUNTED: Final = ("/healthz", "/readyz")
"""Look at no key, right or wrong."""


def routes_of(app: FastAPI) -> Iterator[tuple[str, str]]:
    """Method and path of every route, those of included routers too; mounts and sockets: ANY."""
    for route in iter_route_contexts(app.routes):
        methods = sorted(route.methods or {"ANY"})
        yield from ((method, str(route.path)) for method in methods if method != "HEAD")


def body_for(document: Mapping[str, Any], method: str, path: str) -> Any:  # noqa: ANN401
    """An example of what this path takes, as its own description gives it."""
    operation = document["paths"].get(path, {}).get(method.lower(), {})
    content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    examples = list(content.get("examples", {}).values())
    return examples[0]["value"] if examples else None


def filled(path: str) -> str:
    """The path with alice's order, and a ticker, in the place of its parameters."""
    values = {
        "order_id": ORDER_ID, "client_order_id": CLIENT_ORDER_ID, "ticker": "AAPL", "name": "x",
        "job_id": "0" * 64,
    }  # fmt: skip
    return path.format_map(values)


def of_alice() -> ExecutionReport:
    """The report of an order that only alice may see."""
    return report(
        order_id=ORDER_ID,
        client_order_id=CLIENT_ORDER_ID,
        quantity=SHARES,
        remaining_quantity=SHARES,
        position_worst=SHARES,
    )


class Walk:
    """One application, and every request that a test sends it."""

    def __init__(self, app: FastAPI, log: MemoryCommandLog, controls: MemoryCommandLog) -> None:
        self._client = httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url=f"http://{HOST}"
        )
        self._document = describe(app)
        self._log = log
        self._controls = controls

    async def ask(self, method: str, path: str, key: str | None) -> httpx.Response:
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        body = body_for(self._document, method, path)
        return await self._client.request(method, filled(path), json=body, headers=headers)

    async def faults_of(self, method: str, path: str, kind: str) -> list[str]:
        """What this route does otherwise than its kind says."""
        found = []
        for name, key in REFUSED.items():
            if path not in UNCOUNTED and (await self._reason(method, path, key)) != "KEY_REFUSED":
                found.append(f"{method} {path} lets in {name}")
        needs_key = None if kind == PUBLIC else "KEY_REQUIRED"
        if (reason := await self._reason(method, path, None)) not in {needs_key, "pass"}:
            found.append(f"{method} {path} without a key: {reason}")
        elif reason == "pass" and needs_key:
            found.append(f"{method} {path} needs no key")
        for name, owner in ACCEPTED.items():
            wanted = kind == PUBLIC or kind in owner.kept.scopes
            before = len(self._log.records), len(self._controls.records)
            answer = await self.ask(method, path, owner.key)
            if (answer.status_code == 403) == wanted:
                found.append(f"{method} {path} answers {name} with {answer.status_code}")
            if MARKER in answer.text and owner.kept.account != "alice":
                found.append(f"{method} {path} shows alice's to {name}")
            acted_for = {command.account for command in self._log.commands()[before[0] :]}
            if acted_for - {owner.kept.account}:
                found.append(f"{method} {path} lets {name} act for {acted_for}")
            if len(self._controls.records) > before[1] and kind != ADMIN:
                found.append(f"{method} {path} lets {name} operate")
        return found

    async def _reason(self, method: str, path: str, key: str | None) -> str:
        """Why it was refused at the door; "pass" if it was not."""
        answer = await self.ask(method, path, key)
        if answer.status_code not in (401, 403):
            return "pass"
        assert key is None or key not in answer.text
        return str(answer.json()["reason"])


async def make_walk(app: FastAPI | None = None) -> tuple[Walk, FastAPI]:
    log, controls = MemoryCommandLog(), MemoryCommandLog()
    gateway = make_gateway(log, controls=controls, ring=await make_ring(), gateway_access="keys")
    feed(gateway, book(), trade(), of_alice())
    app = make_app(gateway)
    return Walk(app, log, controls), app


async def test_every_route_lets_in_whom_it_is_for_and_nobody_else() -> None:
    walk, app = await make_walk()
    routes = set(routes_of(app))
    assert routes == {*CLASSES, ("ANY", "/ws")}, "classify the new route in this file"
    faults = [
        fault for route, kind in CLASSES.items() for fault in await walk.faults_of(*route, kind)
    ]
    assert faults == []


async def test_alice_sees_her_own_order_and_it_is_unknown_to_others() -> None:
    walk, _ = await make_walk()
    for path in ("/orders/{order_id}", "/orders", "/orders/by-client-order-id/{client_order_id}"):
        assert MARKER in (await walk.ask("GET", path, ALICE.key)).text
    answer = await walk.ask("GET", "/orders/{order_id}", BOB.key)
    assert (answer.status_code, answer.json()["reason"]) == (404, "UNKNOWN_ORDER")


@pytest.mark.parametrize("kind,fault", [
    (PUBLIC, "shows alice's to bob"), (READ, "needs no key"), (ADMIN, "needs no key"),
])  # fmt: skip
async def test_a_route_that_forgot_to_ask_is_found(kind: str, fault: str) -> None:
    walk, app = await make_walk()

    async def leak(request: Request) -> dict[str, str]:
        assert request.method == "GET"
        return {"order": MARKER}

    app.add_api_route("/leak", leak)
    assert ("GET", "/leak") in set(routes_of(app))
    faults = await walk.faults_of("GET", "/leak", kind)
    assert [found for found in faults if fault in found]


async def test_a_route_that_asks_too_much_is_found() -> None:
    walk, _ = await make_walk()
    assert await walk.faults_of("POST", "/orders", READ)
    assert await walk.faults_of("GET", "/orders/{order_id}", PUBLIC)


# --- channels


async def subscribe(service: Service, channel: str, key: str | None) -> str:
    """What a client of this key hears of alice's channel: its type, or the reason."""
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    url = f"ws://{HOST}:{service.port}/ws"
    ticker = {} if CHANNEL_CLASSES[channel] == READ else {"ticker": "AAPL"}
    try:
        async with connect(url, additional_headers=headers) as client:
            await client.send(json.dumps({"op": "subscribe", "channel": channel} | ticker))
            said = json.loads(await asyncio.wait_for(client.recv(), 20))
    except InvalidStatus as refusal:
        return str(json.loads(refusal.response.body or b"{}")["reason"])
    if MARKER in json.dumps(said):
        return "alice's"
    return str(said.get("reason", said["type"]))


async def make_channels() -> Gateway:
    gateway = make_gateway(ring=await make_ring(), gateway_access="keys")
    feed(gateway, book(), trade(), of_alice())
    return gateway


async def test_every_channel_lets_in_whom_it_is_for_and_nobody_else() -> None:
    assert set(CHANNELS) == set(CHANNEL_CLASSES), "classify the new channel in this file"
    async with serving(await make_channels()) as service:
        for channel, kind in CHANNEL_CLASSES.items():
            for key in REFUSED.values():
                assert await subscribe(service, channel, key) == "KEY_REFUSED"
            heard = {name: await subscribe(service, channel, owner.key)
                     for name, owner in ACCEPTED.items()}  # fmt: skip
            without = await subscribe(service, channel, None)
            if kind == PUBLIC:
                assert set(heard.values()) | {without} == {"snapshot"}
                continue
            assert without == "KEY_REQUIRED"
            assert heard == {
                "alice": "alice's", "alice's key to read": "alice's",
                "alice's key to trade": "SCOPE_REQUIRED", "bob": "snapshot",
                "the operator": "SCOPE_REQUIRED",
            }  # fmt: skip

import json
from typing import Any

import pytest

from services.domain import codes
from services.domain.events import BookDepth
from services.domain.genesis import default_genesis
from services.gateway.metrics import REQUESTS
from services.gateway.session import Key, Session
from services.gateway.sockets import CHANNELS
from services.wire.topics import BOOK
from tests.support.gateway_memory import (
    MemoryCommandLog,
    book,
    feed,
    feed_genesis,
    make_client,
    make_gateway,
    prediction,
    report,
    trade,
)
from tests.support.references import dangling


async def test_a_book_is_shown_as_the_feed_says_it() -> None:
    gateway = make_gateway()
    feed(gateway, book(quantity=1), book(quantity=7))
    async with make_client(gateway, account=None) as client:
        shown = (await client.get("/book/AAPL")).json()
    assert shown == {
        "ticker": "AAPL",
        "status": "OPEN",
        "last_price": "187.24",
        "bids": [{"price": "187.25", "quantity": 7, "orders": 2}],
        "asks": [{"price": "187.26", "quantity": 50, "orders": 1}],
        "offset": shown["offset"],
        "updated_at_us": 1_790_000_000_000_000,
    }


async def test_tickers_are_listed_with_status_and_prices() -> None:
    gateway = make_gateway()
    feed(gateway, book("TSLA"), BookDepth("AAPL", codes.HALTED, 0, (), ()))
    async with make_client(gateway, account=None) as client:
        shown = (await client.get("/tickers")).json()
        feed_genesis(gateway.model, default_genesis())
        ruled = (await client.get("/tickers")).json()
    unread = dict.fromkeys(("tick", "sub_dollar_tick", "lot", "order_quantity_max"))
    assert shown["tickers"] == [
        {"ticker": "AAPL", "status": "HALTED", "last_price": None, "bid": None, "ask": None,
         **unread},
        {"ticker": "TSLA", "status": "OPEN", "last_price": "187.24", "bid": "187.25",
         "ask": "187.26", **unread},
    ]  # fmt: skip
    rules = {"tick": "0.01", "sub_dollar_tick": "0.0001", "lot": 1, "order_quantity_max": 1_000_000}
    assert ruled["tickers"] == [line | rules for line in shown["tickers"]]


@pytest.mark.parametrize("path", ["/tickers", "/book/AAPL", "/candles/AAPL"])
async def test_nothing_is_shown_of_the_past_while_starting(path: str) -> None:
    gateway = make_gateway()
    gateway.model._behind.add(BOOK.name)
    async with make_client(gateway) as client:
        response = await client.get(path)
    assert (response.status_code, response.json()["reason"]) == (503, "STARTING")


async def test_it_is_ready_when_the_log_answers_and_the_feeds_are_read() -> None:
    log = MemoryCommandLog()
    gateway = make_gateway(log)
    async with make_client(gateway, account=None) as client:
        assert (await client.get("/readyz")).status_code == 200
        gateway.model._behind.add(BOOK.name)
        behind = await client.get("/readyz")
        assert (behind.status_code, behind.json()["behind"]) == (503, ["book"])
        gateway.model.note_caught_up(BOOK.name)
        log.available = False
        away = await client.get("/readyz")
        assert (away.status_code, away.json()["log_available"]) == (503, False)
        assert (await client.get("/healthz")).json()["status"] == "alive"


async def test_requests_are_counted_by_route_and_never_by_what_clients_invent() -> None:
    gateway = make_gateway()
    async with make_client(gateway) as client:
        for path in ("/book/ONE", "/book/TWO", "/invented/1", "/invented/2"):
            await client.get(path)
        await client.request("BREW", "/tickers")
    lines = [line for line in gateway.telemetry.exposition().decode().splitlines()
             if line.startswith(REQUESTS)]  # fmt: skip
    assert sorted(lines) == [
        f'{REQUESTS}{{method="GET",route="/book/{{ticker}}",status="404"}} 2.0',
        f'{REQUESTS}{{method="GET",route="none",status="404"}} 2.0',
        f'{REQUESTS}{{method="none",route="/tickers",status="405"}} 1.0',
    ]


async def test_openapi_describes_every_path_and_every_problem() -> None:
    async with make_client(make_gateway(), account=None) as client:
        document: dict[str, Any] = (await client.get("/openapi.json")).json()
    operations = {
        (method, path): operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }
    assert set(operations) == {
        ("post", "/orders"), ("post", "/orders/cancel-all"), ("post", "/orders/{order_id}/cancel"),
        ("post", "/orders/{order_id}/reduce"), ("post", "/orders/{order_id}/replace"),
        ("post", "/orders/batch"), ("get", "/orders"), ("get", "/orders/{order_id}"),
        ("get", "/orders/by-client-order-id/{client_order_id}"), ("get", "/fills"),
        ("get", "/positions"), ("get", "/account"), ("get", "/book/{ticker}"),
        ("get", "/trades/{ticker}"), ("get", "/candles/{ticker}"),
        ("get", "/tickers"), ("get", "/time"), ("get", "/status"),
        ("get", "/healthz"), ("get", "/readyz"),
        ("post", "/admin/accounts"), ("post", "/admin/deposit"), ("post", "/admin/halt"),
        ("post", "/admin/kill"), ("post", "/admin/limits"), ("post", "/admin/mark"),
        ("post", "/admin/resume"),
        ("get", "/drift/verdicts"), ("get", "/drift/history"), ("get", "/drift/performance"),
        ("get", "/drift/performance/{job_id}"),
        ("get", "/drift/actions"), ("get", "/drift/jobs/{job_id}"),
        ("get", "/drift/reports/{job_id}"),
    }  # fmt: skip
    for (method, path), operation in operations.items():
        for status, response in operation["responses"].items():
            problem = int(status) >= 400 and (path, status) != ("/readyz", "503")
            assert ("application/problem+json" in response["content"]) == problem
        body = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
        assert bool(body.get("examples")) == (method == "post")
    placing = operations["post", "/orders"]["responses"]
    assert set(placing) == {
        "201", "202", "400", "401", "403", "408", "413", "415", "421", "422", "429", "431", "500",
        "503", "504",
    }  # fmt: skip
    refused = placing["422"]["content"]["application/problem+json"]["examples"]
    assert {"INVALID_PRICE", "POSITION_LIMIT", "WOULD_CROSS"} <= set(refused)
    assert not dangling(document)
    assert "subscribe" in document["info"]["description"]


async def test_asyncapi_describes_what_the_websocket_sends() -> None:
    gateway = make_gateway()
    feed(gateway, book(), trade(), report(), prediction())
    async with make_client(gateway, account=None) as client:
        document: dict[str, Any] = (await client.get("/asyncapi.json")).json()
    session = Session("alice", queue_max=100)
    gateway.hub.add(session)
    heard: dict[str, dict[str, Any]] = {}
    keys: list[Key] = [("book", "AAPL"), ("trades", "AAPL"), ("predictions", "AAPL"),
                       ("executions", "alice"), ("positions", "alice")]  # fmt: skip
    assert {channel for channel, _ in keys} == set(CHANNELS)
    for version, key in enumerate(keys, 4):
        gateway.hub.subscribe(session, key)
        for _ in ("snapshot", "update"):
            while (message := session.next_message()) is not None:
                said = json.loads(message)
                heard[f"{said['channel']}-{said['type']}"] = said
            news = report(account_sequence=version), prediction(model_version=version)
            feed(gateway, book(quantity=version), trade(1), *news)
            gateway.hub.flush()
    assert len(heard) == 2 * len(CHANNELS)
    for name, said in heard.items():
        payload = document["components"]["messages"][f"socket-{name}"]["payload"]
        assert set(said) == set(payload["properties"]) == set(payload["required"])
        assert set(said["data"]) in _member_sets(document, payload["properties"]["data"])


def _member_sets(document: dict[str, Any], shape: dict[str, Any]) -> list[set[str]]:
    """The members of each object that this shape lets by."""
    found = []
    for one in shape.get("oneOf", [shape]):
        name = one.get("$ref", "").rpartition("/")[2]
        found.append(set((document["components"]["schemas"][name] if name else one)["properties"]))
    return found

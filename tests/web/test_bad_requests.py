from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from services.door.answering import SECURITY_HEADERS
from services.gateway.socket_entry import ACCOUNT_HEADER
from tests.support.gateway_memory import ORDER, MemoryCommandLog, make_client, make_gateway

JSON = {"Content-Type": "application/json"}


def expect_problem(response: httpx.Response, status: int, reason: str) -> dict[str, Any]:
    """The answer's problem document, which is this one."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    document: dict[str, Any] = response.json()
    assert (document["status"], document["reason"]) == (status, reason)
    return document


@pytest.mark.parametrize(
    "method,path,status,reason",
    [
        ("GET", "/nothing", 404, "NOT_FOUND"),
        ("GET", "/orders/", 404, "NOT_FOUND"),
        ("GET", "/orders/a/b/c", 404, "NOT_FOUND"),
        ("POST", "/nothing", 404, "NOT_FOUND"),
        ("GET", "/docs", 404, "NOT_FOUND"),
        ("GET", "/book/", 404, "NOT_FOUND"),
        ("PUT", "/orders", 405, "METHOD_NOT_ALLOWED"),
        ("DELETE", "/orders/AAPL-1", 405, "METHOD_NOT_ALLOWED"),
        ("PUT", "/tickers", 405, "METHOD_NOT_ALLOWED"),
        ("BREW", "/tickers", 405, "METHOD_NOT_ALLOWED"),
        ("GET", "/book/NOPE", 404, "UNKNOWN_TICKER"),
        ("GET", "/book/%00", 404, "UNKNOWN_TICKER"),
        ("GET", "/book/" + "A" * 5_000, 404, "UNKNOWN_TICKER"),
        ("GET", "/orders/%F0%9F%98%80", 404, "UNKNOWN_ORDER"),
        ("POST", "/orders/a%20b/cancel", 404, "UNKNOWN_ORDER"),
        ("POST", "/orders/" + "a" * 65 + "/cancel", 404, "UNKNOWN_ORDER"),
    ],
)
async def test_a_wrong_path_or_method_is_a_problem(
    method: str, path: str, status: int, reason: str
) -> None:
    log = MemoryCommandLog()
    async with make_client(make_gateway(log)) as client:
        body = {"client_command_id": "c-1"} if method == "POST" else None
        response = await client.request(method, path, json=body)
    expect_problem(response, status, reason)
    assert ("allow" in response.headers) == (status == 405)
    assert log.records == []


@pytest.mark.parametrize(
    "path,methods",
    [("/orders", "GET, POST"), ("/orders/batch", "POST"), ("/tickers", "GET"),
     ("/orders/AAPL-1/cancel", "POST")],
)  # fmt: skip
async def test_a_wrong_method_is_answered_with_all_those_of_the_path(
    path: str, methods: str
) -> None:
    async with make_client(make_gateway()) as client:
        response = await client.put(path)
    problem = expect_problem(response, 405, "METHOD_NOT_ALLOWED")
    assert response.headers["allow"] == methods
    assert methods in problem["detail"]


@pytest.mark.parametrize(
    "content_type",
    ["", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "json",
     "application/jsonp", "application/xml;application/json"],
)  # fmt: skip
async def test_only_json_is_read(content_type: str) -> None:
    log = MemoryCommandLog()
    async with make_client(make_gateway(log)) as client:
        response = await client.post(
            "/orders", content=b'{"a": 1}', headers={"Content-Type": content_type}
        )
    expect_problem(response, 415, "UNSUPPORTED_MEDIA_TYPE")
    assert log.records == []


@pytest.mark.parametrize(
    "content_type", ["application/json", "Application/JSON; charset=utf-8", " application/json ;"]
)
async def test_json_is_read_however_it_is_announced(content_type: str) -> None:
    async with make_client(make_gateway()) as client:
        response = await client.post(
            "/orders/AAPL-1/cancel",
            content=b'{"client_command_id": "c-1"}',
            headers={"Content-Type": content_type},
        )
    assert response.status_code == 202


async def test_a_body_announced_too_long_is_not_read() -> None:
    log = MemoryCommandLog()
    order = ORDER | {"client_order_id": "x" * 10_000_000}
    async with make_client(make_gateway(log)) as client:
        problem = expect_problem(await client.post("/orders", json=order), 413, "BODY_TOO_LARGE")
    assert problem["bytes_max"] == 16_384
    assert log.records == []


async def test_a_body_that_hides_its_length_is_read_up_to_the_limit() -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while sent < 100_000_000:
            sent += 4_096
            yield b" " * 4_096

    async with make_client(make_gateway()) as client:
        response = await client.post("/orders", content=endless(), headers=JSON)
    expect_problem(response, 413, "BODY_TOO_LARGE")


@pytest.mark.parametrize("length", ["-1", "1e9", "9" * 400])
async def test_a_length_that_is_no_number_misleads_nobody(length: str) -> None:
    async with make_client(make_gateway()) as client:
        headers = JSON | {"Content-Length": length}
        response = await client.post("/orders", content=b"{}", headers=headers)
    assert response.status_code in (413, 422)


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"null", b"\xff", b'{"a":1,"a":1}', b"[" * 16_000, b'{"a":' * 3_000],
)
async def test_a_body_that_is_no_json_object_is_a_problem(content: bytes) -> None:
    async with make_client(make_gateway()) as client:
        response = await client.post("/orders", content=content, headers=JSON)
    expect_problem(response, 400, "INVALID_JSON")


@pytest.mark.parametrize(
    "content,pointer,reason",
    [
        (b'{"price": NaN}', "#/price", "INVALID_PRICE"),
        (b'{"price": -Infinity}', "#/price", "INVALID_PRICE"),
        (b'{"price": 1e400}', "#/price", "INVALID_PRICE"),
        (b'{"price": 187.25}', "#/price", "INVALID_PRICE"),
        (b'{"quantity": 18446744073709551617}', "#/quantity", "INVALID_QUANTITY"),
        (b'{"quantity": NaN}', "#/quantity", "INVALID_QUANTITY"),
        (b'{"__proto__": {}}', "#/__proto__", "UNKNOWN_FIELD"),
    ],
)
async def test_a_bad_field_is_named(content: bytes, pointer: str, reason: str) -> None:
    async with make_client(make_gateway()) as client:
        response = await client.post("/orders", content=content, headers=JSON)
    faults = response.json()["errors"]
    assert response.status_code == 422
    assert (pointer, reason) in [(fault["pointer"], fault["reason"]) for fault in faults]


@pytest.mark.parametrize(
    "path", ["/orders", "/orders/batch", "/orders/AAPL-1/cancel", "/orders/cancel-all"]
)
async def test_a_request_without_an_account_is_refused(path: str) -> None:
    log = MemoryCommandLog()
    async with make_client(make_gateway(log), account=None) as client:
        response = await client.post(path, json=ORDER)
        expect_problem(response, 401, "ACCOUNT_REQUIRED")
        assert ACCOUNT_HEADER in response.headers["www-authenticate"]
        for own in ("/orders", "/orders/AAPL-1", "/fills", "/positions", "/account"):
            expect_problem(await client.get(own), 401, "ACCOUNT_REQUIRED")
    assert log.records == []


@pytest.mark.parametrize("accounts", [[""], ["a b"], ["x" * 65], ["\xe9"], ["alice", "bob"]])
async def test_an_account_that_is_none_is_refused(accounts: list[str]) -> None:
    log = MemoryCommandLog()
    async with make_client(make_gateway(log), account=None) as client:
        headers = [(ACCOUNT_HEADER.encode(), account.encode("latin-1")) for account in accounts]
        response = await client.post("/orders", json=ORDER, headers=headers)
    problem = expect_problem(response, 400, "INVALID_PARAMETER")
    assert problem["pointer"] == f"header:{ACCOUNT_HEADER}"
    assert log.records == []


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "", "[::1", "10.0.0.1"])
async def test_a_request_for_another_host_is_refused(host: str) -> None:
    log = MemoryCommandLog()
    async with make_client(make_gateway(log)) as client:
        response = await client.post("/orders", json=ORDER, headers={"Host": host})
    expect_problem(response, 421, "WRONG_HOST")
    assert log.records == []


@pytest.mark.parametrize("host", ["127.0.0.1:19080", "localhost", "LOCALHOST:1", "[::1]:80"])
async def test_this_host_goes_by_several_names(host: str) -> None:
    async with make_client(make_gateway()) as client:
        assert (await client.get("/healthz", headers={"Host": host})).status_code == 200


@pytest.mark.parametrize("path", ["/healthz", "/nothing", "/book/NOPE", "/openapi.json"])
async def test_every_answer_tells_browsers_not_to_guess(path: str) -> None:
    async with make_client(make_gateway()) as client:
        headers = (await client.get(path)).headers
    assert {name: headers[name] for name in SECURITY_HEADERS} == SECURITY_HEADERS
    assert "access-control-allow-origin" not in headers


@pytest.mark.parametrize(
    "path",
    ["/orders", "/orders/AAPL-1", "/orders/by-client-order-id/a-1", "/fills", "/positions",
     "/account", "/book/AAPL", "/trades/AAPL", "/candles/AAPL", "/tickers", "/time", "/healthz",
     "/readyz", "/status"],
)  # fmt: skip
async def test_an_unknown_parameter_is_refused_and_not_ignored(path: str) -> None:
    async with make_client(make_gateway()) as client:
        problem = expect_problem(await client.get(f"{path}?lmit=5"), 400, "INVALID_PARAMETER")
    assert problem["pointer"] == "query:lmit"


@pytest.mark.parametrize("path", ["/orders", "/orders/batch", "/orders/AAPL-1/cancel"])
async def test_a_command_with_a_parameter_is_not_written(path: str) -> None:
    log = MemoryCommandLog()
    async with make_client(make_gateway(log)) as client:
        response = await client.post(f"{path}?wait=2", json=ORDER)
    expect_problem(response, 400, "INVALID_PARAMETER")
    assert log.records == []


@pytest.mark.parametrize(
    "path,parameter",
    [
        ("/orders?status=OPEN", "status"),
        ("/orders?status=new", "status"),
        ("/orders?limit=0", "limit"),
        ("/orders?limit=501", "limit"),
        ("/orders?limit=+1", "limit"),
        ("/orders?limit=%D9%A1", "limit"),
        ("/orders?limit=", "limit"),
        ("/orders?cursor=x", "cursor"),
        ("/orders?cursor=" + "9" * 400, "cursor"),
        ("/orders?ticker=A%20B", "ticker"),
        ("/orders?since_us=-1", "since_us"),
        ("/orders?until_us=" + "9" * 30, "until_us"),
        ("/orders?limit=1&limit=2", "limit"),
        ("/fills?order_id=%00", "order_id"),
        ("/fills?status=NEW", "status"),
        ("/book/AAPL?depth=11", "depth"),
        ("/trades/AAPL?limit=1001", "limit"),
    ],
)
async def test_a_parameter_that_makes_no_sense_is_named(path: str, parameter: str) -> None:
    async with make_client(make_gateway()) as client:
        problem = expect_problem(await client.get(path), 400, "INVALID_PARAMETER")
    assert problem["pointer"] == f"query:{parameter}"

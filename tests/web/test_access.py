"""Keys, signatures and limits over HTTP; who may call which route is in test_who_may_what.py."""

import io
import json
import sys
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest
import structlog

from services.client import UnavailableError, calls
from services.door.answering import SECURITY_HEADERS
from services.gateway.access import KEY_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER
from services.gateway.admin_models import EXAMPLES
from services.gateway.metrics import ACCESS_REFUSED
from services.gateway.page import PAGE_POLICY
from services.gateway.problems import problem
from services.runtime.log_lines import configure_logging
from services.wire.topics import CONTROLS
from tests.support.gateway_keys import (
    ALICE,
    ALICE_SIGNS,
    BOB,
    OPERATOR,
    Clock,
    MemoryKeys,
    Owner,
    make_ring,
)
from tests.support.gateway_memory import (
    CODEC,
    ORDER,
    MemoryCommandLog,
    book,
    feed,
    make_client,
    make_gateway,
    report,
    serving,
)

JSON = {"Content-Type": "application/json"}
BODY = json.dumps(ORDER).encode()


async def make_door(
    log: MemoryCommandLog | None = None,
    source: MemoryKeys | None = None,
    **changes: Any,  # noqa: ANN401
) -> httpx.AsyncClient:
    """A client, without credentials of its own, of a gateway that asks for keys."""
    ring = await make_ring(source)
    gateway = make_gateway(log, ring=ring, **({"gateway_access": "keys"} | changes))
    feed(gateway, book(), report())
    return make_client(gateway, account=None)


def reason_of(response: httpx.Response) -> str:
    return str(response.json()["reason"])


# --- keys


async def test_a_key_names_the_account_that_an_order_is_of() -> None:
    log = MemoryCommandLog()
    async with await make_door(log) as client:
        response = await client.post("/orders", json=ORDER, headers=BOB.bearer)
    assert response.status_code == 202
    assert [command.account for command in log.commands()] == ["bob"]


async def test_an_account_that_is_only_named_is_not_believed() -> None:
    log = MemoryCommandLog()
    async with await make_door(log) as client:
        named = {"X-Outcry-Account": "alice"}
        response = await client.post("/orders", json=ORDER, headers=named)
        assert (response.status_code, reason_of(response)) == (401, "KEY_REQUIRED")
        assert response.headers["www-authenticate"] == 'Bearer realm="outcry"'
        response = await client.post("/orders", json=ORDER, headers=BOB.bearer | named)
        assert (response.status_code, reason_of(response)) == (403, "WRONG_ACCOUNT")
    assert log.records == []


async def test_where_access_is_open_a_key_that_is_sent_still_counts() -> None:
    log = MemoryCommandLog()
    async with await make_door(log, gateway_access="open") as client:
        assert (await client.post("/orders", json=ORDER, headers=BOB.bearer)).status_code == 202
        wrong = {"Authorization": f"Bearer {BOB.key[:-1]}x", "X-Outcry-Account": "bob"}
        response = await client.post("/orders", json=ORDER, headers=wrong)
        assert reason_of(response) == "KEY_REFUSED"
        response = await client.post("/admin/halt", json={"ticker": "AAPL"})
        assert reason_of(response) == "KEY_REQUIRED"
    assert [command.account for command in log.commands()] == ["bob"]


@pytest.mark.parametrize(
    "headers",
    [
        [("Authorization", ALICE.key)],
        [("Authorization", f"Basic {ALICE.key}")],
        [("Authorization", "")],
        [("Authorization", f"Bearer {ALICE.key}"), ("Authorization", f"Bearer {ALICE.key}")],
        [("Authorization", f"Bearer {ALICE.key}"), (KEY_HEADER, ALICE.kept.key_id),
         (TIMESTAMP_HEADER, "1"), (SIGNATURE_HEADER, "0" * 64)],
        [(KEY_HEADER, ALICE.kept.key_id)],
        [(KEY_HEADER, ALICE.key), (TIMESTAMP_HEADER, "1"), (SIGNATURE_HEADER, "0" * 64)],
        [(KEY_HEADER, ALICE.kept.key_id), (TIMESTAMP_HEADER, "-1"), (SIGNATURE_HEADER, "0" * 64)],
        [(KEY_HEADER, ALICE.kept.key_id), (TIMESTAMP_HEADER, "٣"), (SIGNATURE_HEADER, "0" * 64)],
        [(KEY_HEADER, ALICE.kept.key_id), (TIMESTAMP_HEADER, "1" * 99),
         (SIGNATURE_HEADER, "0" * 64)],
        [(KEY_HEADER, ALICE.kept.key_id), (TIMESTAMP_HEADER, "1"), (SIGNATURE_HEADER, "F" * 64)],
    ],
)  # fmt: skip
async def test_credentials_of_another_shape_are_told_so_and_not_repeated(
    headers: list[tuple[str, str]],
) -> None:
    raw = [(name.encode(), value.encode()) for name, value in headers]
    async with await make_door() as client:
        response = await client.get("/tickers", headers=raw)
    assert (response.status_code, reason_of(response)) == (400, "INVALID_PARAMETER")
    assert ALICE.key[-43:] not in response.text


async def test_signature_headers_without_a_value_are_as_if_they_were_not_there() -> None:
    empty = {KEY_HEADER: "", TIMESTAMP_HEADER: "", SIGNATURE_HEADER: ""}
    async with await make_door() as client:
        assert (await client.get("/tickers", headers=empty)).status_code == 200
        response = await client.post("/orders", json=ORDER, headers=empty)
        assert reason_of(response) == "KEY_REQUIRED"


@pytest.mark.parametrize(
    "path",
    [f"/orders/{ALICE.key}", f"/tickers?key={ALICE.key}", f"/nothing?{ALICE.key}"],
)
async def test_a_key_in_the_address_is_refused_and_not_repeated(path: str) -> None:
    async with await make_door() as client:
        response = await client.get(path, headers=ALICE.bearer)
    assert (response.status_code, reason_of(response)) == (400, "INVALID_PARAMETER")
    assert "revoke it" in response.text
    assert ALICE.key[-43:] not in response.text


async def test_a_revoked_key_is_refused_from_the_next_question_on() -> None:
    source = MemoryKeys()
    ring = await make_ring(source)
    gateways = [make_gateway(ring=ring, gateway_access="keys")]
    gateways.append(make_gateway(ring=await make_ring(source), gateway_access="keys"))
    clients = [make_client(gateway, account=None) for gateway in gateways]
    path = "/orders/cancel-all"
    for client in clients:
        body = {"client_command_id": "c-1"}
        assert (await client.post(path, json=body, headers=ALICE.bearer)).status_code == 202
    source.revoke(ALICE)
    for gateway, client in zip(gateways, clients, strict=True):
        assert gateway.access.ring is not None
        await gateway.access.ring.refresh()
        response = await client.post(path, json={}, headers=ALICE.bearer)
        assert (response.status_code, reason_of(response)) == (401, "KEY_REFUSED")


async def test_without_a_database_of_keys_no_key_is_taken_and_the_public_is_served() -> None:
    gateway = make_gateway()
    feed(gateway, book())
    async with make_client(gateway, account=None) as client:
        assert (await client.get("/tickers")).status_code == 200
        response = await client.get("/tickers", headers=ALICE.bearer)
    assert (response.status_code, reason_of(response)) == (401, "KEY_REFUSED")
    assert "OUTCRY_PG_DSN" in response.text


async def test_while_the_database_is_away_for_too_long_keys_are_refused_as_unknowable() -> None:
    clock, source = Clock(), MemoryKeys()
    ring = await make_ring(source, clock)
    gateway = make_gateway(ring=ring, gateway_access="keys")
    feed(gateway, book())
    source.is_away = True
    statuses = []
    async with make_client(gateway, account=None) as client:
        for later_s in (0, 59, 2):
            clock.seconds += later_s
            await ring.refresh()
            body = {"client_command_id": "c-1"}
            response = await client.post("/orders/cancel-all", json=body, headers=ALICE.bearer)
            statuses.append(response.status_code)
        assert (reason_of(response), response.headers["retry-after"]) == ("KEYS_UNAVAILABLE", "5")
        assert (await client.get("/tickers")).status_code == 200
    assert statuses == [202, 202, 503]


# --- signatures


def signed(owner: Owner, body: bytes = BODY, **more: str) -> dict[str, str]:
    return owner.signed("POST", "/orders", body, **more) | JSON  # type: ignore[arg-type]


async def test_a_signed_request_needs_no_key_and_is_taken_once() -> None:
    log = MemoryCommandLog()
    async with await make_door(log) as client:
        headers = signed(ALICE_SIGNS)
        assert (await client.post("/orders", content=BODY, headers=headers)).status_code == 202
        again = await client.post("/orders", content=BODY, headers=headers)
    assert (again.status_code, reason_of(again)) == (401, "SIGNATURE_REUSED")
    assert len(log.records) == 1


async def test_a_signature_covers_path_query_and_what_makes_a_command_the_same() -> None:
    log = MemoryCommandLog()
    order = {name: value for name, value in ORDER.items() if name != "client_order_id"}
    body = json.dumps(order).encode()
    async with await make_door(log) as client:
        good = signed(ALICE, body, idempotency_key="k-1")
        response = await client.post(
            "/orders", content=body, headers=good | {"Idempotency-Key": "k-2"}
        )
        assert reason_of(response) == "KEY_REFUSED"
        response = await client.post(
            "/orders", content=body, headers=good | {"Idempotency-Key": "k-1"}
        )
        assert response.status_code == 202
        seen = ALICE.signed("GET", "/candles/AAPL", query="interval=1s&limit=5")
        assert (await client.get("/candles/AAPL?interval=1s&limit=5", headers=seen)).is_success
        seen = ALICE.signed("GET", "/candles/AAPL", query="interval=1s&limit=5")
        response = await client.get("/candles/AAPL?interval=1s&limit=6", headers=seen)
        assert reason_of(response) == "KEY_REFUSED"
        seen = ALICE.signed("GET", "/orders/a%20b")
        assert reason_of(await client.get("/orders/a%20b", headers=seen)) == "UNKNOWN_ORDER"
    assert [command.client_order_id for command in log.commands()] == ["k-1"]


async def test_a_body_that_was_changed_on_its_way_is_refused() -> None:
    log = MemoryCommandLog()
    async with await make_door(log) as client:
        response = await client.post(
            "/orders", content=BODY.replace(b"100", b"900"), headers=signed(ALICE)
        )
    assert (response.status_code, reason_of(response)) == (401, "KEY_REFUSED")
    assert log.records == []


@pytest.mark.parametrize("off_ms", [-31_000, 31_000])
async def test_a_clock_that_is_off_is_told_what_time_it_is(off_ms: int) -> None:
    log = MemoryCommandLog()
    async with await make_door(log) as client:
        now_ms = time.time_ns() // 1_000_000
        headers = ALICE.signed("POST", "/orders", BODY, timestamp_ms=now_ms + off_ms)
        response = await client.post("/orders", content=BODY, headers=headers | JSON)
    assert (response.status_code, reason_of(response)) == (401, "SIGNATURE_STALE")
    assert abs(response.json()["time_ms"] - now_ms) < 60_000
    assert log.records == []


async def test_a_signed_body_is_bounded_too() -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(10_000):
            yield b" " * 4_096

    async with await make_door() as client:
        response = await client.post("/orders", content=endless(), headers=signed(ALICE))
    assert (response.status_code, reason_of(response)) == (413, "BODY_TOO_LARGE")


# --- limits


async def test_an_address_may_ask_so_often_and_hears_how_often_in_each_answer() -> None:
    async with await make_door(
        gateway_rate_of_address_max=3, gateway_rate_window_s=3_600
    ) as client:
        answers = [await client.get(path) for path in ("/tickers", "/nothing", "/orders/a", "/")]
        assert [answer.status_code for answer in answers] == [200, 404, 401, 429]
        assert [answer.headers["ratelimit"].split(";")[1] for answer in answers] == [
            "r=2", "r=1", "r=0", "r=0",
        ]  # fmt: skip
        assert answers[0].headers["ratelimit-policy"] == '"address";q=3;w=3600'
        assert int(answers[3].headers["retry-after"]) >= 1
        assert reason_of(answers[3]) == "RATE_LIMITED"
        assert (await client.get("/healthz")).status_code == 200


async def test_a_key_may_ask_so_often_wherever_it_comes_from() -> None:
    async with await make_door(gateway_rate_of_key_max=2, gateway_rate_window_s=3_600) as client:
        answers = [await client.get("/tickers", headers=ALICE.bearer) for _ in range(3)]
        assert [answer.status_code for answer in answers] == [200, 200, 429]
        assert answers[1].headers["ratelimit"].startswith('"key";r=0;')
        assert (await client.get("/tickers", headers=BOB.bearer)).status_code == 200
        assert (await client.get("/tickers")).headers["ratelimit"].startswith('"address"')


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
async def test_a_method_that_no_path_has_is_told_so_whatever_credentials_it_brings(
    method: str,
) -> None:
    async with await make_door() as client:
        for headers in (ALICE.bearer, {SIGNATURE_HEADER: ""}, {"Authorization": "x"}):
            response = await client.request(method, "/orders", headers=headers)
            assert (response.status_code, reason_of(response)) == (405, "METHOD_NOT_ALLOWED")


def test_the_client_comes_back_when_a_limit_says_so() -> None:
    limited = problem("RATE_LIMITED", "too often").response()
    with pytest.raises(UnavailableError) as refused:
        calls.account().read(limited.status_code, "7", bytes(limited.body))
    assert (refused.value.reason, refused.value.retry_after_s) == ("RATE_LIMITED", 7.0)


async def test_what_was_refused_is_counted_by_reason() -> None:
    ring = await make_ring()
    gateway = make_gateway(ring=ring, gateway_access="keys", gateway_rate_of_address_max=1)
    async with make_client(gateway, account=None) as client:
        await client.get("/tickers", headers={"Authorization": "Bearer nonsense"})
        await client.get("/tickers")
    exposition = gateway.telemetry.exposition().decode()
    assert f'{ACCESS_REFUSED}{{reason="KEY_REFUSED"}} 1.0' in exposition
    assert f'{ACCESS_REFUSED}{{reason="RATE_LIMITED"}} 1.0' in exposition


# --- operators


@pytest.mark.parametrize(
    "path,example,kind",
    [
        (f"/admin/{path}", example, kind)
        for model, examples in EXAMPLES.items()
        for path, kind in [{
            "HaltRequest": ("halt", "Halt"), "ResumeRequest": ("resume", "Resume"),
            "MarkRequest": ("mark", "SetMark"), "KillRequest": ("kill", "KillSwitch"),
            "OpenAccountRequest": ("accounts", "OpenAccount"),
            "DepositRequest": ("deposit", "Deposit"), "LimitsRequest": ("limits", "SetLimits"),
        }[model.__name__]]
        for example in examples.values()
    ],
)  # fmt: skip
async def test_a_control_becomes_durable_and_names_who_asked_in_the_log(
    path: str, example: dict[str, object], kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    controls = MemoryCommandLog()
    gateway = make_gateway(controls=controls, ring=await make_ring(), gateway_access="keys")
    async with make_client(gateway, account=None) as client:
        response = await client.post(path, json=example, headers=OPERATOR.bearer)
        assert response.status_code == 202
        assert response.json() == {"client_command_id": example["client_command_id"]}
        controls.failure = None
        gateway.controls.stopping = True
        response = await client.post(path, json=example, headers=OPERATOR.bearer)
        assert reason_of(response) == "STOPPING"
    ((partition, key, value),) = controls.records
    control = CODEC.decode(CONTROLS.name, value).payload
    assert (partition, key, type(control).__name__) == (0, b"", kind)
    assert OPERATOR.kept.key_id in capsys.readouterr().out


@pytest.mark.parametrize(
    "path,body,pointer",
    [
        ("/admin/halt", {"client_command_id": "c"}, "#/ticker"),
        ("/admin/mark", {"client_command_id": "c", "ticker": "AAPL", "mark": 1.5}, "#/mark"),
        ("/admin/kill", {"client_command_id": "c", "account": "a", "engaged": "yes"}, "#/engaged"),
        ("/admin/limits", {"client_command_id": "c", "account": "a", "notional_max": "-1"},
         "#/notional_max"),
        ("/admin/deposit", {"client_command_id": "c", "account": "a", "ticker": "AAPL",
                            "quantity": 1e3}, "#/quantity"),
        ("/admin/accounts", {"client_command_id": "c", "account": "a b", "position_max": 1,
                             "notional_max": "1", "exposure_max": "1"}, "#/account"),
        ("/admin/halt", {"client_command_id": "c", "ticker": "AAPL", "why": "x"}, "#/why"),
    ],
)  # fmt: skip
async def test_a_bad_control_names_its_field(
    path: str, body: dict[str, object], pointer: str
) -> None:
    controls = MemoryCommandLog()
    gateway = make_gateway(controls=controls, ring=await make_ring(), gateway_access="keys")
    async with make_client(gateway, account=None) as client:
        response = await client.post(path, json=body, headers=OPERATOR.bearer)
    assert response.status_code == 422
    assert pointer in [fault["pointer"] for fault in response.json()["errors"]]
    assert controls.records == []


# --- browsers


async def test_no_other_site_is_let_in_by_its_page() -> None:
    async with await make_door() as client:
        ask = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
        for path in ("/orders", "/tickers", "/admin/halt"):
            preflight = await client.options(path, headers=ask)
            assert preflight.status_code == 405
            assert not [name for name in preflight.headers if name.startswith("access-control")]
        answer = await client.get("/tickers", headers={"Origin": "https://evil.example"})
        assert not [name for name in answer.headers if name.startswith("access-control")]


async def test_the_page_may_load_and_ask_only_what_is_its_own() -> None:
    async with await make_door() as client:
        headers = (await client.get("/")).headers
    assert headers["content-security-policy"] == PAGE_POLICY
    policy = dict(part.strip().split(" ", 1) for part in PAGE_POLICY.split(";"))
    assert policy["default-src"] == "'self'"
    assert "unsafe" not in PAGE_POLICY
    assert {
        policy[name] for name in ("base-uri", "form-action", "frame-ancestors", "object-src")
    } == {"'none'"}
    for name in set(SECURITY_HEADERS) - {"Content-Security-Policy", "Cache-Control"}:
        assert headers[name] == SECURITY_HEADERS[name]


# --- secrets


@pytest.fixture
def room_log(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.BytesIO]:
    """What the process would have logged, written as a room writes it."""
    written = io.BytesIO()
    text = io.TextIOWrapper(written)  # held here: when it goes, so does what it wraps
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", text)
        configure_logging("DEBUG")
    yield written
    structlog.reset_defaults()


async def test_no_secret_stands_in_any_answer_or_in_the_log(
    room_log: io.BytesIO,
) -> None:
    said: list[str] = []
    async with await make_door() as client:
        for headers in (
            ALICE.bearer,
            {"Authorization": f"Bearer {ALICE.key[:-1]}x"},
            {"Authorization": f"Bearer {ALICE_SIGNS.key}"},
            {"Authorization": ALICE.key},
            signed(ALICE),
            signed(ALICE) | {TIMESTAMP_HEADER: "1"},
            {KEY_HEADER: ALICE.key, TIMESTAMP_HEADER: "1", SIGNATURE_HEADER: ALICE.signing},
            {"X-Outcry-Account": ALICE.key},
        ):
            for path in ("/orders", "/tickers", f"/orders/{ALICE.key}", f"/?key={ALICE.key}"):
                for method in ("GET", "POST"):
                    answer = await client.request(method, path, headers=headers, content=BODY)
                    said.append(answer.text + str(dict(answer.headers)))
        body = json.dumps({"key": ALICE.key, ALICE.key: 1}).encode()
        answer = await client.post("/orders", content=body, headers=ALICE.bearer | JSON)
        assert answer.status_code == 422
    out = room_log.getvalue().decode()
    secrets = [ALICE.key[-43:], ALICE_SIGNS.key[-43:], ALICE.signing, ALICE_SIGNS.signing]
    assert [secret for secret in secrets if secret in "".join(said) + out] == []


async def test_a_request_that_breaks_leaves_no_secret_in_the_log(
    room_log: io.BytesIO,
) -> None:
    log = MemoryCommandLog()
    log.failure = ZeroDivisionError("planted")
    async with await make_door(log) as client:
        for headers in (ALICE.bearer, signed(ALICE)):
            answer = await client.post("/orders", content=BODY, headers=headers | JSON)
            assert (answer.status_code, reason_of(answer)) == (500, "INTERNAL_ERROR")
    out = room_log.getvalue().decode()
    assert "planted" in out
    assert "Traceback" in out
    assert [s for s in (ALICE.key[-43:], ALICE.signing) if s in out] == []


# --- in front of it


async def test_it_may_be_called_by_its_names_and_by_no_other() -> None:
    async with await make_door(gateway_names="trade.example,b.example") as client:
        for host, status in (
            ("trade.example", 200), ("TRADE.example:443", 200), ("b.example", 200),
            ("evil.example", 421), ("trade.example.evil.example", 421),
        ):  # fmt: skip
            assert (await client.get("/time", headers={"Host": host})).status_code == status


@pytest.mark.parametrize(
    "proxies,statuses", [("127.0.0.1", [200, 200, 429]), ("", [200, 429, 429])]
)
async def test_only_the_proxies_that_are_named_say_where_a_request_comes_from(
    proxies: str, statuses: list[int]
) -> None:
    gateway = make_gateway(
        gateway_proxies=proxies, gateway_rate_of_address_max=1, gateway_rate_window_s=3_600
    )
    async with (
        serving(gateway) as service,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{service.port}") as client,
    ):
        answers = [
            await client.get("/time", headers={"X-Forwarded-For": address})
            for address in ("10.0.0.1", "10.0.0.2", "10.0.0.2")
        ]
    assert [answer.status_code for answer in answers] == statuses

import asyncio
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs

from services.domain import codes
from services.domain.commands import (
    CancelAll,
    CancelOrder,
    ClientCommand,
    PlaceOrder,
    ReduceOrder,
    ReplaceOrder,
)
from services.domain.ids import make_order_id
from services.domain.reasons import Reason
from services.gateway.app import make_app
from services.gateway.order_door import OrderDoor
from services.gateway.ports import LogUnavailableError, OutcomeUnknownError
from services.wire.topics import BOOK, EXECUTIONS
from tests.support.gateway_memory import (
    CODEC,
    HOST,
    ORDER,
    MemoryCommandLog,
    book,
    eventually,
    feed,
    make_client,
    make_gateway,
    origin,
    report,
)

ORDER_ID = make_order_id("alice", "a-1", "AAPL")


def expect_problem(response: httpx.Response, status: int, reason: str) -> dict[str, Any]:
    """The answer's problem document, which is this one."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    document: dict[str, Any] = response.json()
    assert (document["status"], document["reason"]) == (status, reason)
    assert document["detail"]
    return document


async def test_an_order_is_accepted_once_it_is_in_the_log() -> None:
    log = MemoryCommandLog()
    async with make_client(make_gateway(log)) as client:
        log.open.clear()
        posting = asyncio.create_task(client.post("/orders", json=ORDER))
        await asyncio.sleep(0)
        done, _ = await asyncio.wait([posting], timeout=0.05)
        assert not done
        log.open.set()
        response = await posting
    assert response.status_code == 202
    assert response.headers["location"] == f"/orders/{ORDER_ID}"
    assert response.json() == {
        "order_id": ORDER_ID, "client_order_id": "a-1", "status": "PENDING_NEW",
    }  # fmt: skip
    assert log.commands() == [
        PlaceOrder(
            account="alice",
            client_order_id="a-1",
            ticker="AAPL",
            side=codes.BUY,
            order_type=codes.LIMIT,
            time_in_force=codes.GTC,
            post_only=False,
            price=1_872_500,
            quantity=100,
            self_trade_prevention=codes.CANCEL_RESTING,
        )
    ]


async def test_what_location_names_is_there_at_once() -> None:
    async with make_client(make_gateway()) as client:
        location = (await client.post("/orders", json=ORDER)).headers["location"]
        shown = await client.get(location)
    assert shown.status_code == 200
    assert (shown.json()["status"], shown.json()["remaining_quantity"]) == ("PENDING_NEW", 100)


async def test_a_price_off_its_tick_is_for_risk_to_refuse() -> None:
    """The gateway knows no ticks, lots, collars or limits: 202, then an order that is REJECTED."""
    gateway = make_gateway()
    async with make_client(gateway) as client:
        response = await client.post("/orders", json=ORDER | {"price": "187.2501"})
        assert response.status_code == 202
        feed(gateway, report(order_id=ORDER_ID, exec_type=codes.EXEC_REJECTED,
                             order_status=codes.REJECTED, reason=Reason.OFF_TICK))  # fmt: skip
        shown = (await client.get(response.headers["location"])).json()
    assert (shown["status"], shown["reason"]) == ("REJECTED", "OFF_TICK")


async def test_an_order_sent_again_is_answered_with_its_present_status() -> None:
    gateway = make_gateway()
    async with make_client(gateway) as client:
        await client.post("/orders", json=ORDER)
        feed(gateway, report(order_id=ORDER_ID, order_status=codes.FILLED))
        again = await client.post("/orders", json=ORDER)
    assert again.json() == {
        "order_id": ORDER_ID, "client_order_id": "a-1", "status": "FILLED",
    }  # fmt: skip


@pytest.mark.parametrize(
    "path,body,command",
    [
        ("/orders/AAPL-1/cancel", {}, CancelOrder("alice", "c-1", "AAPL-1")),
        ("/orders/AAPL-1/reduce", {"quantity": 4}, ReduceOrder("alice", "c-1", "AAPL-1", 4)),
        (
            "/orders/AAPL-1/replace",
            {"quantity": 4, "price": "1.5"},
            ReplaceOrder("alice", "c-1", "AAPL-1", 15_000, 4),
        ),
        ("/orders/cancel-all", {}, CancelAll("alice", "c-1", "")),
        ("/orders/cancel-all", {"ticker": "TSLA"}, CancelAll("alice", "c-1", "TSLA")),
    ],
)
@pytest.mark.parametrize("in_header", [False, True])
async def test_a_follow_up_is_accepted_once_it_is_in_the_log(
    path: str, body: dict[str, Any], command: ClientCommand, *, in_header: bool
) -> None:
    log = MemoryCommandLog()
    named = {} if in_header else {"client_command_id": "c-1"}
    headers = {"Idempotency-Key": '"c-1"'} if in_header else {}
    async with make_client(make_gateway(log)) as client:
        response = await client.post(path, json=body | named, headers=headers)
    assert response.status_code == 202
    assert response.json()["client_command_id"] == "c-1"
    assert log.commands() == [command]


async def test_a_command_without_an_id_is_refused() -> None:
    log = MemoryCommandLog()
    order = {name: value for name, value in ORDER.items() if name != "client_order_id"}
    async with make_client(make_gateway(log)) as client:
        problem = expect_problem(await client.post("/orders", json=order), 422, "MISSING_FIELD")
        assert problem["pointer"] == "#/client_order_id"
        response = await client.post("/orders/AAPL-1/cancel", json={})
        assert expect_problem(response, 422, "MISSING_FIELD")["pointer"] == "#/client_command_id"
        kept = await client.post("/orders", json=order, headers={"Idempotency-Key": "a-9"})
    assert kept.json()["client_order_id"] == "a-9"
    assert len(log.records) == 1


async def test_two_ids_that_differ_are_refused() -> None:
    async with make_client(make_gateway()) as client:
        response = await client.post("/orders", json=ORDER, headers={"Idempotency-Key": "b"})
        expect_problem(response, 422, "INVALID_FIELD")
        response = await client.post("/orders", json=ORDER, headers={"Idempotency-Key": "a b"})
        expect_problem(response, 400, "INVALID_PARAMETER")


async def test_an_order_is_shown_to_its_own_account_only() -> None:
    gateway = make_gateway()
    feed(gateway, report(order_id=ORDER_ID))
    async with make_client(gateway) as alice, make_client(gateway, "bob") as bob:
        assert (await alice.get(f"/orders/{ORDER_ID}")).status_code == 200
        expect_problem(await bob.get(f"/orders/{ORDER_ID}"), 404, "UNKNOWN_ORDER")


async def test_an_unknown_order_is_unknown_only_once_everything_was_read() -> None:
    gateway = make_gateway()
    gateway.model._behind.add(EXECUTIONS.name)
    async with make_client(gateway) as client:
        response = await client.get("/orders/AAPL-1")
        expect_problem(response, 503, "STARTING")
        assert int(response.headers["retry-after"]) >= 1
        gateway.model.note_caught_up(EXECUTIONS.name)
        expect_problem(await client.get("/orders/AAPL-1"), 404, "UNKNOWN_ORDER")


async def test_while_the_log_is_away_nothing_is_accepted() -> None:
    log = MemoryCommandLog()
    log.failure = LogUnavailableError("no Kafka broker answers")
    async with make_client(make_gateway(log)) as client:
        response = await client.post("/orders", json=ORDER)
        expect_problem(response, 503, "LOG_UNAVAILABLE")
        assert int(response.headers["retry-after"]) >= 1
        expect_problem(await client.get(f"/orders/{ORDER_ID}"), 404, "UNKNOWN_ORDER")
    assert log.records == []


async def test_an_unconfirmed_order_is_never_called_accepted() -> None:
    log = MemoryCommandLog()
    log.failure = OutcomeUnknownError("no answer within 5000 ms")
    async with make_client(make_gateway(log)) as client:
        response = await client.post("/orders", json=ORDER)
    problem = expect_problem(response, 504, "OUTCOME_UNKNOWN")
    assert problem["client_order_id"] == "a-1"
    assert problem["order_id"] == ORDER_ID
    assert "same client_order_id" in problem["detail"]


async def test_requests_beyond_the_limit_are_told_to_come_back() -> None:
    log = MemoryCommandLog()
    log.open.clear()
    async with make_client(make_gateway(log, gateway_requests_max=2)) as client:
        orders = [ORDER | {"client_order_id": f"a-{n}"} for n in range(2)]
        waiting = [asyncio.create_task(client.post("/orders", json=order)) for order in orders]
        await eventually(lambda: len(log.open._waiters) == 2)
        response = await client.post("/orders", json=ORDER | {"client_order_id": "late"})
        expect_problem(response, 503, "OVERLOADED")
        assert int(response.headers["retry-after"]) >= 1
        assert (await client.get("/healthz")).status_code == 200
        log.open.set()
        assert [r.status_code for r in await asyncio.gather(*waiting)] == [202, 202]
        assert (await client.get("/tickers")).status_code == 200
    assert len(log.records) == 2


async def test_a_failure_inside_is_a_problem_and_a_line_in_the_log() -> None:
    log = MemoryCommandLog()
    log.failure = ZeroDivisionError("planted")
    with capture_logs() as lines:
        async with make_client(make_gateway(log)) as client:
            response = await client.post("/orders", json=ORDER)
    assert "planted" not in str(expect_problem(response, 500, "INTERNAL_ERROR"))
    assert [line["event"] for line in lines] == ["request_failed"]


async def test_a_strangers_report_hides_an_order_but_breaks_nothing() -> None:
    gateway = make_gateway()
    value = CODEC.encode(EXECUTIONS.name, origin(), report(order_id=ORDER_ID))
    gateway.model.fold(EXECUTIONS.name, b"alice", value[:-3])
    gateway.model.fold(BOOK.name, b"AAPL", CODEC.encode(BOOK.name, origin(), book())[:-3])
    async with make_client(gateway) as client:
        expect_problem(await client.get(f"/orders/{ORDER_ID}"), 404, "UNKNOWN_ORDER")
        expect_problem(await client.get("/book/AAPL"), 404, "UNKNOWN_TICKER")
        assert (await client.get("/tickers")).json() == {"tickers": []}


async def test_an_order_meets_the_same_past_the_framework_and_within_it() -> None:
    past, within = make_app(make_gateway()), make_app(make_gateway())
    # Not built yet: the application makes its layers with the first request.
    door: object = OrderDoor
    within.user_middleware = [each for each in within.user_middleware if each.cls != door]
    assert len(within.user_middleware) == len(past.user_middleware) - 1
    named = {"X-Outcry-Account": "alice"}
    orders: list[tuple[Any, dict[str, str]]] = [
        (ORDER, named),
        (ORDER | {"quantity": 0, "price": 1, "more": 2}, named),
        (ORDER, {}),
        (ORDER, named | {"Idempotency-Key": "b"}),
        (ORDER, named | {"Prefer": "wait=x"}),
    ]
    answers = []
    for app in (past, within):
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url=f"http://{HOST}") as client:
            sent = [await client.post("/orders", json=body, headers=more) for body, more in orders]
        answers.append([(answer.status_code, answer.json()) for answer in sent])
    assert [status for status, _ in answers[0]] == [202, 422, 401, 422, 400]
    assert answers[0] == answers[1]

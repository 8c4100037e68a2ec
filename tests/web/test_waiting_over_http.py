import asyncio
from typing import Any

import httpx
import pytest

from services.domain import codes
from services.domain.ids import make_order_id
from services.domain.reasons import Reason
from tests.support.gateway_memory import (
    ORDER,
    MemoryCommandLog,
    eventually,
    feed,
    make_client,
    make_gateway,
    report,
    serving,
)

ORDER_ID = make_order_id("alice", "a-1", "AAPL")
WAIT = {"Prefer": "wait=10"}


async def ask(
    *said: dict[str, Any], path: str = "/orders", body: dict[str, Any] | None = None
) -> httpx.Response:
    """The answer to a command that waits, when these reports come after it is written."""
    log = MemoryCommandLog()
    gateway = make_gateway(log)
    async with make_client(gateway) as client:
        asking = asyncio.create_task(client.post(path, json=body or ORDER, headers=WAIT))
        await eventually(lambda: log.records)
        for number, changes in enumerate(said, 1):
            assert not asking.done()
            feed(gateway, report(order_id=ORDER_ID, account_sequence=number, **changes))
        response = await asking
    assert not gateway.verdicts._awaited
    return response


REJECTED = {"exec_type": codes.EXEC_REJECTED, "order_status": codes.REJECTED}
FILL = {"exec_type": codes.EXEC_TRADE, "last_quantity": 40, "cumulative_quantity": 40}


async def test_who_waits_hears_that_the_order_is_there() -> None:
    response = await ask({})
    assert response.status_code == 201
    assert response.headers["preference-applied"] == "wait=10"
    assert response.headers["location"] == f"/orders/{ORDER_ID}"
    assert (response.json()["status"], response.json()["order_id"]) == ("NEW", ORDER_ID)


async def test_who_waits_hears_why_the_order_was_rejected() -> None:
    response = await ask(REJECTED | {"reason": Reason.POSITION_LIMIT})
    assert (response.status_code, response.json()["reason"]) == (422, "POSITION_LIMIT")
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["preference-applied"] == "wait=10"
    assert response.json()["order_id"] == ORDER_ID


async def test_an_unknown_ticker_is_a_rejection_to_who_placed_an_order_in_it() -> None:
    response = await ask(REJECTED | {"reason": Reason.UNKNOWN_TICKER})
    assert (response.status_code, response.json()["reason"]) == (422, "UNKNOWN_TICKER")


async def test_an_order_that_ends_at_once_is_answered_with_its_end() -> None:
    body = ORDER | {"time_in_force": "IOC"}
    partly = FILL | {"order_status": codes.PARTIALLY_FILLED}
    ended = {"exec_type": codes.EXEC_CANCELED, "order_status": codes.CANCELED,
             "client_command_id": "", "reason": Reason.IOC_REMAINDER,
             "cumulative_quantity": 40}  # fmt: skip
    response = await ask({}, partly, ended, body=body)
    assert response.status_code == 201
    assert (response.json()["status"], response.json()["reason"]) == ("CANCELED", "IOC_REMAINDER")


async def test_a_conflict_is_told_and_not_the_order_it_conflicts_with() -> None:
    passive = FILL | {"order_status": codes.PARTIALLY_FILLED, "client_command_id": ""}
    conflict = {"exec_type": codes.EXEC_COMMAND_REJECTED, "order_status": codes.NO_ORDER,
                "reason": Reason.DUPLICATE_CONFLICT}  # fmt: skip
    response = await ask(passive, conflict)
    assert (response.status_code, response.json()["reason"]) == (422, "DUPLICATE_CONFLICT")


async def test_an_order_sent_again_is_waited_for_until_the_matcher_spoke() -> None:
    pending = {"exec_type": codes.EXEC_ORDER_STATUS, "order_status": codes.PENDING_NEW}
    response = await ask(pending, {})
    assert (response.status_code, response.json()["status"]) == (201, "NEW")


@pytest.mark.parametrize(
    "action,fields",
    [("cancel", {}), ("reduce", {"quantity": 4}), ("replace", {"quantity": 4, "price": "1.50"})],
)
async def test_a_follow_up_is_answered_with_the_order_or_with_the_refusal(
    action: str, fields: dict[str, Any]
) -> None:
    path, body = f"/orders/{ORDER_ID}/{action}", {"client_command_id": "c-1"} | fields
    done = {"client_command_id": "c-1", "exec_type": codes.EXEC_CANCELED,
            "order_status": codes.CANCELED}  # fmt: skip
    response = await ask({}, done, path=path, body=body)
    assert (response.status_code, response.json()["status"]) == (200, "CANCELED")
    late = {"client_command_id": "c-1", "exec_type": codes.EXEC_REPLACE_REJECTED,
            "order_status": codes.FILLED, "reason": Reason.ORDER_ENDED}  # fmt: skip
    response = await ask(late, path=path, body=body)
    assert (response.status_code, response.json()["reason"]) == (422, "ORDER_ENDED")
    assert response.json()["client_command_id"] == "c-1"


async def test_a_follow_up_of_anothers_order_is_refused() -> None:
    log = MemoryCommandLog()
    gateway = make_gateway(log)
    async with make_client(gateway) as client:
        body = {"client_command_id": "c-1"}
        asking = asyncio.create_task(client.post("/orders/AAPL-9/cancel", json=body, headers=WAIT))
        await eventually(lambda: log.records)
        feed(gateway, report(account="bob", order_id="AAPL-9", client_command_id="c-1"))
        feed(gateway, report(order_id="", client_command_id="c-1", order_status=codes.NO_ORDER,
                             exec_type=codes.EXEC_COMMAND_REJECTED,
                             reason=Reason.UNKNOWN_ORDER))  # fmt: skip
        response = await asking
    assert (response.status_code, response.json()["reason"]) == (422, "UNKNOWN_ORDER")


async def test_without_a_word_in_time_the_answer_is_that_it_is_durable() -> None:
    async with make_client(make_gateway()) as client:
        response = await client.post("/orders", json=ORDER, headers={"Prefer": "wait=0"})
    assert (response.status_code, response.json()["status"]) == (202, "PENDING_NEW")
    assert response.headers["preference-applied"] == "wait=0"


async def test_nobody_waits_longer_than_the_gateway_allows() -> None:
    async with make_client(make_gateway(gateway_wait_max_ms=0)) as client:
        response = await client.post("/orders", json=ORDER, headers={"Prefer": 'wait="60"'})
    assert (response.status_code, response.headers["preference-applied"]) == (202, "wait=0")


@pytest.mark.parametrize("prefer", ["wait=", "wait=-1", "wait=1.5", "wait=soon", "wait=" + "9" * 9])
async def test_a_wait_that_is_no_number_of_seconds_is_refused(prefer: str) -> None:
    log = MemoryCommandLog()
    async with make_client(make_gateway(log)) as client:
        response = await client.post("/orders", json=ORDER, headers={"Prefer": prefer})
    assert (response.status_code, response.json()["reason"]) == (400, "INVALID_PARAMETER")
    assert response.json()["pointer"] == "header:Prefer"
    assert log.records == []


@pytest.mark.parametrize("prefer", ["respond-async", "return=minimal, handling=lenient"])
async def test_a_preference_that_is_unknown_here_is_no_fault(prefer: str) -> None:
    async with make_client(make_gateway()) as client:
        response = await client.post("/orders", json=ORDER, headers={"Prefer": prefer})
    assert response.status_code == 202
    assert "preference-applied" not in response.headers


async def test_a_batch_waits_for_each_of_its_orders() -> None:
    log = MemoryCommandLog()
    gateway = make_gateway(log)
    orders = [ORDER | {"client_order_id": name} for name in ("a-1", "a-2")]
    async with make_client(gateway) as client:
        asking = asyncio.create_task(
            client.post("/orders/batch", json={"orders": orders}, headers=WAIT)
        )
        await eventually(lambda: len(log.records) == 2)
        second = make_order_id("alice", "a-2", "AAPL")
        feed(gateway, report(order_id=second, client_order_id="a-2", client_command_id="a-2",
                             reason=Reason.NO_MARK, **REJECTED))  # fmt: skip
        feed(gateway, report(order_id=ORDER_ID, account_sequence=2))
        response = await asking
    first, last = response.json()["results"]
    assert (first["status"], first["order"]["status"]) == (201, "NEW")
    assert (last["status"], last["problem"]["reason"]) == (422, "NO_MARK")


async def test_a_gateway_that_stops_cuts_nobody_off() -> None:
    """What is under way is answered: durable, or what became of it; what comes new is sent away."""
    log = MemoryCommandLog()
    gateway = make_gateway(log)
    async with serving(gateway) as service:
        url = f"http://127.0.0.1:{service.port}"
        headers = {"X-Outcry-Account": "alice"}
        async with httpx.AsyncClient(base_url=url, headers=headers, timeout=60) as client:
            waiting = asyncio.create_task(client.post("/orders", json=ORDER, headers=WAIT))
            await eventually(lambda: log.records)
            log.open.clear()
            other = ORDER | {"client_order_id": "a-2"}
            writing = asyncio.create_task(client.post("/orders", json=other))
            await eventually(lambda: log.open._waiters)
            service.stop()
            assert (await waiting).status_code == 202
            log.open.set()
            assert (await writing).status_code == 202
    assert len(log.records) == 2

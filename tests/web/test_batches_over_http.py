import asyncio
from typing import Any

import pytest

from services.gateway.ports import LogUnavailableError
from tests.support.gateway_memory import (
    ORDER,
    MemoryCommandLog,
    eventually,
    make_client,
    make_gateway,
)


def orders(count: int, **changes: Any) -> list[dict[str, Any]]:  # noqa: ANN401
    return [ORDER | {"client_order_id": f"a-{n}"} | changes for n in range(count)]


async def test_a_batch_is_written_in_its_order_and_every_item_has_its_own_result() -> None:
    log = MemoryCommandLog()
    async with make_client(make_gateway(log)) as client:
        response = await client.post("/orders/batch", json={"orders": orders(100)})
    results = response.json()["results"]
    assert response.status_code == 200
    assert [(r["status"], r["client_order_id"]) for r in results] == [
        (202, f"a-{n}") for n in range(100)
    ]
    assert {r["order"]["status"] for r in results} == {"PENDING_NEW"}
    assert [c.client_order_id for c in log.commands()] == [f"a-{n}" for n in range(100)]


@pytest.mark.parametrize(
    "bad,pointer,reason",
    [
        (ORDER | {"price": 187.25}, "#/orders/1/price", "INVALID_PRICE"),
        (ORDER | {"kind": 1}, "#/orders/1/kind", "UNKNOWN_FIELD"),
        ({"ticker": "AAPL"}, "#/orders/1/side", "MISSING_FIELD"),
        ({k: v for k, v in ORDER.items() if k != "client_order_id"},
         "#/orders/1/client_order_id", "MISSING_FIELD"),
        ([], "#/orders/1", "INVALID_FIELD"),
        (None, "#/orders/1", "INVALID_FIELD"),
    ],
)  # fmt: skip
async def test_an_item_that_is_wrong_spoils_no_other(bad: Any, pointer: str, reason: str) -> None:  # noqa: ANN401
    log = MemoryCommandLog()
    first, last = orders(2)
    async with make_client(make_gateway(log)) as client:
        response = await client.post("/orders/batch", json={"orders": [first, bad, last]})
    results = response.json()["results"]
    assert [r["status"] for r in results] == [202, 422, 202]
    problem = results[1]["problem"]
    assert (problem["reason"], problem["pointer"]) == (reason, pointer)
    assert len(log.commands()) == 2


@pytest.mark.parametrize(
    "body,reason",
    [
        ({}, "MISSING_FIELD"),
        ({"orders": []}, "INVALID_FIELD"),
        ({"orders": {}}, "INVALID_FIELD"),
        ({"orders": orders(101)}, "INVALID_FIELD"),
        ({"orders": orders(1), "account": "bob"}, "UNKNOWN_FIELD"),
    ],
)
async def test_a_batch_that_is_none_is_refused_whole(body: dict[str, Any], reason: str) -> None:
    log = MemoryCommandLog()
    async with make_client(make_gateway(log)) as client:
        response = await client.post("/orders/batch", json=body)
    assert (response.status_code, response.json()["reason"]) == (422, reason)
    assert log.records == []


async def test_one_id_cannot_stand_for_a_whole_batch() -> None:
    log = MemoryCommandLog()
    async with make_client(make_gateway(log)) as client:
        response = await client.post(
            "/orders/batch", json={"orders": orders(2)}, headers={"Idempotency-Key": "b"}
        )
    assert (response.status_code, response.json()["reason"]) == (400, "INVALID_PARAMETER")
    assert log.records == []


async def test_a_log_that_is_away_is_said_of_each_item() -> None:
    log = MemoryCommandLog()
    log.failure = LogUnavailableError("no Kafka broker answers")
    async with make_client(make_gateway(log)) as client:
        response = await client.post("/orders/batch", json={"orders": orders(3)})
    results = response.json()["results"]
    assert [(r["status"], r["problem"]["reason"]) for r in results] == [
        (503, "LOG_UNAVAILABLE")
    ] * 3


async def test_a_thousand_at_once_under_one_id_are_one_order_with_one_answer() -> None:
    log = MemoryCommandLog()
    log.open.clear()
    gateway = make_gateway(log)

    def joined() -> int:
        """How many wait for the outcome of the one that is under way."""
        futures = [f for f in gateway.desk._under_way.values() if f is not None]
        return sum(len(future._callbacks or ()) for future in futures)

    async with make_client(gateway) as client:
        posting = [asyncio.create_task(client.post("/orders", json=ORDER)) for _ in range(1_000)]
        await eventually(lambda: joined() == 999)
        log.open.set()
        answers = await asyncio.gather(*posting)
    assert {(a.status_code, a.content) for a in answers} == {(202, answers[0].content)}
    assert len(log.commands()) == 1


async def test_those_who_sent_the_same_share_the_failure_too() -> None:
    log = MemoryCommandLog()
    log.open.clear()
    log.failure = LogUnavailableError("no Kafka broker answers")
    async with make_client(make_gateway(log)) as client:
        posting = [asyncio.create_task(client.post("/orders", json=ORDER)) for _ in range(20)]
        await eventually(lambda: log.open._waiters)
        log.open.set()
        answers = await asyncio.gather(*posting)
        assert {a.json()["reason"] for a in answers} == {"LOG_UNAVAILABLE"}
        log.failure = None
        assert (await client.post("/orders", json=ORDER)).status_code == 202


async def test_commands_beyond_what_may_wait_for_the_log_are_told_to_come_back() -> None:
    log = MemoryCommandLog()
    log.open.clear()
    async with make_client(make_gateway(log, gateway_commands_max=10)) as client:
        posting = asyncio.create_task(client.post("/orders/batch", json={"orders": orders(12)}))
        await eventually(lambda: len(log.open._waiters) == 10)
        refused = await client.post("/orders", json=ORDER | {"client_order_id": "late"})
        assert (refused.status_code, refused.json()["reason"]) == (503, "OVERLOADED")
        assert int(refused.headers["retry-after"]) >= 1
        log.open.set()
        results = (await posting).json()["results"]
        assert [r["status"] for r in results] == [202] * 10 + [503] * 2
        assert (await client.post("/orders", json=ORDER)).status_code == 202
    assert len(log.commands()) == 11

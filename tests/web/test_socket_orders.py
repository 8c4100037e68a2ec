"""Commands by the WebSocket, and what is cancelled when it ends."""

import asyncio
import json
from typing import Any, Final

import pytest
from websockets.asyncio.client import ClientConnection, connect

from services.domain.commands import CancelAll, PlaceOrder
from services.domain.genesis import TICKERS
from services.domain.ids import make_order_id
from services.door.problems import ProblemError
from services.gateway import socket_orders
from services.gateway.desk import orders_partition
from services.gateway.parts import Gateway
from services.gateway.ports import LogUnavailableError
from tests.support.gateway_keys import ALICE, ALICE_READS, OPERATOR, make_ring
from tests.support.gateway_memory import (
    ORDER,
    MemoryCommandLog,
    book,
    eventually,
    feed,
    make_gateway,
    report,
    serving,
)

WAIT_S: Final = 20
PLACE: Final = {"op": "place", "id": "q-1", "body": ORDER}
HOLD: Final = {"op": "cancel_on_disconnect", "enabled": True}
ORDER_ID: Final = make_order_id("alice", "a-1", "AAPL")


async def make_keyed(log: MemoryCommandLog, **changes: Any) -> Gateway:  # noqa: ANN401
    gateway = make_gateway(log, ring=await make_ring(), gateway_access="keys", **changes)
    feed(gateway, book(), report())
    return gateway


async def ask(client: ClientConnection, message: object) -> dict[str, Any]:
    await client.send(json.dumps(message))
    answer: dict[str, Any] = json.loads(await asyncio.wait_for(client.recv(), WAIT_S))
    return answer


async def test_an_order_is_placed_and_cancelled_in_one_connection() -> None:
    log = MemoryCommandLog()
    async with serving(await make_keyed(log)) as service:
        url = f"ws://127.0.0.1:{service.port}/ws"
        async with connect(url, additional_headers=ALICE.bearer) as client:
            assert await ask(client, PLACE) == {
                "type": "taken", "id": "q-1", "client_order_id": "a-1", "order_id": ORDER_ID,
            }  # fmt: skip
            for op, body in (
                ("cancel", {"client_command_id": "c-1"}),
                ("reduce", {"client_command_id": "c-2", "quantity": 5}),
                ("replace", {"client_command_id": "c-3", "quantity": 5, "price": "1.00"}),
            ):
                said = await ask(client, {"op": op, "id": op, "order_id": ORDER_ID, "body": body})
                assert (said["type"], said["id"], said["order_id"]) == ("taken", op, ORDER_ID)
            everything = {"op": "cancel_all", "id": "q-5", "body": {"client_command_id": "c-4"}}
            assert (await ask(client, everything))["order_id"] is None
    assert [type(command).__name__ for command in log.commands()] == [
        "PlaceOrder", "CancelOrder", "ReduceOrder", "ReplaceOrder", "CancelAll",
    ]  # fmt: skip
    assert {command.account for command in log.commands()} == {"alice"}


@pytest.mark.parametrize(
    "headers,reason",
    [
        ({}, "KEY_REQUIRED"),
        (ALICE_READS.bearer, "SCOPE_REQUIRED"),
        (OPERATOR.bearer, "SCOPE_REQUIRED"),
    ],
)
async def test_who_may_not_trade_places_nothing(headers: dict[str, str], reason: str) -> None:
    log = MemoryCommandLog()
    async with serving(await make_keyed(log)) as service:
        url = f"ws://127.0.0.1:{service.port}/ws"
        async with connect(url, additional_headers=headers) as client:
            for message in (PLACE, HOLD):
                assert (await ask(client, message))["reason"] == reason
    assert log.records == []


@pytest.mark.parametrize(
    "message,reason,pointer",
    [
        (PLACE | {"id": None}, "INVALID_FIELD", None),
        (PLACE | {"id": "a b"}, "INVALID_FIELD", None),
        (PLACE | {"account": "bob"}, "UNKNOWN_FIELD", None),
        (PLACE | {"order_id": "x"}, "UNKNOWN_FIELD", None),
        (PLACE | {"body": []}, "INVALID_FIELD", "#/body"),
        (PLACE | {"body": {**ORDER, "price": 1.5}}, "INVALID_PRICE", "#/body/price"),
        (PLACE | {"body": {**ORDER, "client_order_id": None}}, "MISSING_FIELD",
         "#/body/client_order_id"),
        (PLACE | {"body": {**ORDER, "account": "bob"}}, "UNKNOWN_FIELD", "#/body/account"),
        ({"op": "cancel", "id": "1", "order_id": 7, "body": {}}, "INVALID_FIELD", "#/order_id"),
        ({"op": "cancel", "id": "1", "order_id": "x", "body": {}}, "MISSING_FIELD",
         "#/body/client_command_id"),
        ({"op": "cancel_on_disconnect", "enabled": 1}, "INVALID_FIELD", None),
        ({"op": "cancel_on_disconnect", "enabled": True, "id": "1"}, "UNKNOWN_FIELD", None),
    ],
)  # fmt: skip
async def test_a_bad_command_is_answered_under_its_id(
    message: dict[str, Any], reason: str, pointer: str | None
) -> None:
    log = MemoryCommandLog()
    async with serving(await make_keyed(log)) as service:
        url = f"ws://127.0.0.1:{service.port}/ws"
        async with connect(url, additional_headers=ALICE.bearer) as client:
            answer = await ask(client, message)
            assert (answer["type"], answer["reason"]) == ("error", reason)
            if pointer is not None:
                assert (answer["id"], answer["errors"][0]["pointer"]) == (message["id"], pointer)
            assert (await ask(client, PLACE))["type"] == "taken"


async def test_so_many_commands_wait_for_the_log_and_each_is_answered() -> None:
    log = MemoryCommandLog()
    log.open.clear()
    async with serving(await make_keyed(log, gateway_socket_commands_max=2)) as service:
        url = f"ws://127.0.0.1:{service.port}/ws"
        async with connect(url, additional_headers=ALICE.bearer) as client:
            for number in range(3):
                body = ORDER | {"client_order_id": f"a-{number}"}
                await client.send(json.dumps(PLACE | {"id": f"q-{number}", "body": body}))
            answer = json.loads(await asyncio.wait_for(client.recv(), WAIT_S))
            assert (answer["id"], answer["reason"]) == ("q-2", "OVERLOADED")
            log.failure = LogUnavailableError("planted")
            log.open.set()
            answers = [json.loads(await asyncio.wait_for(client.recv(), WAIT_S)) for _ in range(2)]
    assert {(said["id"], said["reason"]) for said in answers} == {
        ("q-0", "LOG_UNAVAILABLE"), ("q-1", "LOG_UNAVAILABLE"),
    }  # fmt: skip


def cancelled(log: MemoryCommandLog) -> list[str]:
    return [command.ticker for command in log.commands() if isinstance(command, CancelAll)]


@pytest.mark.parametrize("how", ["closes", "is cut", "gateway stops", "key ends"])
async def test_open_orders_are_cancelled_however_the_connection_ends(how: str) -> None:
    log = MemoryCommandLog()
    gateway = await make_keyed(log)
    async with serving(gateway) as service:
        url = f"ws://127.0.0.1:{service.port}/ws"
        client = await connect(url, additional_headers=ALICE.bearer)
        assert await ask(client, HOLD) == {"type": "cancel_on_disconnect", "enabled": True}
        assert (await ask(client, PLACE))["type"] == "taken"
        match how:
            case "closes":
                await client.close()
            case "is cut":
                client.transport.abort()
            case "gateway stops":
                service.stop()
            case _:
                (session,) = gateway.hub.sessions
                session.close(4003, "the key was revoked or has expired")
        await eventually(lambda: len(log.records) == 1 + len(TICKERS))
        await client.wait_closed()
    commands = log.commands()
    assert isinstance(commands[0], PlaceOrder)
    assert sorted(cancelled(log)) == sorted(TICKERS)
    # Each stands in its ticker's partition, so that it comes after the ticker's orders.
    for (partition, _, _), command in zip(log.records, commands, strict=True):
        assert partition == orders_partition(command.ticker)


async def test_nothing_is_cancelled_unless_it_was_asked_for() -> None:
    log = MemoryCommandLog()
    gateway = await make_keyed(log)
    async with serving(gateway) as service:
        url = f"ws://127.0.0.1:{service.port}/ws"
        for messages in ((PLACE,), (HOLD, HOLD | {"enabled": False}, PLACE)):
            async with connect(url, additional_headers=ALICE.bearer) as client:
                for message in messages:
                    await ask(client, message)
        await eventually(lambda: len(gateway.hub) == 0)
    assert cancelled(log) == []


async def test_a_cancel_after_the_end_waits_for_a_log_that_is_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(socket_orders, "PARTING_PAUSE_S", 0.01)
    log = MemoryCommandLog()
    async with serving(await make_keyed(log)) as service:
        url = f"ws://127.0.0.1:{service.port}/ws"
        async with connect(url, additional_headers=ALICE.bearer) as client:
            await ask(client, HOLD)
            log.failure = LogUnavailableError("planted")
        await asyncio.sleep(0.1)
        assert cancelled(log) == []
        log.failure = None
        await eventually(lambda: sorted(cancelled(log)) == sorted(TICKERS))


async def test_a_cancel_after_the_end_is_taken_beyond_the_limit() -> None:
    gateway = await make_keyed(MemoryCommandLog(), gateway_commands_max=1)
    gateway.desk._under_way[b"another"] = None
    command = CancelAll("alice", "gone-1", "AAPL")
    with pytest.raises(ProblemError, match="1 commands wait"):
        await gateway.desk.take(command, 0)
    await gateway.desk.take(command, 0, is_parting=True)


async def test_a_cancel_that_fails_after_the_end_is_told_in_the_log(
    capsys: pytest.CaptureFixture[str],
) -> None:
    log = MemoryCommandLog()
    async with serving(await make_keyed(log)) as service:
        url = f"ws://127.0.0.1:{service.port}/ws"
        async with connect(url, additional_headers=ALICE.bearer) as client:
            await ask(client, HOLD)
            log.failure = LogUnavailableError("planted")
    assert "cancel_on_disconnect_failed" in capsys.readouterr().out

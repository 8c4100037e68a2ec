import asyncio
import json
import socket
import struct
from typing import Any, Self

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from services.domain import codes
from services.gateway.metrics import SOCKETS_CLOSED
from services.gateway.parts import Gateway
from services.gateway.service import Service
from services.gateway.session import SERVICE_RESTART, SLOW_CONSUMER
from services.wire.topics import BOOK, PREDICTIONS
from tests.support.gateway_memory import (
    book,
    eventually,
    feed,
    make_client,
    make_gateway,
    prediction,
    report,
    serving,
    trade,
)

WAIT_S = 20
ALICE = {"X-Outcry-Account": "alice"}


def url(service: Service, query: str = "") -> str:
    return f"ws://127.0.0.1:{service.port}/ws{query}"


async def say(client: ClientConnection, **members: object) -> None:
    await client.send(json.dumps(members))


async def hear(client: ClientConnection) -> dict[str, Any]:
    """The next message that is no heartbeat."""
    while True:
        message: dict[str, Any] = json.loads(await asyncio.wait_for(client.recv(), WAIT_S))
        if message["type"] != "heartbeat":
            return message


async def hear_close(client: ClientConnection) -> tuple[int, str]:
    """Read on until the gateway closes; the code and reason it gives."""
    await asyncio.wait_for(client.wait_closed(), WAIT_S)
    assert client.close_code is not None
    return client.close_code, client.close_reason or ""


async def test_a_book_is_heard_as_a_snapshot_and_updates() -> None:
    gateway = make_gateway()
    feed(gateway, book(quantity=1))
    async with serving(gateway) as service, connect(url(service)) as client:
        await say(client, op="subscribe", channel="book", ticker="AAPL")
        snapshot = await hear(client)
        assert snapshot["data"]["bids"] == [{"price": "187.25", "quantity": 1, "orders": 2}]
        feed(gateway, book(quantity=2))
        update = await hear(client)
    assert [(m["type"], m["channel"], m["ticker"], m["sequence"]) for m in (snapshot, update)] == [
        ("snapshot", "book", "AAPL", snapshot["data"]["offset"]),
        ("update", "book", "AAPL", snapshot["sequence"] + 1),
    ]  # fmt: skip
    assert update["previous"] == snapshot["sequence"]
    assert update["data"]["bids"] == [{"price": "187.25", "quantity": 2, "orders": 2}]
    assert update["data"]["asks"] == []


async def test_positions_come_whole_and_to_their_owner_alone() -> None:
    gateway = make_gateway()
    feed(gateway, report())
    async with (
        serving(gateway) as service,
        connect(url(service), additional_headers=ALICE) as client,
        connect(url(service, "?account=bob")) as other,
    ):
        for one in (client, other):
            await say(one, op="subscribe", channel="positions")
        snapshot = await hear(client)
        assert (await hear(other))["data"] == {
            "account": "bob", "account_sequence": 0, "positions": [],
            "exposure": {"used": None, "max": None, "left": None},
        }  # fmt: skip
        fills = [
            report(account_sequence=number, exec_type=codes.EXEC_TRADE, position=number)
            for number in (2, 3)
        ]
        feed(gateway, *fills)
        update = await hear(client)
        while update["data"]["account_sequence"] < 3:
            update = await hear(client)
        await say(client, op="subscribe", channel="positions", ticker="AAPL")
        assert (await hear(client))["reason"] == "INVALID_FIELD"
        async with make_client(gateway) as rest:
            assert update["data"] == (await rest.get("/positions")).json()
    assert (snapshot["type"], snapshot["sequence"]) == ("snapshot", 0)
    assert snapshot["data"]["positions"][0]["position"] == 0
    assert update["data"]["positions"][0]["position"] == 3
    assert "ticker" not in update


async def test_trades_are_heard_by_anybody_without_who_traded() -> None:
    gateway = make_gateway()
    feed(gateway, book(), trade(0))
    async with serving(gateway) as service, connect(url(service)) as client:
        await say(client, op="subscribe", channel="trades", ticker="AAPL")
        snapshot = await hear(client)
        feed(gateway, trade(1))
        update = await hear(client)
    assert [t["trade_id"] for t in snapshot["data"]["trades"]] == ["AAPL-7-0"]
    assert update["data"]["trade_id"] == "AAPL-7-1"
    assert "account" not in json.dumps([snapshot, update])


async def test_predictions_are_heard_with_who_made_them_and_of_what() -> None:
    gateway = make_gateway()
    feed(gateway, book(), book("TSLA"), prediction())
    async with serving(gateway) as service, connect(url(service)) as client:
        await say(client, op="subscribe", channel="predictions", ticker="TSLA")
        nothing = await hear(client)
        await say(client, op="subscribe", channel="predictions", ticker="AAPL")
        snapshot = await hear(client)
        feed(gateway, prediction(grid_time_us=1_790_000_001_000_000, is_degraded=True))
        update = await hear(client)
    assert nothing["data"] == {"predictions": []}
    assert snapshot["data"]["predictions"] == [{
        "request_id": "AAPL-1790000000000000-direction_10s-3",
        "mode": "STREAMED",
        "model": "direction_10s",
        "model_version": 3,
        "feature_set": "microstructure_v1",
        "is_shadow": False,
        "is_degraded": False,
        "predicted_class": "up",
        "probabilities": {"down": 0.125, "flat": 0.25, "up": 0.625},
        "grid_time_us": 1_790_000_000_000_000,
        "served_at_us": 1_790_000_000_500_000,
        "feature_age_us": 500_000,
    }]  # fmt: skip
    assert (update["type"], update["channel"], update["ticker"], update["sequence"]) == (
        "update", "predictions", "AAPL", 1,
    )  # fmt: skip
    assert update["data"]["predictions"][0]["is_degraded"]


@pytest.mark.parametrize("query,headers", [("", ALICE), ("?account=alice", {})])
async def test_an_account_hears_its_own_executions(query: str, headers: dict[str, str]) -> None:
    gateway = make_gateway()
    feed(gateway, report(), report(account="bob"))
    async with (
        serving(gateway) as service,
        connect(url(service, query), additional_headers=headers) as client,
    ):
        await say(client, op="subscribe", channel="executions")
        snapshot = await hear(client)
        feed(gateway, report(account="bob", account_sequence=2, order_status=codes.FILLED))
        feed(gateway, report(account_sequence=2, order_status=codes.FILLED))
        update = await hear(client)
    assert [order["order_id"] for order in snapshot["data"]["orders"]] == ["AAPL-1"]
    assert (update["sequence"], update["data"]["account_sequence"]) == (1, 2)
    assert (update["data"]["kind"], update["data"]["status"]) == ("EXECUTION", "FILLED")


@pytest.mark.parametrize(
    "said,reason",
    [
        ("{", "INVALID_JSON"),
        ("[]", "INVALID_JSON"),
        ('{"op": NaN}', "INVALID_JSON"),
        ("[" * 2_000, "INVALID_JSON"),
        (b"\xff\xfe", "INVALID_JSON"),
        ("{}", "INVALID_FIELD"),
        ('{"op": "trade", "channel": "book"}', "INVALID_FIELD"),
        ('{"op": ["subscribe"], "channel": "book"}', "INVALID_FIELD"),
        ('{"op": "subscribe", "channel": "orders"}', "INVALID_FIELD"),
        ('{"op": "subscribe", "channel": {"a": 1}}', "INVALID_FIELD"),
        ('{"op": "subscribe", "channel": "book"}', "MISSING_FIELD"),
        ('{"op": "subscribe", "channel": "predictions"}', "MISSING_FIELD"),
        ('{"op": "subscribe", "channel": "predictions", "ticker": "NOPE"}', "UNKNOWN_TICKER"),
        ('{"op": "subscribe", "channel": "book", "ticker": 7}', "MISSING_FIELD"),
        ('{"op": "subscribe", "channel": "book", "ticker": "NOPE"}', "UNKNOWN_TICKER"),
        ('{"op": "subscribe", "channel": "book", "ticker": "AAPL", "depth": 3}', "UNKNOWN_FIELD"),
        ('{"op": "subscribe", "channel": "executions"}', "ACCOUNT_REQUIRED"),
        ('{"op": "subscribe", "channel": "executions", "ticker": "AAPL"}', "INVALID_FIELD"),
        ('{"op": "unsubscribe", "channel": "book", "ticker": "AAPL"}', "INVALID_FIELD"),
        (
            '{"op": "subscribe", "channel": "predictions", "ticker": "AAPL", "after": 1}',
            "INVALID_FIELD",
        ),
        (
            '{"op": "subscribe", "channel": "book", "ticker": "AAPL", "after": 1000000000}',
            "STARTING",
        ),
        (
            '{"op": "subscribe", "channel": "trades", "ticker": "AAPL", "after": -1}',
            "INVALID_FIELD",
        ),
        (
            '{"op": "subscribe", "channel": "trades", "ticker": "AAPL", "after": true}',
            "INVALID_FIELD",
        ),
        ('{"op": "subscribe", "channel": "trades", "ticker": "AAPL", "after": 9}', "STARTING"),
    ],
)
async def test_a_bad_message_is_answered_and_the_connection_stays(
    said: str | bytes, reason: str
) -> None:
    gateway = make_gateway()
    feed(gateway, book(), trade())
    async with serving(gateway) as service, connect(url(service)) as client:
        await client.send(said)
        error = await hear(client)
        assert (error["type"], error["reason"]) == ("error", reason)
        await say(client, op="subscribe", channel="book", ticker="AAPL")
        assert (await hear(client))["type"] == "snapshot"


async def test_a_client_subscribes_once_and_to_so_many_things() -> None:
    gateway = make_gateway(gateway_subscriptions_max=2)
    feed(gateway, book(), book("TSLA"))
    async with serving(gateway) as service, connect(url(service)) as client:
        for channel in ("book", "trades"):
            await say(client, op="subscribe", channel=channel, ticker="AAPL")
            assert (await hear(client))["type"] == "snapshot"
        await say(client, op="subscribe", channel="book", ticker="AAPL")
        assert (await hear(client))["reason"] == "INVALID_FIELD"
        await say(client, op="subscribe", channel="book", ticker="TSLA")
        assert (await hear(client))["reason"] == "OVERLOADED"
        await say(client, op="unsubscribe", channel="trades", ticker="AAPL")
        gone = await hear(client)
        assert gone == {"type": "unsubscribed", "channel": "trades", "ticker": "AAPL"}
        await say(client, op="subscribe", channel="book", ticker="TSLA")
        assert (await hear(client))["type"] == "snapshot"


async def test_nothing_is_heard_of_the_past_while_starting() -> None:
    gateway = make_gateway()
    feed(gateway, book())
    gateway.model._behind |= {BOOK.name, PREDICTIONS.name}
    async with serving(gateway) as service, connect(url(service)) as client:
        await say(client, op="subscribe", channel="trades", ticker="AAPL")
        assert (await hear(client))["reason"] == "STARTING"
        gateway.model.note_caught_up(BOOK.name)
        await say(client, op="subscribe", channel="predictions", ticker="AAPL")
        assert (await hear(client))["reason"] == "STARTING"


async def test_a_message_that_is_too_long_closes_the_connection() -> None:
    gateway = make_gateway(gateway_socket_message_bytes_max=128)
    async with serving(gateway) as service, connect(url(service)) as client:
        await client.send("x" * 129)
        code, _ = await hear_close(client)
    assert code == 1009


async def test_silence_is_broken_by_heartbeats() -> None:
    gateway = make_gateway(gateway_heartbeat_ms=10)
    async with serving(gateway) as service, connect(url(service)) as client:
        messages = [json.loads(await asyncio.wait_for(client.recv(), WAIT_S)) for _ in range(3)]
    assert [message["type"] for message in messages] == ["heartbeat"] * 3
    assert messages[0]["time_us"] <= messages[2]["time_us"]


@pytest.mark.parametrize(
    "query,headers,status,reason",
    [
        ("", {"Origin": "http://evil.example"}, 403, "WRONG_ORIGIN"),
        ("", {"Origin": "null"}, 403, "WRONG_ORIGIN"),
        ("?account=a%20b", {}, 400, "INVALID_PARAMETER"),
        ("?account=", {}, 400, "INVALID_PARAMETER"),
        ("?account=bob", ALICE, 400, "INVALID_PARAMETER"),
    ],
)
async def test_a_connection_that_may_not_be_is_refused_with_a_problem(
    query: str, headers: dict[str, str], status: int, reason: str
) -> None:
    gateway = make_gateway()
    async with serving(gateway) as service:
        with pytest.raises(InvalidStatus) as raised:
            async with connect(url(service, query), additional_headers=headers):
                pass
    response = raised.value.response
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    assert response.body is not None
    assert json.loads(response.body)["reason"] == reason


async def test_a_page_of_this_service_may_connect() -> None:
    gateway = make_gateway()
    async with serving(gateway) as service:
        origin = f"http://127.0.0.1:{service.port}"
        async with connect(url(service), additional_headers={"Origin": origin}) as client:
            await client.send("{}")
            assert (await hear(client))["type"] == "error"


async def test_only_so_many_connections_are_open_at_once() -> None:
    gateway = make_gateway(gateway_sockets_max=1)
    async with serving(gateway) as service:
        async with connect(url(service)) as first:
            await first.send("{}")
            await hear(first)
            with pytest.raises(InvalidStatus) as raised:
                async with connect(url(service)):
                    pass
        assert raised.value.response.status_code == 503
        assert raised.value.response.headers["retry-after"]
        await eventually(lambda: len(gateway.hub) == 0)
        async with connect(url(service)) as second:
            await second.send("{}")
            assert (await hear(second))["type"] == "error"


async def test_stopping_closes_every_connection_with_a_code() -> None:
    gateway = make_gateway()
    feed(gateway, book())
    async with serving(gateway) as service:
        clients = [await connect(url(service)) for _ in range(3)]
        for client in clients:
            await say(client, op="subscribe", channel="book", ticker="AAPL")
            await hear(client)
        service.stop()
        closes = [await hear_close(client) for client in clients]
    assert [code for code, _ in closes] == [SERVICE_RESTART] * 3
    assert all("connect again" in reason for _, reason in closes)
    exposition = gateway.telemetry.exposition().decode()
    assert f'{SOCKETS_CLOSED}{{code="{SERVICE_RESTART}"}} 3.0' in exposition


class LazyClient:
    """A client that asks for trades, and reads only when it is told to."""

    def __init__(self, port: int) -> None:
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        self.socket.setblocking(False)
        self._port = port

    async def __aenter__(self) -> Self:
        await self._begin()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.socket.close()

    async def _begin(self) -> None:
        loop = asyncio.get_running_loop()
        await loop.sock_connect(self.socket, ("127.0.0.1", self._port))
        await loop.sock_sendall(
            self.socket,
            b"GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
        )
        assert (await loop.sock_recv(self.socket, 4_096)).startswith(b"HTTP/1.1 101")
        said = json.dumps({"op": "subscribe", "channel": "trades", "ticker": "AAPL"}).encode()
        frame = struct.pack("!BB4s", 0x81, 0x80 | len(said), b"\0\0\0\0") + said
        await loop.sock_sendall(self.socket, frame)

    async def reads(self, wanted: bytes) -> bool:
        """Whether these bytes come before the connection ends."""
        loop = asyncio.get_running_loop()
        found = bytearray()
        async with asyncio.timeout(WAIT_S):
            while chunk := await loop.sock_recv(self.socket, 65_536):
                found += chunk
                if wanted in found:
                    return True
        return False


async def overflow(gateway: Gateway) -> None:
    """Trades until the buffers and the queue of the only client are full."""
    await eventually(lambda: ("trades", "AAPL") in gateway.hub._listeners)
    (session,) = gateway.hub._sessions
    number = 0
    async with asyncio.timeout(WAIT_S):
        while session.closing is None:
            feed(gateway, *[trade(number + i) for i in range(50)])
            number += 50
            await asyncio.sleep(0)
    assert session.closing.code == SLOW_CONSUMER


async def test_a_client_that_reads_too_slowly_is_closed_with_a_code() -> None:
    gateway = make_gateway(gateway_socket_queue_max=100)
    feed(gateway, book())
    async with serving(gateway) as service, LazyClient(service.port) as client:
        await overflow(gateway)
        assert await client.reads(struct.pack("!H", SLOW_CONSUMER) + b"more than 100 messages")
        client.socket.close()
        await eventually(lambda: len(gateway.hub) == 0)


async def test_a_client_that_never_reads_is_cut_off() -> None:
    gateway = make_gateway(gateway_socket_queue_max=100, gateway_socket_stall_ms=500)
    feed(gateway, book())
    async with serving(gateway) as service, LazyClient(service.port):
        await overflow(gateway)
        await eventually(lambda: len(gateway.hub) == 0)
    exposition = gateway.telemetry.exposition().decode()
    assert f'{SOCKETS_CLOSED}{{code="{SLOW_CONSUMER}"}} 1.0' in exposition


async def test_a_broken_session_ends_alone() -> None:
    gateway = make_gateway()
    feed(gateway, book())
    async with serving(gateway) as service, connect(url(service)) as well:
        await well.send("{}")
        await hear(well)
        (session,) = gateway.hub._sessions
        async with connect(url(service)) as broken:
            await broken.send("{}")
            await hear(broken)
            (victim,) = [other for other in gateway.hub._sessions if other is not session]
            victim.next_message = _explode  # type: ignore[method-assign]
            await broken.send("{}")
            with pytest.raises(ConnectionClosed):
                await asyncio.wait_for(broken.recv(), WAIT_S)
        await well.send("{}")
        assert (await hear(well))["type"] == "error"
        await eventually(lambda: list(gateway.hub._sessions) == [session])


def _explode() -> bytes | None:
    raise ZeroDivisionError("planted")

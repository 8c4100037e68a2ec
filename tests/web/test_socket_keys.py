"""Proving an account on the WebSocket, and frames that mean nothing."""

import asyncio
import json
import random
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from services.gateway.access import KEY_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER
from services.gateway.core.keys import SignedRequest, sign
from services.gateway.key_ring import KeyRing
from services.gateway.parts import Gateway
from services.gateway.problems import KINDS
from services.gateway.session import KEY_ENDED, TRY_AGAIN_LATER
from services.gateway.settings import GatewaySettings
from services.gateway.socket_orders import OPS
from services.gateway.sockets import CHANNELS
from tests.support.gateway_keys import (
    ALICE,
    ALICE_SIGNS,
    ALICE_TRADES,
    BOB,
    REVOKED,
    Clock,
    MemoryKeys,
    Owner,
    make_owner,
    make_ring,
)
from tests.support.gateway_memory import (
    ORDER,
    book,
    eventually,
    feed,
    make_gateway,
    report,
    serving,
)

WAIT_S: Final = 20
EXECUTIONS: Final = {"op": "subscribe", "channel": "executions"}


async def make_keyed(ring: KeyRing | None = None, **changes: Any) -> Gateway:  # noqa: ANN401
    gateway = make_gateway(ring=ring or await make_ring(), gateway_access="keys", **changes)
    feed(gateway, book(), report())
    return gateway


@asynccontextmanager
async def client_of(
    gateway: Gateway, headers: dict[str, str] | None = None, query: str = ""
) -> AsyncIterator[ClientConnection]:
    async with serving(gateway) as service:
        url = f"ws://127.0.0.1:{service.port}/ws{query}"
        async with connect(url, additional_headers=headers or {}) as client:
            yield client


async def ask(client: ClientConnection, message: object) -> dict[str, Any]:
    """The answer to one message."""
    await client.send(message if isinstance(message, str | bytes) else json.dumps(message))
    answer: dict[str, Any] = json.loads(await asyncio.wait_for(client.recv(), WAIT_S))
    return answer


def signed_message(owner: Owner, timestamp_ms: int | None = None) -> dict[str, Any]:
    now_ms = time.time_ns() // 1_000_000 if timestamp_ms is None else timestamp_ms
    signature = sign(owner.signing, SignedRequest(str(now_ms), "WS", "/ws", "", "", b""))
    return {
        "op": "authenticate", "key_id": owner.kept.key_id, "timestamp_ms": now_ms,
        "signature": signature,
    }  # fmt: skip


async def test_a_first_message_proves_an_account() -> None:
    async with client_of(await make_keyed()) as client:
        assert (await ask(client, EXECUTIONS))["reason"] == "KEY_REQUIRED"
        said = await ask(client, {"op": "authenticate", "key": ALICE.key})
        assert said == {"type": "authenticated", "account": "alice", "scopes": ["read", "trade"]}
        heard = await ask(client, EXECUTIONS)
        assert [order["order_id"] for order in heard["data"]["orders"]] == ["AAPL-1"]
        again = await ask(client, {"op": "authenticate", "key": BOB.key})
        assert again["reason"] == "INVALID_FIELD"


async def test_a_signed_message_and_a_signed_handshake_prove_it_once_each() -> None:
    gateway = await make_keyed()
    message, headers = signed_message(ALICE_SIGNS), ALICE_SIGNS.signed("GET", "/ws")
    async with serving(gateway) as service:
        url = f"ws://127.0.0.1:{service.port}/ws"
        async with connect(url) as client:
            assert (await ask(client, message))["account"] == "alice"
        async with connect(url) as client:
            assert (await ask(client, message))["reason"] == "SIGNATURE_REUSED"
        async with connect(url, additional_headers=headers) as client:
            assert (await ask(client, EXECUTIONS))["type"] == "snapshot"
        with pytest.raises(InvalidStatus) as refused:
            async with connect(url, additional_headers=headers):
                pass
    assert json.loads(refused.value.response.body or b"")["reason"] == "SIGNATURE_REUSED"


# Made when they are sent: what was signed at collection would be too old on a slow machine.
@pytest.mark.parametrize(
    "message,reason",
    [
        (lambda: {"op": "authenticate"}, "INVALID_FIELD"),
        (lambda: {"op": "authenticate", "key": None}, "KEY_REFUSED"),
        (lambda: {"op": "authenticate", "key": [ALICE.key]}, "KEY_REFUSED"),
        (lambda: {"op": "authenticate", "key": ALICE.key[:-1] + "x"}, "KEY_REFUSED"),
        (lambda: {"op": "authenticate", "key": REVOKED.key}, "KEY_REFUSED"),
        (lambda: {"op": "authenticate", "key": ALICE_SIGNS.key}, "KEY_REFUSED"),
        (lambda: {"op": "authenticate", "key": ALICE.key, "account": "bob"}, "INVALID_FIELD"),
        (lambda: signed_message(ALICE) | {"key": ALICE.key}, "INVALID_FIELD"),
        (lambda: signed_message(ALICE) | {"key_id": BOB.kept.key_id}, "KEY_REFUSED"),
        (lambda: signed_message(ALICE) | {"timestamp_ms": True}, "INVALID_PARAMETER"),
        (lambda: signed_message(ALICE) | {"timestamp_ms": 1e18}, "INVALID_PARAMETER"),
        (lambda: signed_message(ALICE) | {"signature": "é" * 64}, "INVALID_PARAMETER"),
        (lambda: signed_message(ALICE, timestamp_ms=1), "SIGNATURE_STALE"),
    ],
)
async def test_credentials_that_do_not_do_are_told_so_and_the_connection_stays(
    message: Callable[[], dict[str, Any]], reason: str
) -> None:
    async with client_of(await make_keyed()) as client:
        answer = await ask(client, message())
        assert (answer["type"], answer["reason"]) == ("error", reason)
        assert ALICE.key[-43:] not in json.dumps(answer)
        assert (await ask(client, {"op": "authenticate", "key": ALICE.key}))["account"] == "alice"


async def test_a_key_that_is_not_for_reading_hears_no_executions() -> None:
    async with client_of(await make_keyed(), ALICE_TRADES.bearer) as client:
        assert (await ask(client, EXECUTIONS))["reason"] == "SCOPE_REQUIRED"


@pytest.mark.parametrize(
    "query,headers,status,reason",
    [
        (f"?key={ALICE.key}", dict, 400, "INVALID_PARAMETER"),
        ("?account=alice", dict, 401, "KEY_REQUIRED"),
        ("", lambda: {"X-Outcry-Account": "alice"}, 401, "KEY_REQUIRED"),
        ("?account=alice", lambda: BOB.bearer, 403, "WRONG_ACCOUNT"),
        ("", lambda: BOB.bearer | BOB.signed("GET", "/ws"), 400, "INVALID_PARAMETER"),
        ("", lambda: {KEY_HEADER: "x", TIMESTAMP_HEADER: "1", SIGNATURE_HEADER: "y"}, 400,
         "INVALID_PARAMETER"),
        ("?a=b", lambda: ALICE.signed("GET", "/ws"), 401, "KEY_REFUSED"),
    ],
)  # fmt: skip
async def test_a_handshake_that_proves_nothing_is_refused(
    query: str, headers: Callable[[], dict[str, str]], status: int, reason: str
) -> None:
    with pytest.raises(InvalidStatus) as refused:
        async with client_of(await make_keyed(), headers(), query):
            pass
    response = refused.value.response
    body = response.body or b""
    assert (response.status_code, json.loads(body)["reason"]) == (status, reason)
    assert ALICE.key[-43:].encode() not in body
    assert ("www-authenticate" in response.headers) == (status == 401)


async def test_a_socket_is_closed_when_its_key_is_revoked_and_others_stay() -> None:
    source = MemoryKeys()
    ring = await make_ring(source)
    gateway = await make_keyed(ring)
    async with serving(gateway) as service:
        url = f"ws://127.0.0.1:{service.port}/ws"
        async with (
            connect(url, additional_headers=ALICE.bearer) as alice,
            connect(url, additional_headers=BOB.bearer) as bob,
            connect(url) as nobody,
        ):
            await asyncio.gather(*(ask(client, "{}") for client in (alice, bob, nobody)))
            source.revoke(ALICE)
            await ring.refresh()
            gateway.entry.close_ended()
            await asyncio.wait_for(alice.wait_closed(), WAIT_S)
            assert alice.close_code == KEY_ENDED
            for client in (bob, nobody):
                assert (await ask(client, "{}"))["type"] == "error"


@pytest.mark.parametrize(
    "later_s,is_away,code", [(5, False, KEY_ENDED), (61, True, TRY_AGAIN_LATER)]
)
async def test_sockets_are_closed_when_time_ends_their_keys(
    later_s: int, code: int, *, is_away: bool
) -> None:
    clock = Clock()
    brief = make_owner(1, "alice", "read", expires_at_us=clock.wall_us() + 5_000_000)
    source = MemoryKeys([brief])
    ring = await make_ring(source, clock)
    gateway = await make_keyed(ring)
    async with client_of(gateway, brief.bearer) as client:
        await ask(client, "{}")
        gateway.entry.close_ended()
        await ask(client, "{}")
        clock.seconds += later_s
        source.is_away = is_away
        await ring.refresh()
        gateway.entry.close_ended()
        await asyncio.wait_for(client.wait_closed(), WAIT_S)
    assert client.close_code == code


async def test_an_address_may_open_so_many_sockets_and_say_so_much() -> None:
    gateway = await make_keyed(
        gateway_sockets_of_address_max=1, gateway_rate_of_address_max=3, gateway_rate_window_s=3_600
    )
    async with serving(gateway) as service:
        url = f"ws://127.0.0.1:{service.port}/ws"
        async with connect(url) as client:
            assert (await ask(client, "{}"))["reason"] == "INVALID_FIELD"
            with pytest.raises(InvalidStatus) as refused:
                async with connect(url):
                    pass
            assert refused.value.response.status_code == 503
            assert (await ask(client, "{}"))["reason"] == "RATE_LIMITED"
        await eventually(lambda: len(gateway.hub) == 0)
        with pytest.raises(InvalidStatus) as refused:
            async with connect(url):
                pass
        assert refused.value.response.status_code == 429


async def test_what_a_key_says_is_counted_together_wherever_it_is_said_from() -> None:
    gateway = await make_keyed(gateway_rate_of_key_max=4, gateway_rate_window_s=3_600)
    async with serving(gateway) as service:
        url = f"ws://127.0.0.1:{service.port}/ws"
        async with (
            connect(url, additional_headers=ALICE.bearer) as here,
            connect(url, local_addr=("127.0.0.2", 0)) as there,
        ):
            said = await ask(there, {"op": "authenticate", "key": ALICE.key})
            assert said["type"] == "authenticated"
            for client in (here, there):
                assert (await ask(client, "{}"))["reason"] == "INVALID_FIELD"
            for client in (here, there):
                refused = await ask(client, EXECUTIONS)
                assert (refused["reason"], "of one key" in refused["detail"]) == (
                    "RATE_LIMITED", True,
                )  # fmt: skip
        async with connect(url, additional_headers=BOB.bearer) as another:
            assert (await ask(another, EXECUTIONS))["type"] == "snapshot"


async def test_no_one_address_takes_every_place_as_shipped() -> None:
    fields = GatewaySettings.model_fields
    of_address = fields["gateway_sockets_of_address_max"].default
    assert 2 * of_address <= fields["gateway_sockets_max"].default
    assert fields["gateway_sockets_max"].default < fields["gateway_connections_max"].default


KINDS_SAID: Final = {
    "error", "snapshot", "resumed", "resync", "update", "unsubscribed", "authenticated",
    "heartbeat", "taken", "cancel_on_disconnect",
}  # fmt: skip


def junk(seed: int) -> str | bytes:
    """A frame that is like those of the protocol, but for what a seed has changed in it."""
    draw = random.Random(seed)
    members: dict[str, Any] = {
        "op": draw.choice(
            ["subscribe", "unsubscribe", "authenticate", *OPS, "", None, 1, "x" * 99]
        ),
        "channel": draw.choice([*CHANNELS, "x", 7, [], {}, None]),
        "ticker": draw.choice([*["AAPL"] * 4, "", "é", "\x00", 1.5, {"a": {}}, "x" * 500]),
        "key": draw.choice([ALICE.key, "", None, 1, "outcry_", {"a": 1}]),
        "key_id": draw.choice(["0" * 16, 0, None]),
        "timestamp_ms": draw.choice([0, -1, 2**63, 1.5, "1", None, True]),
        "signature": draw.choice(["0" * 64, "", 1]),
        "id": draw.choice(["q-1", "q-2", "q-3", "", "é", 1, None, "x" * 99]),
        "body": draw.choice(
            [ORDER, ORDER, ORDER, ORDER | {"price": 1}, {"client_command_id": "c-1"}, {}, [], 1]
        ),
        "order_id": draw.choice(["AAPL-1", "", 1, None, "x" * 99]),
        "after": draw.choice([0, -1, 2**63, 1.5, "1", None, True]),
        "enabled": draw.choice([True, False, 1, "true", None]),
    }
    some = draw.sample(sorted(members), draw.randint(0, len(members)))
    op, whole = draw.choice([
        ("subscribe", ["channel", "ticker"]), ("subscribe", ["channel", "ticker", "after"]),
        ("authenticate", ["key"]), ("cancel_on_disconnect", ["enabled"]), ("place", ["id", "body"]),
        ("cancel", ["id", "body", "order_id"]),
    ])  # fmt: skip
    kept = some
    if draw.random() < 0.8:
        members["op"], kept = draw.choice([op, members["op"]]), ["op", *whole]
    text = json.dumps({name: members[name] for name in kept})
    match draw.randint(0, 9):
        case 0:
            at = draw.randrange(len(text))
            return text[:at] + chr(draw.randrange(0x20, 0x3000)) + text[at + 1 :]
        case 1:
            return draw.randbytes(draw.randint(0, 200))
        case 2:
            return text[: draw.randrange(len(text) + 1)]
        case 3:
            return draw.choice(["[" * 900, "null", "1e999", '"x"', "", "{}{}", '{"a":' * 300])
        case _:
            return text


async def test_whatever_is_said_is_answered_with_a_code_and_breaks_nothing() -> None:
    """2,000 frames, some well-formed; nothing but the protocol's own answers comes back."""
    gateway = await make_keyed(gateway_socket_queue_max=10_000)
    kinds: set[str] = set()
    reasons: set[str] = set()
    async with client_of(gateway, ALICE.bearer) as client:
        for seed in range(2_000):
            answer = await ask(client, junk(seed))
            kinds.add(answer["type"])
            if answer["type"] == "error":
                reasons.add(answer["reason"])
                assert ALICE.key[-43:] not in json.dumps(answer)
        assert (await ask(client, "{"))["reason"] == "INVALID_JSON"
    assert kinds <= KINDS_SAID
    assert {"taken", "cancel_on_disconnect", "snapshot", "error"} <= kinds
    assert reasons <= set(KINDS)
    assert {"INVALID_JSON", "INVALID_FIELD", "UNKNOWN_FIELD", "UNKNOWN_TICKER"} <= reasons


@pytest.mark.parametrize(
    "frame,code",
    [
        (b"\x81\x05hello", 1002),  # not masked
        (b"\x83\x80\0\0\0\0", 1002),  # an opcode that is not one
        (b"\xf1\x80\0\0\0\0", 1002),  # reserved bits
        (b"\x09\x80\0\0\0\0", 1002),  # a ping in pieces
        (b"\x89\xfe\x00\x7e\0\0\0\0" + b"x" * 126, 1002),  # a ping too long
        (b"\x80\x80\0\0\0\0", 1002),  # goes on with nothing
        (b"\x81\x82\0\0\0\0\xff\xfe", 1007),  # text that is not UTF-8
        (b"\x81\xff\x7f\xff\xff\xff\xff\xff\xff\xff\0\0\0\0", 1009),  # says it is endless
        (b"\x88\x81\0\0\0\0\x03", 1002),  # closes with half a code
    ],
)
async def test_a_frame_against_the_protocol_closes_its_own_connection_with_a_code(
    frame: bytes, code: int
) -> None:
    gateway = await make_keyed()
    async with client_of(gateway) as bystander:
        await ask(bystander, "{}")
        port = bystander.remote_address[1]
        async with connect(f"ws://127.0.0.1:{port}/ws") as client:
            client.transport.write(frame)
            with pytest.raises(ConnectionClosed):
                await asyncio.wait_for(client.recv(), WAIT_S)
        assert client.close_code == code
        await eventually(lambda: len(gateway.hub) == 1)
        assert (await ask(bystander, "{}"))["type"] == "error"

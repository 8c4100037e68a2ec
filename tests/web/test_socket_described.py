"""Every kind of message of the WebSocket, really sent, beside what AsyncAPI says of it."""

import asyncio
import json
from typing import Any, Final

import pytest
from jsonschema_rs import Draft202012Validator
from websockets.asyncio.client import ClientConnection, connect

from services.domain.ids import make_order_id
from services.gateway.asyncapi import SOCKET, describe_messages
from services.gateway.parts import Gateway
from services.gateway.ports import OutcomeUnknownError
from services.gateway.session import OWN
from services.gateway.sockets import CHANNELS, RESUMABLE
from tests.support.gateway_keys import ALICE, make_ring
from tests.support.gateway_memory import (
    ORDER,
    MemoryCommandLog,
    book,
    feed,
    feed_model,
    make_gateway,
    origin,
    prediction,
    report,
    serving,
    trade,
)

WAIT_S: Final = 20
DOCUMENT: Final = describe_messages()
MESSAGES: Final = DOCUMENT["components"]["messages"]
NAMES: Final = {
    name.removeprefix(f"{SOCKET}-") for name in MESSAGES if name.startswith(f"{SOCKET}-")
}
PLACE: Final = {"op": "place", "id": "q-1", "body": ORDER}
ORDER_ID: Final = make_order_id("alice", "a-1", "AAPL")
FOLLOW_UPS: Final[list[dict[str, Any]]] = [
    {"op": "cancel", "id": "q-2", "order_id": ORDER_ID, "body": {"client_command_id": "c-1"}},
    {"op": "reduce", "id": "q-3", "order_id": ORDER_ID,
     "body": {"client_command_id": "c-2", "quantity": 5}},
    {"op": "replace", "id": "q-4", "order_id": ORDER_ID,
     "body": {"client_command_id": "c-3", "quantity": 5, "price": "1.00"}},
    {"op": "cancel_all", "id": "q-5", "body": {"client_command_id": "c-4"}},
]  # fmt: skip


def faults_of(name: str, message: dict[str, Any]) -> list[str]:
    """What of a message is not as the document says."""
    schema = MESSAGES[f"{SOCKET}-{name}"]["payload"] | {"components": DOCUMENT["components"]}
    return [error.message for error in Draft202012Validator(schema).iter_errors(message)]


def name_of_said(message: dict[str, Any]) -> str:
    """Under which name the document has what the gateway said."""
    if message["type"] == "cancel_on_disconnect":
        return "cancels-on-disconnect"
    is_data = "data" in message
    return f"{message['channel']}-{message['type']}" if is_data else str(message["type"])


def name_of_asked(message: dict[str, Any]) -> str:
    """Under which name the document has what the client said."""
    names = {"subscribe": "request", "unsubscribe": "request", "authenticate": "authenticate",
             "cancel_on_disconnect": "cancel-on-disconnect"}  # fmt: skip
    return names.get(message["op"], "command")


class Talk:
    """A client that keeps whatever was said either way, under its name in the document."""

    def __init__(self, client: ClientConnection) -> None:
        self._client = client
        self.kept: list[tuple[str, dict[str, Any]]] = []

    async def ask(self, message: dict[str, Any], *, is_good: bool = True) -> None:
        if is_good:
            self.kept.append((name_of_asked(message), message))
        await self._client.send(json.dumps(message))

    async def hear(self, name: str) -> None:
        """Until a message of this name has come."""
        while True:
            message = json.loads(await asyncio.wait_for(self._client.recv(), WAIT_S))
            self.kept.append((name_of_said(message), message))
            if self.kept[-1][0] == name:
                return

    async def expect(self, name: str, message: dict[str, Any], *, is_good: bool = True) -> None:
        await self.ask(message, is_good=is_good)
        await self.hear(name)


def move(gateway: Gateway, number: int) -> None:
    """One more of everything."""
    feed_model(gateway.model, trade(number), origin(7 + number, number))
    feed(gateway, book(quantity=number), report(account_sequence=number, order_id=ORDER_ID))
    feed(gateway, prediction(model_version=number))


async def hear_every_channel(gateway: Gateway, talk: Talk) -> None:
    for channel in CHANNELS:
        ticker = {} if channel in OWN else {"ticker": "AAPL"}
        asked = {"channel": channel, **ticker}
        await talk.expect(f"{channel}-snapshot", {"op": "subscribe", **asked})
        newest = gateway.hub.newest_number(("trades", "AAPL"))
        assert newest is not None
        move(gateway, newest + 1)
        await talk.hear(f"{channel}-update")
        await talk.expect("unsubscribed", {"op": "unsubscribe", **asked})
        if channel not in RESUMABLE:
            continue
        key = (channel, "alice" if channel in OWN else "AAPL")
        newest = gateway.hub.newest_number(key)
        for kind, after in (("resumed", newest), ("resync", 0)):
            await talk.expect(f"{channel}-{kind}", {"op": "subscribe", **asked, "after": after})
            await talk.expect("unsubscribed", {"op": "unsubscribe", **asked})


async def give_every_command(log: MemoryCommandLog, talk: Talk) -> None:
    await talk.expect("cancels-on-disconnect", {"op": "cancel_on_disconnect", "enabled": True})
    await talk.expect("cancels-on-disconnect", {"op": "cancel_on_disconnect", "enabled": False})
    for command in (PLACE, *FOLLOW_UPS):
        await talk.expect("taken", command)
    log.failure = OutcomeUnknownError("planted")
    for command in (PLACE, *FOLLOW_UPS):
        await talk.expect("error", command)
    await talk.expect("error", PLACE | {"body": {**ORDER, "price": 1.5}}, is_good=False)
    nobody = {"op": "subscribe", "channel": "book", "ticker": "NOPE"}
    await talk.expect("error", nobody)
    await talk.expect("error", {}, is_good=False)


async def test_whatever_passes_over_the_websocket_is_as_asyncapi_says() -> None:
    log = MemoryCommandLog()
    gateway = make_gateway(
        log, ring=await make_ring(), gateway_access="keys", gateway_heartbeat_ms=20,
        gateway_resumable=2,
    )  # fmt: skip
    for number in range(1, 5):
        move(gateway, number)
    async with (
        serving(gateway) as service,
        connect(f"ws://127.0.0.1:{service.port}/ws") as client,
    ):
        talk = Talk(client)
        await talk.hear("heartbeat")
        await talk.expect("authenticated", {"op": "authenticate", "key": ALICE.key})
        await hear_every_channel(gateway, talk)
        await give_every_command(log, talk)
    assert {name for name, _ in talk.kept} == NAMES
    for name, message in talk.kept:
        assert faults_of(name, message) == [], (name, message)
    unknown = [said for name, said in talk.kept if said.get("reason") == "OUTCOME_UNKNOWN"]
    assert {"client_order_id", "client_command_id", "order_id"} <= set().union(*unknown)


@pytest.mark.parametrize(
    "name,message",
    [
        ("command", PLACE | {"body": {"client_order_id": "a-1"}}),
        ("command", PLACE | {"body": {**ORDER, "color": "red"}}),
        ("command", PLACE | {"body": {k: v for k, v in ORDER.items() if k != "client_order_id"}}),
        ("command", PLACE | {"order_id": ORDER_ID}),
        ("command", {k: v for k, v in FOLLOW_UPS[0].items() if k != "order_id"}),
        ("command", FOLLOW_UPS[3] | {"op": "cancel_some"}),
        ("error", {"type": "error", "reason": "STARTING", "detail": "", "color": "red"}),
        ("error", {"type": "error", "reason": "INVALID_FIELD", "detail": "", "errors": [{}]}),
    ],
)
def test_a_message_that_is_not_as_asyncapi_says_is_found(
    name: str, message: dict[str, Any]
) -> None:
    assert faults_of(name, message)

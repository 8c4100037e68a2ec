"""The client's streams, blocking and not, against a gateway in memory; breaks are planted."""

import asyncio
import inspect
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any, Final

import pytest

from services.client import (
    AsyncClient,
    AsyncStream,
    Client,
    CommandRefused,
    CommandTaken,
    CommandUnknown,
    EndedError,
    Execution,
    LiveOrders,
    NewOrder,
    Reconnected,
    Refused,
    RefusedError,
    SigningKey,
    Since,
    Stream,
    Told,
    UnreachableError,
)
from services.client.messages import AccountState
from services.client.talk import Talk
from services.domain import codes
from services.domain.ids import make_order_id
from services.gateway import models
from services.gateway.parts import Gateway
from services.gateway.service import Service
from services.gateway.session import KEY_ENDED, SERVICE_RESTART
from tests.support.gateway_keys import ALICE, ALICE_SIGNS, REVOKED, make_ring
from tests.support.gateway_memory import (
    MemoryCommandLog,
    book,
    eventually,
    feed,
    feed_model,
    make_gateway,
    origin,
    report,
    serving,
    trade,
)

WAIT_S: Final = 60.0
ORDER: Final = NewOrder("AAPL", "BUY", 100, "187.25", client_order_id="a-1")
ORDER_ID: Final = make_order_id("alice", "a-1", "AAPL")
KINDS = pytest.mark.parametrize("is_async", [False, True])
type Ask = Callable[..., Any]


@asynccontextmanager
async def stream(
    service: Service,
    *,
    is_async: bool,
    tries: int = 20,
    **options: Any,  # noqa: ANN401
) -> AsyncIterator[Ask]:
    """What to await for the call of this name, of either stream."""
    url = f"http://127.0.0.1:{service.port}"
    named = options if "key" in options else {"account": "alice"} | options
    if is_async:
        async with AsyncClient(url, **named) as client, client.stream(tries=tries) as either:
            yield lambda name, *given, **more: getattr(either, name)(*given, **more)
        return
    with Client(url, **named) as blocking_client:
        blocking = blocking_client.stream(tries=tries)
        await asyncio.to_thread(blocking.__enter__)
        try:
            yield lambda name, *given, **more: asyncio.to_thread(
                getattr(blocking, name), *given, **more
            )
        finally:
            await asyncio.to_thread(blocking.close)


def feed_trades(gateway: Gateway, *numbers: int) -> None:
    for number in numbers:
        feed_model(gateway.model, trade(number), origin(sequence=number))


def drop_all(gateway: Gateway, code: int = SERVICE_RESTART) -> None:
    gateway.hub.close_all(code, "planted")


@KINDS
async def test_every_channel_comes_as_typed_messages(*, is_async: bool) -> None:
    gateway = make_gateway()
    feed(gateway, book(), report(order_id=ORDER_ID))
    feed_trades(gateway, 1)
    async with serving(gateway) as service, stream(service, is_async=is_async) as ask:
        found: dict[str, Told] = {}
        for channel in ("book", "trades", "predictions"):
            await ask("subscribe", channel, "AAPL")
            found[channel] = await ask("receive", WAIT_S)
        for channel in ("executions", "positions"):
            await ask("subscribe", channel)
            found[channel] = await ask("receive", WAIT_S)
        feed_trades(gateway, 2)
        traded = await ask("receive", WAIT_S)
        await ask("unsubscribe", "positions")
        feed(gateway, report(account_sequence=2, order_id=ORDER_ID, order_status=codes.FILLED))
        reported = await ask("receive", WAIT_S)
        assert await ask("receive", 0.01) is None
    assert found["book"].value["bids"][0]["price"] == "187.25"
    assert [one.trade_id for one in found["trades"].value.trades] == ["AAPL-7-1"]
    assert (traded.kind, traded.sequence, traded.value.price) == ("update", 1, Decimal("187.25"))
    assert found["predictions"].value == {"predictions": []}
    assert found["executions"].value.orders[0].order_id == ORDER_ID
    assert found["positions"].value.account == "alice"
    assert (type(reported.value), reported.value.status) == (Execution, "FILLED")


@KINDS
async def test_after_a_break_a_stream_goes_on_where_it_was_and_says_that_it_broke(
    *, is_async: bool
) -> None:
    gateway = make_gateway()
    feed(gateway, book(), report())
    feed_trades(gateway, 1)
    async with serving(gateway) as service, stream(service, is_async=is_async) as ask:
        await ask("subscribe", "trades", "AAPL")
        await ask("subscribe", "executions")
        assert [(await ask("receive", WAIT_S)).kind for _ in range(2)] == ["snapshot"] * 2
        drop_all(gateway)
        await eventually(lambda: len(gateway.hub) == 0)
        feed_trades(gateway, 2, 3)
        feed(gateway, report(account_sequence=2, order_status=codes.FILLED))
        heard = [await ask("receive", WAIT_S) for _ in range(6)]
    broke, told = heard[0], heard[1:]
    assert isinstance(broke, Reconnected)
    assert "1012" in broke.cause
    trades = [one for one in told if one.channel == "trades"]
    assert [one.kind for one in trades] == ["resumed", "update", "update"]
    assert trades[0].value == Since(1)
    assert [one.value.trade_sequence for one in trades[1:]] == [2, 3]
    executions = [one for one in told if one.channel == "executions"]
    assert [one.kind for one in executions] == ["resumed", "update"]
    assert executions[1].value.account_sequence == 2


@KINDS
async def test_what_can_not_be_heard_any_more_is_said_as_a_resync(*, is_async: bool) -> None:
    gateway = make_gateway(gateway_resumable=2)
    feed(gateway, book())
    feed_trades(gateway, 1)
    async with serving(gateway) as service, stream(service, is_async=is_async) as ask:
        await ask("subscribe", "trades", "AAPL")
        await ask("receive", WAIT_S)
        drop_all(gateway)
        await eventually(lambda: len(gateway.hub) == 0)
        feed_trades(gateway, *range(2, 9))
        assert isinstance(await ask("receive", WAIT_S), Reconnected)
        resync = await ask("receive", WAIT_S)
        feed_trades(gateway, 9)
        after = await ask("receive", WAIT_S)
    assert (resync.kind, resync.value.trades[-1].trade_sequence) == ("resync", 8)
    assert (after.kind, after.value.trade_sequence) == ("update", 9)


@KINDS
async def test_a_gateway_that_has_not_read_so_far_is_asked_again(*, is_async: bool) -> None:
    gateway = make_gateway()
    feed(gateway, book())
    feed_trades(gateway, 1)
    async with serving(gateway) as service, stream(service, is_async=is_async) as ask:
        await ask("subscribe", "trades", "AAPL", after=2)
        assert await ask("receive", 0.1) is None
        feed_trades(gateway, 2, 3)
        resumed, missed = [await ask("receive", WAIT_S) for _ in range(2)]
    assert (resumed.kind, resumed.value) == ("resumed", Since(2))
    assert missed.value.trade_sequence == 3


@KINDS
async def test_commands_are_answered_by_their_id_and_refusals_by_their_reason(
    *, is_async: bool
) -> None:
    log = MemoryCommandLog()
    gateway = make_gateway(log)
    feed(gateway, book())
    async with serving(gateway) as service, stream(service, is_async=is_async) as ask:
        for name, given in (
            ("place", (ORDER,)), ("cancel", (ORDER_ID,)), ("reduce", (ORDER_ID, 5)),
            ("replace", (ORDER_ID, "1.00", 5)), ("cancel_all", ("AAPL",)),
        ):  # fmt: skip
            asked = await ask(name, *given)
            taken = await ask("receive", WAIT_S)
            assert isinstance(taken, CommandTaken)
            assert taken.id == asked
            assert taken.order_id == (None if name == "cancel_all" else ORDER_ID)
        wrong = await ask("place", NewOrder("AAPL", "BUY", -1, "1.00"))
        refused = await ask("receive", WAIT_S)
        await ask("subscribe", "book", "IBM")
        unknown = await ask("receive", WAIT_S)
    assert isinstance(refused, CommandRefused)
    assert (refused.id, refused.reason) == (wrong, "INVALID_QUANTITY")
    assert unknown == Refused(unknown.reason, unknown.detail, "book", "IBM")
    assert unknown.reason == "UNKNOWN_TICKER"
    assert [type(command).__name__ for command in log.commands()] == [
        "PlaceOrder", "CancelOrder", "ReduceOrder", "ReplaceOrder", "CancelAll",
    ]  # fmt: skip


@KINDS
async def test_a_command_whose_answer_went_with_the_connection_is_said_to_be_unknown(
    *, is_async: bool
) -> None:
    log = MemoryCommandLog()
    gateway = make_gateway(log)
    log.open.clear()
    async with serving(gateway) as service, stream(service, is_async=is_async) as ask:
        asked = await ask("place", ORDER)
        await eventually(lambda: any(one.commands_under_way for one in gateway.hub.sessions))
        drop_all(gateway)
        assert await ask("receive", WAIT_S) == CommandUnknown(asked, "a-1")
        log.open.set()
        assert isinstance(await ask("receive", WAIT_S), Reconnected)


@KINDS
async def test_cancel_on_disconnect_is_asked_for_again_after_a_break(*, is_async: bool) -> None:
    gateway = make_gateway()
    async with serving(gateway) as service, stream(service, is_async=is_async) as ask:
        await ask("cancel_on_disconnect")
        await eventually(lambda: any(one.cancels_on_disconnect for one in gateway.hub.sessions))
        drop_all(gateway)
        assert isinstance(await ask("receive", WAIT_S), Reconnected)
        await eventually(lambda: any(one.cancels_on_disconnect for one in gateway.hub.sessions))
        assert [one.account for one in gateway.hub.sessions] == ["alice"]


@pytest.mark.parametrize(
    "key", [ALICE.key, SigningKey(ALICE_SIGNS.kept.key_id, ALICE_SIGNS.signing)]
)
@KINDS
async def test_a_key_opens_ones_own_executions_and_a_break_is_survived_with_it(
    key: str | SigningKey, *, is_async: bool
) -> None:
    gateway = make_gateway(ring=await make_ring(), gateway_access="keys")
    feed(gateway, report())
    async with serving(gateway) as service, stream(service, is_async=is_async, key=key) as ask:
        await ask("subscribe", "executions")
        assert isinstance((await ask("receive", WAIT_S)).value, LiveOrders)
        drop_all(gateway)
        assert isinstance(await ask("receive", WAIT_S), Reconnected)
        assert (await ask("receive", WAIT_S)).value == Since(1)


@KINDS
async def test_a_key_that_counts_no_more_ends_a_stream_at_once(*, is_async: bool) -> None:
    gateway = make_gateway(ring=await make_ring(), gateway_access="keys")
    async with serving(gateway) as service:
        async with stream(service, is_async=is_async, key=ALICE.key) as ask:
            drop_all(gateway, KEY_ENDED)
            with pytest.raises(EndedError, match="4003"):
                await ask("receive", WAIT_S)
        with pytest.raises(RefusedError) as raised:
            async with stream(service, is_async=is_async, key=REVOKED.key):
                pytest.fail("it was let in")
    assert raised.value.reason == "KEY_REFUSED"


@KINDS
async def test_a_gateway_that_stays_away_is_said_after_the_last_try(*, is_async: bool) -> None:
    async with serving(make_gateway()) as service:
        pass
    with pytest.raises(UnreachableError):
        async with stream(service, is_async=is_async, tries=2):
            pytest.fail("somebody answered")


def test_both_streams_have_the_same_calls() -> None:
    def calls(cls: type) -> dict[str, str]:
        return {
            name: str(inspect.signature(function).replace(return_annotation=None))
            for name, function in vars(cls).items()
            if inspect.isfunction(function) and not name.startswith("_")
        }

    assert calls(Stream) == calls(AsyncStream)


@pytest.mark.parametrize(
    "answer,model", [(Execution, models.Execution), (AccountState, models.Account)]
)
def test_a_stream_reads_every_field_of_a_report(
    answer: Any,  # noqa: ANN401
    model: Any,  # noqa: ANN401
) -> None:
    assert set(answer.__struct_fields__) | {"kind"} == set(model.model_fields)


def told(kind: str, sequence: int, number: int) -> bytes:
    """What a gateway says of a trade, or of the trades so far."""
    one = {"trade_id": "t", "ticker": "AAPL", "price": "1.00", "quantity": 1,
           "aggressor_side": None, "trade_sequence": number, "traded_at_us": 1}  # fmt: skip
    data = one if kind == "update" else {"trades": [one]}
    head = {"type": kind, "channel": "trades", "ticker": "AAPL", "sequence": sequence}
    return json.dumps(head | {"data": data}).encode()


def test_a_missing_message_is_found_and_heard_after_the_stream_connected_again() -> None:
    talk = Talk(tries=3)
    talk.connected()
    talk.subscribe("trades", "AAPL", None)
    talk.hear(told("snapshot", 0, 4), 0.0)
    with pytest.raises(UnreachableError, match="in place of 1"):
        talk.hear(told("update", 2, 6), 0.0)
    talk.lost(UnreachableError("a gap"), 0.0)
    talk.outgoing(0.0)
    talk.connected()
    (asked,) = talk.outgoing(0.0)
    assert json.loads(asked)["after"] == 4


@pytest.mark.parametrize(
    "text", [b"<html>", b"[]", b'{"type": "update"}', told("update", 0, 1)[:-9]]
)
def test_what_no_gateway_says_breaks_the_connection(text: bytes) -> None:
    talk = Talk(tries=3)
    talk.connected()
    with pytest.raises(UnreachableError):
        talk.hear(text, 0.0)


def test_pauses_between_tries_grow_to_a_limit_and_end() -> None:
    talk = Talk(tries=10)
    pauses = []
    for _ in range(9):
        talk.lost(UnreachableError("away"), 0.0)
        pauses.append(talk.dial_at_s)
    assert max(pauses) <= 5.0
    assert pauses[-1] >= 2.5
    with pytest.raises(UnreachableError):
        talk.lost(UnreachableError("away"), 0.0)


def test_a_message_of_a_kind_that_is_not_known_yet_is_handed_through() -> None:
    talk = Talk(tries=1)
    talk.connected()
    talk.subscribe("book", "AAPL", None)
    talk.hear(b'{"type":"delta","channel":"book","ticker":"AAPL","sequence":7,"data":[1]}', 0.0)
    assert talk.next() == Told("delta", "book", "AAPL", 7, [1])

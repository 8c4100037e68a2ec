"""The client, blocking and not, against a gateway in memory and against planted answers."""

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import httpx
import msgspec
import pytest

from services.client import (
    Admin,
    AsyncAdmin,
    AsyncClient,
    Client,
    NewAccount,
    NewLimits,
    NewOrder,
    OutcomeUnknownError,
    RefusedError,
    SigningKey,
    Taken,
    UnavailableError,
    UnreachableError,
    answers,
)
from services.client.keys import Signer
from services.domain import codes
from services.domain.controls import (
    UNCHANGED,
    Deposit,
    Halt,
    KillSwitch,
    OpenAccount,
    Resume,
    SetLimits,
    SetMark,
)
from services.domain.events import AccountState
from services.domain.ids import make_order_id
from services.gateway import admin_models, models, status_models
from services.gateway.core.keys import SignedRequest, sign
from services.wire.topics import CONTROLS
from tests.support.gateway_keys import ALICE_SIGNS, OPERATOR, make_ring
from tests.support.gateway_memory import (
    CODEC,
    MemoryCommandLog,
    book,
    feed,
    make_gateway,
    report,
    serving,
    trade,
)

ORDER = NewOrder("AAPL", "BUY", 100, Decimal("187.25"), client_order_id="a-1")
ORDER_ID = make_order_id("alice", "a-1", "AAPL")
STATE = AccountState("alice", 1, "open", killed=False, short_allowed=True, exposure_max=10**10,
                     position_max=5, notional_max=10**9, tickers=())  # fmt: skip
KINDS = pytest.mark.parametrize("is_async", [False, True])
type Ask = Callable[..., Any]


@asynccontextmanager
async def client(
    url: str,
    *,
    is_async: bool,
    account: str | None = "alice",
    **options: Any,  # noqa: ANN401
) -> AsyncIterator[Ask]:
    """What to await for the answer to the call of this name, by either client."""
    if is_async:
        async with AsyncClient(url, account, **options) as either:
            yield lambda name, *given, **named: getattr(either, name)(*given, **named)
        return
    with Client(url, account, **options) as blocking:
        yield lambda name, *given, **named: asyncio.to_thread(
            getattr(blocking, name), *given, **named
        )


@KINDS
async def test_every_call_reaches_its_path_and_its_answer_is_read(*, is_async: bool) -> None:
    log = MemoryCommandLog()
    gateway = make_gateway(log)
    fill = report(account_sequence=3, order_id=ORDER_ID, exec_type=codes.EXEC_TRADE,
                  order_status=codes.PARTIALLY_FILLED, last_quantity=40, last_price=1_872_500,
                  trade_id="t-1", position=40)  # fmt: skip
    feed(gateway, book(), trade(1), STATE, report(account_sequence=2, order_id=ORDER_ID), fill)
    async with (
        serving(gateway) as service,
        client(f"http://127.0.0.1:{service.port}", is_async=is_async, wait_s=None) as ask,
    ):
        placed = await ask("place", ORDER)
        assert (placed.order_id, placed.status) == (ORDER_ID, "PARTIALLY_FILLED")
        batch = await ask("place_batch", [ORDER, NewOrder("TSLA", "SELL", 1)])
        assert [result.status for result in batch] == [202, 202]
        for name, given in (("cancel", ()), ("reduce", (5,)), ("replace", ("1.50", 5))):
            assert isinstance(await ask(name, ORDER_ID, *given), Taken)
        assert (await ask("cancel_all", "AAPL")).order_id is None
        assert [type(c).__name__ for c in log.commands()] == [
            "PlaceOrder", "PlaceOrder", "PlaceOrder", "CancelOrder", "ReduceOrder",
            "ReplaceOrder", "CancelAll",
        ]  # fmt: skip
        shown = await ask("show", ORDER_ID)
        assert (shown.price, await ask("find", "a-1")) == (Decimal("187.25"), shown)
        assert (await ask("orders", status="LIVE", limit=5)).orders == [shown]
        assert (await ask("fills", order_id=ORDER_ID)).fills[0].price == Decimal("187.25")
        (held,) = (await ask("positions")).positions
        assert (held.position, held.shares.max) == (40, 5)
        assert (await ask("account")).exposure_max == Decimal(1_000_000)
        assert (await ask("book", "AAPL", depth=1)).bids[0].price == Decimal("187.25")
        assert (await ask("trades", "AAPL", limit=1)).trades[0].trade_id == "AAPL-7-1"
        assert (await ask("candles", "AAPL", "1s", limit=1)).candles[0].trades == 1
        assert [line.ticker for line in await ask("tickers")] == ["AAPL"]
        assert await ask("server_time_us") > 1_700_000_000_000_000
        assert (await ask("status")).audit.state == "unknown"


def calls_of(cls: type) -> dict[str, str]:
    return {
        name: str(inspect.signature(function).replace(return_annotation=None))
        for name, function in vars(cls).items()
        if inspect.isfunction(function) and not name.startswith("_")
    }


def test_both_clients_have_the_same_calls() -> None:
    assert calls_of(Client) == calls_of(AsyncClient)


ADMIN_CALLS = [
    ("halt", ("AAPL",), Halt("op-1", "AAPL")),
    ("resume", ("AAPL",), Resume("op-1", "AAPL")),
    ("set_mark", ("AAPL", "187.20"), SetMark("op-1", "AAPL", 1_872_000)),
    ("kill", ("alice",), KillSwitch("op-1", "alice", engaged=True)),
    ("lift_kill", ("alice",), KillSwitch("op-1", "alice", engaged=False)),
    ("open_account", (NewAccount("carol", 10, Decimal(100), "200.50"),),
     OpenAccount("op-1", "carol", 10, 1_000_000, 2_005_000, short_allowed=False)),
    ("deposit", ("carol", "AAPL", -5), Deposit("op-1", "carol", "AAPL", -5)),
    ("set_limits", (NewLimits("carol", position_max=0),),
     SetLimits("op-1", "carol", "", 0, UNCHANGED, UNCHANGED, UNCHANGED)),
]  # fmt: skip


@KINDS
async def test_an_operators_calls_become_controls_under_their_ids(*, is_async: bool) -> None:
    controls = MemoryCommandLog()
    gateway = make_gateway(controls=controls, ring=await make_ring())
    async with serving(gateway) as service:
        url = f"http://127.0.0.1:{service.port}"
        for name, given, _ in ADMIN_CALLS:
            if is_async:
                async with AsyncClient(url, key=OPERATOR.key) as client:
                    taken = await getattr(client.admin, name)(*given, command_id="op-1")
            else:
                with Client(url, key=OPERATOR.key) as client:
                    call = getattr(client.admin, name)
                    taken = await asyncio.to_thread(call, *given, command_id="op-1")
            assert taken.client_command_id == "op-1"
    written = [CODEC.decode(CONTROLS.name, value).payload for _, _, value in controls.records]
    assert written == [control for _, _, control in ADMIN_CALLS]


def test_both_kinds_of_operators_have_the_same_calls() -> None:
    assert calls_of(Admin) == calls_of(AsyncAdmin)


@KINDS
async def test_signed_requests_are_taken_and_no_two_have_the_same_signature(
    *, is_async: bool
) -> None:
    log = MemoryCommandLog()
    gateway = make_gateway(log, ring=await make_ring(), gateway_access="keys")
    feed(gateway, book(), report(order_id=ORDER_ID))
    key = SigningKey(ALICE_SIGNS.kept.key_id, ALICE_SIGNS.signing)
    async with serving(gateway) as service:
        url = f"http://127.0.0.1:{service.port}"
        options: dict[str, Any] = {"is_async": is_async, "wait_s": None, "key": key}
        async with client(url, account=None, **options) as ask:
            assert (await ask("place", ORDER)).order_id == ORDER_ID
            for _ in range(20):
                assert len((await ask("orders", status="LIVE", limit=5)).orders) == 1
    assert [command.account for command in log.commands()] == ["alice"]
    assert ALICE_SIGNS.signing not in repr(key)


def test_signatures_of_one_moment_differ_and_one_of_something_else_is_refused() -> None:
    signer = Signer(SigningKey("0" * 16, "secret"), wall_ms=lambda: 5)
    one, other = signer.headers("GET", "/positions"), signer.headers("GET", "/positions")
    assert (one["X-Outcry-Timestamp"], other["X-Outcry-Timestamp"]) == ("5", "6")
    assert one["X-Outcry-Signature"] != other["X-Outcry-Signature"]
    assert one["X-Outcry-Signature"] == sign(
        "secret", SignedRequest("5", "GET", "/positions", "", "", b"")
    )


PAIRS = [
    (answers.Order, models.Order), (answers.Orders, models.Orders), (answers.Fill, models.Fill),
    (answers.Fills, models.Fills), (answers.Positions, models.Positions),
    (answers.Position, models.Position), (answers.SharesGauge, models.SharesGauge),
    (answers.MoneyGauge, models.MoneyGauge), (answers.Account, models.Limits),
    (answers.TickerLimits, models.OwnLimits), (answers.Book, models.Book),
    (answers.Level, models.BookLevel), (answers.Ticker, models.TickerLine),
    (answers.Candle, models.Candle), (answers.Candles, models.Candles),
    (answers.BatchResult, models.BatchItem), (answers.ExchangeStatus, status_models.ExchangeStatus),
    (answers.Stage, status_models.Stage), (answers.Stages, status_models.Stages),
    (answers.Snapshots, status_models.Snapshots), (answers.Audit, status_models.Audit),
    (answers.RoomSnapshots, status_models.RoomSnapshots),
    (answers.ReadModel, status_models.ReadModel),
    (answers.LastAudit, status_models.LastAudit), (answers.ControlTaken, admin_models.ControlTaken),
]  # fmt: skip


@pytest.mark.parametrize("answer,model", PAIRS)
def test_the_client_reads_every_field_that_the_gateway_answers(answer: Any, model: Any) -> None:  # noqa: ANN401
    assert set(answer.__struct_fields__) == set(model.model_fields)


def answering(*planned: httpx.Response | Exception) -> tuple[httpx.MockTransport, list[bytes]]:
    """A network that answers so, one after the other; and the bodies it was sent."""
    sent: list[bytes] = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request.content)
        planned_one = planned[len(sent) - 1]
        if isinstance(planned_one, Exception):
            raise planned_one
        return planned_one

    return httpx.MockTransport(answer), sent


def problem(status: int, reason: str) -> httpx.Response:
    document = {"status": status, "reason": reason, "title": "t", "detail": "d"}
    return httpx.Response(status, json=document, headers={"Retry-After": "0"})


TAKEN = {"order_id": ORDER_ID, "client_order_id": "a-1", "status": "PENDING_NEW"}


@KINDS
async def test_a_command_is_sent_again_as_it_was_until_its_outcome_is_known(
    *, is_async: bool
) -> None:
    transport, sent = answering(
        problem(503, "LOG_UNAVAILABLE"), problem(504, "OUTCOME_UNKNOWN"),
        httpx.ReadTimeout("slow"), httpx.Response(202, json=TAKEN),
    )  # fmt: skip
    async with client("http://x", is_async=is_async, tries=4, transport=transport) as ask:
        taken = await ask("place", NewOrder("AAPL", "BUY", 1, "1.00"))
    assert taken.order_id == ORDER_ID
    assert len(sent) == 4
    assert len(set(sent)) == 1
    assert msgspec.json.decode(sent[0])["client_order_id"]


@pytest.mark.parametrize(
    "plan,error",
    [
        (lambda: problem(504, "OUTCOME_UNKNOWN"), OutcomeUnknownError),
        (lambda: httpx.ReadError("cut"), OutcomeUnknownError),
        (lambda: problem(503, "OVERLOADED"), UnavailableError),
        (lambda: httpx.ConnectError("refused"), UnreachableError),
        (lambda: httpx.Response(200, content=b"<html>"), UnreachableError),
    ],
)
@KINDS
async def test_what_stays_unknown_or_away_is_said_after_the_last_try(
    plan: Callable[[], httpx.Response | Exception],
    error: type[Exception],
    *,
    is_async: bool,
) -> None:
    transport, sent = answering(plan(), plan())
    async with client("http://x", is_async=is_async, tries=2, transport=transport) as ask:
        with pytest.raises(error):
            await ask("place", ORDER)
    assert len(sent) == 2


@KINDS
async def test_a_refusal_is_told_at_once_with_its_reason(*, is_async: bool) -> None:
    transport, sent = answering(problem(422, "POSITION_LIMIT"))
    async with client("http://x", is_async=is_async, transport=transport) as ask:
        with pytest.raises(RefusedError) as raised:
            await ask("place", ORDER)
    assert (raised.value.reason, len(sent)) == ("POSITION_LIMIT", 1)

"""From a POST to a fill on the WebSocket, with every room between on the real stack."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
import pytest_asyncio
from pydantic import SecretStr
from websockets.asyncio.client import ClientConnection, connect

from services.domain import codes
from services.domain.controls import SetMark
from services.domain.genesis import TICKERS
from services.gateway.key_secret import ensure_server_secret
from services.gateway.service import Service
from services.gateway.settings import GatewaySettings
from tests.support.chromium import Tab, browsing
from tests.support.continuity import Flow, Follower, read_topics
from tests.support.described_api import EXAMPLES, check_answers
from tests.support.gateway_memory import ORDER, eventually
from tests.support.gateway_process import gateway_process
from tests.support.gateway_service import running
from tests.support.page_examples import example
from tests.support.stack_fixture import StackInfra
from tests.support.trading_path import MARK, TradingPath, limit_order, running_path
from tests.support.web_page import build_page

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(180)]

PREFIX: Final = "gateway-path."
WAIT_S: Final = 60
LONG_WAIT_S: Final = 150
"""For a gateway to start, where no core is free."""
ROOT: Final = Path(__file__).parents[3]
SHIPPED_PORT: Final = 19_080
OUTCRY: Final = Path(sys.executable).with_name("outcry")


@pytest.fixture(scope="module")
def path(stack_infra: StackInfra) -> Iterator[TradingPath]:
    with running_path(stack_infra, PREFIX, rooms=("ingest", "risk", "matcher")) as path:
        for ticker in TICKERS:
            path.control(SetMark(f"mark-{ticker}", ticker, MARK))
        for account in ("alice", "bob", "carol", "dave"):
            path.open_account(account)
        yield path


@pytest_asyncio.fixture
async def service(path: TradingPath) -> AsyncIterator[Service]:
    settings = GatewaySettings(
        gateway_access="open",
        kafka_bootstrap=path.addresses.kafka_bootstrap,
        registry_url=path.addresses.registry_url,
        topic_prefix=PREFIX,
        pg_dsn=SecretStr(path.addresses.pg_dsn),
        gateway_port=0,
        gateway_wait_max_ms=60_000,
    )
    async with running(settings) as service:
        yield service


async def post(service: Service, account: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{service.port}") as client:
        response = await client.post(path, json=body, headers={"X-Outcry-Account": account})
    assert response.status_code == 202, response.text
    accepted: dict[str, Any] = response.json()
    return accepted


async def hear(socket: ClientConnection) -> dict[str, Any]:
    while True:
        message: dict[str, Any] = json.loads(await asyncio.wait_for(socket.recv(), WAIT_S))
        if message["type"] != "heartbeat":
            return message


async def hear_status(socket: ClientConnection, order_id: str, status: str) -> dict[str, Any]:
    """The first execution that gives this order this status."""
    while True:
        data: dict[str, Any] = (await hear(socket)).get("data", {})
        if (data.get("order_id"), data.get("status")) == (order_id, status):
            return data


async def test_an_order_is_filled_and_everybody_hears_what_is_theirs(service: Service) -> None:
    url = f"ws://127.0.0.1:{service.port}/ws"
    async with connect(url) as public, connect(f"{url}?account=alice") as alice:
        await public.send('{"op": "subscribe", "channel": "trades", "ticker": "AAPL"}')
        await alice.send('{"op": "subscribe", "channel": "executions"}')
        assert [(await hear(s))["type"] for s in (public, alice)] == ["snapshot"] * 2
        sell = await post(service, "bob", "/orders", ORDER | {"side": "SELL"})
        buy = await post(service, "alice", "/orders", ORDER | {"quantity": 150})
        fill = await hear_status(alice, buy["order_id"], "PARTIALLY_FILLED")
        assert (fill["last_quantity"], fill["last_price"]) == (100, "187.25")
        assert (fill["position"], fill["liquidity"]) == (100, "TAKER")
        trade = (await hear(public))["data"]
        assert (trade["price"], trade["quantity"]) == ("187.25", 100)
        assert sell["order_id"] not in json.dumps(trade)

        again = await post(service, "alice", "/orders", ORDER | {"quantity": 150})
        assert again == buy | {"status": "PARTIALLY_FILLED"}
        await post(service, "alice", f"/orders/{buy['order_id']}/cancel",
                   {"client_command_id": "cancel"})  # fmt: skip
        ended = await hear_status(alice, buy["order_id"], "CANCELED")
    assert (ended["cumulative_quantity"], ended["remaining_quantity"]) == (100, 0)
    assert ended["reason"] == "CANCEL_REQUESTED"


@pytest.mark.parametrize(
    "name,changes,reason",
    [
        ("off-tick", {"price": "187.2501"}, "OFF_TICK"),
        ("far", {"price": "1.00"}, "PRICE_OUTSIDE_COLLAR"),
        ("nowhere", {"ticker": "NOPE"}, "UNKNOWN_TICKER"),
        ("mixed", {"order_type": "MARKET", "price": None}, "INVALID_COMBINATION"),
    ],
)
async def test_what_the_rules_refuse_is_an_order_that_is_rejected_with_a_reason(
    service: Service, name: str, changes: dict[str, Any], reason: str
) -> None:
    order = {k: v for k, v in (ORDER | {"client_order_id": name} | changes).items() if v}
    order_id = (await post(service, "alice", "/orders", order))["order_id"]
    shown = await settled(service, "alice", order_id)
    assert (shown["status"], shown["reason"]) == ("REJECTED", reason)


async def test_an_account_nobody_opened_has_its_order_refused_as_a_command(
    service: Service,
) -> None:
    order_id = (await post(service, "nobody", "/orders", ORDER))["order_id"]
    shown = await settled(service, "nobody", order_id)
    assert (shown["status"], shown["reason"]) == ("NO_ORDER", "UNKNOWN_ACCOUNT")


async def test_a_cancel_of_anothers_order_changes_nothing_and_says_so(service: Service) -> None:
    resting = ORDER | {"client_order_id": "rests", "price": "180.00"}
    order_id = (await post(service, "alice", "/orders", resting))["order_id"]
    async with connect(f"ws://127.0.0.1:{service.port}/ws?account=bob") as bob:
        await bob.send('{"op": "subscribe", "channel": "executions"}')
        assert (await hear(bob))["type"] == "snapshot"
        await post(service, "bob", f"/orders/{order_id}/cancel", {"client_command_id": "theft"})
        refused = (await hear(bob))["data"]
    assert (refused["client_command_id"], refused["reason"]) == ("theft", "UNKNOWN_ORDER")
    assert (await settled(service, "alice", order_id))["status"] == "NEW"


async def settled(service: Service, account: str, order_id: str) -> dict[str, Any]:
    """The order once risk has spoken about it."""
    base = f"http://127.0.0.1:{service.port}"
    headers = {"X-Outcry-Account": account}
    async with (
        httpx.AsyncClient(base_url=base, headers=headers) as client,
        asyncio.timeout(WAIT_S),
    ):
        while True:
            shown: dict[str, Any] = (await client.get(f"/orders/{order_id}")).json()
            if shown["status"] != "PENDING_NEW":
                return shown
            await asyncio.sleep(0.02)


@asynccontextmanager
async def trader(service: Service, account: str = "alice") -> AsyncIterator[httpx.AsyncClient]:
    """A client that waits for what becomes of its commands."""
    headers = {"X-Outcry-Account": account, "Prefer": "wait=50"}
    base = f"http://127.0.0.1:{service.port}"
    async with httpx.AsyncClient(base_url=base, headers=headers, timeout=WAIT_S) as client:
        yield client


async def test_who_waits_is_told_what_became_of_each_command(service: Service) -> None:
    resting = ORDER | {"client_order_id": "w-1", "ticker": "TSLA", "price": "186.00"}
    async with trader(service) as alice, trader(service, "bob") as bob:
        placed = await alice.post("/orders", json=resting)
        assert (placed.status_code, placed.json()["status"]) == (201, "NEW")
        clash = await alice.post("/orders", json=resting | {"quantity": 7})
        assert (clash.status_code, clash.json()["reason"]) == (422, "DUPLICATE_CONFLICT")
        far = await alice.post("/orders", json=resting | {"client_order_id": "w-2", "price": "1"})
        assert (far.status_code, far.json()["reason"]) == (422, "PRICE_OUTSIDE_COLLAR")
        path = placed.headers["location"]
        body = {"client_command_id": "w-reduce", "quantity": 60}
        assert (await alice.post(f"{path}/reduce", json=body)).json()["quantity"] == 60
        body = {"client_command_id": "w-replace", "quantity": 60, "price": "186.50"}
        assert (await alice.post(f"{path}/replace", json=body)).json()["price"] == "186.50"
        theft = await bob.post(f"{path}/cancel", json={"client_command_id": "w-theft"})
        assert (theft.status_code, theft.json()["reason"]) == (422, "UNKNOWN_ORDER")
        hit = resting | {"client_order_id": "w-3", "side": "SELL", "time_in_force": "IOC"}
        sold = await bob.post("/orders", json=hit | {"quantity": 80, "price": "186.50"})
        assert (sold.status_code, sold.json()["status"]) == (201, "CANCELED")
        assert (sold.json()["cumulative_quantity"], sold.json()["reason"]) == (60, "IOC_REMAINDER")
        late = await alice.post(f"{path}/cancel", json={"client_command_id": "w-late"})
        assert (late.status_code, late.json()["reason"]) == (422, "ORDER_ENDED")

        fill = (await alice.get("/fills?ticker=TSLA")).json()["fills"][0]
        assert (fill["price"], fill["quantity"], fill["liquidity"]) == ("186.50", 60, "MAKER")
        held = (await alice.get("/positions")).json()["positions"]
        (tsla,) = [position for position in held if position["ticker"] == "TSLA"]
        assert (tsla["position"], tsla["shares"]["used"]) == (60, 60)
        found = (await alice.get("/orders/by-client-order-id/w-1")).json()
        listed = (await alice.get("/orders?ticker=TSLA&status=FILLED")).json()["orders"]
        assert listed == [found]
        assert (await alice.get("/account")).json()["short_allowed"] is not None


async def test_a_batch_is_as_many_orders_and_the_same_ones_when_it_is_sent_again(
    service: Service,
) -> None:
    orders = [ORDER | {"client_order_id": f"b-{n}", "ticker": "NVDA", "price": "186.00"}
              for n in range(20)]  # fmt: skip
    orders[7] |= {"price": "186.0050"}
    async with trader(service) as alice:
        first = (await alice.post("/orders/batch", json={"orders": orders})).json()["results"]
        again = (await alice.post("/orders/batch", json={"orders": orders})).json()["results"]
        listed = (await alice.get("/orders?ticker=NVDA&status=LIVE")).json()["orders"]
        body = {"client_command_id": "b-all", "ticker": "NVDA"}
        assert (await alice.post("/orders/cancel-all", json=body)).status_code == 202
    assert [r["status"] for r in first] == [422 if n == 7 else 201 for n in range(20)]
    assert first[7]["problem"]["reason"] == "OFF_TICK"
    assert [r["order"] and r["order"]["order_id"] for r in first] == [
        r["order"] and r["order"]["order_id"] for r in again
    ]
    assert [o["client_order_id"] for o in reversed(listed)] == [
        f"b-{n}" for n in range(20) if n != 7
    ]


def at(port: int, code: str) -> str:
    """A page's code, told where this gateway is."""
    assert f":{SHIPPED_PORT}" in code
    return code.replace(f":{SHIPPED_PORT}", f":{port}")


async def run(*command: str, typed: str = "", **environment: str) -> str:
    """What a program prints; it must succeed."""
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=ROOT,
        env=os.environ | environment,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await asyncio.wait_for(process.communicate(typed.encode()), LONG_WAIT_S)
    assert process.returncode == 0, said.decode()
    return said.decode()


async def test_the_curl_examples_of_the_readme_run_as_written(service: Service) -> None:
    block = at(service.port, example("README.md", "Over REST and WebSocket", "sh"))
    commands = block.replace("\\\n", " ").splitlines()
    answers = [json.loads(await run("bash", "-c", command)) for command in commands]
    assert len(answers) == 8
    assert [answer["detail"] for answer in answers if "reason" in answer and "type" in answer] == []
    assert answers[0]["client_order_id"] == answers[1]["client_order_id"] == "a-3"


async def test_the_python_example_of_the_readme_runs_as_written(service: Service) -> None:
    block = at(service.port, example("README.md", "Over REST and WebSocket", "python"))
    lines = (await run(sys.executable, "-c", block)).splitlines()
    assert lines[0].endswith(" NEW")
    assert lines[1] == "PRICE_OUTSIDE_COLLAR"


async def test_the_examples_with_keys_of_the_readme_run_as_written(
    path: TradingPath, tmp_path: Path
) -> None:
    secret_file = tmp_path / "keys.secret"
    ensure_server_secret(secret_file)
    here = {
        "OUTCRY_HOME": str(tmp_path),
        "OUTCRY_PG_DSN": path.addresses.pg_dsn,
        "OUTCRY_TOPIC_PREFIX": PREFIX,
    }
    created = ("keys", "create", "--account", "alice", "--scope", "read", "--scope", "trade")
    key = json.loads(await run(str(OUTCRY), *created, "--json", **here))["key"]
    settings = GatewaySettings(
        kafka_bootstrap=path.addresses.kafka_bootstrap,
        registry_url=path.addresses.registry_url,
        topic_prefix=PREFIX,
        pg_dsn=SecretStr(path.addresses.pg_dsn),
        gateway_port=0,
        gateway_keys_secret_file=secret_file,
        gateway_wait_max_ms=60_000,
    )
    async with running(settings) as service:
        block = at(service.port, example("README.md", "With keys", "sh"))
        script = f'set -e\noutcry() {{ "{OUTCRY}" "$@"; }}\n{block}'
        said = await run("bash", "-c", script, typed=f"{key}\n", **here)
        block = at(service.port, example("README.md", "With keys", "python"))
        lines = (await run(sys.executable, "-c", block, OUTCRY_KEY=key)).splitlines()
    assert '"account":"alice"' in said
    assert "\nNEW " in said
    assert '"client_command_id":"a-4"' in said
    assert key.split("_")[1] in said
    assert [line.partition(" ")[2] for line in lines] == ["is durable", "NEW"]


@pytest.mark.long
@pytest.mark.timeout(400)
async def test_the_page_trades_and_its_orders_are_right_after_the_gateway_was_killed(
    path: TradingPath, tmp_path: Path
) -> None:
    build_page()
    async with gateway_process(path, tmp_path / "log") as gateway, browsing() as tab:
        await tab.look(1440, 900, "light")
        await tab.open(f"http://127.0.0.1:{gateway.port}/")
        await tab.page.fill("#who-secret", "carol")
        await tab.press("Enter")
        await tab.page.click("#tickers label:has-text('MSFT')")
        await tab.until_text("#ticket-send", "Buy MSFT")
        await send_ticket(tab, "100", "187.00")
        await tab.until_text("#ticket-told", "BUY 100 MSFT at 187.00: NEW")
        await tab.until_text("#open-orders", "MSFT", "187.00", "0 / 100", "new")
        await sell_to_carol(path, 40)
        await tab.until_text("#open-orders", "40 / 100", "partially filled")
        await tab.until_text(
            "#holdings", "MSFT", "40 shares", "100 of 1,000,000 used, 999,900 left"
        )
        gauges = "[...document.querySelectorAll('meter')].map(one => one.ariaLabel).join()"
        assert await tab.ask(gauges) == (
            "Portfolio of all tickers,Position of MSFT,Notional of MSFT"
        )
        await send_ticket(tab, "10", "100.00")
        await tab.until_text("#ticket-told", "PRICE_OUTSIDE_COLLAR", "The price is too far")
        await tab.until_text("#ended-orders", "rejected", "PRICE_OUTSIDE_COLLAR")
        await tab.page.click("#views label:has-text('System')")
        await tab.until_text("#system-stages", "risk ← accounts", "up to date", "recorder ←")
        await tab.until_text("#system-audit", "none was kept yet")
        await tab.page.click("#views label:has-text('Market')")
        await gateway.kill()
        await tab.until_text("#status", "Not connected")
        await sell_to_carol(path, 10)
        await send_ticket(tab, "7", "186.50")
        await tab.until_text("#ticket-told", "not known whether", "no answer came")
        await gateway.start()
        await tab.until_text("#status", "Live")
        await tab.until_text("#open-orders", "50 / 100", "partially filled")
        await tab.until_text("#holdings", "50 shares")
        await tab.page.click("#ticket-again")
        await tab.until_text("#ticket-told", "BUY 7 MSFT at 186.50: NEW")
        await tab.until_text("#orders-count", "2 open")
        await tab.page.click("#open-orders tr:has-text('50 / 100') button")
        await tab.until_text("#ended-orders", "50 / 100", "canceled", "CANCEL_REQUESTED")
        await tab.page.click("#cancel-all")
        await tab.until_text("#orders-hint", "No open order.")
        await tab.until_text("#ended-orders", "0 / 7", "rejected")
        assert await tab.ask("document.querySelectorAll('#ended-orders tr').length") == 3


async def send_ticket(tab: Tab, quantity: str, price: str) -> None:
    """Buy so much, as a person fills in the page's ticket."""
    await tab.page.fill("#ticket-quantity", quantity)
    await tab.page.fill("#ticket-price", price)
    await tab.press("Enter")


async def sell_to_carol(path: TradingPath, quantity: int) -> None:
    """Past every gateway: straight to the log, and until it has traded."""
    order = limit_order("dave", codes.SELL, MARK, quantity, "MSFT")
    await asyncio.to_thread(path.send, order)
    await asyncio.to_thread(path.report, order.client_order_id, codes.EXEC_TRADE)


@pytest.mark.timeout(120 + 30 * EXAMPLES)
async def test_every_answer_to_generated_requests_is_one_that_openapi_describes(
    service: Service, tmp_path: Path
) -> None:
    url = f"http://127.0.0.1:{service.port}"
    phases = ("--phases", "examples,coverage,fuzzing")
    code, said = await check_answers(url, tmp_path, 100 + 30 * EXAMPLES, *phases)
    assert code == 0, said


async def test_a_thousand_submissions_of_one_id_are_one_order_with_one_answer(
    service: Service, path: TradingPath
) -> None:
    order = ORDER | {"client_order_id": "thousand", "ticker": "GOOGL", "price": "186.00"}
    async with AsyncExitStack() as traders:
        # Several, since one's pool takes a time that grows by the square of what waits in it.
        crowd = [await traders.enter_async_context(trader(service)) for _ in range(20)]
        answers = await asyncio.gather(
            *[alice.post("/orders", json=order) for alice in crowd for _ in range(50)]
        )
    # By a connection of its own: theirs may have been idle so long that they are being closed.
    async with trader(service) as alice:
        await alice.post("/orders", json=order | {"client_order_id": "thousand-and-one"})
    assert {(a.status_code, a.json()["order_id"], a.json()["status"]) for a in answers} == {
        (201, answers[0].json()["order_id"], "NEW")
    }
    await asyncio.to_thread(path.report, "thousand-and-one", codes.EXEC_NEW)
    said = [report.exec_type for report in path.reports(answers[0].json()["order_id"])]
    assert said.count(codes.EXEC_NEW) == 1
    assert set(said) <= {codes.EXEC_NEW, codes.EXEC_ORDER_STATUS}


async def hear_more(follower: Follower, gateways: int) -> None:
    """Return once it follows the last of so many gateways, and heard some more executions."""
    # Once for each of trades, in two tickers, and executions, at each gateway.
    await eventually(lambda: follower.resumed >= 3 * gateways, LONG_WAIT_S)
    heard = follower.newest(("executions", "alice"))
    await eventually(lambda: follower.newest(("executions", "alice")) > heard + 20, LONG_WAIT_S)


@pytest.mark.long
@pytest.mark.timeout(600)
async def test_nothing_is_missed_or_repeated_while_gateways_are_killed_under_flow(
    path: TradingPath, tmp_path: Path
) -> None:
    flow = Flow(path)
    # Who has nothing of a ticker without a trade hears of a resync: nobody knows that none is gone.
    await asyncio.to_thread(path.report, f"flow-{2 * len(Flow.TICKERS)}")
    async with gateway_process(path, tmp_path / "log") as gateway:
        follower = Follower("alice", Flow.TICKERS, lambda: gateway.port)
        following = asyncio.create_task(follower.follow())
        try:
            for gateways in (1, 2):
                await hear_more(follower, gateways)
                await gateway.kill()
                await gateway.start()
            await hear_more(follower, 3)
            await asyncio.to_thread(flow.stop)
            bootstrap = path.addresses.kafka_bootstrap
            topics = await asyncio.to_thread(read_topics, bootstrap, PREFIX, path.codec)
            last = topics.executions["alice"][-1]["account_sequence"]
            await eventually(lambda: follower.newest(("executions", "alice")) >= last)
            await eventually(lambda: not topics.faults_of(follower), 30)
        finally:
            following.cancel()
            flow.stop()
    assert topics.faults_of(follower) == []
    assert last > 60


@pytest.mark.timeout(300)
async def test_two_gateways_on_one_log_answer_as_one(
    service: Service, path: TradingPath, tmp_path: Path
) -> None:
    async with gateway_process(path, tmp_path / "log") as gateway, AsyncExitStack() as traders:
        other = f"127.0.0.1:{gateway.port}"
        headers = {"X-Outcry-Account": "alice", "Prefer": "wait=50"}
        order = ORDER | {"client_order_id": "both", "ticker": "GOOGL", "price": "186.00"}
        crowd = [await traders.enter_async_context(trader(service)) for _ in range(10)]
        for _ in range(10):
            client = httpx.AsyncClient(base_url=f"http://{other}", headers=headers, timeout=WAIT_S)
            crowd.append(await traders.enter_async_context(client))
        socket = await traders.enter_async_context(connect(f"ws://{other}/ws?account=alice"))
        await socket.send('{"op": "subscribe", "channel": "executions"}')
        assert (await hear(socket))["type"] == "snapshot"
        answers = await asyncio.gather(
            *[alice.post("/orders", json=order) for alice in crowd for _ in range(50)]
        )
        order_id = answers[0].json()["order_id"]
        assert len(answers) == 1_000
        assert {(a.status_code, a.json()["order_id"], a.json()["status"]) for a in answers} == {
            (201, order_id, "NEW")
        }
        assert (await hear_status(socket, order_id, "NEW"))["ticker"] == "GOOGL"
        body = {"client_command_id": "both-cancel"}
        # By a connection of its own: the crowd's may have been idle for too long.
        client = httpx.AsyncClient(base_url=f"http://{other}", headers=headers, timeout=WAIT_S)
        async with client:
            canceled = await client.post(f"/orders/{order_id}/cancel", json=body)
        assert (canceled.status_code, canceled.json()["status"]) == (200, "CANCELED")
        assert (await settled(service, "alice", order_id))["status"] == "CANCELED"
    await asyncio.to_thread(path.report, "both-cancel")
    said = [report.exec_type for report in path.reports(order_id)]
    assert said.count(codes.EXEC_NEW) == 1

from typing import Any

import httpx
import pytest

from services.domain import codes
from services.domain.events import AccountState, TickerLimits
from services.domain.ids import make_order_id
from services.domain.origin import ACCOUNTS, Origin
from services.gateway import pages
from services.gateway.parts import Gateway
from services.wire.topics import EXECUTIONS
from tests.support.gateway_memory import (
    CODEC,
    ORDER,
    book,
    feed,
    feed_model,
    make_client,
    make_gateway,
    report,
    trade,
)

TIME_US = 1_790_000_000_000_000
FILL: dict[str, Any] = {
    "exec_type": codes.EXEC_TRADE, "order_status": codes.FILLED, "last_quantity": 10,
    "last_price": 1_872_500, "trade_id": "AAPL-7-0", "cumulative_quantity": 100,
    "remaining_quantity": 0,
}  # fmt: skip


def state(sequence: int = 1, *tickers: TickerLimits, **changes: Any) -> AccountState:  # noqa: ANN401
    fields: dict[str, Any] = {
        "account": "alice", "account_sequence": sequence, "client_command_id": "open",
        "killed": False, "short_allowed": True, "exposure_max": 20_000_000_000,
        "position_max": 1_000, "notional_max": 10_000_000_000, "tickers": tickers,
    }  # fmt: skip
    return AccountState(**(fields | changes))


def say(gateway: Gateway, sequence: int, *, at: int = 0, **changes: Any) -> None:  # noqa: ANN401
    """A report of alice's, the cause of which stands at this offset of `accounts`."""
    source = Origin(ACCOUNTS, 0, at or sequence, 0, sequence, TIME_US + sequence, 0)
    feed_model(gateway.model, report(account_sequence=sequence, **changes), source)


async def pages_of(client: httpx.AsyncClient, path: str, name: str) -> list[list[dict[str, Any]]]:
    """Every page of a list, from the newest on."""
    found: list[list[dict[str, Any]]] = []
    cursor = ""
    while len(found) < 50:
        document = (await client.get(f"{path}{cursor}")).json()
        found.append(document[name])
        if document["next_cursor"] is None:
            return found
        cursor = f"&cursor={document['next_cursor']}"
    raise AssertionError("the pages do not end")


def make_orders(gateway: Gateway, count: int) -> None:
    for number in range(count):
        ticker = ("AAPL", "TSLA")[number % 2]
        say(gateway, number + 1, order_id=f"{ticker}-{number}", ticker=ticker,
            order_status=codes.FILLED if number % 3 == 0 else codes.NEW)  # fmt: skip


async def test_pages_of_orders_hold_each_order_once_from_the_newest_on() -> None:
    gateway = make_gateway()
    make_orders(gateway, 25)
    say(gateway, 100, order_id="AAPL-2", order_status=codes.CANCELED)
    async with make_client(gateway) as client:
        found = await pages_of(client, "/orders?limit=10", "orders")
    assert [len(page) for page in found] == [10, 10, 5]
    ids = [order["order_id"] for page in found for order in page]
    assert ids == [f"{('AAPL', 'TSLA')[n % 2]}-{n}" for n in reversed(range(25))]
    (canceled,) = [o for page in found for o in page if o["order_id"] == "AAPL-2"]
    assert canceled["status"] == "CANCELED"


async def test_a_page_stays_where_it_was_while_newer_orders_come() -> None:
    gateway = make_gateway()
    make_orders(gateway, 6)
    async with make_client(gateway) as client:
        first = (await client.get("/orders?limit=3")).json()
        say(gateway, 50, order_id="AAPL-50")
        rest = (await client.get(f"/orders?cursor={first['next_cursor']}")).json()
    assert [o["order_id"] for o in rest["orders"]] == ["AAPL-2", "TSLA-1", "AAPL-0"]


@pytest.mark.parametrize(
    "filters,numbers",
    [
        ("status=FILLED", [9, 6, 3, 0]),
        ("status=LIVE", [8, 7, 5, 4, 2, 1]),
        ("status=NEW&ticker=TSLA", [7, 5, 1]),
        ("ticker=NVDA", []),
        (f"since_us={TIME_US + 3}&until_us={TIME_US + 6}", [4, 3, 2]),
    ],
)
async def test_only_the_orders_that_were_asked_for_are_listed(
    filters: str, numbers: list[int]
) -> None:
    gateway = make_gateway()
    make_orders(gateway, 10)
    async with make_client(gateway) as client:
        found = await pages_of(client, f"/orders?limit=2&{filters}", "orders")
    assert [int(o["order_id"][5:]) for page in found for o in page] == numbers


async def test_a_filter_that_little_passes_gives_short_pages_and_loses_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pages, "SCANNED_MAX", 3)
    gateway = make_gateway()
    make_orders(gateway, 10)
    async with make_client(gateway) as client:
        found = await pages_of(client, "/orders?status=FILLED", "orders")
    assert [int(o["order_id"][5:]) for page in found for o in page] == [9, 6, 3, 0]
    assert len(found) == 4


async def test_orders_that_were_forgotten_are_listed_no_more() -> None:
    gateway = make_gateway(gateway_ended_orders_max=2)
    make_orders(gateway, 10)
    async with make_client(gateway) as client:
        found = (await client.get("/orders?status=FILLED")).json()["orders"]
    assert [o["order_id"] for o in found] == ["TSLA-9", "AAPL-6"]


async def test_nobody_sees_anything_of_anothers_account() -> None:
    gateway = make_gateway()
    feed(gateway, state())
    say(gateway, 2, order_id=make_order_id("alice", "a-1", "AAPL"), **FILL)
    feed(gateway, book())
    async with make_client(gateway) as alice, make_client(gateway, "bob") as bob:
        for path, name in (("/orders", "orders"), ("/fills", "fills")):
            assert len((await alice.get(path)).json()[name]) == 1
            assert (await bob.get(path)).json() == {name: [], "next_cursor": None}
        for path in ("/positions", "/account", "/orders/by-client-order-id/a-1"):
            assert (await alice.get(path)).status_code == 200
            assert (await bob.get(path)).status_code == 404


async def test_pages_of_fills_hold_each_fill_once() -> None:
    gateway = make_gateway()
    say(gateway, 1)
    for number in range(2, 9):
        say(gateway, number, order_id=f"AAPL-{number % 2}", **FILL | {"trade_id": f"t-{number}"})
    async with make_client(gateway) as client:
        found = await pages_of(client, "/fills?limit=3", "fills")
        of_one = (await client.get("/fills?order_id=AAPL-1")).json()["fills"]
        late = (await client.get(f"/fills?since_us={TIME_US + 7}")).json()["fills"]
    assert [f["trade_id"] for page in found for f in page] == [f"t-{n}" for n in range(8, 1, -1)]
    assert [f["trade_id"] for f in of_one] == ["t-7", "t-5", "t-3"]
    assert [f["trade_id"] for f in late] == ["t-8", "t-7"]
    assert found[0][0] == {
        "trade_id": "t-8", "order_id": "AAPL-0", "client_order_id": "a-1", "ticker": "AAPL",
        "side": "BUY", "price": "187.25", "quantity": 10, "liquidity": "MAKER", "position": 0,
        "account_sequence": 8, "filled_at_us": TIME_US + 8,
    }  # fmt: skip


async def test_only_so_many_fills_are_kept_of_all_accounts_together() -> None:
    gateway = make_gateway(gateway_fills_kept=3)
    for number in range(1, 6):
        say(gateway, number, **FILL)
        feed(gateway, report(account="bob", account_sequence=number, **FILL))
    async with make_client(gateway) as alice, make_client(gateway, "bob") as bob:
        counts = [len((await client.get("/fills")).json()["fills"]) for client in (alice, bob)]
    assert counts == [1, 2]


async def positions_of(gateway: Gateway) -> dict[str, Any]:
    async with make_client(gateway) as client:
        response = await client.get("/positions")
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


async def test_positions_show_what_is_used_and_left_of_each_limit() -> None:
    gateway = make_gateway()
    feed(gateway, state(1, TickerLimits("AAPL", 0, 500, 5_000_000_000)))
    say(gateway, 2, exec_type=codes.EXEC_TRADE, order_status=codes.PARTIALLY_FILLED,
        last_quantity=40, position=40, position_worst=100, notional_worst=1_872_500_000,
        exposure_worst=21_000_000_000, mark=1_872_500)  # fmt: skip
    assert await positions_of(gateway) == {
        "account": "alice",
        "account_sequence": 2,
        "exposure": {"used": "2100000.00", "max": "2000000.00", "left": "0.00"},
        "positions": [
            {
                "ticker": "AAPL",
                "position": 40,
                "mark": "187.25",
                "shares": {"used": 100, "max": 500, "left": 400},
                "money": {"used": "187250.00", "max": "500000.00", "left": "312750.00"},
            }
        ],
    }


async def test_figures_of_an_acceptance_do_not_hide_what_happened_since() -> None:
    """NEW reports what was at worst when risk let the order through, not when NEW is said."""
    gateway = make_gateway()
    say(gateway, 1, at=20, exec_type=codes.EXEC_TRADE, order_status=codes.FILLED,
        last_quantity=5, position=5, position_worst=77)  # fmt: skip
    say(gateway, 2, at=30, order_id="AAPL-2", position=5, position_worst=99, accepted_offset=10)
    (held,) = (await positions_of(gateway))["positions"]
    assert (held["position"], held["shares"]["used"]) == (5, 77)
    say(gateway, 3, at=40, order_id="AAPL-3", position=6, position_worst=111, accepted_offset=25)
    (held,) = (await positions_of(gateway))["positions"]
    assert (held["position"], held["shares"]["used"]) == (6, 111)


async def test_a_deposit_moves_a_position_and_never_guesses_what_is_used() -> None:
    gateway = make_gateway()
    feed(gateway, state(1, TickerLimits("TSLA", 7, 1_000, 10_000_000_000)))
    say(gateway, 2, position=0, position_worst=100)
    feed(gateway, state(3, TickerLimits("AAPL", 50, 1_000, 10_000_000_000),
                        TickerLimits("TSLA", 9, 1_000, 10_000_000_000)))  # fmt: skip
    aapl, tsla = (await positions_of(gateway))["positions"]
    assert (aapl["position"], aapl["shares"]["used"], aapl["shares"]["left"]) == (50, None, None)
    assert (tsla["position"], tsla["shares"]["used"], tsla["shares"]["left"]) == (9, 9, 991)
    say(gateway, 4, position=50, position_worst=150)
    aapl = (await positions_of(gateway))["positions"][0]
    assert aapl["shares"]["used"] == 150


async def test_limits_that_were_not_said_since_the_feed_begins_are_null() -> None:
    gateway = make_gateway()
    say(gateway, 7)
    (held,) = (await positions_of(gateway))["positions"]
    assert held["shares"] == {"used": 100, "max": None, "left": None}
    async with make_client(gateway) as client:
        shown = (await client.get("/account")).json()
    assert (shown["killed"], shown["exposure_max"], shown["account_sequence"]) == (None, None, 7)


async def test_an_account_sees_its_limits() -> None:
    gateway = make_gateway()
    feed(gateway, state(), state(2, TickerLimits("AAPL", 3, 5, 10_000), killed=True))
    async with make_client(gateway) as client:
        shown = (await client.get("/account")).json()
    assert shown == {
        "account": "alice", "account_sequence": 2, "killed": True, "short_allowed": True,
        "exposure_max": "2000000.00", "position_max": 1_000, "notional_max": "1000000.00",
        "tickers": [{"ticker": "AAPL", "position_max": 5, "notional_max": "1.00"}],
    }  # fmt: skip


async def test_rejected_orders_leave_no_position_of_a_ticker_that_is_none() -> None:
    gateway = make_gateway()
    feed(gateway, state())
    say(gateway, 2, order_id="NOPE-1", ticker="NOPE", exec_type=codes.EXEC_REJECTED,
        order_status=codes.REJECTED)  # fmt: skip
    assert (await positions_of(gateway))["positions"] == []


@pytest.mark.parametrize("path", ["/orders", "/fills", "/positions", "/account"])
async def test_nothing_of_an_account_is_shown_before_all_was_read(path: str) -> None:
    gateway = make_gateway()
    say(gateway, 1)
    gateway.model._behind.add(EXECUTIONS.name)
    async with make_client(gateway) as client:
        response = await client.get(path)
    assert (response.status_code, response.json()["reason"]) == (503, "STARTING")


async def test_an_order_is_found_by_the_clients_own_id() -> None:
    gateway = make_gateway()
    feed(gateway, book("TSLA"), book("AAPL"))
    path = "/orders/by-client-order-id/a-1"
    async with make_client(gateway) as client:
        assert (await client.get(path)).status_code == 404
        await client.post("/orders", json=ORDER)
        assert (await client.get(path)).json()["status"] == "PENDING_NEW"
        order_id = make_order_id("alice", "a-1", "AAPL")
        feed(gateway, report(order_id=make_order_id("alice", "a-1", "TSLA"),
                             order_status=codes.NO_ORDER))  # fmt: skip
        say(gateway, 2, order_id=order_id)
        found = (await client.get(path)).json()
    assert (found["order_id"], found["status"]) == (order_id, "NEW")


async def test_recent_trades_and_depth_are_as_many_as_asked_for() -> None:
    gateway = make_gateway()
    feed(gateway, book(), *[trade(number) for number in range(5)])
    async with make_client(gateway, account=None) as client:
        latest = (await client.get("/trades/AAPL?limit=2")).json()["trades"]
        every = (await client.get("/trades/AAPL")).json()["trades"]
        depth = (await client.get("/book/AAPL?depth=1")).json()
        unknown = await client.get("/trades/NOPE")
    assert [t["trade_id"] for t in latest] == ["AAPL-7-3", "AAPL-7-4"]
    assert len(every) == 5
    assert (len(depth["bids"]), len(depth["asks"])) == (1, 1)
    assert (unknown.status_code, unknown.json()["reason"]) == (404, "UNKNOWN_TICKER")


async def test_a_strangers_report_in_a_list_is_as_if_it_were_not_there() -> None:
    gateway = make_gateway()
    say(gateway, 1)
    value = CODEC.encode(EXECUTIONS.name, Origin(ACCOUNTS, 0, 2, 0, 2, TIME_US, 0),
                         report(account_sequence=2, order_id="AAPL-2"))  # fmt: skip
    gateway.model.fold(EXECUTIONS.name, b"alice", value[:-3])
    async with make_client(gateway) as client:
        found = (await client.get("/orders")).json()
    assert [o["order_id"] for o in found["orders"]] == ["AAPL-1"]

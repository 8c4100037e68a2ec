"""Each check of a new order gives its own reason, in the order that checks.py states."""

from typing import Any

import msgspec
import pytest

from services.domain import codes
from services.domain.commands import CancelAll, CancelOrder, EnterOrder, PlaceOrder
from services.domain.controls import Deposit, KillSwitch, OpenAccount, SetMark
from services.domain.events import ExecutionReport
from services.domain.ids import make_order_id
from services.domain.reasons import Reason
from tests.support.risk_market import START_US, RiskMarket, small_genesis

MARK = 1_000_000
"""$100."""
SOUND = PlaceOrder(
    "alice", "a-1", "AAPL", codes.BUY, codes.LIMIT, codes.GTC, False, MARK, 10, codes.CANCEL_RESTING
)

SOUND_ID = make_order_id("alice", "a-1", "AAPL")


def opened(**genesis: object) -> RiskMarket:
    """AAPL has a mark, MSFT none; alice has wide limits and may sell short."""
    market = RiskMarket(small_genesis(**genesis))
    market.send(SetMark("m", "AAPL", MARK))
    market.send(OpenAccount("open", "alice", 10_000, 10_000 * MARK, 20_000 * MARK, True))
    market.drain()
    return market


def order(**changes: object) -> PlaceOrder:
    return msgspec.structs.replace(SOUND, **changes)


def the_report(market: RiskMarket, command: Any) -> ExecutionReport:  # noqa: ANN401
    [report] = market.said(command)
    assert isinstance(report, ExecutionReport)
    return report


MARKET_ORDER: dict[str, object] = {
    "order_type": codes.MARKET,
    "time_in_force": codes.IOC,
    "price": 0,
}


@pytest.mark.parametrize(
    "changes,reason",
    [
        ({"ticker": "NOPE"}, Reason.UNKNOWN_TICKER),
        ({"ticker": ""}, Reason.UNKNOWN_TICKER),
        ({"side": 0}, Reason.INVALID_SIDE),
        ({"side": 2**40, "ticker": "NOPE"}, Reason.UNKNOWN_TICKER),
        ({"order_type": 3}, Reason.INVALID_ORDER_TYPE),
        ({"time_in_force": 2}, Reason.INVALID_TIME_IN_FORCE),
        ({"order_type": codes.MARKET}, Reason.INVALID_COMBINATION),
        ({**MARKET_ORDER, "price": MARK}, Reason.INVALID_COMBINATION),
        ({**MARKET_ORDER, "time_in_force": codes.FOK}, Reason.INVALID_COMBINATION),
        ({**MARKET_ORDER, "post_only": True}, Reason.INVALID_COMBINATION),
        ({"post_only": True, "time_in_force": codes.IOC}, Reason.INVALID_COMBINATION),
        ({"post_only": True, "time_in_force": codes.FOK}, Reason.INVALID_COMBINATION),
        ({"self_trade_prevention": 3}, Reason.INVALID_SELF_TRADE_PREVENTION),
        ({"price": 0}, Reason.INVALID_PRICE),
        ({"price": -100}, Reason.INVALID_PRICE),
        ({"price": 1_000_000_100}, Reason.INVALID_PRICE),
        ({"price": MARK + 1}, Reason.OFF_TICK),
        ({"quantity": 0}, Reason.INVALID_QUANTITY),
        ({"quantity": -1}, Reason.INVALID_QUANTITY),
        ({"quantity": 2**62}, Reason.INVALID_QUANTITY),
        ({"quantity": 1_000_001}, Reason.ORDER_TOO_LARGE),
        ({"ticker": "MSFT"}, Reason.NO_MARK),
        ({"price": 1_200_100}, Reason.PRICE_OUTSIDE_COLLAR),
        ({"price": 799_900}, Reason.PRICE_OUTSIDE_COLLAR),
        ({"quantity": 10_001}, Reason.POSITION_LIMIT),
    ],
)
def test_a_wrong_order_is_rejected_by_reason(changes: dict[str, object], reason: Reason) -> None:
    report = the_report(opened(), order(**changes))
    assert (report.exec_type, report.order_status) == (codes.EXEC_REJECTED, codes.REJECTED)
    assert Reason(report.reason) is reason
    assert report.order_id == make_order_id("alice", "a-1", str(changes.get("ticker", "AAPL")))
    assert (report.remaining_quantity, report.accepted_offset) == (0, -1)


@pytest.mark.parametrize(
    "changes",
    [
        {"price": 1_200_000},
        {"price": 800_000},
        {"quantity": 10_000, "price": 800_000},
        {"side": codes.SELL},
        {"time_in_force": codes.IOC},
        {"time_in_force": codes.FOK},
        {"post_only": True},
    ],
)
def test_an_order_at_the_edge_of_what_is_allowed_is_new(changes: dict[str, object]) -> None:
    report = opened().said(order(**changes))[0]
    assert (report.exec_type, report.order_status) == (codes.EXEC_NEW, codes.NEW)
    assert report.reason == Reason.NONE


def test_lots_and_sub_dollar_ticks_are_those_of_the_genesis() -> None:
    instrument = msgspec.structs.replace(
        small_genesis().instruments[0], lot=10, sub_dollar_tick=5, price_collar_bps=0
    )
    market = opened(instruments=(instrument,))
    wanted = {
        "one": ({"quantity": 15}, Reason.OFF_LOT),
        "two": ({"price": 9_999}, Reason.OFF_TICK),
        "three": ({"price": 9_995}, Reason.NONE),
        "four": ({"price": 10_050}, Reason.OFF_TICK),
        "five": ({"price": 900_000_000}, Reason.NONE),
    }
    for name, (changes, reason) in wanted.items():
        assert the_report(market, order(client_order_id=name, **changes)).reason == reason


def test_the_first_check_that_fails_gives_the_reason() -> None:
    market = opened()
    market.said(KillSwitch("kill", "alice", engaged=True))
    report = the_report(market, order(ticker="NOPE", side=9, price=-1, quantity=0))
    assert Reason(report.reason) is Reason.ACCOUNT_KILLED
    assert (report.side, report.order_type) == (0, codes.LIMIT)


def test_before_the_genesis_a_command_is_refused_and_nothing_is_kept() -> None:
    market = RiskMarket(small_genesis())
    queue = market.to_risk[1]  # alice's
    queue.clear()
    report = the_report(market, SOUND)
    assert (report.exec_type, report.order_status) == (codes.EXEC_COMMAND_REJECTED, codes.NO_ORDER)
    assert (Reason(report.reason), report.account_sequence) == (Reason.NO_GENESIS, 0)
    assert market.steps[1][0].outputs[0].origin.time_us == START_US
    assert market.shards[1].genesis_hash() == ""


def test_an_account_that_nobody_opened_is_told_so_and_leaves_no_state() -> None:
    market = opened()
    report = the_report(market, order(account="nobody"))
    assert (report.exec_type, Reason(report.reason)) == (
        codes.EXEC_COMMAND_REJECTED,
        Reason.UNKNOWN_ACCOUNT,
    )
    assert report.account_sequence == 0
    assert report.order_id == make_order_id("nobody", "a-1", "AAPL")
    assert b"nobody" not in market.shard_of("nobody").dump()


def test_the_three_limits_each_give_their_reason_and_hold_exactly() -> None:
    market = opened()
    market.send(OpenAccount("open", "bob", 50, 40 * MARK, 60 * MARK, True))
    market.send(OpenAccount("open", "carol", 50, 90 * MARK, 60 * MARK, True))
    market.said(SetMark("m", "MSFT", MARK))
    for account, ticker, quantity, reason in (
        ("bob", "AAPL", 51, Reason.POSITION_LIMIT),
        ("bob", "AAPL", 41, Reason.NOTIONAL_LIMIT),
        ("bob", "AAPL", 40, Reason.NONE),
        ("bob", "MSFT", 21, Reason.EXPOSURE_LIMIT),
        ("bob", "MSFT", 20, Reason.NONE),
        ("carol", "AAPL", 50, Reason.NONE),
        ("carol", "MSFT", 11, Reason.EXPOSURE_LIMIT),
    ):
        command = order(
            account=account,
            ticker=ticker,
            quantity=quantity,
            client_order_id=f"{ticker}-{quantity}",
            price=900_000,
        )
        assert the_report(market, command).reason == reason, (account, ticker, quantity)


def test_an_order_below_the_mark_is_valued_at_the_mark() -> None:
    report = the_report(opened(), order(price=900_000))
    assert (report.notional_worst, report.mark) == (10 * MARK, MARK)


def test_new_reports_the_acceptance_it_stands_on() -> None:
    """Meanwhile the mark moved and another order was accepted."""
    market = opened()
    market.send(SOUND)
    market.send(SetMark("m", "AAPL", 1_100_000))
    market.send(order(client_order_id="a-2", price=950_000))
    market.drain_risk()
    market.drain()
    reports = [m.payload for step in market.steps[1] for m in step.outputs][-3:]
    first = next(r for r in reports if isinstance(r, ExecutionReport) and r.price == MARK)
    assert (first.exec_type, first.mark, first.notional_worst) == (0, MARK, 10 * MARK)
    assert (first.position_worst, first.exposure_worst) == (10, 10 * MARK)
    place = next(step for step in market.steps[1] if step.decoded.payload == SOUND)
    assert first.accepted_offset == place.offset


def test_a_short_sale_needs_leave_and_open_sells_count() -> None:
    market = opened()
    market.send(OpenAccount("open", "carol", 100, 100 * MARK, 100 * MARK, False))
    market.said(Deposit("d", "carol", "AAPL", 15))
    sell = order(account="carol", side=codes.SELL)
    assert the_report(market, sell).exec_type == codes.EXEC_NEW
    again = msgspec.structs.replace(sell, client_order_id="a-2", quantity=6)
    assert the_report(market, again).reason == Reason.SHORT_NOT_ALLOWED
    fits = msgspec.structs.replace(again, client_order_id="a-3", quantity=5)
    assert the_report(market, fits).exec_type == codes.EXEC_NEW


def test_what_raises_neither_shares_nor_money_at_worst_passes_above_the_limits() -> None:
    market = opened()
    market.send(OpenAccount("open", "carol", 5, 5 * MARK, 5 * MARK, False))
    market.said(Deposit("d", "carol", "AAPL", 20))
    more = order(account="carol", quantity=1)
    assert the_report(market, more).reason == Reason.POSITION_LIMIT
    out = order(account="carol", client_order_id="a-2", side=codes.SELL, quantity=20)
    assert the_report(market, out).exec_type == codes.EXEC_NEW


@pytest.mark.parametrize(
    "side,mark,price",
    [
        (codes.BUY, MARK, 1_050_000),
        (codes.SELL, MARK, 950_000),
        (codes.BUY, 1_000_100, 1_050_100),
        (codes.SELL, 1_000_100, 950_100),
        (codes.BUY, 9_999, 10_400),
        (codes.SELL, 10_100, 9_595),
        (codes.BUY, 1, 1),
        (codes.SELL, 1, 1),
        (codes.BUY, 1_000_000_000, 1_000_000_000),
    ],
)
def test_a_market_order_is_protected_inside_the_band(side: int, mark: int, price: int) -> None:
    market = opened()
    market.said(SetMark("m", "AAPL", mark))
    market.send(order(side=side, quantity=1, **MARKET_ORDER))
    market.drain_risk()
    [entered] = [m.payload for m in market.steps[1][-1].outputs]
    assert isinstance(entered, EnterOrder)
    assert (entered.price, entered.order_type, entered.time_in_force) == (price, 1, 3)


def test_a_full_table_of_live_orders_rejects_and_remembers() -> None:
    market = opened(live_orders_max=1)
    assert the_report(market, SOUND).exec_type == codes.EXEC_NEW
    second = order(client_order_id="a-2")
    assert the_report(market, second).reason == Reason.TOO_MANY_LIVE_ORDERS
    market.said(CancelOrder("alice", "c", SOUND_ID))
    again = the_report(market, second)
    assert (again.exec_type, again.order_status) == (codes.EXEC_ORDER_STATUS, codes.REJECTED)
    assert again.reason == Reason.TOO_MANY_LIVE_ORDERS


def test_a_full_shard_refuses_orders_without_remembering_but_takes_cancels() -> None:
    market = opened(remembered_max=2)  # one is the opening of the account
    assert the_report(market, SOUND).exec_type == codes.EXEC_NEW
    refused = the_report(market, order(client_order_id="a-2"))
    assert (refused.exec_type, Reason(refused.reason)) == (
        codes.EXEC_COMMAND_REJECTED,
        Reason.TABLE_FULL,
    )
    assert the_report(market, Deposit("d", "alice", "AAPL", 1)).reason == Reason.TABLE_FULL
    assert the_report(market, CancelAll("alice", "c", "")).exec_type == codes.EXEC_CANCELED


def test_remembered_orders_make_room_when_their_window_has_passed() -> None:
    market = opened(remembered_max=2, remember_ended_us=1_000)
    market.said(SOUND)
    assert the_report(market, order(client_order_id="a-2")).reason == Reason.TABLE_FULL
    market.now_us += 1_001  # the opening of the account is forgotten
    assert the_report(market, order(client_order_id="a-2")).exec_type == codes.EXEC_NEW


def test_an_output_says_where_it_came_from() -> None:
    market = opened()
    market.send(SOUND)
    market.drain()
    placed, accepted = market.steps[1][-2:]
    [entered] = placed.outputs
    assert (entered.topic, entered.partition, entered.key) == ("matching", 0, "AAPL")
    origin = entered.origin
    assert (origin.topic, origin.partition, origin.offset, origin.index, origin.sequence) == (
        2,
        1,
        placed.offset,
        0,
        1,
    )
    [report] = accepted.outputs
    assert (report.topic, report.partition, report.key) == ("executions", 1, "alice")
    assert report.origin.sequence == 2  # the first was the account's state

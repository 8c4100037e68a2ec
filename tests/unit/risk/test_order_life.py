"""What becomes of an order that passed: answers, races, resends, and what each one reserves."""

from typing import Any

import msgspec
import pytest

from services.domain import codes
from services.domain.commands import (
    CancelAll,
    CancelOrder,
    PlaceOrder,
    ReduceOrder,
    ReplaceOrder,
)
from services.domain.controls import Halt, KillSwitch, OpenAccount, SetMark
from services.domain.events import ExecutionReport, OrderCanceled, OrderFilled, ReplaceRefused
from services.domain.ids import make_order_id
from services.domain.origin import MATCHING, Origin
from services.domain.reasons import Reason
from services.wire.codec import Decoded
from tests.support.risk_market import RiskMarket, small_genesis

MARK = 1_000_000
ID = make_order_id("alice", "a-1", "AAPL")


def opened(**genesis: object) -> RiskMarket:
    """Three accounts that may do much; carol is on alice's partition."""
    market = RiskMarket(small_genesis(**genesis))
    for ticker in ("AAPL", "MSFT"):
        market.send(SetMark("m", ticker, MARK))
    for account in ("alice", "bob", "carol"):
        market.send(OpenAccount("open", account, 10_000, 10_000 * MARK, 20_000 * MARK, True))
    market.drain()
    return market


def buy(quantity: int = 10, price: int = MARK, **changes: object) -> PlaceOrder:
    order = PlaceOrder("alice", "a-1", "AAPL", 1, 2, 1, False, price, quantity, 0)
    return msgspec.structs.replace(order, **changes)


def sell(quantity: int, price: int = MARK, name: str = "b-1") -> PlaceOrder:
    return buy(quantity, price, account="bob", client_order_id=name, side=codes.SELL)


def reports_of(market: RiskMarket, account: str) -> list[ExecutionReport]:
    return [
        message.payload
        for steps in market.steps
        for step in steps
        for message in step.outputs
        if isinstance(message.payload, ExecutionReport) and message.payload.account == account
    ]


def only(market: RiskMarket, command: Any) -> ExecutionReport:  # noqa: ANN401
    [report] = market.said(command)
    assert isinstance(report, ExecutionReport)
    return report


def worst(market: RiskMarket, quantity: int = 10) -> tuple[int, int]:
    """W and E of alice in AAPL, as the answer to her order sent again tells them."""
    report = only(market, buy(quantity))
    assert report.exec_type == codes.EXEC_ORDER_STATUS
    return report.position_worst, report.notional_worst


def test_an_order_is_pending_until_the_matcher_has_it() -> None:
    market = opened()
    market.send(buy())
    market.drain_risk()
    assert reports_of(market, "alice") == []
    market.send(buy())
    market.drain_risk()
    [status] = reports_of(market, "alice")
    assert (status.exec_type, status.order_status) == (
        codes.EXEC_ORDER_STATUS,
        codes.PENDING_NEW,
    )
    market.drain()
    assert reports_of(market, "alice")[-1].exec_type == codes.EXEC_NEW


def test_fills_move_position_reservation_and_mark() -> None:
    market = opened()
    market.said(buy(10, 990_000))
    market.said(sell(4, 990_000))
    fill = reports_of(market, "alice")[-1]
    assert (fill.exec_type, fill.order_status) == (codes.EXEC_TRADE, codes.PARTIALLY_FILLED)
    assert (fill.last_quantity, fill.last_price, fill.liquidity) == (4, 990_000, codes.MAKER)
    assert (fill.cumulative_quantity, fill.remaining_quantity) == (4, 6)
    assert (fill.cumulative_notional, fill.position, fill.mark) == (4 * 990_000, 4, 990_000)
    # Six open shares stay valued at the mark of their acceptance.
    assert (fill.position_worst, fill.notional_worst) == (10, 4 * 990_000 + 6 * MARK)
    assert fill.client_command_id == ""
    taker = reports_of(market, "bob")[-1]
    assert (taker.order_status, taker.remaining_quantity) == (codes.FILLED, 0)
    assert (taker.client_command_id, taker.liquidity) == ("b-1", codes.TAKER)
    assert taker.trade_id == fill.trade_id


def test_what_the_matcher_refuses_is_rejected_and_released() -> None:
    market = opened()
    market.send(Halt("h", "AAPL"))
    rejected = only(market, buy())
    assert (rejected.exec_type, rejected.order_status) == (codes.EXEC_REJECTED, codes.REJECTED)
    assert (Reason(rejected.reason), rejected.position_worst) == (Reason.TICKER_HALTED, 0)
    assert rejected.accepted_offset >= 0  # risk had let it through


def test_an_immediate_order_is_released_when_its_rest_is_canceled() -> None:
    market = opened()
    market.said(sell(4))
    new, fill, canceled = [
        report for report in market.said(buy(time_in_force=codes.IOC)) if report.account == "alice"
    ]
    assert [new.order_status, fill.order_status, canceled.order_status] == [1, 2, 4]
    assert Reason(canceled.reason) is Reason.IOC_REMAINDER
    assert (canceled.position, canceled.position_worst) == (4, 4)
    assert (canceled.cumulative_quantity, canceled.remaining_quantity) == (4, 0)


def test_an_order_that_met_as_many_as_it_may_is_released() -> None:
    market = opened(sweep_orders_max=1)
    market.said(sell(4))
    market.said(sell(4, name="b-2"))
    new, fill, canceled = [report for report in market.said(buy()) if report.account == "alice"]
    assert [new.order_status, fill.order_status, canceled.order_status] == [1, 2, 4]
    assert Reason(canceled.reason) is Reason.SWEEP_LIMIT
    assert (canceled.position, canceled.position_worst) == (4, 4)
    assert (canceled.cumulative_quantity, canceled.remaining_quantity) == (4, 0)


@pytest.mark.parametrize("reason", [Reason.NONE, Reason.SWEEP_LIMIT, 1_000])
def test_risk_releases_a_canceled_order_whatever_the_reason(reason: int) -> None:
    market = opened()
    market.said(buy())
    last = market.steps[1][-1].decoded.origin
    assert last is not None
    origin = Origin(MATCHING, 0, last.offset + 1, 0, last.sequence + 1, 0, 0)
    gone = OrderCanceled("alice", ID, "", 10, reason)
    [message] = market.shards[1].handle(10**6, Decoded(origin, gone, 0))
    report = message.payload
    assert isinstance(report, ExecutionReport)
    assert (report.order_status, report.reason) == (4, reason)
    assert (report.position_worst, report.remaining_quantity) == (0, 0)


def test_a_cancel_releases_only_when_the_matcher_says_so() -> None:
    market = opened()
    market.said(buy())
    market.send(CancelOrder("alice", "c-1", ID))
    market.drain_risk()
    market.send(buy())  # a resend: its answer shows what is reserved
    market.drain_risk()
    assert reports_of(market, "alice")[-1].position_worst == 10
    market.drain()
    canceled = reports_of(market, "alice")[-1]
    assert (canceled.exec_type, canceled.client_command_id) == (codes.EXEC_CANCELED, "c-1")
    assert (Reason(canceled.reason), canceled.position_worst) == (Reason.CANCEL_REQUESTED, 0)


def test_a_cancel_that_loses_to_a_fill_is_cancel_rejected() -> None:
    market = opened()
    market.said(buy(5))
    market.send(sell(5))
    market.drain_risk()
    market.send(CancelOrder("alice", "c-1", ID))
    market.drain()
    fill, late = reports_of(market, "alice")[-2:]
    assert (fill.exec_type, fill.order_status) == (codes.EXEC_TRADE, codes.FILLED)
    assert (late.exec_type, late.order_status) == (codes.EXEC_CANCEL_REJECTED, codes.FILLED)
    assert Reason(late.reason) is Reason.ORDER_ENDED
    assert only(market, CancelOrder("alice", "c-2", ID)).exec_type == codes.EXEC_CANCEL_REJECTED


@pytest.mark.parametrize(
    "command",
    [
        CancelOrder("alice", "x", "AAPL-nothing"),
        CancelOrder("carol", "x", ID),
        ReduceOrder("carol", "x", ID, 1),
        ReplaceOrder("bob", "x", ID, MARK, 1),
    ],
)
def test_orders_of_others_are_as_unknown_as_orders_that_never_were(
    command: CancelOrder | ReduceOrder | ReplaceOrder,
) -> None:
    market = opened()
    market.said(buy())
    report = only(market, command)
    assert (report.exec_type, report.order_status) == (
        codes.EXEC_COMMAND_REJECTED,
        codes.NO_ORDER,
    )
    assert (Reason(report.reason), report.order_id) == (Reason.UNKNOWN_ORDER, "")
    assert market.open_orders == {ID: "alice"}


def test_a_refused_command_may_use_its_id_again() -> None:
    market = opened()
    cancel = CancelOrder("alice", "c-1", ID)
    assert only(market, cancel).exec_type == codes.EXEC_COMMAND_REJECTED
    market.said(buy())
    assert only(market, cancel).exec_type == codes.EXEC_CANCELED


def test_a_reduce_releases_the_difference_when_the_matcher_says_so() -> None:
    market = opened()
    market.said(buy(10))
    reduced = only(market, ReduceOrder("alice", "r-1", ID, 4))
    assert (reduced.exec_type, reduced.quantity, reduced.position_worst) == (
        codes.EXEC_REDUCED,
        4,
        4,
    )
    refused = only(market, ReduceOrder("alice", "r-2", ID, 7))
    assert (refused.exec_type, Reason(refused.reason)) == (
        codes.EXEC_REPLACE_REJECTED,
        Reason.NOT_A_REDUCTION,
    )
    wrong = only(market, ReduceOrder("alice", "r-3", ID, 0))
    assert Reason(wrong.reason) is Reason.INVALID_QUANTITY


def test_a_replace_reserves_the_larger_of_both_until_it_is_answered() -> None:
    market = opened()
    market.said(buy(10, 900_000))
    market.send(ReplaceOrder("alice", "r-1", ID, 1_100_000, 6))
    market.send(buy(10, 900_000))
    market.drain_risk()
    waiting = reports_of(market, "alice")[-1]
    assert (waiting.position_worst, waiting.notional_worst) == (10, 10 * MARK)
    market.drain()
    replaced = reports_of(market, "alice")[-1]
    assert (replaced.exec_type, replaced.price, replaced.quantity) == (
        codes.EXEC_REPLACED,
        1_100_000,
        6,
    )
    assert (replaced.position_worst, replaced.notional_worst) == (6, 6 * 1_100_000)
    place, replace = (
        next(s.offset for s in market.steps[1] if isinstance(s.decoded.payload, kind))
        for kind in (PlaceOrder, ReplaceOrder)
    )
    assert (waiting.accepted_offset, replaced.accepted_offset) == (place, replace)


def test_a_replace_that_loses_to_a_fill_leaks_nothing() -> None:
    market = opened()
    market.said(buy(5))
    market.send(sell(5))
    market.drain_risk()
    market.send(ReplaceOrder("alice", "r-1", ID, MARK, 500))
    market.drain_risk()
    market.drain()
    fill, late = reports_of(market, "alice")[-2:]
    assert (fill.order_status, fill.position_worst) == (codes.FILLED, 5)
    assert (late.exec_type, Reason(late.reason)) == (
        codes.EXEC_REPLACE_REJECTED,
        Reason.ORDER_ENDED,
    )
    assert (late.position_worst, late.notional_worst) == (5, 5 * MARK)


def test_a_fill_under_a_pending_replace_keeps_what_the_replace_may_need() -> None:
    market = opened()
    market.said(buy(5))
    market.send(sell(2))
    market.drain_risk()
    market.send(ReplaceOrder("alice", "r-1", ID, MARK, 50))
    market.drain_risk()
    assert market.pump_matcher(0)
    market.drain_risk()
    assert reports_of(market, "alice")[-1].position_worst == 50  # 2 held, 48 may follow
    market.drain()
    assert worst(market, 5) == (50, 50 * MARK)


def test_an_order_has_one_pending_replace() -> None:
    market = opened()
    market.said(buy())
    market.send(ReplaceOrder("alice", "r-1", ID, MARK, 9))
    market.send(ReduceOrder("alice", "r-2", ID, 5))
    market.drain()
    second, first = reports_of(market, "alice")[-2:]
    assert (second.client_command_id, Reason(second.reason)) == ("r-2", Reason.REPLACE_PENDING)
    assert (first.client_command_id, first.exec_type) == ("r-1", codes.EXEC_REPLACED)
    assert only(market, ReduceOrder("alice", "r-3", ID, 5)).exec_type == codes.EXEC_REDUCED


@pytest.mark.parametrize(
    "price,quantity,reason",
    [
        (0, 10, Reason.INVALID_PRICE),
        (MARK + 1, 10, Reason.OFF_TICK),
        (MARK, 0, Reason.INVALID_QUANTITY),
        (MARK, 1_000_001, Reason.ORDER_TOO_LARGE),
        (1_300_000, 10, Reason.PRICE_OUTSIDE_COLLAR),
        (MARK, 10_001, Reason.POSITION_LIMIT),
        (1_100_000, 9_500, Reason.NOTIONAL_LIMIT),
    ],
)
def test_a_replace_is_checked_like_an_order(price: int, quantity: int, reason: Reason) -> None:
    market = opened()
    market.said(buy())
    report = only(market, ReplaceOrder("alice", "r-1", ID, price, quantity))
    assert (report.exec_type, report.order_status) == (codes.EXEC_REPLACE_REJECTED, codes.NEW)
    assert Reason(report.reason) is reason
    assert worst(market) == (10, 10 * MARK)


def test_cancel_all_cancels_each_live_order_under_its_own_command() -> None:
    market = opened()
    market.said(buy())
    market.said(buy(client_order_id="a-2", ticker="MSFT"))
    market.said(buy(client_order_id="a-3", price=900_000))
    one = market.said(CancelAll("alice", "all-1", "AAPL"))
    assert [(r.client_order_id, r.client_command_id) for r in one] == [
        ("a-1", "all-1"),
        ("a-3", "all-1"),
    ]
    again = only(market, CancelAll("alice", "all-1", "AAPL"))
    assert (again.exec_type, again.order_status) == (codes.EXEC_ORDER_STATUS, codes.NO_ORDER)
    rest = market.said(CancelAll("alice", "all-2", ""))
    assert [r.client_order_id for r in rest] == ["a-2"]


def test_cancel_all_with_nothing_live_is_answered() -> None:
    market = opened()
    report = only(market, CancelAll("alice", "all-1", ""))
    assert (report.exec_type, report.order_status, report.order_id) == (
        codes.EXEC_ORDER_STATUS,
        codes.NO_ORDER,
        "",
    )
    assert only(market, CancelAll("alice", "x", "NOPE")).reason == Reason.UNKNOWN_TICKER


def test_the_same_command_is_done_once_and_another_under_its_id_is_a_conflict() -> None:
    market = opened()
    market.said(buy())
    same = only(market, buy())
    assert (same.exec_type, same.order_status, same.order_id) == (
        codes.EXEC_ORDER_STATUS,
        codes.NEW,
        ID,
    )
    for other in (
        buy(11),
        buy(price=MARK - 100),
        buy(ticker="MSFT"),
        buy(side=codes.SELL),
        CancelOrder("alice", "a-1", ID),
        CancelAll("alice", "a-1", ""),
        ReplaceOrder("alice", "open", ID, MARK, 10),
        buy(client_order_id="open"),
    ):
        report = only(market, other)
        assert (report.exec_type, Reason(report.reason)) == (
            codes.EXEC_COMMAND_REJECTED,
            Reason.DUPLICATE_CONFLICT,
        )
        assert report.order_status == codes.NO_ORDER
    assert market.open_orders == {ID: "alice"}


def test_a_resent_replace_is_not_applied_over_a_later_one() -> None:
    market = opened()
    market.said(buy())
    market.said(ReplaceOrder("alice", "r-1", ID, MARK, 20))
    market.said(ReplaceOrder("alice", "r-2", ID, MARK, 30))
    again = only(market, ReplaceOrder("alice", "r-1", ID, MARK, 20))
    assert (again.exec_type, again.quantity) == (codes.EXEC_ORDER_STATUS, 30)


def test_a_replaced_order_is_still_recognised_by_what_was_submitted() -> None:
    market = opened()
    market.said(buy())
    market.said(ReplaceOrder("alice", "r-1", ID, MARK, 20))
    assert only(market, buy()).exec_type == codes.EXEC_ORDER_STATUS
    assert only(market, buy(20)).reason == Reason.DUPLICATE_CONFLICT


def test_taker_fills_after_a_replace_name_the_replace() -> None:
    market = opened()
    market.said(sell(10, 1_010_000))
    market.said(buy())
    reports = market.said(ReplaceOrder("alice", "r-1", ID, 1_010_000, 10))
    fill = next(r for r in reports if r.account == "alice" and r.exec_type == codes.EXEC_TRADE)
    assert fill.client_command_id == "r-1"


def test_an_answer_about_a_forgotten_order_still_reaches_its_account() -> None:
    market = opened(remember_ended_us=1_000)
    market.said(buy(5))
    market.send(CancelOrder("alice", "c-1", ID))
    market.send(CancelOrder("alice", "c-2", ID))
    market.drain_risk()
    assert market.pump_matcher(0)  # the first cancel; the second one waits
    for _ in range(3):
        market.now_us += 2_000
        market.send(CancelAll("alice", f"tick-{market.now_us}", ""))
        market.drain_risk()
    market.drain()
    late = reports_of(market, "alice")[-1]
    assert (late.exec_type, late.client_command_id) == (codes.EXEC_CANCEL_REJECTED, "c-2")
    assert (late.order_status, Reason(late.reason)) == (codes.NO_ORDER, Reason.ORDER_ENDED)
    assert late.account_sequence > 0


def test_a_killed_accounts_orders_cannot_be_replaced_but_canceled() -> None:
    market = opened()
    market.said(buy())
    market.send(KillSwitch("k", "alice", engaged=True))
    market.send(ReplaceOrder("alice", "r-1", ID, MARK, 20))
    market.drain()
    found = {(r.client_command_id, r.exec_type): r for r in reports_of(market, "alice")}
    assert found["r-1", codes.EXEC_REPLACE_REJECTED].reason == Reason.ACCOUNT_KILLED
    assert ("k", codes.EXEC_CANCELED) in found


@pytest.mark.parametrize(
    "event,complaint",
    [
        (OrderFilled("alice", "AAPL-x", "t", MARK, 1, 0), "not live"),
        (OrderFilled("alice", ID, "t", MARK, 11, 0), "not open"),
        (OrderFilled("nobody", ID, "t", MARK, 1, 0), "nobody opened"),
    ],
)
def test_an_event_that_cannot_be_stops_the_process(event: OrderFilled, complaint: str) -> None:
    market = opened()
    market.said(buy())
    core = market.shards[1]
    last = market.steps[1][-1].decoded.origin
    assert last is not None
    origin = Origin(MATCHING, 0, last.offset + 1, 0, last.sequence + 1, 0, 0)
    with pytest.raises(AssertionError, match=complaint):
        core.handle(10**6, Decoded(origin, event, 0))


def test_a_refusal_of_a_change_nobody_waits_for_touches_nothing() -> None:
    market = opened()
    market.said(buy())
    last = market.steps[1][-1].decoded.origin
    assert last is not None
    origin = Origin(MATCHING, 0, last.offset + 1, 0, last.sequence + 1, 0, 0)
    refusal = ReplaceRefused("alice", ID, "long-ago", Reason.BELOW_FILLED)
    [message] = market.shards[1].handle(10**6, Decoded(origin, refusal, 0))
    report = message.payload
    assert isinstance(report, ExecutionReport)
    assert (report.exec_type, report.order_status) == (codes.EXEC_REPLACE_REJECTED, codes.NEW)
    assert report.position_worst == 10


def test_a_replace_the_book_refuses_releases_the_difference() -> None:
    market = opened()
    market.said(buy())
    market.send(Halt("h", "AAPL"))
    refused = only(market, ReplaceOrder("alice", "r-1", ID, 1_100_000, 20))
    assert (refused.exec_type, Reason(refused.reason)) == (
        codes.EXEC_REPLACE_REJECTED,
        Reason.TICKER_HALTED,
    )
    assert (refused.quantity, refused.position_worst, refused.notional_worst) == (10, 10, 10 * MARK)


def test_a_full_shard_refuses_changes_without_remembering_them() -> None:
    market = opened(remembered_max=3)  # alice, carol, and one order
    market.said(buy())
    for change in (ReduceOrder("alice", "r-1", ID, 5), ReplaceOrder("alice", "r-1", ID, MARK, 5)):
        report = only(market, change)
        assert (report.exec_type, Reason(report.reason)) == (
            codes.EXEC_COMMAND_REJECTED,
            Reason.TABLE_FULL,
        )
    assert only(market, CancelOrder("alice", "c-1", ID)).exec_type == codes.EXEC_CANCELED

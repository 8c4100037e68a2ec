"""What operators set, and how they are answered."""

from typing import Any

import msgspec
import pytest

from services.domain import codes
from services.domain.commands import PlaceOrder
from services.domain.controls import (
    Deposit,
    Genesis,
    KillSwitch,
    OpenAccount,
    SetLimits,
    SetMark,
)
from services.domain.events import AccountState, ExecutionReport, TickerLimits
from services.domain.genesis import hash_genesis
from services.domain.reasons import Reason
from tests.support.risk_market import RiskMarket, small_genesis

MARK = 1_000_000
OPEN = OpenAccount("open", "alice", 1_000, 2_000 * MARK, 3_000 * MARK, False)


def opened(**genesis: object) -> RiskMarket:
    market = RiskMarket(small_genesis(**genesis))
    market.send(SetMark("m", "AAPL", MARK))
    market.said(OPEN)
    return market


def state(market: RiskMarket, control: Any) -> AccountState:  # noqa: ANN401
    [report] = market.said(control)
    assert isinstance(report, AccountState)
    return report


def refusal(market: RiskMarket, control: Any) -> Reason:  # noqa: ANN401
    [report] = market.said(control)
    assert isinstance(report, ExecutionReport)
    assert report.exec_type == codes.EXEC_COMMAND_REJECTED
    assert report.client_command_id == control.client_command_id
    return Reason(report.reason)


def order(name: str, side: int, quantity: int) -> PlaceOrder:
    return PlaceOrder("alice", name, "AAPL", side, 2, 1, False, MARK, quantity, 0)


def test_opening_an_account_answers_its_state() -> None:
    market = RiskMarket(small_genesis())
    assert state(market, OPEN) == AccountState(
        account="alice",
        account_sequence=1,
        client_command_id="open",
        killed=False,
        short_allowed=False,
        exposure_max=3_000 * MARK,
        position_max=1_000,
        notional_max=2_000 * MARK,
        tickers=(),
    )


def test_an_account_is_opened_once() -> None:
    market = opened()
    assert state(market, OPEN).account_sequence == 2  # sent again: the state as it is now
    other = msgspec.structs.replace(OPEN, position_max=5)
    assert refusal(market, other) is Reason.DUPLICATE_CONFLICT
    assert refusal(market, msgspec.structs.replace(other, client_command_id="o2")) is (
        Reason.ACCOUNT_EXISTS
    )


@pytest.mark.parametrize("limit", ["position_max", "notional_max", "exposure_max"])
def test_an_account_is_not_opened_with_a_negative_limit(limit: str) -> None:
    market = RiskMarket(small_genesis())
    assert refusal(market, msgspec.structs.replace(OPEN, **{limit: -1})) is Reason.INVALID_LIMITS
    assert market.said(order("a-1", 1, 1))[0].reason == Reason.UNKNOWN_ACCOUNT


def test_accounts_beyond_the_table_are_refused() -> None:
    market = opened(accounts_max=1)
    carol = msgspec.structs.replace(OPEN, account="carol")  # on alice's partition
    assert refusal(market, carol) is Reason.TOO_MANY_ACCOUNTS


def test_deposits_add_up_and_are_not_repeated() -> None:
    market = opened()
    deposit = Deposit("d-1", "alice", "AAPL", 50)
    assert state(market, deposit).tickers == (TickerLimits("AAPL", 50, 1_000, 2_000 * MARK),)
    assert state(market, deposit).tickers[0].position == 50
    assert state(market, Deposit("d-2", "alice", "AAPL", -20)).tickers[0].position == 30


@pytest.mark.parametrize(
    "deposit,reason",
    [
        (Deposit("d", "alice", "NOPE", 1), Reason.UNKNOWN_TICKER),
        (Deposit("d", "alice", "AAPL", 0), Reason.INVALID_QUANTITY),
        (Deposit("d", "alice", "AAPL", 2**62), Reason.INVALID_QUANTITY),
        (Deposit("d", "alice", "AAPL", -1), Reason.SHORT_NOT_ALLOWED),
        (Deposit("d", "nobody", "AAPL", 1), Reason.UNKNOWN_ACCOUNT),
    ],
)
def test_a_wrong_deposit_is_refused_by_reason(deposit: Deposit, reason: Reason) -> None:
    assert refusal(opened(), deposit) is reason


def test_shares_that_open_sells_need_cannot_be_taken_away() -> None:
    market = opened()
    market.said(Deposit("d-1", "alice", "AAPL", 50))
    market.said(order("a-1", codes.SELL, 30))
    assert refusal(market, Deposit("d-2", "alice", "AAPL", -21)) is Reason.SHORT_NOT_ALLOWED
    assert state(market, Deposit("d-2", "alice", "AAPL", -20)).tickers[0].position == 30


def test_limits_of_a_ticker_stand_before_the_accounts() -> None:
    market = opened()
    mine = state(market, SetLimits("l-1", "alice", "AAPL", 5, -1, -1, -1))
    assert mine.tickers == (TickerLimits("AAPL", 0, 5, 2_000 * MARK),)
    everywhere = state(market, SetLimits("l-2", "alice", "", 7, 8 * MARK, 9 * MARK, 1))
    assert (everywhere.position_max, everywhere.notional_max) == (7, 8 * MARK)
    assert (everywhere.exposure_max, everywhere.short_allowed) == (9 * MARK, True)
    assert everywhere.tickers == (TickerLimits("AAPL", 0, 5, 8 * MARK),)
    assert market.said(order("a-1", 1, 6))[0].reason == Reason.POSITION_LIMIT
    assert market.said(order("a-2", 1, 5))[0].exec_type == codes.EXEC_NEW


@pytest.mark.parametrize(
    "changes,reason",
    [
        ({"ticker": "NOPE"}, Reason.UNKNOWN_TICKER),
        ({"position_max": -2}, Reason.INVALID_LIMITS),
        ({"notional_max": -2}, Reason.INVALID_LIMITS),
        ({"exposure_max": -2}, Reason.INVALID_LIMITS),
        ({"short_allowed": 2}, Reason.INVALID_LIMITS),
        ({"account": "nobody"}, Reason.UNKNOWN_ACCOUNT),
    ],
)
def test_wrong_limits_are_refused_by_reason(changes: dict[str, Any], reason: Reason) -> None:
    limits = SetLimits("l", "alice", "AAPL", 1, 1, 1, 1)
    assert refusal(opened(), msgspec.structs.replace(limits, **changes)) is reason


def test_short_selling_is_not_forbidden_while_the_account_is_short_or_may_become_it() -> None:
    market = opened()
    market.said(SetLimits("l-1", "alice", "", -1, -1, -1, 1))
    market.said(order("a-1", codes.SELL, 5))
    forbid = SetLimits("l-2", "alice", "", -1, -1, -1, 0)
    assert refusal(market, forbid) is Reason.INVALID_LIMITS
    market.said(Deposit("d", "alice", "AAPL", 5))
    assert state(market, forbid).short_allowed is False


def test_the_kill_switch_cancels_all_and_refuses_new_orders_until_it_is_lifted() -> None:
    market = opened()
    market.said(order("a-1", 1, 5))
    answer, canceled = market.said(KillSwitch("k-1", "alice", engaged=True))
    assert (answer.client_command_id, answer.killed) == ("k-1", True)
    assert (canceled.exec_type, canceled.client_command_id) == (codes.EXEC_CANCELED, "k-1")
    assert market.said(order("a-2", 1, 5))[0].reason == Reason.ACCOUNT_KILLED
    assert state(market, KillSwitch("k-2", "alice", engaged=False)).killed is False
    assert market.said(order("a-3", 1, 5))[0].exec_type == codes.EXEC_NEW
    # The first switch sent again is history, not a new order to kill.
    assert state(market, KillSwitch("k-1", "alice", engaged=True)).killed is False


@pytest.mark.parametrize(
    "mark", [SetMark("m", "NOPE", 1), SetMark("m", "AAPL", 0), SetMark("m", "AAPL", -1)]
)
def test_a_mark_that_makes_no_sense_is_passed_over(mark: SetMark) -> None:
    market = opened()
    assert market.said(mark) == []
    assert market.said(order("a-1", 1, 1))[0].mark == MARK


def test_a_second_genesis_changes_nothing_and_is_not_answered() -> None:
    market = opened()
    first = hash_genesis(market.genesis)
    other = msgspec.structs.replace(market.genesis, deployment="other", accounts_max=1)
    assert isinstance(other, Genesis)
    assert market.said(other) == []
    assert [core.genesis_hash() for core in market.shards] == [first, first]


def test_a_control_before_the_genesis_is_refused() -> None:
    market = RiskMarket(small_genesis())
    market.to_risk[1].clear()
    assert refusal(market, OPEN) is Reason.NO_GENESIS
    assert refusal(market, Deposit("d", "alice", "AAPL", 1)) is Reason.NO_GENESIS
    assert market.said(SetMark("m", "AAPL", MARK)) == []

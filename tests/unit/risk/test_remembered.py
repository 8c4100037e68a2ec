"""What risk remembers of the past is bounded by log time and by number, however long the log."""

from collections import Counter

from services.domain import codes
from services.domain.commands import PlaceOrder
from services.domain.controls import OpenAccount, SetMark
from services.domain.events import ExecutionReport
from services.domain.reasons import Reason
from tests.support.risk_market import RiskMarket, small_genesis

WINDOW_US = 1_000_000
STEP_US = 1_000
"""One command a millisecond: a thousand in a window."""


def opened(remembered_max: int) -> RiskMarket:
    genesis = small_genesis(remember_ended_us=WINDOW_US, remembered_max=remembered_max)
    market = RiskMarket(genesis)
    market.send(SetMark("mark", "AAPL", 1_870_000))
    market.said(OpenAccount("open", "alice", 10**6, 10**13, 10**14, short_allowed=True))
    return market


def send(market: RiskMarket, number: int) -> ExecutionReport:
    """An order that ends at once, since nobody is on the other side; its last report."""
    order = PlaceOrder(
        "alice", f"o-{number}", "AAPL", codes.BUY, codes.LIMIT, codes.FOK,
        False, 1_870_000, 100, codes.CANCEL_RESTING,
    )  # fmt: skip
    last = market.said(order)[-1]
    assert isinstance(last, ExecutionReport)
    return last


def remembered(market: RiskMarket) -> int:
    return len(market.shard_of("alice")._shard.ended)


def test_over_a_long_log_the_table_holds_one_window_and_no_more() -> None:
    market = opened(remembered_max=100_000)
    held, bytes_held = [], []
    for number in range(6_000):
        market.now_us += STEP_US
        assert send(market, number).order_status == codes.CANCELED
        if number % 500 == 499:
            held.append(remembered(market))
            bytes_held.append(len(market.shard_of("alice").dump()))
    window = WINDOW_US // STEP_US
    assert all(abs(found - window) <= 2 for found in held[2:]), held
    # Numbers in ids grow by a digit; the state does not grow with the log.
    assert max(bytes_held[2:]) < 1.03 * min(bytes_held[2:]), bytes_held


def test_a_flood_within_one_window_is_refused_beyond_the_table_s_size() -> None:
    market = opened(remembered_max=500)
    said = Counter[str]()
    for number in range(2_000):
        market.now_us += STEP_US // 10
        last = send(market, number)
        refused = last.exec_type == codes.EXEC_COMMAND_REJECTED
        said[Reason(last.reason).name if refused else "worked on"] += 1
        assert remembered(market) <= 500
    assert said == {"worked on": 499, "TABLE_FULL": 1_501}


def test_a_resend_is_known_within_the_window_and_new_after_it() -> None:
    market = opened(remembered_max=100_000)
    first = send(market, 1)
    market.now_us += WINDOW_US
    again = send(market, 1)
    assert (again.exec_type, again.order_id) == (codes.EXEC_ORDER_STATUS, first.order_id)
    market.now_us += WINDOW_US + 1
    assert send(market, 1).exec_type == codes.EXEC_CANCELED

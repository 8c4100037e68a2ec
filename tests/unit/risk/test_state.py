"""Time, memory and the dump of one shard."""

import msgspec
import pytest

from services.domain import codes
from services.domain.commands import CancelAll, CancelOrder, PlaceOrder
from services.domain.controls import Deposit, OpenAccount, SetMark
from services.domain.events import ExecutionReport, MarkChanged
from services.domain.ids import make_order_id
from services.domain.origin import CONTROLS, MATCHING, ORDERS, Origin
from services.domain.reasons import Reason
from services.risk.accounts import FORGOTTEN_MAX
from services.risk.core import RiskCore
from services.risk.service import RiskCores
from services.wire.codec import Decoded
from services.wire.messages import Message, Payload
from tests.support.risk_market import RiskMarket, small_genesis

MARK = 1_000_000


class Log:
    """One core, fed by hand."""

    def __init__(self, **genesis: object) -> None:
        self.core = RiskCore(1)
        self.offset = 0
        self.say(small_genesis(**genesis), 0, source=CONTROLS)
        self.say(SetMark("m", "AAPL", MARK), 0, source=CONTROLS)
        self.say(OpenAccount("open", "alice", 10**6, 10**15, 10**15, True), 0, source=CONTROLS)

    def say(
        self, payload: Payload, time_us: int, event_time_us: int = 0, source: int = ORDERS
    ) -> list[Message]:
        self.offset += 1
        origin = Origin(source, 0, self.offset, 0, 0, time_us, event_time_us)
        return self.core.handle(self.offset, Decoded(origin, payload, event_time_us))

    def order(self, name: str, time_us: int, event_time_us: int = 0) -> Message:
        order = PlaceOrder("alice", name, "AAPL", 1, 2, 1, False, MARK, 10, 0)
        [message] = self.say(order, time_us, event_time_us)
        return message


def test_what_goes_to_the_matcher_carries_the_commands_own_times() -> None:
    log = Log()
    log.order("a-1", 500)
    late = log.order("a-2", 300, 77)
    assert (late.origin.time_us, late.origin.event_time_us) == (300, 77)


def test_reports_carry_a_time_that_never_falls() -> None:
    log = Log()
    log.order("a-1", 500)
    log.order("a-2", 300)
    status = log.order("a-1", 400, 77)
    assert (status.origin.time_us, status.origin.event_time_us) == (500, 77)


def test_with_event_time_the_log_moves_nothing() -> None:
    log = Log(time_source=codes.TIME_FROM_EVENT)
    log.order("a-1", 10**15, 200)
    assert log.order("a-1", 10**15, 0).origin.time_us == 200
    assert log.order("a-1", 10**15, 150).origin.time_us == 200
    assert log.order("a-1", 10**15, 250).origin.time_us == 250


def test_log_time_before_the_genesis_does_not_hold_back_event_time() -> None:
    core = RiskCore(1)
    order = PlaceOrder("alice", "a-1", "AAPL", 1, 2, 1, False, MARK, 10, 0)
    [early] = core.handle(0, Decoded(Origin(ORDERS, 0, 0, 0, 0, 10**15, 5), order, 5))
    assert early.origin.time_us == 10**15
    genesis = small_genesis(time_source=codes.TIME_FROM_EVENT)
    core.handle(1, Decoded(Origin(CONTROLS, 0, 0, 0, 0, 10**15, 0), genesis, 0))
    [report] = core.handle(2, Decoded(Origin(ORDERS, 0, 1, 0, 0, 10**15, 7), order, 7))
    assert report.origin.time_us == 7


def test_an_ended_order_is_known_for_its_window_and_no_longer() -> None:
    market = RiskMarket(small_genesis(remember_ended_us=1_000))
    market.send(SetMark("m", "AAPL", MARK))
    market.said(OpenAccount("open", "alice", 10**6, 10**15, 10**15, True))
    order = PlaceOrder("alice", "a-1", "AAPL", 1, 2, 1, False, MARK, 10, 0)
    market.said(order)
    market.now_us += 10**9  # a live order is never forgotten
    assert market.said(order)[0].exec_type == codes.EXEC_ORDER_STATUS
    order_id = make_order_id("alice", "a-1", "AAPL")
    market.said(CancelOrder("alice", "c-1", order_id))
    market.now_us += 1_000
    assert market.said(order)[0].order_status == codes.CANCELED
    market.now_us += 1
    late = market.said(CancelOrder("alice", "c-2", order_id))[0]
    assert (late.exec_type, Reason(late.reason)) == (
        codes.EXEC_COMMAND_REJECTED,
        Reason.UNKNOWN_ORDER,
    )
    assert market.said(order)[0].exec_type == codes.EXEC_NEW


def test_a_message_forgets_a_few_however_many_are_due() -> None:
    log = Log(remember_ended_us=1_000)
    for count in range(20):
        log.say(CancelAll("alice", f"c-{count}", ""), 10)
    kept = len(log.core._shard.ended)
    log.say(MarkChanged("AAPL", MARK), 10**6, source=MATCHING)
    assert len(log.core._shard.ended) == kept - FORGOTTEN_MAX
    for _ in range(10):
        log.say(MarkChanged("AAPL", MARK), 10**6, source=MATCHING)
    assert len(log.core._shard.ended) == 0
    assert log.core._shard.accounts["alice"].known == {}


def test_a_gap_or_a_repetition_in_the_log_stops_the_process() -> None:
    log = Log()
    log.say(MarkChanged("AAPL", MARK), 1, source=MATCHING)
    log.offset -= 1
    with pytest.raises(AssertionError, match="does not rise"):
        log.say(MarkChanged("AAPL", MARK), 1, source=MATCHING)
    gap = Origin(MATCHING, 0, 99, 0, 7, 0, 0)
    with pytest.raises(AssertionError, match="missing or repeated"):
        log.core.handle(99, Decoded(gap, MarkChanged("AAPL", MARK), 0))


def test_a_dump_is_the_same_whatever_path_led_to_the_state() -> None:
    """A holding that was looked at and stayed empty leaves no trace."""
    states = []
    for detour in (False, True):
        log = Log()
        log.say(Deposit("d", "alice", "AAPL", 5), 1, source=CONTROLS)
        if detour:
            log.core._shard.accounts["alice"].holding(log.core._shard.markets["MSFT"])
        states.append(log.core.dump())
    assert states[0] == states[1]


def test_a_loaded_core_knows_its_live_and_its_ended_orders() -> None:
    log = Log()
    log.order("a-1", 1)
    bad = PlaceOrder("alice", "a-2", "NOPE", 1, 2, 1, False, MARK, 10, 0)
    log.say(bad, 1)
    state = log.core.dump()
    log.core = RiskCore.load(1, state)
    assert log.core.dump() == state
    [again] = log.say(bad, 2)
    assert isinstance(again.payload, ExecutionReport)
    assert (again.payload.order_status, again.payload.ticker) == (codes.REJECTED, "NOPE")
    live = log.order("a-1", 2).payload
    assert isinstance(live, ExecutionReport)
    assert (live.order_status, live.position_worst) == (codes.PENDING_NEW, 10)
    order = log.core._shard.accounts["alice"].live[live.order_id]
    assert order.account is log.core._shard.accounts["alice"].name


@pytest.mark.parametrize("state", [b"", b"junk", msgspec.msgpack.encode([0]), RiskCore(3).dump()])
def test_bytes_that_are_no_dump_of_this_shard_are_refused(state: bytes) -> None:
    with pytest.raises(ValueError, match=r"state of (risk|partition 3)"):
        RiskCores().load(1, state)


def test_money_beyond_64_bits_is_shown_as_the_most_that_fits_and_still_counted() -> None:
    log = Log()
    limit = 2**63 - 1
    log.say(OpenAccount("open", "carol", limit, limit, limit, True), 1, source=CONTROLS)
    for count in range(12):
        log.say(Deposit(f"d-{count}", "carol", "AAPL", 10**9), 1, source=CONTROLS)
    log.say(SetMark("m", "AAPL", 10**9), 1, source=CONTROLS)
    order = PlaceOrder("carol", "c-1", "AAPL", 1, 2, 1, False, 10**9, 10, 0)
    [report] = [message.payload for message in log.say(order, 2)]
    assert isinstance(report, ExecutionReport)
    assert Reason(report.reason) is Reason.NOTIONAL_LIMIT
    assert (report.notional_worst, report.exposure_worst) == (limit, limit)
    [out] = log.say(msgspec.structs.replace(order, client_order_id="c-2", side=codes.SELL), 2)
    assert out.topic == "matching"
    assert RiskCore.load(1, log.core.dump()).dump() == log.core.dump()

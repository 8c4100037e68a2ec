"""Commands of operators and traders, asked of an exchange in memory."""

import msgspec
import pytest

from services.domain import codes
from services.domain.commands import CancelOrder, PlaceOrder
from services.domain.controls import (
    Deposit,
    Halt,
    KillSwitch,
    OpenAccount,
    Resume,
    SetLimits,
    SetMark,
)
from services.domain.events import AccountState, BookDepth, ExecutionReport
from services.runtime.ports import TopicPartition
from services.tools.operate.ask import Question, ask, make_command_id
from services.tools.operate.errors import NoAnswerError, RefusedError
from services.tools.operate.exchange import Seen
from services.tools.operate.questions import (
    TickerControl,
    account_question,
    cancel_question,
    halt_question,
    mark_question,
    place_question,
    read_status,
    require_accepted,
)
from services.wire.topics import TICKER_PARTITIONS
from tests.support.memory_exchange import MARK, MemoryExchange

OPEN_BOB = OpenAccount("open-bob", "bob", 1_000, 10**12, 10**12, short_allowed=False)
BUY = PlaceOrder(
    "ann", "buy-1", "AAPL", codes.BUY, codes.LIMIT, codes.GTC, False, MARK, 100, 0
)  # fmt: skip
SELL = msgspec.structs.replace(BUY, account="sam", client_order_id="sell-1", side=codes.SELL)


@pytest.fixture
def exchange() -> MemoryExchange:
    exchange = MemoryExchange()
    exchange.begin(accounts=("ann", "sam"))
    return exchange


def answered(exchange: MemoryExchange, question: Question) -> Seen:
    answers = ask(exchange, question, 1.0)
    require_accepted(answers)
    return answers[-1]


def reports(answers: list[Seen]) -> list[ExecutionReport]:
    found = [answer.decoded.payload for answer in answers]
    assert all(isinstance(report, ExecutionReport) for report in found)
    return found


def test_an_opened_account_is_answered_by_its_state(exchange: MemoryExchange) -> None:
    state = answered(exchange, account_question(OPEN_BOB)).decoded.payload
    assert isinstance(state, AccountState)
    assert (state.account, state.position_max, state.short_allowed) == ("bob", 1_000, False)


def test_a_command_sent_again_is_answered_and_does_nothing(exchange: MemoryExchange) -> None:
    deposit = Deposit("deposit-1", "ann", "AAPL", 5)
    first = answered(exchange, account_question(deposit)).decoded.payload
    again = answered(exchange, account_question(deposit)).decoded.payload
    assert first.tickers == again.tickers
    assert again.tickers[0].position == 5


def test_a_refusal_carries_the_reasons_word(exchange: MemoryExchange) -> None:
    opened_twice = msgspec.structs.replace(OPEN_BOB, client_command_id="open-ann-2", account="ann")
    with pytest.raises(RefusedError, match=r"^ACCOUNT_EXISTS$"):
        answered(exchange, account_question(opened_twice))
    with pytest.raises(RefusedError) as refused:
        answered(exchange, account_question(Deposit("d", "nobody", "AAPL", 5)))
    assert refused.value.reason == "UNKNOWN_ACCOUNT"
    assert "`outcry accounts open`" in str(refused.value)


def test_limits_and_the_kill_switch_are_answered_by_the_accounts_state(
    exchange: MemoryExchange,
) -> None:
    limits = SetLimits("limits-1", "ann", "", 500, -1, -1, -1)
    assert answered(exchange, account_question(limits)).decoded.payload.position_max == 500
    kill = KillSwitch("kill-1", "ann", engaged=True)
    assert answered(exchange, account_question(kill)).decoded.payload.killed
    lift = KillSwitch("lift-1", "ann", engaged=False)
    assert not answered(exchange, account_question(lift)).decoded.payload.killed


def test_a_mark_is_done_once_every_shard_has_it(exchange: MemoryExchange) -> None:
    answers = ask(exchange, mark_question(SetMark("mark-1", "AAPL", MARK + 100)), 1.0)
    assert len({answer.partition for answer in answers}) == len(answers) == 4


def test_a_ticker_is_halted_and_resumed_and_both_may_be_said_twice(
    exchange: MemoryExchange,
) -> None:
    controls: tuple[TickerControl, ...] = (Halt("h1", "MSFT"), Resume("r1", "MSFT"))
    for number, control in enumerate(controls):
        wanted = codes.HALTED if isinstance(control, Halt) else codes.OPEN
        before = read_status(exchange.reader, exchange.codec, 1)
        assert before != wanted
        depth = answered(exchange, halt_question(control, 1, before)).decoded.payload
        assert isinstance(depth, BookDepth)
        assert depth.status == wanted
        after = read_status(exchange.reader, exchange.codec, 1)
        assert after == wanted
        again = msgspec.structs.replace(control, client_command_id=f"again-{number}")
        assert answered(exchange, halt_question(again, 1, after)).decoded.payload == again


@pytest.mark.parametrize("partition", range(TICKER_PARTITIONS))
def test_a_resting_order_is_answered_new(exchange: MemoryExchange, partition: int) -> None:
    (report,) = reports(ask(exchange, place_question(BUY, partition), 1.0))
    assert (report.exec_type, report.remaining_quantity) == (codes.EXEC_NEW, 100)


def test_an_order_that_trades_at_once_is_answered_by_all_that_happened(
    exchange: MemoryExchange,
) -> None:
    answered(exchange, place_question(SELL, 0))
    found = reports(ask(exchange, place_question(BUY, 0), 1.0))
    assert [report.exec_type for report in found] == [codes.EXEC_NEW, codes.EXEC_TRADE]
    assert found[-1].order_status == codes.FILLED


def test_an_order_placed_again_after_its_rejection_is_refused_again(
    exchange: MemoryExchange,
) -> None:
    off_tick = msgspec.structs.replace(BUY, price=MARK + 1)
    for _ in range(2):
        with pytest.raises(RefusedError, match="OFF_TICK"):
            answered(exchange, place_question(off_tick, 0))


def test_a_cancel_is_answered_and_a_late_one_refused(exchange: MemoryExchange) -> None:
    order_id = answered(exchange, place_question(BUY, 0)).decoded.payload.order_id
    cancel = CancelOrder("ann", "cancel-1", order_id)
    report = answered(exchange, cancel_question(cancel, 0)).decoded.payload
    assert report.order_status == codes.CANCELED
    late = CancelOrder("ann", "cancel-2", order_id)
    with pytest.raises(RefusedError, match="ORDER_ENDED"):
        answered(exchange, cancel_question(late, 0))
    others = CancelOrder("sam", "cancel-3", order_id)
    with pytest.raises(RefusedError, match="UNKNOWN_ORDER: The account has no such order"):
        answered(exchange, cancel_question(others, 0))


def test_a_command_that_ingest_cannot_use_is_refused_with_the_dead_letters_cause(
    exchange: MemoryExchange,
) -> None:
    spaced = msgspec.structs.replace(OPEN_BOB, account="bob the builder")
    with pytest.raises(RefusedError, match="INVALID_ID"):
        answered(exchange, account_question(spaced))
    nameless = msgspec.structs.replace(BUY, client_order_id="a b")
    with pytest.raises(RefusedError, match="INVALID_ID"):
        answered(exchange, place_question(nameless, 3))


def test_other_peoples_answers_are_not_taken_for_ones_own(exchange: MemoryExchange) -> None:
    same_id = msgspec.structs.replace(SELL, account="ann2", client_order_id=BUY.client_order_id)
    question = place_question(BUY, 0)
    exchange.publish("orders", 0, "AAPL", same_id)
    exchange.publish_raw("orders", 0, b"junk beside it")
    (report,) = reports(ask(exchange, question, 1.0))
    assert report.account == "ann"


def test_no_answer_in_time_names_the_record_and_how_to_ask_again(
    exchange: MemoryExchange,
) -> None:
    exchange.rooms = ()
    question = account_question(OPEN_BOB)
    with pytest.raises(NoAnswerError, match=r"controls-0@\d+ within 0.05 s.*id open-bob"):
        ask(exchange, question, 0.05)


def test_a_made_up_command_id_is_a_valid_one_and_never_the_same() -> None:
    assert len({make_command_id() for _ in range(100)}) == 100
    assert all(len(make_command_id()) <= 64 for _ in range(10))


def test_a_status_is_open_before_the_book_said_anything() -> None:
    exchange = MemoryExchange()
    assert read_status(exchange.reader, exchange.codec, 0) == codes.OPEN
    watched = exchange.watch([TopicPartition("book", 0)])
    assert not watched.poll(0)

"""Broken promises, planted into the log, the models and the rooms: each must be found."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from services.domain import codes, commands, controls, events
from services.domain.genesis import default_genesis
from services.domain.origin import CONTROLS, MATCHING, ORDERS, Origin
from services.domain.reasons import Reason
from services.matcher import book as matcher_book
from services.matcher.core import MatcherCore
from services.risk import commands as risk_commands
from services.risk import outcomes as risk_outcomes
from services.risk.accounts import Shard
from services.risk.limits import weigh
from services.tools.bench.matcher_flow import make_flow
from services.tools.proof.audit.model import Fault, MatcherModel, RiskModel
from services.tools.proof.audit.model import accounts as model_accounts
from services.tools.proof.audit.model import book as model_book
from services.tools.proof.audit.model import matcher as model_matcher
from services.tools.proof.audit.model import orders as model_orders
from services.tools.proof.audit.model.said import FAULTS_MAX
from services.wire.codec import Decoded
from services.wire.messages import Message, Payload
from tests.support.model_beside import as_input, first_difference
from tests.support.risk_flow import Flow, draw_ops
from tests.support.risk_market import RiskMarket, small_genesis

MARK = 1_000_000
ORDER = "AAPL-1"


# --- into the log


class ModelDesk:
    """One partition of `accounts` in the model alone: alice has 100 shares and an order for 10."""

    def __init__(self) -> None:
        self.model = RiskModel(0)
        self.offset = -1
        self.from_book = 0
        self.say(default_genesis("test"))
        self.say(controls.SetMark("m", "AAPL", MARK))
        self.say(controls.OpenAccount("o", "alice", 10**6, 10**12, 10**12, short_allowed=False))
        self.say(controls.Deposit("d", "alice", "AAPL", 100))
        place = commands.PlaceOrder("alice", "a", "AAPL", codes.BUY, 2, 1, False, MARK, 10, 0)
        entered = self.model.take(*self._input(place, Origin(ORDERS, 0, 5, 0, 0, 5, 0)))
        self.order_id: str = entered[0].fields["order_id"]

    def say(self, payload: Payload) -> None:
        """An operator's word."""
        self.model.take(*self._input(payload, Origin(CONTROLS, 0, self.offset + 1, 0, 0, 5, 0)))

    def hear(self, payload: Payload, **origin: int) -> list[str]:
        """The matcher's word; the checks that fail by it."""
        self.from_book += 1
        fields = {"offset": self.from_book, "sequence": self.from_book} | origin
        cause = Origin(MATCHING, 0, fields["offset"], 0, fields["sequence"], 6, 0)
        before = len(self.model.faults)
        self.model.take(*self._input(payload, cause))
        found = self.model.faults[before:]
        assert all(f[1:4] == ("accounts", 0, self.offset) for f in found), found
        return [fault.check for fault in found]

    def _input(self, payload: Payload, origin: Origin) -> tuple[int, str, dict[str, Any]]:
        self.offset += 1
        return as_input("accounts", self.offset, Decoded(origin, payload, 0))


def filled(order_id: str, quantity: int) -> events.OrderFilled:
    return events.OrderFilled("alice", order_id, "AAPL-1-0", MARK, quantity, codes.MAKER)


def test_a_sound_order_life_is_no_fault() -> None:
    desk = ModelDesk()
    assert desk.hear(events.OrderAccepted("alice", desk.order_id)) == []
    assert desk.hear(filled(desk.order_id, 4)) == []
    assert desk.hear(events.OrderReduced("alice", desk.order_id, "r", 8)) == []
    assert desk.hear(events.OrderCanceled("alice", desk.order_id, "c", 4, 80)) == []
    desk.model.finish()
    assert desk.model.faults == []
    assert desk.model.totals()["orders_canceled"] == 1


IMPOSSIBLE: list[Callable[[str], Payload]] = [
    lambda order_id: events.OrderAccepted("alice", order_id),
    lambda order_id: events.OrderRefused("alice", order_id, 61),
    lambda order_id: filled(order_id, 11),
    lambda order_id: filled(order_id, 0),
    lambda order_id: filled(order_id, -3),
    lambda order_id: events.OrderCanceled("alice", order_id, "c", 9, 80),
    lambda order_id: events.OrderReduced("alice", order_id, "c", 10),
    lambda order_id: events.OrderReplaced("alice", order_id, "c", MARK, 20),
    lambda _: events.MarkChanged("NOPE", MARK),
    lambda _: events.MarkChanged("AAPL", 0),
    lambda _: events.MarkChanged("AAPL", 2**62),
    lambda order_id: events.OrderFilled("alice", order_id, "AAPL-1-0", 2**62, 5, codes.MAKER),
]


@pytest.mark.parametrize("make", IMPOSSIBLE)
def test_what_cannot_have_happened_to_an_order_is_a_fault(make: Callable[[str], Payload]) -> None:
    desk = ModelDesk()
    desk.hear(events.OrderAccepted("alice", desk.order_id))
    assert desk.hear(make(desk.order_id)) == ["IMPOSSIBLE_EVENT"]
    assert desk.hear(filled(desk.order_id, 10)) == [], "the fold goes on"


@pytest.mark.parametrize(
    "event",
    [
        events.OrderAccepted("alice", ORDER),
        events.OrderFilled("bob", ORDER, "AAPL-1-0", MARK, 1, 0),
        events.OrderCanceled("alice", ORDER, "", 1, 80),
        events.OrderReplaced("alice", ORDER, "c", MARK, 1),
        events.CancelRefused("bob", ORDER, "c", 4),
    ],
)
def test_an_event_of_an_order_that_nobody_placed_is_a_fault(event: Payload) -> None:
    assert ModelDesk().hear(event) == ["UNKNOWN_ORDER"]


def test_an_order_that_ended_is_no_longer_one_that_can_fill() -> None:
    desk = ModelDesk()
    desk.hear(events.OrderAccepted("alice", desk.order_id))
    desk.hear(filled(desk.order_id, 10))
    assert desk.hear(filled(desk.order_id, 1)) == ["UNKNOWN_ORDER"]


def test_a_hole_in_a_writers_sequence_is_a_fault() -> None:
    desk = ModelDesk()
    desk.hear(events.OrderAccepted("alice", desk.order_id))
    assert desk.hear(filled(desk.order_id, 1), sequence=3) == ["SEQUENCE"]


def test_a_sequence_that_does_not_begin_at_one_is_a_fault() -> None:
    desk = ModelDesk()
    assert desk.hear(events.OrderAccepted("alice", desk.order_id), sequence=2) == ["SEQUENCE"]


def test_a_message_that_comes_twice_is_a_fault() -> None:
    desk = ModelDesk()
    desk.hear(events.OrderAccepted("alice", desk.order_id))
    again = desk.hear(filled(desk.order_id, 1), offset=1, sequence=1)
    assert again == ["SOURCE_ORDER", "SEQUENCE"]


def test_a_record_that_does_not_belong_is_a_fault_and_nothing_else() -> None:
    desk = ModelDesk()
    before = desk.model.state()
    assert desk.model.take(99, "EnterOrder", {"origin": {}}) == []
    assert MatcherModel(0).take(0, "PlaceOrder", {"origin": {}}) == []
    assert [fault.check for fault in desk.model.faults] == ["UNKNOWN_RECORD"]
    assert desk.model.state() == before


@pytest.mark.parametrize("model", [RiskModel(0), MatcherModel(0)])
def test_fields_that_make_no_sense_break_the_partition_with_a_fault(
    model: RiskModel | MatcherModel,
) -> None:
    origin = {"topic": 1, "partition": 0, "offset": 0, "index": 0, "sequence": 0}
    times = {"time_us": 1, "event_time_us": 0}
    assert model.take(7, "Genesis", {"origin": origin | times}) == []
    [fault] = model.faults
    assert (fault.check, fault.offset) == ("MALFORMED", 7)
    assert model.is_broken
    assert model.take(8, "Genesis", {"origin": origin | times}) == []
    assert model.faults == [fault]


def test_no_more_than_so_many_faults_are_kept_and_the_rest_is_counted() -> None:
    desk = ModelDesk()
    for _ in range(FAULTS_MAX + 20):
        desk.hear(events.OrderAccepted("alice", ORDER))
    assert len(desk.model.faults) == FAULTS_MAX
    assert desk.model.totals()["faults_suppressed"] == 20


# --- into the models


def play(seed: int = 3, count: int = 1_500) -> RiskMarket:
    market = RiskMarket(small_genesis(sweep_orders_max=3, remember_ended_us=30_000_000))
    flow = Flow(market, resend_controls=False)
    flow.begin()
    for op in draw_ops(seed, count):
        flow.act(op)
    flow.finish()
    return market


def faults_of(market: RiskMarket) -> set[str]:
    found: list[Fault] = []
    for partition, steps in enumerate(market.steps):
        model = RiskModel(partition)
        for offset, message, _ in steps:
            model.take(*as_input("accounts", offset, message))
        model.finish()
        found += model.faults
    return {fault.check for fault in found}


@pytest.fixture(scope="module")
def market() -> RiskMarket:
    return play()


def test_a_whole_flow_has_no_fault(market: RiskMarket) -> None:
    assert faults_of(market) == set()


def let_all_through(*_: object) -> tuple[int, int, int, int]:
    return 0, 0, 0, 0


def keep_reserved(self: model_accounts.Holding, side: int, shares: int, money: int) -> None:
    """Only what grows is counted."""
    if shares > 0:
        self.buys += shares if side == codes.BUY else 0
        self.sells += shares if side == codes.SELL else 0
        self.buys_money += money if side == codes.BUY else 0
        self.sells_money += money if side == codes.SELL else 0


def test_an_acceptance_above_a_cap_or_short_is_found(
    market: RiskMarket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_orders, "_try_weight", let_all_through)
    assert faults_of(market) >= {"CAPS", "SHORT"}


def test_a_reservation_that_is_never_released_is_found(
    market: RiskMarket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_accounts.Holding, "shift", keep_reserved)
    assert "RESERVATION" in faults_of(market)


def test_an_order_that_ends_without_being_counted_is_found(
    market: RiskMarket, monkeypatch: pytest.MonkeyPatch
) -> None:
    end = model_accounts.Shard.end

    def miscount(self: model_accounts.Shard, account: model_accounts.Account, *how: Any) -> None:  # noqa: ANN401
        end(self, account, *how)
        account.live_count += 1

    monkeypatch.setattr(model_accounts.Shard, "end", miscount)
    assert "CONSERVATION" in faults_of(market)


def test_a_position_from_nowhere_is_found(
    market: RiskMarket, monkeypatch: pytest.MonkeyPatch
) -> None:
    shift = model_accounts.Holding.shift

    def gain(self: model_accounts.Holding, side: int, shares: int, money: int) -> None:
        shift(self, side, shares, money)
        self.position += 1

    monkeypatch.setattr(model_accounts.Holding, "shift", gain)
    assert "POSITION" in faults_of(market)


def book_faults() -> set[str]:
    genesis = default_genesis("flow")
    flow = make_flow(genesis, genesis.instruments[1], orders=300, seed=5)
    model = MatcherModel(1)
    for offset, message in enumerate(flow.warm_up + flow.commands):
        model.take(*as_input("matching", offset, message))
    model.finish()
    return {fault.check for fault in model.faults}


def test_a_deep_book_has_no_fault() -> None:
    assert book_faults() == set()


def last_first(self: model_book.Side, order: model_book.Resting) -> None:
    level = self._levels[order.price * self.sign]
    level.orders = {order.order_id: order} | level.orders


def test_a_trade_that_passes_over_an_older_order_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    insert = model_book.Side.insert

    def jump_the_queue(self: model_book.Side, order: model_book.Resting) -> None:
        insert(self, order)
        last_first(self, order)

    monkeypatch.setattr(model_book.Side, "insert", jump_the_queue)
    assert "PRIORITY" in book_faults()


def test_a_trade_at_a_worse_price_than_the_best_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def second_best(self: model_book.Side) -> model_book.Level | None:
        levels = list(self.levels())[:2]
        return levels[-1] if levels else None

    monkeypatch.setattr(model_book.Side, "best", second_best)
    assert "PRIORITY" in book_faults()


def test_a_book_that_is_crossed_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_matcher.MatcherModel, "_trade", lambda *_: True)
    assert "CROSSED" in book_faults()


def test_shares_that_vanish_from_a_level_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_book.Side, "change", lambda *_: None)
    assert "DEPTH" in book_faults()


def test_an_order_that_leaves_the_book_unsaid_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def drop(model: MatcherModel, command: dict[str, Any]) -> None:
        order = model._find(command)
        if order is not None:
            model._book.delete(order)

    monkeypatch.setattr(model_matcher.MatcherModel, "_cancel", drop)
    assert "CONSERVATION" in book_faults()


# --- into the rooms


def differs_in_risk() -> bool:
    """Whether the model finds a difference in what a market of patched rooms said."""
    patched = play()
    return any(
        first_difference("accounts", partition, list(steps)) >= 0
        for partition, steps in enumerate(patched.steps)
    )


def test_sound_rooms_differ_nowhere() -> None:
    assert not differs_in_risk()


def limits_off(*arguments: Any) -> tuple[Reason, int, int, int]:  # noqa: ANN401
    _, worst, money, exposure = _WEIGH(*arguments)
    return Reason.NONE, worst, money, exposure


_WEIGH = weigh


@pytest.mark.parametrize(
    "place,name,bug",
    [
        (risk_commands, "weigh", limits_off),
        (risk_commands, "find_mark_fault", lambda *_: Reason.NONE),
        (risk_commands, "value_of", lambda price, _: price),
        (risk_commands, "_is_same_order", lambda *_: False),
        (risk_commands, "protection_price", lambda market, _: market.mark),
        (risk_outcomes, "_reserve_what_is_open", lambda *_: None),
        (Shard, "forget", lambda _: None),
        (Shard, "remember_command", lambda *_: None),
    ],
)
def test_a_bug_in_risk_is_a_difference(
    monkeypatch: pytest.MonkeyPatch, place: object, name: str, bug: object
) -> None:
    monkeypatch.setattr(place, name, bug)
    assert differs_in_risk()


def differs_in_the_book() -> bool:
    genesis = default_genesis("flow")
    flow = make_flow(genesis, genesis.instruments[1], orders=300, seed=5)
    core = MatcherCore(1)
    said: list[tuple[int, Decoded[Any], list[Message]]] = [
        (offset, message, core.handle(offset, message))
        for offset, message in enumerate(flow.warm_up + flow.commands)
    ]
    return first_difference("matching", 1, said) >= 0


def test_a_sound_book_differs_nowhere() -> None:
    assert not differs_in_the_book()


def last_come_first(self: matcher_book.BookSide, order: matcher_book.Order) -> None:
    _APPEND(self, order)
    level = order.level
    assert level is not None
    if order.ahead is not None:
        ahead, first = order.ahead, level.first
        assert first is not None
        ahead.behind, level.last = None, ahead
        order.ahead, order.behind, first.ahead, level.first = None, first, order, order


_APPEND = matcher_book.BookSide.append


@pytest.mark.parametrize(
    "place,name,bug",
    [
        (matcher_book.BookSide, "append", last_come_first),
        (matcher_book.Book, "can_fill", lambda *_: True),
        (matcher_book.Book, "would_cross", lambda *_: True),
        (MatcherCore, "_send_mark", lambda _: None),
        (MatcherCore, "_move_clock", lambda _, cause: cause.time_us),
    ],
)
def test_a_bug_in_the_matcher_is_a_difference(
    monkeypatch: pytest.MonkeyPatch, place: object, name: str, bug: object
) -> None:
    monkeypatch.setattr(place, name, bug)
    assert differs_in_the_book()


@pytest.mark.parametrize("field", ["price", "quantity", "bid_quantity", "taker_account"])
def test_one_changed_field_of_one_trade_is_a_difference(field: str) -> None:
    genesis = default_genesis("flow")
    flow = make_flow(genesis, genesis.instruments[1], orders=60, seed=5)
    core = MatcherCore(1)
    said, changed_at = [], -1
    for offset, message in enumerate(flow.warm_up + flow.commands):
        outputs = core.handle(offset, message)
        trades = [i for i, m in enumerate(outputs) if isinstance(m.payload, events.Trade)]
        if trades and changed_at < 0:
            changed_at = offset
            trade = outputs[trades[0]]
            value = getattr(trade.payload, field)
            other = f"{value}x" if isinstance(value, str) else value + 1
            payload = msgspec.structs.replace(trade.payload, **{field: other})
            outputs[trades[0]] = msgspec.structs.replace(trade, payload=payload)
        said.append((offset, message, outputs))
    assert first_difference("matching", 1, said) == changed_at >= 0


def test_a_message_that_risk_never_read_is_a_hole_and_a_difference(market: RiskMarket) -> None:
    steps = market.steps[0]
    at = next(
        i for i, step in enumerate(steps) if isinstance(step.decoded.payload, events.OrderFilled)
    )
    model = RiskModel(0)
    for offset, message, _ in steps[:at] + steps[at + 1 :]:
        model.take(*as_input("accounts", offset, message))
    first = model.faults[0]
    assert first.check == "SEQUENCE"
    assert first.offset > steps[at].offset

"""What holds for any stream of commands, and that each check would see it broken."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import Phase, event, find, given, settings

from services.domain import codes
from services.domain.commands import CancelOrder
from services.domain.controls import Genesis
from services.domain.events import Trade
from services.matcher.book import Book, BookSide, Order, PriceLevel
from services.matcher.core import MatcherCore
from services.wire.codec import Decoded
from tests.support import matching_rules as rules
from tests.support.matching_streams import streams

type Stream = list[Decoded[Any]]


@given(streams(length_max=60))
def test_every_step_keeps_the_rules_of_the_book(stream: Stream) -> None:
    trades = 0
    for step in rules.walk(MatcherCore(0), stream):
        assert rules.find_broken_rule(step) == ""
        trades += sum(isinstance(said, Trade) for said in step.said)
    event(f"trades: {'none' if trades == 0 else 'some' if trades < 5 else 'many'}")


@given(streams())
def test_levels_add_up_to_the_orders_in_them(stream: Stream) -> None:
    core = MatcherCore(0)
    for offset, decoded in enumerate(stream):
        core.handle(offset, decoded)
        for side in (core._book.bids, core._book.asks):
            levels = list(side.levels())
            assert side.best is (levels[0] if levels else None)
            for better, worse in pairwise(levels):
                assert side._sign * better.price > side._sign * worse.price
            for level in levels:
                orders = [order for order in side.orders() if order.level is level]
                assert level.orders == len(orders) > 0
                assert level.quantity == sum(o.quantity - o.filled for o in orders)
                assert level.last is orders[-1]
        resting = [*core._book.bids.orders(), *core._book.asks.orders()]
        assert {order.order_id: order for order in resting} == core._book.orders


@given(streams(length_max=60))
def test_no_command_meets_more_orders_than_it_may(stream: Stream) -> None:
    assert find_long_sweep_in(stream) == ""


def find_long_sweep_in(stream: Stream) -> str:
    """The first finding about a stream that is folded by the bound of its own genesis."""
    genesis = next((d.payload for d in stream if isinstance(d.payload, Genesis)), None)
    orders_max = genesis.sweep_orders_max if genesis else 0
    steps = rules.walk(MatcherCore(0), stream)
    return next((said for step in steps if (said := rules.find_long_sweep(step, orders_max))), "")


# --- planted faults: what each check is there to find


def append_in_front(side: BookSide, order: Order) -> None:
    """Last come, first served."""
    level = side._levels.get(order.price)
    waiting: list[Order] = []
    while level is not None and level.first is not None:
        waiting.append(level.first)
        ORIGINAL_REMOVE(side, level.first)
    for one in (order, *waiting):
        ORIGINAL_APPEND(side, one)


def reduce_to_the_back(book: Book, order: Order, quantity: int) -> None:
    """A reduction loses its priority."""
    book.remove(order)
    order.quantity = quantity
    book.add(order)


def fill_and_forget(book: Book, order: Order, quantity: int) -> None:
    """A maker leaves at its first fill."""
    ORIGINAL_FILL(book, order, quantity)
    if order.order_id in book.orders:
        book.remove(order)


def sweep_nothing(core: MatcherCore, taker: Order, quantity: int) -> int:
    """Orders that meet rest beside each other."""
    del core, taker
    return quantity


def sweep_beyond(core: MatcherCore, taker: Order, quantity: int) -> int:
    """A seller takes any bid."""
    if taker.side == codes.BUY:
        return ORIGINAL_SWEEP(core, taker, quantity)
    aggressive = Order(taker.order_id, taker.account, taker.side, 1, 1, 0, False, 2)
    return ORIGINAL_SWEEP(core, aggressive, quantity)


def tell_the_maker_twice(
    core: MatcherCore, taker: Order, maker: Order, quantity: int, fill: int
) -> None:
    """The taker never hears of it."""
    del taker
    ORIGINAL_SAY(core, maker, maker, quantity, fill)


def tell_the_maker_alone(
    core: MatcherCore, taker: Order, maker: Order, quantity: int, fill: int
) -> None:
    """The message to the taker is lost."""
    ORIGINAL_SAY(core, taker, maker, quantity, fill)
    core._outbox.messages.pop()


def levels_by_age(side: BookSide) -> list[PriceLevel]:
    """Levels in the order in which they were opened."""
    return list(side._levels.values())


def begin_unbounded(core: MatcherCore, genesis: Genesis) -> None:
    """Sweeps go on for ever."""
    ORIGINAL_BEGIN(core, genesis)
    core._sweep_orders_max = 1_000


def begin_short(core: MatcherCore, genesis: Genesis) -> None:
    """Sweeps end after their first order."""
    ORIGINAL_BEGIN(core, genesis)
    core._sweep_orders_max = 1


ORIGINAL_BEGIN: Callable[[MatcherCore, Genesis], None] = MatcherCore._begin
ORIGINAL_APPEND = BookSide.append
ORIGINAL_REMOVE = BookSide.remove
ORIGINAL_FILL = Book.fill
ORIGINAL_SWEEP: Callable[[MatcherCore, Order, int], int] = MatcherCore._sweep
ORIGINAL_SAY: Callable[[MatcherCore, Order, Order, int, int], None] = MatcherCore._say_traded


@pytest.mark.parametrize(
    "owner, method, fault, check",
    [
        (MatcherCore, "_sweep", sweep_nothing, rules.find_crossed),
        (BookSide, "levels", levels_by_age, rules.find_crossed),
        (BookSide, "append", append_in_front, rules.find_queue_jumped),
        (MatcherCore, "_sweep", sweep_beyond, rules.find_beyond_limit),
        (MatcherCore, "_say_traded", tell_the_maker_alone, rules.find_two_sided),
        (MatcherCore, "_say_traded", tell_the_maker_twice, rules.find_leak),
        (Book, "can_fill", lambda *_: True, rules.find_half_filled_fok),
        (Book, "reduce", reduce_to_the_back, rules.find_lost_priority),
        (Book, "fill", fill_and_forget, rules.find_leak),
    ],
)
def test_a_planted_fault_is_found(
    owner: type, method: str, fault: object, check: Callable[[rules.Step], str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(owner, method, fault)
    search = settings(max_examples=2_000, phases=[Phase.generate], database=None)

    def breaks_the_rule(stream: Stream) -> bool:
        return any(check(step) for step in rules.walk(MatcherCore(0), stream))

    found = find(streams(), breaks_the_rule, settings=search)
    assert breaks_the_rule(found)


@pytest.mark.parametrize("fault", [begin_unbounded, begin_short])
def test_a_sweep_of_the_wrong_length_is_found(
    fault: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(MatcherCore, "_begin", fault)
    search = settings(max_examples=2_000, phases=[Phase.generate], database=None)
    found = find(streams(), lambda stream: bool(find_long_sweep_in(stream)), settings=search)
    assert find_long_sweep_in(found)


def test_a_trade_that_is_not_with_the_first_order_is_found() -> None:
    first, second = (rules.Rest(f"AAPL-{n}", "ann", 100, 5, 0, False, 0) for n in "ab")
    before = rules.Books([], [first, second])
    ids = ("AAPL-1-0", "AAPL", 100, 5, codes.BUY)
    top = (0, 0, 100, 5)
    fair = Trade(*ids, first.order_id, "AAPL-t", "ann", "bob", *top)
    unfair = Trade(*ids, second.order_id, "AAPL-t", "ann", "bob", *top)
    command = CancelOrder("bob", "any", "AAPL-t")
    steps = [rules.Step(command, before, [trade], before) for trade in (fair, unfair)]
    assert [bool(rules.find_unfair(step)) for step in steps] == [False, True]

"""One command meets a bounded number of resting orders; what happens there, with the book drawn."""

import pytest

from services.domain import codes
from services.domain.genesis import default_genesis
from services.domain.reasons import Reason
from services.matcher.core import MatcherCore
from tests.support.drawn_book import DrawnBook

IOC = {"time_in_force": codes.IOC}
FOK = {"time_in_force": codes.FOK}
MARKET = {"order_type": codes.MARKET, "time_in_force": codes.IOC}
RESTING = {"account": "me", "self_trade_prevention": codes.CANCEL_RESTING}
INCOMING = {"account": "me", "self_trade_prevention": codes.CANCEL_INCOMING}
ALLOWED = {"account": "me", "self_trade_prevention": codes.ALLOW_SELF_TRADE}


def make_asks(owners: str = "xxxxx") -> DrawnBook:
    """Five orders of 10 on two levels; `m` is mine. One command may meet three of them."""
    book = DrawnBook(sweep_orders_max=3)
    for number, owner in enumerate(owners, start=1):
        price = "10.01" if number <= 2 else "10.02"
        account = "me" if owner == "m" else f"owner-of-s{number}"
        book.sell(f"s{number}", 10, price, account=account)
    return book


def fills(*names: str, quantity: int = 10) -> list[str]:
    prices = {"s1": "10.01", "s2": "10.01"}
    return [
        line
        for name in names
        for line in (
            f"trade {quantity} @ {prices.get(name, '10.02')}",
            f"{name} maker {quantity}",
            f"t taker {quantity}",
        )
    ]


@pytest.mark.parametrize("fields", [{}, IOC, MARKET], ids=["gtc", "ioc", "market"])
def test_an_order_that_meets_more_orders_than_it_may_is_canceled_there(
    fields: dict[str, object],
) -> None:
    book = make_asks()
    said = book.buy("t", 45, "10.02", **fields)
    assert said == ["t accepted", *fills("s1", "s2", "s3"), "t canceled 15 SWEEP_LIMIT"]
    assert book.draw() == ["10.02: s4 10 s5 10", "---"]
    assert book.buy("t", 15, "10.02")[-1] == "t taker 5", "the id is free, the rest can be had"


def test_an_order_that_meets_as_many_as_it_may_just_fills() -> None:
    book = make_asks()
    assert book.buy("t", 30, "10.02") == ["t accepted", *fills("s1", "s2", "s3")]
    assert book.draw() == ["10.02: s4 10 s5 10", "---"]


def test_the_last_order_it_may_meet_may_be_filled_in_part() -> None:
    book = make_asks()
    assert book.buy("t", 25, "10.02")[-3:] == ["trade 5 @ 10.02", "s3 maker 5", "t taker 5"]
    assert book.draw() == ["10.02: s3 5 s4 10 s5 10", "---"]


def test_an_order_that_could_not_go_on_anyway_ends_as_it_would() -> None:
    resting, immediate = make_asks("xxx"), make_asks("xxx")
    assert resting.buy("t", 45, "10.02")[-1] == "t taker 10"
    assert resting.draw() == ["---", "10.02: t 15"]
    assert immediate.buy("t", 45, "10.02", **IOC)[-1] == "t canceled 15 IOC_REMAINDER"


def test_a_fok_fills_at_the_bound_and_touches_nobody_beyond_it() -> None:
    book = make_asks()
    before = book.draw()
    assert book.buy("t", 31, "10.02", **FOK) == ["t accepted", "t canceled 31 FOK_UNFILLED"]
    assert book.draw() == before
    assert book.buy("t", 30, "10.02", **FOK) == ["t accepted", *fills("s1", "s2", "s3")]


def test_own_orders_that_are_canceled_count_among_those_it_meets() -> None:
    book = make_asks("mxmxx")
    said = book.buy("t", 20, "10.02", **RESTING)
    assert said == [
        "t accepted",
        "s1 canceled 10 SELF_TRADE",
        *fills("s2"),
        "s3 canceled 10 SELF_TRADE",
        "t canceled 10 SWEEP_LIMIT",
    ]
    assert book.draw() == ["10.02: s4 10 s5 10", "---"]


@pytest.mark.parametrize("own, quantity", [("xxxxx", 30), ("mxxxx", 20), ("mxmxx", 10)])
def test_a_fok_counts_the_own_orders_it_would_cancel(own: str, quantity: int) -> None:
    too_many, enough = make_asks(own), make_asks(own)
    before = too_many.draw()
    fok = FOK | RESTING
    assert too_many.buy("t", quantity + 1, "10.02", **fok)[-1].endswith("FOK_UNFILLED")
    assert too_many.draw() == before
    enough.buy("t", quantity, "10.02", **fok)
    assert sum(trade.quantity for trade in enough.trades()) == quantity


def test_a_fok_without_prevention_counts_the_orders_of_whole_levels_too() -> None:
    book = make_asks("mxxmx")
    before = book.draw()
    fok = FOK | ALLOWED
    for quantity in (31, 40, 50):
        assert book.buy("t", quantity, "10.02", **fok)[-1] == f"t canceled {quantity} FOK_UNFILLED"
        assert book.draw() == before
    assert book.buy("t", 30, "10.02", **fok) == ["t accepted", *fills("s1", "s2", "s3")]


def test_a_fok_without_prevention_stops_where_whole_levels_use_the_bound_up() -> None:
    book = DrawnBook(sweep_orders_max=2)
    for name, price in (("s1", "10.01"), ("s2", "10.01"), ("s3", "10.02")):
        book.sell(name, 10, price)
    fok = FOK | ALLOWED
    assert book.buy("t", 21, "10.02", **fok)[-1] == "t canceled 21 FOK_UNFILLED"
    assert book.buy("t", 20, "10.02", **fok) == ["t accepted", *fills("s1", "s2")]


def test_the_bound_is_looked_at_before_whose_order_comes_next() -> None:
    assert make_asks("xxxmx").buy("t", 40, "10.02", **INCOMING)[-1] == "t canceled 10 SWEEP_LIMIT"
    assert make_asks("xxmxx").buy("t", 40, "10.02", **INCOMING)[-1] == "t canceled 20 SELF_TRADE"


def test_a_replaced_order_that_meets_more_than_it_may_is_canceled_there() -> None:
    book = make_asks()
    book.buy("t", 40, "10.00")
    said = book.replace("t", 45, "10.02")
    assert said == [
        "t replaced by 45 @ 10.02",
        *fills("s1", "s2", "s3"),
        "t canceled 15 SWEEP_LIMIT",
    ]
    assert book.draw() == ["10.02: s4 10 s5 10", "---"]
    assert book.cancel("t") == ["t cancel refused UNKNOWN_ORDER"]


def test_the_bound_is_each_commands_own_and_outlives_a_dump() -> None:
    book = make_asks()
    book.buy("t", 25, "10.02")
    book.matcher = MatcherCore.load(0, book.matcher.dump())
    said = book.buy("t", 99, "10.02")
    assert said == [
        "t accepted",
        *fills("s3", quantity=5),
        *fills("s4", "s5"),
    ], "three more, and then the book is empty"
    assert book.draw() == ["---", "10.02: t 74"]


def test_the_shipped_bound_keeps_what_one_command_causes_in_bounds() -> None:
    most = default_genesis().sweep_orders_max
    book = DrawnBook()
    for number in range(most + 1):
        book.sell(f"s{number}", 1, "10.01")
    assert book.buy("t", most + 1, "10.01")[-1] == f"t canceled 1 {Reason.SWEEP_LIMIT.name}"
    assert len(book.messages) == 3 * most + 2
    assert book.draw() == [f"10.01: s{most} 1", "---"]

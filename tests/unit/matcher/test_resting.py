"""Cancel, reduce and replace of orders that rest, each rule with the book drawn."""

from services.domain import codes
from services.domain.events import OrderCanceled, OrderReplaced
from tests.support.drawn_book import DrawnBook


def make_book() -> DrawnBook:
    book = DrawnBook()
    book.sell("s1", 100, "10.02")
    book.buy("b1", 100, "10.00")
    book.buy("b2", 50, "10.00")
    book.buy("b3", 70, "9.99")
    assert book.draw() == ["10.02: s1 100", "---", "10.00: b1 100 b2 50", "9.99: b3 70"]
    return book


def test_a_cancel_takes_out_what_remains() -> None:
    book = make_book()
    book.sell("t", 30, "10.00")
    assert book.cancel("b1") == ["b1 canceled 70 CANCEL_REQUESTED"]
    assert book.draw() == ["10.02: s1 100", "---", "10.00: b2 50", "9.99: b3 70"]
    canceled = book.messages[-1].payload
    assert isinstance(canceled, OrderCanceled)
    assert canceled.client_command_id == "cancel-1"


def test_a_cancel_of_an_order_that_is_not_live_is_refused() -> None:
    book = make_book()
    book.cancel("b1")
    assert book.cancel("b1") == ["b1 cancel refused UNKNOWN_ORDER"]
    assert book.cancel("nobody") == ["nobody cancel refused UNKNOWN_ORDER"]


def test_nobody_cancels_another_accounts_order() -> None:
    book = make_book()
    assert book.cancel("b1", account="mallory") == ["b1 cancel refused UNKNOWN_ORDER"]
    assert book.draw()[2] == "10.00: b1 100 b2 50"


def test_a_cancel_from_the_middle_of_a_level_leaves_the_others_in_order() -> None:
    book = DrawnBook()
    for name in ("b1", "b2", "b3", "b4"):
        book.buy(name, 10, "10.00")
    book.cancel("b2")
    assert book.draw() == ["---", "10.00: b1 10 b3 10 b4 10"]
    book.cancel("b4")
    book.buy("b5", 10, "10.00")
    assert book.draw() == ["---", "10.00: b1 10 b3 10 b5 10"]
    book.cancel("b1")
    assert book.sell("t", 15, "10.00")[1:4] == ["trade 10 @ 10.00", "b3 maker 10", "t taker 10"]


def test_a_reduction_keeps_its_priority() -> None:
    book = make_book()
    assert book.reduce("b1", 40) == ["b1 reduced to 40"]
    assert book.draw()[2] == "10.00: b1 40 b2 50"
    assert book.sell("t", 40, "10.00")[2] == "b1 maker 40"


def test_a_reduction_states_the_total_with_the_filled_part() -> None:
    book = make_book()
    book.sell("t", 30, "10.00")
    assert book.reduce("b1", 60) == ["b1 reduced to 60"]
    assert book.draw()[2] == "10.00: b1 30 b2 50"


def test_a_reduction_to_what_is_filled_or_less_is_refused() -> None:
    book = make_book()
    book.sell("t", 30, "10.00")
    before = book.draw()
    for total in (30, 29, 0, -1):
        assert book.reduce("b1", total) == ["b1 replace refused BELOW_FILLED"]
    assert book.draw() == before


def test_a_reduction_that_lowers_nothing_is_refused() -> None:
    book = make_book()
    for total in (100, 101, 2**62):
        assert book.reduce("b1", total) == ["b1 replace refused NOT_A_REDUCTION"]


def test_a_reduction_of_an_order_that_ended_is_refused() -> None:
    book = make_book()
    book.cancel("b1")
    assert book.reduce("b1", 10) == ["b1 replace refused UNKNOWN_ORDER"]


def test_a_replace_that_merely_reduces_keeps_its_priority() -> None:
    book = make_book()
    assert book.replace("b1", 40, "10.00") == ["b1 replaced by 40 @ 10.00"]
    assert book.draw()[2] == "10.00: b1 40 b2 50"


def test_a_replace_with_more_shares_goes_last_at_its_price() -> None:
    book = make_book()
    assert book.replace("b1", 110, "10.00") == ["b1 replaced by 110 @ 10.00"]
    assert book.draw()[2] == "10.00: b2 50 b1 110"


def test_a_replace_that_changes_nothing_goes_last_at_its_price() -> None:
    book = make_book()
    book.replace("b1", 100, "10.00")
    assert book.draw()[2] == "10.00: b2 50 b1 100"


def test_a_replace_at_another_price_goes_last_there() -> None:
    book = make_book()
    assert book.replace("b1", 20, "9.99") == ["b1 replaced by 20 @ 9.99"]
    assert book.draw() == ["10.02: s1 100", "---", "10.00: b2 50", "9.99: b3 70 b1 20"]


def test_a_replace_that_crosses_is_said_first_and_then_trades() -> None:
    book = make_book()
    book.sell("t", 30, "10.00")
    assert book.replace("b1", 150, "10.02") == [
        "b1 replaced by 150 @ 10.02",
        "trade 100 @ 10.02",
        "s1 maker 100",
        "b1 taker 100",
    ]
    assert book.draw() == ["---", "10.02: b1 20", "10.00: b2 50", "9.99: b3 70"]
    assert book.reduce("b1", 130) == ["b1 replace refused BELOW_FILLED"]
    assert book.reduce("b1", 131) == ["b1 reduced to 131"]


def test_a_replace_that_fills_the_order_ends_it() -> None:
    book = make_book()
    book.replace("b1", 100, "10.02")
    assert book.draw() == ["---", "10.00: b2 50", "9.99: b3 70"]
    assert book.cancel("b1") == ["b1 cancel refused UNKNOWN_ORDER"]


def test_a_replace_keeps_the_self_trade_prevention_of_its_entry() -> None:
    book = make_book()
    own = {"account": "owner-of-s1"}
    book.buy("b4", 30, "9.98", self_trade_prevention=codes.CANCEL_INCOMING, **own)
    assert book.replace("b4", 30, "10.02") == [
        "b4 replaced by 30 @ 10.02",
        "b4 canceled 30 SELF_TRADE",
    ]
    book.buy("b5", 30, "9.98", **own)
    assert book.replace("b5", 30, "10.02") == [
        "b5 replaced by 30 @ 10.02",
        "s1 canceled 100 SELF_TRADE",
    ]
    assert book.draw()[:2] == ["---", "10.02: b5 30"]


def test_a_post_only_order_is_not_replaced_across_the_spread() -> None:
    book = make_book()
    book.buy("b4", 30, "9.98", post_only=True)
    before = book.draw()
    assert book.replace("b4", 30, "10.02") == ["b4 replace refused WOULD_CROSS"]
    assert book.draw() == before
    assert book.replace("b4", 30, "10.01") == ["b4 replaced by 30 @ 10.01"]


def test_a_replace_to_what_is_filled_or_less_is_refused() -> None:
    book = make_book()
    book.sell("t", 30, "10.00")
    before = book.draw()
    for total in (30, 0, -1):
        assert book.replace("b1", total, "9.00") == ["b1 replace refused BELOW_FILLED"]
    assert book.draw() == before


def test_a_replace_by_nonsense_is_refused() -> None:
    book = make_book()
    before = book.draw()
    assert book.replace("b1", 2**62, "10.00") == ["b1 replace refused INVALID_QUANTITY"]
    assert book.replace("b1", 10, "0") == ["b1 replace refused INVALID_PRICE"]
    assert book.replace("b1", 10, "-3.00") == ["b1 replace refused INVALID_PRICE"]
    assert book.replace("nobody", 10, "10.00") == ["nobody replace refused UNKNOWN_ORDER"]
    assert book.draw() == before


def test_a_replace_names_its_command() -> None:
    book = make_book()
    book.replace("b1", 10, "10.00")
    replaced = book.messages[0].payload
    assert isinstance(replaced, OrderReplaced)
    assert replaced.client_command_id == "replace-1"


def test_a_full_book_still_replaces() -> None:
    book = DrawnBook(book_orders_max=1)
    book.buy("b1", 10, "10.00")
    assert book.replace("b1", 20, "10.01") == ["b1 replaced by 20 @ 10.01"]
    assert book.draw() == ["---", "10.01: b1 20"]

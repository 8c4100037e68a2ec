"""How orders enter and trade, each rule with the book drawn."""

import msgspec
import pytest

from services.domain import codes
from services.domain.amounts import format_price
from services.domain.commands import EnterOrder
from services.domain.controls import Halt, Resume
from services.domain.genesis import default_genesis
from tests.support.drawn_book import TICKER, DrawnBook

IOC = {"time_in_force": codes.IOC}
FOK = {"time_in_force": codes.FOK}
POST_ONLY = {"post_only": True}
MARKET = {"order_type": codes.MARKET, "time_in_force": codes.IOC}


def make_asks() -> DrawnBook:
    book = DrawnBook()
    book.sell("s1", 100, "10.01")
    book.sell("s2", 50, "10.01")
    book.sell("s3", 200, "10.02")
    book.buy("b1", 70, "9.99")
    assert book.draw() == ["10.02: s3 200", "10.01: s1 100 s2 50", "---", "9.99: b1 70"]
    return book


def test_orders_that_do_not_meet_rest_by_price_and_then_by_time() -> None:
    book = DrawnBook()
    book.buy("b1", 10, "9.98")
    book.buy("b2", 20, "9.99")
    book.buy("b3", 30, "9.98")
    book.sell("s1", 10, "10.02")
    book.sell("s2", 20, "10.01")
    book.sell("s3", 30, "10.02")
    assert book.draw() == [
        "10.02: s1 10 s3 30",
        "10.01: s2 20",
        "---",
        "9.99: b2 20",
        "9.98: b1 10 b3 30",
    ]


def test_a_buyer_gets_the_best_price_first_and_the_earliest_order_at_it() -> None:
    book = make_asks()
    assert book.buy("t", 120, "10.02") == [
        "t accepted",
        "trade 100 @ 10.01",
        "s1 maker 100",
        "t taker 100",
        "trade 20 @ 10.01",
        "s2 maker 20",
        "t taker 20",
    ]
    assert book.draw() == ["10.02: s3 200", "10.01: s2 30", "---", "9.99: b1 70"]


def test_a_seller_gets_the_makers_price_not_its_own() -> None:
    book = make_asks()
    assert book.sell("t", 30, "9.50") == [
        "t accepted", "trade 30 @ 9.99", "b1 maker 30", "t taker 30",
    ]  # fmt: skip
    assert book.draw()[-1] == "9.99: b1 40"


def test_what_remains_of_a_crossing_order_rests_at_its_own_price() -> None:
    book = make_asks()
    book.buy("t", 180, "10.01")
    assert book.draw() == ["10.02: s3 200", "---", "10.01: t 30", "9.99: b1 70"]


def test_each_trade_shows_the_top_of_book_right_after_it() -> None:
    book = make_asks()
    book.buy("t", 360, "10.02")
    tops = [
        (format_price(t.bid), t.bid_quantity, format_price(t.ask), t.ask_quantity)
        for t in book.trades()
    ]
    assert tops == [
        ("9.99", 70, "10.01", 50),
        ("9.99", 70, "10.02", 200),
        ("9.99", 70, "0.00", 0),
    ]
    assert book.draw() == ["---", "10.02: t 10", "9.99: b1 70"]


def test_trade_ids_count_the_fills_of_one_command() -> None:
    book = make_asks()  # the genesis and four orders are offsets 0 to 4
    book.buy("t", 120, "10.02")
    trades = book.trades()
    assert [trade.trade_id for trade in trades] == ["AAPL-5-0", "AAPL-5-1"]
    assert [trade.aggressor_side for trade in trades] == [codes.BUY, codes.BUY]


def test_an_ioc_never_rests() -> None:
    book = make_asks()
    said = book.buy("t", 180, "10.01", **IOC)
    assert said[-1] == "t canceled 30 IOC_REMAINDER"
    assert book.draw() == ["10.02: s3 200", "---", "9.99: b1 70"]


def test_an_ioc_that_meets_nobody_is_accepted_and_canceled() -> None:
    book = make_asks()
    assert book.buy("t", 5, "10.00", **IOC) == ["t accepted", "t canceled 5 IOC_REMAINDER"]


def test_a_fok_that_can_fill_fills_over_several_levels() -> None:
    book = make_asks()
    said = book.buy("t", 200, "10.02", **FOK)
    assert [line for line in said if line.startswith("t ")] == [
        "t accepted", "t taker 100", "t taker 50", "t taker 50",
    ]  # fmt: skip
    assert book.draw() == ["10.02: s3 150", "---", "9.99: b1 70"]


def test_a_fok_that_can_not_fill_touches_nobody() -> None:
    book = make_asks()
    before = book.draw()
    assert book.buy("t", 151, "10.01", **FOK) == ["t accepted", "t canceled 151 FOK_UNFILLED"]
    assert book.draw() == before


def test_a_fok_does_not_count_own_orders_that_it_would_cancel() -> None:
    book = make_asks()
    before = book.draw()
    own = {"account": "owner-of-s1", **FOK}
    assert book.buy("t", 51, "10.01", **own) == ["t accepted", "t canceled 51 FOK_UNFILLED"]
    assert book.draw() == before
    assert book.buy("u", 50, "10.01", **own) == [
        "u accepted", "s1 canceled 100 SELF_TRADE", "trade 50 @ 10.01", "s2 maker 50", "u taker 50",
    ]  # fmt: skip


def test_a_fok_that_an_own_order_would_cancel_counts_up_to_it() -> None:
    book = make_asks()
    own = {
        "account": "owner-of-s2",
        "self_trade_prevention": codes.CANCEL_INCOMING,
        **FOK,
    }
    assert book.buy("t", 101, "10.02", **own) == ["t accepted", "t canceled 101 FOK_UNFILLED"]
    assert book.buy("u", 100, "10.02", **own)[-1] == "u taker 100"


def test_a_fok_without_prevention_counts_its_own_orders() -> None:
    book = make_asks()
    own = {
        "account": "owner-of-s1",
        "self_trade_prevention": codes.ALLOW_SELF_TRADE,
        **FOK,
    }
    assert book.buy("t", 150, "10.01", **own)[-1] == "t taker 50"


@pytest.mark.parametrize("price", ["10.01", "10.02"])
def test_a_post_only_order_that_would_trade_is_refused(price: str) -> None:
    book = make_asks()
    before = book.draw()
    assert book.buy("t", 10, price, **POST_ONLY) == ["t order refused WOULD_CROSS"]
    assert book.draw() == before


def test_a_post_only_order_that_would_not_trade_rests() -> None:
    book = make_asks()
    assert book.buy("t", 10, "10.00", **POST_ONLY) == ["t accepted"]
    assert book.draw()[-2:] == ["10.00: t 10", "9.99: b1 70"]


def test_a_market_order_takes_up_to_its_protection_price_and_never_rests() -> None:
    book = make_asks()
    said = book.buy("t", 180, "10.01", **MARKET)
    assert said[0] == "t accepted"
    assert said[-1] == "t canceled 30 IOC_REMAINDER"
    assert book.draw() == ["10.02: s3 200", "---", "9.99: b1 70"]


def test_a_market_order_against_an_empty_side_is_refused() -> None:
    book = DrawnBook()
    book.buy("b1", 10, "9.99")
    assert book.buy("t", 10, "11.00", **MARKET) == ["t order refused NO_LIQUIDITY"]


def test_a_market_order_is_refused_while_the_spread_is_too_wide() -> None:
    book = DrawnBook()  # the shipped spread limit is 2.00
    book.buy("b1", 10, "9.00")
    book.sell("s1", 10, "11.01")
    assert book.buy("t", 10, "12.00", **MARKET) == ["t order refused SPREAD_TOO_WIDE"]
    book.buy("b2", 10, "9.01")
    assert book.buy("u", 10, "12.00", **MARKET)[-1] == "u taker 10"


def test_a_market_order_needs_no_spread_while_its_own_side_is_empty() -> None:
    book = DrawnBook()
    book.sell("s1", 10, "11.00")
    assert book.buy("t", 10, "12.00", **MARKET)[-1] == "t taker 10"


def test_a_spread_limit_of_zero_is_none() -> None:
    genesis = default_genesis()
    open_spread = msgspec.structs.replace(genesis.instruments[0], spread_limit=0)
    book = DrawnBook(instruments=(open_spread, *genesis.instruments[1:]))
    book.buy("b1", 10, "1.00")
    book.sell("s1", 10, "99.00")
    assert book.buy("t", 10, "100.00", **MARKET)[-1] == "t taker 10"


def test_an_own_resting_order_is_canceled_and_the_sweep_goes_on() -> None:
    book = make_asks()
    assert book.buy("t", 60, "10.01", account="owner-of-s1") == [
        "t accepted",
        "s1 canceled 100 SELF_TRADE",
        "trade 50 @ 10.01",
        "s2 maker 50",
        "t taker 50",
    ]
    assert book.draw() == ["10.02: s3 200", "---", "10.01: t 10", "9.99: b1 70"]


def test_the_incoming_order_is_canceled_where_it_meets_its_own() -> None:
    book = make_asks()
    fields = {"account": "owner-of-s2", "self_trade_prevention": codes.CANCEL_INCOMING}
    assert book.buy("t", 160, "10.02", **fields) == [
        "t accepted",
        "trade 100 @ 10.01",
        "s1 maker 100",
        "t taker 100",
        "t canceled 60 SELF_TRADE",
    ]
    assert book.draw() == ["10.02: s3 200", "10.01: s2 50", "---", "9.99: b1 70"]


def test_without_prevention_an_account_trades_with_itself() -> None:
    book = make_asks()
    fields = {"account": "owner-of-s1", "self_trade_prevention": codes.ALLOW_SELF_TRADE}
    assert book.buy("t", 10, "10.01", **fields) == [
        "t accepted", "trade 10 @ 10.01", "s1 maker 10", "t taker 10",
    ]  # fmt: skip


def test_an_id_that_is_live_is_refused_and_free_again_when_its_order_ended() -> None:
    book = make_asks()
    before = book.draw()
    assert book.sell("s1", 5, "10.05") == ["s1 order refused ORDER_ID_LIVE"]
    assert book.draw() == before
    book.cancel("s1")
    assert book.sell("s1", 5, "10.05") == ["s1 accepted"]


def test_a_full_book_takes_what_cannot_rest_and_refuses_what_might() -> None:
    book = DrawnBook(book_orders_max=2)
    book.sell("s1", 10, "10.01")
    book.sell("s2", 10, "10.02")
    assert book.sell("s3", 10, "10.03") == ["s3 order refused BOOK_FULL"]
    assert book.buy("t", 10, "10.01", **IOC)[-1] == "t taker 10"
    assert book.sell("s3", 10, "10.03") == ["s3 accepted"]
    assert book.draw() == ["10.03: s3 10", "10.02: s2 10", "---"]


def test_a_halted_ticker_takes_cancels_and_refuses_the_rest() -> None:
    book = make_asks()
    assert book.send(Halt("h1", TICKER)) == []
    assert book.buy("t", 10, "10.01") == ["t order refused TICKER_HALTED"]
    assert book.buy("t", 10, "11.00", **MARKET) == ["t order refused TICKER_HALTED"]
    assert book.reduce("s3", 10) == ["s3 replace refused TICKER_HALTED"]
    assert book.replace("s3", 10, "10.05") == ["s3 replace refused TICKER_HALTED"]
    assert book.cancel("s3") == ["s3 canceled 200 CANCEL_REQUESTED"]
    assert book.send(Resume("h2", TICKER)) == []
    assert book.buy("t", 10, "10.01")[-1] == "t taker 10"


def test_a_halt_of_another_ticker_is_none_of_this_book() -> None:
    book = make_asks()
    book.send(Halt("h1", "MSFT"))
    assert book.buy("t", 10, "10.01")[-1] == "t taker 10"


@pytest.mark.parametrize(
    "fields, reason",
    [
        ({"side": 0}, "INVALID_SIDE"),
        ({"order_type": 9}, "INVALID_ORDER_TYPE"),
        ({"time_in_force": 2}, "INVALID_TIME_IN_FORCE"),
        ({"order_type": codes.MARKET}, "INVALID_COMBINATION"),
        ({"post_only": True, "time_in_force": codes.IOC}, "INVALID_COMBINATION"),
        ({"self_trade_prevention": 3}, "INVALID_SELF_TRADE_PREVENTION"),
        ({"price": 0}, "INVALID_PRICE"),
        ({"price": -100}, "INVALID_PRICE"),
        ({"price": 1_000_000_100}, "INVALID_PRICE"),
        ({"quantity": 0}, "INVALID_QUANTITY"),
        ({"quantity": -5}, "INVALID_QUANTITY"),
        ({"quantity": 2**62}, "INVALID_QUANTITY"),
    ],
)
def test_nonsense_that_risk_would_never_send_is_refused(
    fields: dict[str, object], reason: str
) -> None:
    book = make_asks()
    before = book.draw()
    order = EnterOrder("AAPL-t", "ann", 1, codes.LIMIT, codes.GTC, False, 100_100, 10, 0)
    assert book.send(msgspec.structs.replace(order, **fields)) == [f"t order refused {reason}"]
    assert book.draw() == before


def test_an_order_of_another_ticker_is_refused() -> None:
    book = make_asks()
    order = EnterOrder("MSFT-x", "ann", 1, codes.LIMIT, codes.GTC, False, 1_000_000, 10, 0)
    assert book.send(order) == ["MSFT-x order refused UNKNOWN_TICKER"]


def test_a_partition_without_an_instrument_refuses_everything() -> None:
    genesis = default_genesis()
    book = DrawnBook(instruments=genesis.instruments[:2], partition=4)
    assert book.buy("b1", 10, "9.99") == ["b1 order refused UNKNOWN_TICKER"]
    assert book.cancel("b1") == ["b1 cancel refused UNKNOWN_TICKER"]
    assert book.reduce("b1", 5) == ["b1 replace refused UNKNOWN_TICKER"]
    assert book.replace("b1", 5, "9.98") == ["b1 replace refused UNKNOWN_TICKER"]


def test_before_its_genesis_a_book_refuses_everything() -> None:
    book = DrawnBook(begun=False)
    assert book.send(Halt("h1", TICKER)) == []
    assert book.buy("b1", 10, "9.99") == ["b1 order refused NO_GENESIS"]
    assert book.cancel("b1") == ["b1 cancel refused NO_GENESIS"]
    assert book.reduce("b1", 5) == ["b1 replace refused NO_GENESIS"]
    assert book.replace("b1", 5, "9.98") == ["b1 replace refused NO_GENESIS"]
    book.send(book.genesis)
    assert book.buy("b1", 10, "9.99") == ["b1 accepted"]

from typing import Any

import msgspec
import pytest

from services.domain import codes
from services.domain.commands import PlaceOrder
from services.domain.controls import SetMark
from services.domain.genesis import default_genesis
from services.gateway.core.orders import OrderTable
from services.gateway.core.read_model import FEEDS, ReadModel
from services.wire.codec import UndecodableError
from services.wire.topics import BOOK, CONTROLS, EXECUTIONS, TRADES
from tests.support.gateway_memory import (
    CODEC,
    book,
    feed_genesis,
    feed_model,
    prediction,
    report,
    trade,
)

COMMAND = PlaceOrder("alice", "a-1", "AAPL", codes.BUY, codes.LIMIT, codes.GTC, post_only=False,
                     price=1, quantity=2, self_trade_prevention=0)  # fmt: skip


def make_table(ended_max: int = 2, submitted_max: int = 2) -> OrderTable:
    return OrderTable(ended_max, submitted_max)


def test_a_submitted_order_is_known_until_the_first_report_takes_its_place() -> None:
    table = make_table()
    table.note_submitted("AAPL-1", COMMAND)
    assert table.find("alice", "AAPL-1") is COMMAND
    table.note_report("alice", 1, "AAPL-1", codes.NEW, b"new")
    assert table.find("alice", "AAPL-1") == b"new"


def test_a_command_sent_again_does_not_hide_what_became_of_the_order() -> None:
    table = make_table()
    table.note_report("alice", 1, "AAPL-1", codes.FILLED, b"filled")
    table.note_submitted("AAPL-1", COMMAND)
    assert table.find("alice", "AAPL-1") == b"filled"


def test_only_the_newest_submitted_commands_are_kept() -> None:
    table = make_table(submitted_max=2)
    for number in range(3):
        table.note_submitted(f"AAPL-{number}", COMMAND)
    known = [table.find("alice", f"AAPL-{number}") for number in range(3)]
    assert known == [None, COMMAND, COMMAND]


def test_live_orders_stay_however_many_end() -> None:
    table = make_table(ended_max=2)
    table.note_report("alice", 1, "AAPL-live", codes.NEW, b"live")
    for number in range(5):
        table.note_report("alice", 2 + number, f"AAPL-{number}", codes.CANCELED, b"ended")
    assert table.find("alice", "AAPL-live") == b"live"
    assert [table.find("alice", f"AAPL-{n}") for n in range(5)] == [None] * 3 + [b"ended"] * 2
    assert table.ended_count == 2


def test_an_order_that_ends_is_live_no_more() -> None:
    table = make_table()
    table.note_report("alice", 1, "AAPL-1", codes.NEW, b"new")
    table.note_report("alice", 2, "AAPL-2", codes.NEW, b"other")
    table.note_report("alice", 3, "AAPL-1", codes.FILLED, b"filled")
    assert table.live_of("alice") == [b"other"]
    assert table.find("alice", "AAPL-1") == b"filled"


def test_orders_are_found_by_their_own_account_only() -> None:
    table = make_table()
    table.note_report("alice", 1, "AAPL-1", codes.NEW, b"alice's")
    assert table.find("bob", "AAPL-1") is None
    assert table.live_of("bob") == []


@pytest.mark.parametrize("status", [codes.NEW, codes.FILLED])
def test_a_refused_command_about_an_order_does_not_become_its_state(status: int) -> None:
    table = make_table()
    table.note_report("alice", 1, "AAPL-1", status, b"state")
    table.note_report("alice", 2, "AAPL-1", codes.NO_ORDER, b"refused")
    table.note_report("bob", 1, "AAPL-1", codes.NO_ORDER, b"bob's cancel, refused")
    assert table.find("alice", "AAPL-1") == b"state"
    assert table.find("bob", "AAPL-1") == b"bob's cancel, refused"


def test_an_order_that_was_refused_as_a_command_is_shown_as_such() -> None:
    table = make_table()
    table.note_submitted("AAPL-1", COMMAND)
    table.note_report("alice", 0, "AAPL-1", codes.NO_ORDER, b"unknown account")
    assert table.find("alice", "AAPL-1") == b"unknown account"
    assert table.sequence_of("alice") == 0


def make_model() -> ReadModel:
    return ReadModel(CODEC, ended_orders_max=10, submitted_max=10, trades_kept=2, candles_kept=3,
                     fills_kept=10)  # fmt: skip


def test_the_model_keeps_the_newest_book_and_the_latest_trades() -> None:
    model = make_model()
    for number in range(3):
        feed_model(model, book(bid=100 * (number + 1)))
        feed_model(model, trade(number))
    newest = model.market.books.newest("AAPL")
    assert newest is not None
    assert CODEC.decode(BOOK.name, newest.value).payload == book(bid=300)
    kept = [CODEC.decode(TRADES.name, value).payload for value in model.market.trades_of("AAPL")]
    assert kept == [trade(1), trade(2)]
    assert model.market.tickers == ["AAPL"]


def test_the_model_follows_an_account_by_its_reports() -> None:
    model = make_model()
    feed_model(model, report())
    feed_model(model, report(account_sequence=2, order_id="AAPL-2"))
    feed_model(model, report(account_sequence=3, order_status=codes.CANCELED))
    assert model.orders.sequence_of("alice") == 3
    (live,) = model.orders.live_of("alice")
    assert CODEC.decode(EXECUTIONS.name, live).payload.order_id == "AAPL-2"


@pytest.mark.parametrize("topic", [feed.name for feed in FEEDS])
@pytest.mark.parametrize("value", [None, b"", b"junk", b"{}"])
def test_a_strangers_record_changes_nothing(topic: str, value: bytes | None) -> None:
    model = make_model()
    for payload in (book(), trade(), report(), prediction()):
        feed_model(model, payload)
    with pytest.raises(UndecodableError):
        model.fold(topic, b"AAPL", value)
    assert model.market.has_book("AAPL")
    assert len(model.market.trades_of("AAPL")) == 1
    assert len(model.orders.live_of("alice")) == 1
    assert model.forecasts.of("AAPL") == [prediction()]
    assert [candle.trades for candle in model.candles.of("AAPL", "1s", 10)] == [1]


@pytest.mark.parametrize(
    "changes",
    [
        {"probabilities": (0.5, 0.5)},
        {"probabilities": (0.1, 0.2, 0.3, 0.4)},
        {"probabilities": (float("nan"), 0.5, 0.5)},
        {"probabilities": (-0.5, 0.5, 1.0)},
        {"predicted_class": 3},
        {"predicted_class": -1},
    ],
)
def test_a_prediction_that_makes_no_sense_is_a_strangers(changes: dict[str, Any]) -> None:
    model = make_model()
    with pytest.raises(UndecodableError, match="no probability for each class"):
        feed_model(model, prediction(**changes))
    assert model.forecasts.of("AAPL") == []


def test_a_topic_is_behind_until_it_was_read_to_its_end() -> None:
    model = make_model()
    assert model.behind == ["book", "controls", "executions", "predictions", "trades"]
    model.note_caught_up(BOOK.name)
    assert model.behind == ["controls", "executions", "predictions", "trades"]
    assert model.is_caught_up(BOOK.name)
    assert not model.is_caught_up(TRADES.name)


def test_the_rules_are_those_of_the_first_sound_genesis() -> None:
    model, genesis = make_model(), default_genesis()
    feed_genesis(model, msgspec.structs.replace(genesis, accounts_max=0))
    assert model.market.instruments == {}
    model.fold(CONTROLS.name, b"", CODEC.encode_command(CONTROLS.name, SetMark("m", "AAPL", 100)))
    feed_genesis(model, genesis)
    coarse = tuple(msgspec.structs.replace(rules, lot=100) for rules in genesis.instruments)
    feed_genesis(model, msgspec.structs.replace(genesis, instruments=coarse))
    assert tuple(model.market.instruments.values()) == genesis.instruments

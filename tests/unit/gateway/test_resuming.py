"""Who comes back hears what it missed, once and in order, or that something is missing."""

from typing import Any, Final

import orjson
import pytest

from services.gateway.core.runs import Runs
from services.gateway.parts import Gateway
from services.gateway.session import SLOW_CONSUMER, Key, Session
from tests.support.gateway_memory import (
    CODEC,
    book,
    feed_model,
    make_gateway,
    origin,
    report,
    trade,
)

AAPL: Final[Key] = ("trades", "AAPL")


def drain(session: Session) -> list[dict[str, Any]]:
    found = []
    while (message := session.next_message()) is not None:
        found.append(orjson.loads(message))
    return found


def traded(gateway: Gateway, *numbers: int) -> None:
    for number in numbers:
        feed_model(gateway.model, trade(number), origin(sequence=number))


def numbers_of(heard: list[dict[str, Any]]) -> list[int]:
    return [message["data"]["trade_sequence"] for message in heard]


def test_a_run_is_served_from_any_number_that_is_there() -> None:
    runs = Runs(3)
    assert (runs.newest("a"), runs.after("a", 0), runs.after("a", 5)) == (None, None, None)
    for number in range(1, 6):
        runs.note("a", number, b"%d" % number)
    assert (runs.newest("a"), len(runs)) == (5, 3)
    assert runs.after("a", 3) == [b"4", b"5"]
    assert runs.after("a", 2) == [b"3", b"4", b"5"]
    assert runs.after("a", 5) == []
    assert runs.after("a", 1) is None
    runs.note("b", 1, b"1")
    assert (runs.after("a", 2), runs.after("b", 0)) == (None, [b"1"])


@pytest.mark.parametrize("stray", [1, 5, 900])
def test_a_strangers_number_breaks_a_run_and_is_never_passed_over(stray: int) -> None:
    runs = Runs(100)
    for number in (4, 5, stray, 6, 7):
        runs.note("a", number, b"%d" % number)
    assert runs.after("a", 6) == [b"7"]
    assert runs.after("a", 5) in (None, [b"6", b"7"])
    assert runs.after("a", 4) is None
    runs.note("a", 3_000, b"3000")
    assert runs.after("a", 7) is None


async def test_who_comes_back_hears_what_it_missed_and_then_what_follows() -> None:
    gateway = make_gateway()
    traded(gateway, 1, 2, 3, 4)
    session = Session("alice", 10)
    gateway.hub.subscribe(session, AAPL, 2)
    traded(gateway, 5)
    resumed, *updates = drain(session)
    assert (resumed["type"], resumed["sequence"], resumed["data"]) == ("resumed", 0, {"after": 2})
    assert [(m["type"], m["sequence"]) for m in updates] == [("update", n) for n in (1, 2, 3)]
    assert numbers_of(updates) == [3, 4, 5]
    traded(gateway, 6)
    assert numbers_of(drain(session)) == [6]


async def test_executions_are_resumed_by_their_accounts_numbers() -> None:
    gateway = make_gateway()
    for number in range(1, 5):
        feed_model(gateway.model, report(account_sequence=number), origin(sequence=number))
    feed_model(gateway.model, report(account="bob", account_sequence=9), origin(sequence=5))
    session = Session("alice", 10)
    gateway.hub.subscribe(session, ("executions", "alice"), 1)
    heard = drain(session)
    assert heard[0]["type"] == "resumed"
    assert [m["data"]["account_sequence"] for m in heard[1:]] == [2, 3, 4]


async def test_what_is_not_kept_any_more_is_a_resync_with_a_snapshot() -> None:
    gateway = make_gateway(gateway_resumable=2)
    traded(gateway, 1, 2, 3, 4)
    session = Session("alice", 10)
    gateway.hub.subscribe(session, AAPL, 1)
    (resync,) = drain(session)
    assert (resync["type"], resync["sequence"]) == ("resync", 0)
    assert [t["trade_sequence"] for t in resync["data"]["trades"]] == [1, 2, 3, 4]


async def test_a_strangers_record_among_what_was_missed_is_left_out_without_a_gap() -> None:
    gateway = make_gateway()
    traded(gateway, 1, 2)
    whole = CODEC.encode("trades", origin(sequence=3), trade(3))
    gateway.model.fold("trades", b"AAPL", whole[:-6])
    traded(gateway, 4)
    session = Session("alice", 10)
    gateway.hub.subscribe(session, AAPL, 1)
    resumed, *updates = drain(session)
    assert resumed["type"] == "resumed"
    assert [m["sequence"] for m in updates] == [1, 2]
    assert numbers_of(updates) == [2, 4]


async def test_what_comes_while_one_catches_up_is_bounded_too() -> None:
    gateway = make_gateway()
    traded(gateway, *range(1, 30))
    session = Session("alice", 10)
    gateway.hub.subscribe(session, AAPL, 0)
    traded(gateway, *range(30, 40))
    before = session.closing
    traded(gateway, 40)
    assert before is None
    assert session.closing is not None
    assert session.closing.code == SLOW_CONSUMER
    assert drain(session) == []


async def test_a_book_gets_its_turn_among_what_was_missed() -> None:
    gateway = make_gateway()
    feed_model(gateway.model, book())
    traded(gateway, *range(1, 200))
    session = Session("alice", 10)
    gateway.hub.subscribe(session, AAPL, 0)
    gateway.hub.subscribe(session, ("book", "AAPL"))
    channels = [message["channel"] for message in drain(session)]
    assert (channels.index("book"), len(channels)) == (64, 201)


async def test_who_ends_its_subscription_hears_no_more_of_what_it_missed() -> None:
    gateway = make_gateway()
    traded(gateway, 1, 2, 3)
    session = Session("alice", 10)
    gateway.hub.subscribe(session, AAPL, 0)
    assert session.next_message() is not None
    gateway.hub.unsubscribe(session, AAPL)
    assert drain(session) == []

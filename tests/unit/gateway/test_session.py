import asyncio
from typing import Any

import orjson

from services.domain import codes
from services.gateway.hub import Hub
from services.gateway.session import MESSAGES_BETWEEN_NEWEST_MAX, SLOW_CONSUMER, Session
from tests.support.gateway_memory import book, feed, make_gateway, prediction, report, trade


def drain(session: Session) -> list[dict[str, Any]]:
    found = []
    while (message := session.next_message()) is not None:
        found.append(orjson.loads(message))
    return found


def connect(hub: Hub, account: str = "alice", queue_max: int = 10) -> Session:
    session = Session(account, queue_max)
    hub.add(session)
    return session


async def test_a_subscription_begins_with_a_snapshot_and_counts_without_gaps() -> None:
    gateway = make_gateway()
    feed(gateway, trade(0), trade(1))
    session = connect(gateway.hub)
    gateway.hub.subscribe(session, ("trades", "AAPL"))
    feed(gateway, trade(2), trade(3), trade(4, "TSLA"))
    heard = drain(session)
    assert [(m["type"], m["sequence"]) for m in heard] == [
        ("snapshot", 0), ("update", 1), ("update", 2),
    ]  # fmt: skip
    assert [t["trade_id"] for t in heard[0]["data"]["trades"]] == ["AAPL-7-0", "AAPL-7-1"]
    assert [m["data"]["trade_id"] for m in heard[1:]] == ["AAPL-7-2", "AAPL-7-3"]


async def test_a_slow_reader_misses_books_but_never_the_newest() -> None:
    gateway = make_gateway()
    feed(gateway, book(quantity=1))
    session = connect(gateway.hub, queue_max=1)
    gateway.hub.subscribe(session, ("book", "AAPL"))
    for quantity in range(2, 1_000):
        feed(gateway, book(quantity=quantity))
        gateway.hub.flush()
    (snapshot,) = drain(session)
    assert (snapshot["type"], snapshot["sequence"]) == ("snapshot", snapshot["data"]["offset"])
    assert snapshot["data"]["bids"][0]["quantity"] == 999
    for quantity in range(5, 20):
        feed(gateway, book(quantity=quantity))
        gateway.hub.flush()
    (update,) = drain(session)
    assert (update["type"], update["previous"]) == ("update", snapshot["sequence"])
    assert update["sequence"] == snapshot["sequence"] + 15
    assert update["data"]["bids"] == [{"price": "187.25", "quantity": 19, "orders": 2}]


async def test_a_slow_reader_misses_predictions_but_never_the_newest_of_a_model() -> None:
    gateway = make_gateway()
    feed(gateway, book())
    session = connect(gateway.hub, queue_max=1)
    gateway.hub.subscribe(session, ("book", "AAPL"))
    gateway.hub.subscribe(session, ("predictions", "AAPL"))
    for number in range(1_000):
        grid_time_us = 1_790_000_000_000_000 + number
        feed(gateway, prediction(grid_time_us=grid_time_us))
        if number < 500:
            feed(gateway, prediction(model_version=4, is_shadow=True, grid_time_us=grid_time_us))
        gateway.hub.flush()
    depth, said = drain(session)
    assert (depth["channel"], said["channel"]) == ("book", "predictions")
    assert (said["type"], said["sequence"]) == ("snapshot", 0)
    newest = [(p["model_version"], p["grid_time_us"] % 1_000) for p in said["data"]["predictions"]]
    assert newest == [(3, 999), (4, 499)]
    feed(gateway, prediction(grid_time_us=1_790_000_000_000_999))
    gateway.hub.flush()
    assert drain(session) == []
    feed(gateway, prediction(grid_time_us=1_790_000_000_001_000, predicted_class=0))
    gateway.hub.flush()
    (update,) = drain(session)
    assert (update["type"], update["sequence"]) == ("update", 1)
    assert update["data"]["predictions"][0]["predicted_class"] == "down"


async def test_books_of_one_interval_are_sent_once() -> None:
    gateway = make_gateway(gateway_newest_interval_ms=1)
    feed(gateway, book(quantity=1))
    session = connect(gateway.hub)
    gateway.hub.subscribe(session, ("book", "AAPL"))
    drain(session)
    feed(gateway, *[book(quantity=quantity) for quantity in range(2, 50)])
    assert drain(session) == []
    await asyncio.wait_for(session.wait(), 10)
    while not (heard := drain(session)):
        await asyncio.wait_for(session.wait(), 10)
    assert [m["data"]["bids"][0]["quantity"] for m in heard] == [49]


async def test_who_misses_a_trade_is_closed_and_hears_nothing_more() -> None:
    gateway = make_gateway()
    slow, quick = connect(gateway.hub, queue_max=3), connect(gateway.hub, queue_max=3)
    for session in (slow, quick):
        gateway.hub.subscribe(session, ("trades", "AAPL"))
    heard = drain(quick)
    for number in range(10):
        feed(gateway, trade(number))
        heard += drain(quick)
    assert slow.closing is not None
    assert slow.closing.code == SLOW_CONSUMER
    assert slow.next_message() is None
    assert quick.closing is None
    assert [m["sequence"] for m in heard] == list(range(11))


async def test_a_book_gets_its_turn_among_many_trades() -> None:
    gateway = make_gateway()
    feed(gateway, book())
    session = connect(gateway.hub, queue_max=1_000)
    gateway.hub.subscribe(session, ("trades", "AAPL"))
    gateway.hub.subscribe(session, ("book", "AAPL"))
    feed(gateway, *[trade(number) for number in range(500)])
    channels = [message["channel"] for message in drain(session)]
    assert channels.index("book") <= MESSAGES_BETWEEN_NEWEST_MAX


async def test_executions_are_heard_by_their_own_account_alone() -> None:
    gateway = make_gateway()
    alice, bob = connect(gateway.hub, "alice"), connect(gateway.hub, "bob")
    feed(gateway, report(), report(order_id="AAPL-2", account_sequence=2))
    feed(gateway, report(account_sequence=3, order_status=codes.CANCELED))
    for session in (alice, bob):
        gateway.hub.subscribe(session, ("executions", session.account))
    feed(gateway, report(order_id="AAPL-2", account_sequence=4, order_status=codes.FILLED))
    snapshot, update = drain(alice)
    assert snapshot["data"]["account_sequence"] == 3
    assert [order["order_id"] for order in snapshot["data"]["orders"]] == ["AAPL-2"]
    assert update["data"]["account_sequence"] == 4
    assert update["data"]["status"] == "FILLED"
    (empty,) = drain(bob)
    assert empty["data"] == {"account_sequence": 0, "orders": []}


async def test_who_unsubscribes_hears_no_more_and_begins_anew_later() -> None:
    gateway = make_gateway()
    feed(gateway, book())
    session = connect(gateway.hub)
    for _ in range(2):
        gateway.hub.subscribe(session, ("book", "AAPL"))
        gateway.hub.subscribe(session, ("trades", "AAPL"))
        assert [m["type"] for m in drain(session)] == ["snapshot", "snapshot"]
        gateway.hub.unsubscribe(session, ("book", "AAPL"))
        gateway.hub.unsubscribe(session, ("trades", "AAPL"))
        feed(gateway, book(quantity=3), trade())
        gateway.hub.flush()
        assert drain(session) == []


async def test_the_hub_forgets_who_has_left() -> None:
    gateway = make_gateway()
    session = connect(gateway.hub)
    gateway.hub.subscribe(session, ("trades", "AAPL"))
    assert len(gateway.hub) == 1
    gateway.hub.remove(session)
    feed(gateway, trade())
    assert len(gateway.hub) == 0
    assert not gateway.hub._listeners
    await asyncio.wait_for(gateway.hub.wait_until_empty(), 10)


async def test_closing_drops_what_waits() -> None:
    gateway = make_gateway()
    session = connect(gateway.hub)
    gateway.hub.subscribe(session, ("trades", "AAPL"))
    gateway.hub.close_all(1012, "stops")
    feed(gateway, trade())
    assert session.next_message() is None
    assert session.closing is not None
    assert (session.closing.code, session.closing.reason) == (1012, "stops")

"""Books over the WebSocket: a snapshot, then what changed, to whom it is told and on what."""

from typing import Any, Final

import msgspec
import orjson
import pytest

from services.domain import codes
from services.domain.events import BookDepth, Level
from services.gateway.core.books import Books
from services.gateway.parts import Gateway
from services.gateway.session import Key, Session
from services.wire.codec import UndecodableError
from services.wire.topics import BOOK
from tests.support.gateway_memory import CODEC, book, feed_model, make_gateway, origin

AAPL: Final[Key] = ("book", "AAPL")


class Socket:
    """Where a session's messages can go at once, until it is full."""

    def __init__(self) -> None:
        self.has_room = True
        self.written: list[bytes] = []

    def write(self, text: bytes) -> None:
        assert self.has_room
        self.written.append(text)


def drain(session: Session) -> list[dict[str, Any]]:
    found = []
    while (message := session.next_message()) is not None:
        found.append(orjson.loads(message))
    return found


def show(gateway: Gateway, sequence: int, depth: BookDepth) -> None:
    feed_model(gateway.model, depth, origin(sequence))
    gateway.hub.flush()


def subscribe(gateway: Gateway, after: int | None = None) -> Session:
    session = Session("alice", 10)
    gateway.hub.subscribe(session, AAPL, after)
    return session


def ladder(bids: dict[int, int], asks: dict[int, int]) -> BookDepth:
    """A book of these quantities by price in cents."""
    down = tuple(Level(cents * 100, bids[cents], 1) for cents in sorted(bids, reverse=True))
    up = tuple(Level(cents * 100, asks[cents], 1) for cents in sorted(asks))
    return BookDepth("AAPL", codes.OPEN, 0, down, up)


def test_books_are_found_by_place_and_sequence_as_long_as_they_are_kept() -> None:
    books = Books(2)
    assert (books.newest("a"), books.at("a", 0), books.place_of("a", 0)) == (None, None, None)
    for sequence in (5, 7, 12):
        books.note("a", sequence, b"%d" % sequence)
    newest = books.newest("a")
    assert newest is not None
    assert (newest.place, newest.value, books.at("a", 2)) == (2, b"12", newest)
    assert [books.place_of("a", sequence) for sequence in (5, 7, 8, 12, 13)] == [
        None, 1, None, 2, None,
    ]  # fmt: skip
    assert books.at("a", 0) is None
    books.drop_newest("a")
    books.note("a", 13, b"13")
    assert (books.place_of("a", 12), books.place_of("a", 13)) == (None, 2)


@pytest.mark.parametrize("stray", [7, 3])
def test_a_book_that_goes_back_ends_what_may_be_changed(stray: int) -> None:
    books = Books(10)
    for sequence in (5, 7, stray, 8):
        books.note("a", sequence, b"%d" % sequence)
    assert [books.at("a", place) is not None for place in range(5)] == [
        False, False, True, True, False,
    ]  # fmt: skip


async def test_an_update_has_the_levels_that_differ_and_those_that_are_gone() -> None:
    gateway = make_gateway()
    show(gateway, 7, ladder({100: 5, 99: 6}, {101: 7, 102: 8}))
    session = subscribe(gateway)
    (snapshot,) = drain(session)
    show(gateway, 9, ladder({100: 5, 98: 1}, {101: 3, 102: 8}))
    (update,) = drain(session)
    assert (snapshot["sequence"], snapshot["data"]["offset"]) == (7, 7)
    assert (update["type"], update["previous"], update["sequence"]) == ("update", 7, 9)
    assert update["data"] == {
        "status": "OPEN",
        "last_price": None,
        "bids": [
            {"price": "0.98", "quantity": 1, "orders": 1},
            {"price": "0.99", "quantity": 0, "orders": 0},
        ],
        "asks": [{"price": "1.01", "quantity": 3, "orders": 1}],
        "updated_at_us": 1_790_000_000_000_000,
    }


async def test_where_more_levels_change_than_there_are_the_book_comes_whole() -> None:
    gateway = make_gateway()
    show(gateway, 7, ladder({100: 5, 99: 6}, {101: 7}))
    session = subscribe(gateway)
    show(gateway, 8, ladder({100: 4, 98: 6}, {101: 7}))
    assert [m["type"] for m in drain(session)] == ["snapshot"]
    show(gateway, 9, ladder({}, {}))
    (whole,) = drain(session)
    assert (whole["type"], whole["sequence"], whole["data"]["bids"]) == ("snapshot", 9, [])


async def test_all_who_have_the_same_book_are_told_the_same_bytes() -> None:
    gateway = make_gateway()
    show(gateway, 7, book(quantity=1))
    sessions = [subscribe(gateway) for _ in range(3)]
    late = subscribe(gateway)
    for session in sessions:
        drain(session)
    show(gateway, 9, book(quantity=2))
    first, *others = [session.next_message() for session in sessions]
    assert first is not None
    assert all(other is first for other in others)
    assert [m["type"] for m in drain(late)] == ["snapshot"]


async def test_who_falls_behind_what_is_kept_gets_another_snapshot() -> None:
    gateway = make_gateway(gateway_books_kept=3)
    show(gateway, 7, book(quantity=1))
    session = subscribe(gateway)
    drain(session)
    for sequence in range(8, 10):
        show(gateway, sequence, book(quantity=sequence))
    (update,) = drain(session)
    for sequence in range(10, 13):
        show(gateway, sequence, book(quantity=sequence))
    (again,) = drain(session)
    assert (update["type"], update["previous"], update["sequence"]) == ("update", 7, 9)
    assert (again["type"], again["sequence"]) == ("snapshot", 12)


async def test_who_comes_back_with_a_book_that_is_kept_hears_what_changed_since() -> None:
    gateway = make_gateway()
    for sequence in (7, 9, 14):
        show(gateway, sequence, book(quantity=sequence))
    resumed, update = drain(subscribe(gateway, after=9))
    assert resumed == {
        "type": "resumed", "channel": "book", "ticker": "AAPL", "sequence": 9, "data": {"after": 9},
    }  # fmt: skip
    assert (update["type"], update["previous"], update["sequence"]) == ("update", 9, 14)
    up_to_date = subscribe(gateway, after=14)
    assert [m["type"] for m in drain(up_to_date)] == ["resumed"]
    show(gateway, 15, book(quantity=15))
    assert [m["previous"] for m in drain(up_to_date)] == [14]


@pytest.mark.parametrize("after", [3, 8])
async def test_who_comes_back_with_a_book_that_is_not_kept_gets_a_resync(after: int) -> None:
    gateway = make_gateway()
    for sequence in (7, 9):
        show(gateway, sequence, book(quantity=sequence))
    (resync,) = drain(subscribe(gateway, after=after))
    assert (resync["type"], resync["sequence"]) == ("resync", 9)
    assert resync["data"]["bids"][0]["quantity"] == 9


async def test_a_stranger_s_book_is_told_whole_and_not_as_a_change() -> None:
    gateway = make_gateway()
    show(gateway, 7, book(quantity=1))
    session = subscribe(gateway)
    drain(session)
    twice = msgspec.structs.replace(book(), bids=(Level(100, 1, 1), Level(100, 2, 1)))
    show(gateway, 8, twice)
    show(gateway, 8, book(quantity=3))
    (back,) = drain(session)
    show(gateway, 9, twice)
    (strange,) = drain(session)
    show(gateway, 10, book(quantity=4))
    (after,) = drain(session)
    assert [m["type"] for m in (back, strange, after)] == ["snapshot"] * 3
    assert [m["sequence"] for m in (back, strange, after)] == [8, 9, 10]


async def test_a_book_whose_bytes_are_broken_is_as_if_it_had_never_come() -> None:
    gateway = make_gateway()
    show(gateway, 7, book(quantity=1))
    session = subscribe(gateway)
    drain(session)
    whole = CODEC.encode(BOOK.name, origin(8), book(quantity=2))
    gateway.model.fold(BOOK.name, b"AAPL", whole[:-6])
    gateway.hub.flush()
    assert drain(session) == []
    with pytest.raises(UndecodableError, match="within its head"):
        gateway.model.fold(BOOK.name, b"AAPL", whole[:6])
    show(gateway, 9, book(quantity=3))
    (update,) = drain(session)
    assert (update["previous"], update["sequence"]) == (7, 9)


async def test_a_book_goes_out_at_once_to_who_has_room_and_waits_for_who_has_none() -> None:
    gateway = make_gateway()
    show(gateway, 7, book(quantity=1))
    quick, slow = Socket(), Socket()
    sessions = []
    for socket in (quick, slow):
        session = Session("alice", 10)
        session.sink = socket
        gateway.hub.subscribe(session, AAPL)
        sessions.append(session)
    slow.has_room = False
    for sequence in (8, 9):
        show(gateway, sequence, book(quantity=sequence))
    assert [orjson.loads(m)["sequence"] for m in quick.written] == [7, 8, 9]
    assert [orjson.loads(m)["sequence"] for m in slow.written] == [7]
    assert [(m["previous"], m["sequence"]) for m in drain(sessions[1])] == [(7, 9)]
    assert (drain(sessions[0]), sessions[0].has_spoken) == ([], True)
    slow.has_room = True
    gateway.hub.unsubscribe(sessions[1], AAPL)
    show(gateway, 10, book(quantity=10))
    assert len(slow.written) == 1

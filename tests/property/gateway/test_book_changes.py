"""A snapshot and what changes follow, conflated by chance, come to the book at that sequence."""

import asyncio
from typing import Any, Final

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.domain import codes
from services.domain.events import BookDepth, Level
from services.gateway.core import book_changes
from services.gateway.session import Key, Session
from tests.support.gateway_memory import feed_model, make_gateway, origin

AAPL: Final[Key] = ("book", "AAPL")

type Sides = dict[str, dict[str, int]]
"""Shares by price of each side."""

SIDES: Final = st.dictionaries(st.integers(1, 12), st.integers(1, 3), max_size=10)
STEPS: Final = st.lists(
    st.tuples(
        SIDES,
        SIDES,
        st.integers(1, 3),
        st.sampled_from(["drain", "wait", "wait", "come back", "go back"]),
    ),
    min_size=1,
    max_size=25,
)


def make_book(bids: dict[int, int], asks: dict[int, int]) -> BookDepth:
    down = tuple(Level(100 * price, bids[price], 1) for price in sorted(bids, reverse=True))
    up = tuple(Level(2_000 + 100 * price, asks[price], 1) for price in sorted(asks))
    return BookDepth("AAPL", codes.OPEN, 0, down, up)


class Reader:
    """A client as the description of the channel asks for one."""

    def __init__(self) -> None:
        self.sequence: int | None = None
        self.sides: Sides = {}

    def hear(self, message: dict[str, Any]) -> None:
        data = message["data"]
        if message["type"] == "resumed":
            assert message["sequence"] == data["after"] == self.sequence
            return
        if message["type"] == "update":
            assert message["previous"] == self.sequence
        else:
            self.sides = {"bids": {}, "asks": {}}
        self.sequence = message["sequence"]
        for name, levels in self.sides.items():
            for level in data[name]:
                if level["quantity"]:
                    levels[level["price"]] = level["quantity"]
                else:
                    del levels[level["price"]]


def sides_of(shown: dict[str, Any]) -> Sides:
    return {
        name: {level["price"]: level["quantity"] for level in shown[name]}
        for name in ("bids", "asks")
    }


@given(STEPS, st.integers(1, 6))
def test_snapshot_and_changes_are_the_book(steps: list[Any], kept: int) -> None:
    heard, newest = asyncio.run(follow(steps, kept))
    assert heard == newest


async def follow(steps: list[Any], kept: int) -> tuple[Sides, Sides]:
    """What a reader has at the end, and the newest book; what it has meanwhile is held here."""
    gateway = make_gateway(gateway_books_kept=kept)
    reader, session = Reader(), Session("alice", 10)
    books: dict[int, Sides] = {}
    sequence = 10
    for number, (bids, asks, step, act) in enumerate(steps):
        way = -1 if act == "go back" else 1
        sequence += way * step
        while sequence in books:  # a number says which book it is, whoever wrote it
            sequence += way
        feed_model(gateway.model, make_book(bids, asks), origin(sequence))
        if number == 0:
            gateway.hub.subscribe(session, AAPL)
        gateway.hub.flush()
        shown = gateway.viewer.book("AAPL")
        assert shown is not None
        books[sequence] = sides_of(shown)
        if act == "come back":
            gateway.hub.unsubscribe(session, AAPL)
            session = Session("alice", 10)
            newest = gateway.hub.newest_number(AAPL)
            after = reader.sequence if (reader.sequence or 0) <= (newest or 0) else None
            gateway.hub.subscribe(session, AAPL, after)
        if act != "wait" or number == len(steps) - 1:
            while (message := session.next_message()) is not None:
                reader.hear(orjson.loads(message))
                assert reader.sequence is not None
                assert reader.sides == books[reader.sequence]
            assert reader.sequence == sequence
    return reader.sides, books[sequence]


def test_a_level_that_is_not_told_as_gone_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    steps = [({5: 1, 4: 1}, {7: 1}, 1, "drain"), ({4: 1}, {7: 1}, 1, "drain")]
    asyncio.run(follow(steps, 5))
    monkeypatch.setattr(
        book_changes,
        "_changed_levels",
        lambda before, after: [level for level in after if level not in before],
    )
    with pytest.raises(AssertionError):
        asyncio.run(follow(steps, 5))

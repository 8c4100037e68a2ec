"""What a book's change costs on the wire, whole and as what changed, counted on a seeded flow."""

from typing import Final

import orjson

from services.domain.events import BookDepth
from services.domain.genesis import default_genesis
from services.gateway.book_messages import HAS_NONE, BookMessages
from services.matcher.core import MatcherCore
from services.tools.bench.matcher_flow import make_flow
from tests.support.gateway_memory import feed_model, make_gateway, origin

ORDERS: Final = 2_000
CONFLATED: Final = 10
"""Changes of the book in one update: those of 50 ms where it changes 200 times a second."""


def count_bytes(books: list[BookDepth]) -> tuple[int, int]:
    """Bytes of all messages to a reader who is told whole books, and to one who is told changes."""
    gateway = make_gateway()
    messages = BookMessages(gateway.viewer)
    whole = changed = 0
    place = HAS_NONE
    for sequence, depth in enumerate(books, 1):
        feed_model(gateway.model, depth, origin(sequence))
        messages.refresh("AAPL")
        snapshot, update = messages.after("AAPL", HAS_NONE), messages.after("AAPL", place)
        assert snapshot is not None
        assert update is not None
        assert orjson.loads(update[0])["type"] in ("snapshot", "update")
        whole, changed, place = whole + len(snapshot[0]), changed + len(update[0]), update[1]
    return whole, changed


def test_changes_take_a_fraction_of_the_bytes_of_whole_books() -> None:
    genesis = default_genesis()
    flow = make_flow(genesis, genesis.instruments[0], ORDERS, seed=1)
    matcher = MatcherCore(flow.partition)
    books: list[BookDepth] = []
    for offset, command in enumerate([*flow.warm_up, *flow.commands]):
        matcher.handle(offset, command)
        if offset >= len(flow.warm_up):
            books += [message.payload for message in matcher.at_batch_end()]  # type: ignore[misc]
    assert len(books) > ORDERS / 4
    for step, share_max in ((1, 0.25), (CONFLATED, 0.5)):
        whole, changed = count_bytes(books[::step])
        assert changed < share_max * whole, (step, whole, changed)

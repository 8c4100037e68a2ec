"""Three topics arrive as they like; the oracle hears them in the one order that makes sense."""

import random
from collections import deque

import pytest

from services.domain.origin import ACCOUNTS, CONTROLS, Origin
from services.matcher.core import MatcherCore
from services.tools.market.genesis import replay_genesis
from services.tools.market.lobster import Adapter
from services.tools.market.oracle import Findings, Oracle
from services.tools.market.sample import make_session
from services.tools.market.verify import Verifier
from services.tools.operate.exchange import Seen
from services.wire.codec import Decoded
from services.wire.messages import Message
from services.wire.topics import BOOK, EXECUTIONS, MATCHING, TRADES
from tests.support.lobster_fold import forwarded

LEVELS = 3
SESSION = make_session(4, 300, LEVELS)
type Topics = dict[str, list[Seen]]


def seen(topic: str, offset: int, message: Message) -> Seen:
    decoded = Decoded(message.origin, message.payload, message.origin.event_time_us)
    return Seen(topic, 0, offset, decoded)


def topics_after(batch: int) -> tuple[Oracle, Topics]:
    """What the three topics hold when the matcher worked in batches of this size."""
    adapter, oracle, core = Adapter("AAPL", LEVELS), Oracle(0, LEVELS), MatcherCore(0)
    genesis = Decoded(Origin(CONTROLS, 0, 0, 0, 0, 1, 0), replay_genesis("AAPL", "t"), 0)
    topics: Topics = {
        MATCHING.name: [Seen(MATCHING.name, 0, 0, genesis)],
        TRADES.name: [],
        BOOK.name: [],
    }
    core.handle(0, genesis)
    offset = 0
    for message, row in zip(SESSION.messages, SESSION.rows, strict=True):
        step = adapter.step(message, row)
        oracle.expect(step, row)
        for payload in forwarded(zip(step.commands, step.keys, strict=True)):
            offset += 2  # every other offset is a transaction's marker
            decoded = Decoded(Origin(ACCOUNTS, 0, offset, 0, 0, 1, offset), payload, offset)
            topics[MATCHING.name].append(Seen(MATCHING.name, 0, offset, decoded))
            out = core.handle(offset, decoded)
            if len(topics[MATCHING.name]) % batch == 0:
                out = [*out, *core.at_batch_end()]
            for made in out:
                if made.topic in topics:
                    held = topics[made.topic]
                    held.append(seen(made.topic, len(held), made))
    for made in core.at_batch_end():
        topics[BOOK.name].append(seen(BOOK.name, len(topics[BOOK.name]), made))
    return oracle, topics


def verified(oracle: Oracle, topics: Topics, order: random.Random) -> Findings:
    """Hand all of it over, each topic in order, the topics interleaved by chance."""
    verifier = Verifier(oracle)
    queues = [deque(records) for records in topics.values()]
    while any(queues):
        queue = order.choice([queue for queue in queues if queue])
        for _ in range(order.randint(1, 9)):
            if queue:
                verifier.take(queue.popleft())
        verifier.advance()
    verifier.finish()
    return oracle.findings


@pytest.mark.parametrize("batch", [1, 7, 100, 10_000])
@pytest.mark.parametrize("seed", range(5))
def test_any_interleaving_of_the_topics_gives_the_same_verdict(batch: int, seed: int) -> None:
    oracle, topics = topics_after(batch)
    findings = verified(oracle, topics, random.Random(seed))
    assert findings.holds, findings.differences
    assert findings.rows_equal == findings.rows_checked == 300
    assert findings.trades_checked == len(topics[TRADES.name]) > 20
    assert findings.depths_checked == len(topics[BOOK.name]) > 0


@pytest.mark.parametrize("topic", [MATCHING.name, TRADES.name, BOOK.name])
def test_a_record_that_is_missing_from_any_topic_is_found(topic: str) -> None:
    oracle, topics = topics_after(7)
    # Of `book` only the last one can be known to be missing: the others depend on batching.
    del topics[topic][-1 if topic == BOOK.name else len(topics[topic]) // 2]
    assert not verified(oracle, topics, random.Random(1)).holds


def test_a_book_record_of_another_moment_is_found() -> None:
    oracle, topics = topics_after(7)
    book = topics[BOOK.name]
    first, second = book[5], book[6]
    book[5] = Seen(
        BOOK.name, 0, first.offset, Decoded(first.decoded.origin, second.decoded.payload, 0)
    )
    findings = verified(oracle, topics, random.Random(1))
    assert findings.depths_different == 1


def test_nothing_is_folded_beyond_what_the_book_has_spoken_of() -> None:
    oracle, topics = topics_after(7)
    verifier = Verifier(oracle)
    for record in topics[MATCHING.name]:
        verifier.take(record)
    verifier.advance()
    assert oracle.findings.commands_folded == 0
    verifier.take(topics[BOOK.name][0])
    verifier.advance()
    assert 0 < oracle.findings.commands_folded <= 7


def test_the_next_offset_of_a_topic_is_after_the_last_record_taken() -> None:
    oracle, topics = topics_after(7)
    verifier = Verifier(oracle)
    assert verifier.next_offset(MATCHING.name) == 0
    verifier.take(topics[MATCHING.name][3])
    assert verifier.next_offset(MATCHING.name) == topics[MATCHING.name][3].offset + 1
    assert verifier.next_offset(EXECUTIONS.name) == 0

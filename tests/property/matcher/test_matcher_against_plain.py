"""The matcher beside two plain ones, command by command: the same messages, the same bytes."""

from typing import Any

import pytest
from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st

from services.domain.genesis import default_genesis
from services.matcher.core import MatcherCore
from services.tools.bench.matcher_flow import make_flow
from services.tools.bench.plain_matcher import PlainMatcher as DequeMatcher
from services.wire.codec import Decoded
from services.wire.messages import Message
from tests.support.matching_streams import short_sweeps, streams
from tests.support.plain_book import PlainMatcher

type Stream = list[Decoded[Any]]


@given(streams(length_max=60), st.sets(st.integers(0, 60)))
def test_the_matcher_equals_the_plain_one_after_every_command(
    stream: Stream, batch_ends: set[int]
) -> None:
    fast, plain = MatcherCore(0), PlainMatcher(0)
    for offset, decoded in enumerate(stream):
        assert fast.handle(offset, decoded) == plain.handle(offset, decoded)
        assert fast.dump() == plain.dump()
        assert fast.genesis_hash() == plain.genesis_hash()
        if offset in batch_ends:
            assert fast.at_batch_end() == plain.at_batch_end()


@given(streams(length_max=60), st.sets(st.integers(0, 60)))
def test_the_benchmarks_yardstick_gives_the_same_messages(
    stream: Stream, batch_ends: set[int]
) -> None:
    fast, deque_matcher = MatcherCore(0), DequeMatcher(0)
    for offset, decoded in enumerate(stream):
        assert fast.handle(offset, decoded) == deque_matcher.handle(offset, decoded)
        if offset in batch_ends:
            assert fast.at_batch_end() == deque_matcher.at_batch_end()


@given(short_sweeps())
def test_all_three_agree_on_what_a_short_sweep_can_fill(stream: Stream) -> None:
    fast, plain, deque_matcher = MatcherCore(0), PlainMatcher(0), DequeMatcher(0)
    for offset, decoded in enumerate(stream):
        said = fast.handle(offset, decoded)
        assert said == plain.handle(offset, decoded)
        assert said == deque_matcher.handle(offset, decoded)
        assert fast.dump() == plain.dump()


def test_a_long_flow_through_a_deep_book_is_the_same() -> None:
    genesis = default_genesis("flow")
    flow = make_flow(genesis, genesis.instruments[1], orders=400, seed=5)
    matchers = MatcherCore(1), DequeMatcher(1)
    for offset, decoded in enumerate(flow.warm_up + flow.commands):
        first, second = (matcher.handle(offset, decoded) for matcher in matchers)
        assert first == second


@pytest.mark.parametrize("field", ["spread_limit", "last_price", "mark_due_us"])
def test_a_difference_between_the_two_is_found(field: str) -> None:
    """A plain matcher with one number changed beneath its feet must stand out."""

    def differs(stream: Stream) -> bool:
        fast, plain = MatcherCore(0), PlainMatcher(0)
        for offset, decoded in enumerate(stream):
            said = fast.handle(offset, decoded)
            if said != plain.handle(offset, decoded) or fast.dump() != plain.dump():
                return True
            if plain.ticker and not field.startswith("spread"):
                setattr(plain, field, 12_345)
            elif plain.ticker:
                plain.spread_limit = 1
        return False

    search = settings(max_examples=2_000, phases=[Phase.generate], database=None)
    assert differs(find(streams(), differs, settings=search))


@given(streams(), st.sets(st.integers(0, 40)))
def test_messages_and_state_do_not_depend_on_where_batches_end(
    stream: Stream, batch_ends: set[int]
) -> None:
    whole, cut = MatcherCore(0), MatcherCore(0)
    for offset, decoded in enumerate(stream):
        assert whole.handle(offset, decoded) == cut.handle(offset, decoded)
        if offset in batch_ends:
            before = cut.dump()
            cut.at_batch_end()
            assert cut.at_batch_end() == []
            assert cut.dump() == before
        assert whole.dump() == cut.dump()


@given(streams(), st.sets(st.integers(0, 40)))
def test_what_a_depth_says_at_its_offset_does_not_depend_on_batches(
    stream: Stream, batch_ends: set[int]
) -> None:
    each, some = MatcherCore(0), MatcherCore(0)
    shown: Message | None = None
    last: Message | None = None
    for offset, decoded in enumerate(stream):
        each.handle(offset, decoded)
        some.handle(offset, decoded)
        shown = next(iter(each.at_batch_end()), shown)
        if offset in batch_ends:
            for message in some.at_batch_end():
                assert shown is not None
                assert message.payload == shown.payload
                assert message.origin.offset == offset
                last = message
    for message in some.at_batch_end():
        last = message
    if last is not None and shown is not None:
        assert last.payload == shown.payload


@given(streams(), st.integers(0, 40))
def test_a_book_loaded_from_its_dump_has_the_same_future(stream: Stream, split: int) -> None:
    core = MatcherCore(0)
    for offset, decoded in enumerate(stream[:split]):
        core.handle(offset, decoded)
    loaded = MatcherCore.load(0, core.dump())
    assert loaded.dump() == core.dump()
    assert loaded.genesis_hash() == core.genesis_hash()
    for offset, decoded in enumerate(stream[split:], start=len(stream[:split])):
        assert loaded.handle(offset, decoded) == core.handle(offset, decoded)
        assert loaded.dump() == core.dump()

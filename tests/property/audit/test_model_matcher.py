"""The audit's model of the matcher beside the matcher: the same bytes after every command."""

from typing import Any

import pytest
from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st

from services.domain.genesis import default_genesis
from services.tools.bench.matcher_flow import make_flow
from services.tools.proof.audit.model import MatcherModel
from services.wire.codec import Decoded
from tests.support.matching_streams import short_sweeps, streams
from tests.support.model_beside import Beside

type Stream = list[Decoded[Any]]


@given(streams(length_max=60), st.sets(st.integers(0, 60)))
def test_the_model_says_what_the_matcher_says_and_knows_what_it_knows(
    stream: Stream, batch_ends: set[int]
) -> None:
    both = Beside("matching", 0)
    for offset, message in enumerate(stream):
        both.take(offset, message)
        both.check_states()
        if offset in batch_ends:
            both.check_depth()
    both.check_end()


@given(short_sweeps())
def test_the_model_cuts_a_sweep_short_where_the_matcher_does(stream: Stream) -> None:
    both = Beside("matching", 0)
    for offset, message in enumerate(stream):
        both.take(offset, message)
    both.check_end()


def test_a_long_flow_through_a_deep_book_is_the_same_in_both() -> None:
    genesis = default_genesis("flow")
    flow = make_flow(genesis, genesis.instruments[1], orders=1_000, seed=5)
    both = Beside("matching", 1)
    for offset, message in enumerate(flow.warm_up + flow.commands):
        both.take(offset, message)
        if offset % 100 == 0:
            both.check_depth()
        if offset % 500 == 0:
            both.check_states()
    both.check_end()
    assert both.model.totals()["trades"] > 300


@pytest.mark.parametrize("field", ["_last_price", "_mark_due_us", "_sweep_max", "_status"])
def test_a_model_with_one_number_changed_beneath_its_feet_stands_out(field: str) -> None:
    def differs(stream: Stream) -> bool:
        both = Beside("matching", 0)
        assert isinstance(both.model, MatcherModel)
        try:
            for offset, message in enumerate(stream):
                both.take(offset, message)
                both.check_states()
                if both.model.genesis_hash():
                    setattr(both.model, field, 1)
        except AssertionError:
            return True
        return False

    search = settings(max_examples=2_000, phases=[Phase.generate], database=None)
    assert find(streams(length_max=60), differs, settings=search)

"""A model loaded from a snapshot goes on as the one that folded everything."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.domain.genesis import default_genesis
from services.matcher.core import MatcherCore
from services.risk.core import RiskCore
from services.tools.bench.matcher_flow import make_flow
from services.tools.proof.audit.model import MatcherModel, RiskModel
from services.wire.codec import Decoded
from tests.support.matching_streams import streams
from tests.support.model_beside import as_input, encode_derived
from tests.support.risk_flow import Flow, draw_ops
from tests.support.risk_market import RiskMarket, small_genesis


@settings(max_examples=40)
@given(streams(length_max=60), st.integers(0, 60))
def test_a_matcher_loaded_anywhere_goes_on_the_same(stream: list[Decoded[object]], at: int) -> None:
    core, whole = MatcherCore(0), MatcherModel(0)
    loaded = MatcherModel(0)
    for offset, message in enumerate(stream):
        if offset == at:
            loaded = MatcherModel.load(0, core.dump())
            assert loaded.state() == whole.state()
            assert loaded.genesis_hash() == whole.genesis_hash()
        core.handle(offset, message)
        taken = as_input("matching", offset, message)
        derived = whole.take(*taken)
        if offset >= at:
            assert encode_derived(loaded.take(*taken)) == encode_derived(derived)
    if at < len(stream):
        loaded.finish()
        assert (loaded.state(), loaded.faults) == (core.dump(), [])


@pytest.mark.parametrize("seed", range(6))
def test_risk_loaded_anywhere_goes_on_the_same(seed: int) -> None:
    market = RiskMarket(small_genesis(remember_ended_us=8_000_000))
    flow = Flow(market, resend_controls=False)
    flow.begin()
    for op in draw_ops(seed, 400):
        flow.act(op)
    for partition, steps in enumerate(market.steps):
        core, whole, loaded = RiskCore(partition), RiskModel(partition), RiskModel(partition)
        for count, (offset, message, _) in enumerate(steps):
            if count % 23 == 22:
                loaded.finish()
                loaded = RiskModel.load(partition, core.dump())
                assert loaded.state() == whole.state()
            core.handle(offset, message)
            taken = as_input("accounts", offset, message)
            again, first = loaded.take(*taken), whole.take(*taken)
            assert encode_derived(again) == encode_derived(first)
        loaded.finish()
        assert (loaded.state(), loaded.faults) == (core.dump(), [])
        assert loaded.genesis_hash() == core.genesis_hash()


def dumps() -> tuple[bytes, bytes]:
    """A state of risk and one of a matcher, both with orders."""
    market = RiskMarket(small_genesis())
    flow = Flow(market)
    flow.begin()
    for op in draw_ops(1, 200):
        flow.act(op)
    genesis = default_genesis("flow")
    stream = make_flow(genesis, genesis.instruments[0], orders=10, seed=1)
    matcher = MatcherCore(0)
    for offset, message in enumerate(stream.warm_up[:100]):
        matcher.handle(offset, message)
    return market.shards[0].dump(), matcher.dump()


@pytest.mark.parametrize("model", [RiskModel, MatcherModel])
def test_what_is_no_state_of_this_partition_is_refused(
    model: type[RiskModel | MatcherModel],
) -> None:
    states = dumps()
    own, other = states if model is RiskModel else reversed(states)
    for junk in (b"", b"\xc1", own[:-1], own + b"\x00", other, msgspec.msgpack.encode([0] * 11)):
        with pytest.raises(ValueError, match=r"no state of|partition"):
            model.load(0, junk)
    with pytest.raises(ValueError, match="the state of partition 0, not of 1"):
        model.load(1, own)

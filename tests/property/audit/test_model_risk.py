"""The audit's model of risk beside risk, under flows that race, resend, forget and fill tables."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.domain.codes import TIME_FROM_EVENT
from services.domain.origin import Origin
from services.matcher.core import MatcherCore
from services.tools.proof.audit.model import RiskModel
from tests.support.model_beside import Beside, as_input, encode_derived, encode_said
from tests.support.risk_flow import Flow, Op, draw_ops
from tests.support.risk_market import RiskMarket, small_genesis

_SMALL = st.integers(0, 23)
OPS = st.lists(
    st.tuples(st.integers(0, 99), _SMALL, _SMALL, _SMALL, _SMALL, _SMALL), min_size=20, max_size=90
)
SHORT_WINDOW_US = 1_500_000


class EventTimeMarket(RiskMarket):
    """Commands state an event time, which wanders back and forth about the log's."""

    def _origin(self, topic: int) -> Origin:
        origin = super()._origin(topic)
        wander_us = (self._sent * 7_919 % 11 - 5) * 40_000
        return msgspec.structs.replace(origin, event_time_us=origin.time_us + wander_us)


def play(ops: list[Op], market: RiskMarket) -> RiskMarket:
    flow = Flow(market, resend_controls=False)
    flow.begin()
    for op in ops:
        flow.act(op)
    flow.finish()
    return market


def check_beside(market: RiskMarket, *, states_every: int = 1) -> None:
    """Every partition of `accounts` again, in both."""
    for partition, steps in enumerate(market.steps):
        both = Beside("accounts", partition)
        for count, (offset, message, _) in enumerate(steps):
            both.take(offset, message)
            if count % states_every == 0:
                both.check_states()
        both.check_end()


@settings(max_examples=40)
@given(OPS)
def test_the_model_says_what_risk_says_and_knows_what_it_knows(ops: list[Op]) -> None:
    check_beside(play(ops, RiskMarket(small_genesis())))


@settings(max_examples=40)
@given(OPS)
def test_the_model_forgets_what_risk_forgets(ops: list[Op]) -> None:
    check_beside(play(ops, RiskMarket(small_genesis(remember_ended_us=SHORT_WINDOW_US))))


@settings(max_examples=40)
@given(OPS)
def test_the_model_goes_by_event_time_where_the_genesis_says_so(ops: list[Op]) -> None:
    genesis = small_genesis(time_source=TIME_FROM_EVENT, remember_ended_us=SHORT_WINDOW_US)
    check_beside(play(ops, EventTimeMarket(genesis)))


@settings(max_examples=40)
@given(OPS)
def test_the_model_refuses_what_full_tables_refuse(ops: list[Op]) -> None:
    genesis = small_genesis(
        remembered_max=10, live_orders_max=3, accounts_max=1, remember_ended_us=SHORT_WINDOW_US
    )
    check_beside(play(ops, RiskMarket(genesis)))


@settings(max_examples=25)
@given(OPS)
def test_the_model_follows_sweeps_that_are_cut_short(ops: list[Op]) -> None:
    check_beside(play(ops, RiskMarket(small_genesis(sweep_orders_max=1))))


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_long_flow_is_the_same_in_both(seed: int) -> None:
    market = play(draw_ops(seed, 2_500), RiskMarket(small_genesis(remember_ended_us=20_000_000)))
    check_beside(market, states_every=97)
    assert sum(len(steps) for steps in market.steps) > 2_000


def test_a_flow_so_long_that_sums_are_not_added_up_each_time_is_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With one order added up at once, most acceptances rest on running sums."""
    monkeypatch.setattr("services.tools.proof.audit.model.caps.ADDED_UP_AT_ONCE", 1)
    market = play(draw_ops(9, 2_500), RiskMarket(small_genesis()))
    models = []
    for partition, steps in enumerate(market.steps):
        model = RiskModel(partition)
        for offset, message, outputs in steps:
            derived = model.take(*as_input("accounts", offset, message))
            assert encode_derived(derived) == encode_said(outputs)
        model.finish()
        models.append(model)
    assert [model.faults for model in models] == [[], []]
    accepted = sum(model.totals()["acceptances_checked"] for model in models)
    assert 0 < sum(model.totals()["acceptances_added_up"] for model in models) < accepted


def test_both_halves_of_a_market_stay_equal_beside_each_other() -> None:
    """Conservation over the whole: what is bought is sold, and both are what is traded."""
    market = play(draw_ops(4, 2_000), RiskMarket(small_genesis()))
    check_beside(market, states_every=200)
    shards = [RiskModel(partition) for partition in range(len(market.steps))]
    for shard, steps in zip(shards, market.steps, strict=True):
        for offset, message, _ in steps:
            shard.take(*as_input("accounts", offset, message))
    traded = sum(message.payload.quantity for message in market.trades)  # type: ignore[attr-defined]
    assert isinstance(market.matchers[0], MatcherCore)
    assert sum(shard.totals()["shares_bought"] for shard in shards) == traded > 100
    assert sum(shard.totals()["shares_sold"] for shard in shards) == traded

"""Risk and the real matcher under any flow, judged by a second implementation."""

from itertools import pairwise

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.domain.commands import CancelAll, PlaceOrder
from services.domain.events import ExecutionReport
from services.risk.core import RiskCore
from services.wire.codec import Decoded
from tests.support.risk_flow import ACCOUNTS, Flow, Op, draw_ops
from tests.support.risk_market import RiskMarket, small_genesis
from tests.support.risk_oracle import Answered, Audit, audit

_SMALL = st.integers(0, 23)
OPS = st.lists(
    st.tuples(st.integers(0, 99), _SMALL, _SMALL, _SMALL, _SMALL, _SMALL), min_size=20, max_size=90
)
SHORT_WINDOW_US = 1_500_000


def play(ops: list[Op], **genesis: object) -> RiskMarket:
    market = RiskMarket(small_genesis(**genesis))
    flow = Flow(market, resend_controls=not genesis)
    flow.begin()
    for op in ops:
        flow.act(op)
    flow.finish()
    return market


def reservations(core: RiskCore) -> dict[tuple[str, str], tuple[int, int, int, int]]:
    """B, S, VB and VS as risk keeps them."""
    return {
        (account.name, ticker): (
            holding.buy_quantity,
            holding.sell_quantity,
            holding.buy_value,
            holding.sell_value,
        )
        for account in core._shard.accounts.values()
        for ticker, holding in account.holdings.items()
    }


@given(OPS)
def test_risk_keeps_every_promise_whatever_happens(ops: list[Op]) -> None:
    for steps in play(ops).steps:
        assert audit(steps) == []


@given(OPS)
def test_risk_keeps_every_promise_while_it_forgets(ops: list[Op]) -> None:
    for steps in play(ops, remember_ended_us=SHORT_WINDOW_US).steps:
        assert audit(steps) == []


@given(OPS)
def test_risk_keeps_every_promise_while_sweeps_are_cut_short(ops: list[Op]) -> None:
    for steps in play(ops, sweep_orders_max=1).steps:
        assert audit(steps) == []


@settings(max_examples=30)
@given(OPS)
def test_reservations_are_the_sums_over_live_orders_after_every_message(ops: list[Op]) -> None:
    market = play(ops)
    for partition, steps in enumerate(market.steps):
        core, judge = RiskCore(partition), Audit()
        for offset, decoded, _ in steps:
            judge.judge(offset, decoded, core.handle(offset, decoded))
            for (account, ticker), sums in reservations(core).items():
                assert sums == judge.world.open_sums(account, ticker)
        assert not any(any(sums) for sums in reservations(core).values()), "all was canceled"


@pytest.mark.parametrize("seed", [1, 2])
def test_a_long_day_breaks_nothing(seed: int) -> None:
    for steps in play(draw_ops(seed, 1_200)).steps:
        assert audit(steps) == []


@settings(max_examples=30)
@given(OPS, st.lists(st.integers(0, 300), max_size=4))
def test_a_core_loaded_from_its_dump_has_the_same_future(ops: list[Op], cuts: list[int]) -> None:
    market = play(ops, remember_ended_us=SHORT_WINDOW_US)
    for partition, steps in enumerate(market.steps):
        core = RiskCore(partition)
        for place, (offset, decoded, outputs) in enumerate(steps):
            if place in cuts:
                state = core.dump()
                core = RiskCore.load(partition, state)
                assert core.dump() == state
            assert core.handle(offset, decoded) == outputs
        assert core.dump() == market.shards[partition].dump()


@settings(max_examples=30)
@given(OPS, st.integers(1, 7))
def test_state_and_outputs_do_not_depend_on_the_batch_size(ops: list[Op], batch: int) -> None:
    market = play(ops)
    for partition, steps in enumerate(market.steps):
        core = RiskCore(partition)
        for place, (offset, decoded, outputs) in enumerate(steps, 1):
            assert core.handle(offset, decoded) == outputs
            if place % batch == 0:
                assert core.at_batch_end() == []
        assert core.dump() == market.shards[partition].dump()


@settings(max_examples=30)
@given(OPS)
def test_every_command_sent_twice_at_once_is_done_once(ops: list[Op]) -> None:
    """The twin hears every command of an account twice; positions and orders stay the same."""
    market = play(ops)
    for partition, steps in enumerate(market.steps):
        twin = RiskCore(partition)
        for place, (offset, decoded, outputs) in enumerate(steps):
            assert decoded.origin is not None
            origin = msgspec.structs.replace(decoded.origin, index=decoded.origin.index * 2)
            passed = twin.handle(2 * offset, Decoded(origin, decoded.payload, 0))
            assert payloads(passed, "matching") == payloads(outputs, "matching")
            if isinstance(decoded.payload, Answered):
                again = msgspec.structs.replace(origin, index=origin.index + 1)
                answers = twin.handle(2 * offset + 1, Decoded(again, decoded.payload, 0))
                assert payloads(answers, "matching") == []
                assert len(answers) == 1, place
        assert reservations(twin) == reservations(market.shards[partition])
        assert positions(twin) == positions(market.shards[partition])


def payloads(messages: list, topic: str) -> list[msgspec.Struct]:  # type: ignore[type-arg]
    return [message.payload for message in messages if message.topic == topic]


def positions(core: RiskCore) -> dict[tuple[str, str], int]:
    return {
        (account.name, ticker): holding.position
        for account in core._shard.accounts.values()
        for ticker, holding in account.holdings.items()
    }


def test_the_flow_meets_every_kind_of_report_and_most_reasons() -> None:
    """Otherwise the properties above would hold of little."""
    reports = [
        message.payload
        for seed in range(12)
        for steps in play(draw_ops(seed, 90)).steps
        for step in steps
        for message in step.outputs
        if isinstance(message.payload, ExecutionReport)
    ]
    assert {report.exec_type for report in reports} == set(range(10))
    assert len({report.reason for report in reports}) > 20


def test_the_forgetful_flow_forgets_and_enters_an_id_again() -> None:
    market = play([], remember_ended_us=SHORT_WINDOW_US)
    order = PlaceOrder(ACCOUNTS[0], "again", "AAPL", 1, 2, 1, False, 100_000, 5, 0)
    lives = []
    for _ in range(2):
        lives += market.said(order)
        lives += market.said(CancelAll(ACCOUNTS[0], f"cancel-{len(lives)}", ""))
        market.now_us += 2 * SHORT_WINDOW_US
        for _ in range(3):  # each message forgets a few
            market.said(CancelAll(ACCOUNTS[0], f"tick-{market.now_us}", ""))
    assert [report.exec_type for report in lives] == [0, 2, 0, 2]
    assert all(a.order_id == b.order_id for a, b in pairwise(lives))
    for steps in market.steps:
        assert audit(steps) == []

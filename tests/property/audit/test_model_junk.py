"""Whatever a log holds, the models do not raise: they report faults and can still be asked."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from services.tools.proof.audit.model import MatcherModel, RiskModel
from services.wire.codec import Decoded
from tests.support.matching_streams import streams
from tests.support.model_beside import Input, as_input, encode_derived
from tests.support.risk_flow import Flow, draw_ops
from tests.support.risk_market import RiskMarket, small_genesis

_LONG = st.one_of(st.integers(-(2**63), 2**63 - 1), st.integers(-3, 12), st.just(10**9))
_CHANGES = st.lists(
    st.tuples(st.integers(0, 10**6), st.integers(0, 30), _LONG, st.booleans()), max_size=12
)


def flow_inputs(seed: int) -> list[Input]:
    market = RiskMarket(small_genesis())
    flow = Flow(market, resend_controls=False)
    flow.begin()
    for op in draw_ops(seed, 120):
        flow.act(op)
    return [as_input("accounts", offset, message) for offset, message, _ in market.steps[0]]


FLOWS = [flow_inputs(seed) for seed in range(3)]
INTS = {  # Avro's int, which has 32 bits
    "side", "order_type", "time_in_force", "self_trade_prevention", "liquidity", "reason",
    "short_allowed", "time_source", "account_partitions",
}  # fmt: skip


def spoil(inputs: list[Input], changes: list[tuple[int, int, int, bool]]) -> list[Input]:
    """Some fields changed as bytes of the log can be: another number, another name."""
    spoilt = [(offset, record, dict(fields)) for offset, record, fields in inputs]
    for where, which, number, drops in changes:
        at = where % len(spoilt)
        if drops and at:
            del spoilt[at]
            continue
        _, record, fields = spoilt[at]
        names = [name for name in fields if name != "origin" and record != "Genesis"]
        if names:
            name = names[which % len(names)]
            fields[name] = _spoilt_value(name, fields[name], number)
    return spoilt


def _spoilt_value(name: str, value: object, number: int) -> object:
    match value:
        case bool():
            return not value
        case int():
            return number % 2**31 - 2**30 if name in INTS else number
        case str():
            return value[:-1] + chr(97 + number % 26)
        case _:
            return value


def check_survives(model: RiskModel | MatcherModel, inputs: list[Input]) -> None:
    """Everything is taken, what is said can be written, and the model can be asked."""
    derived: list[Any] = []
    for offset, record, fields in inputs:
        derived += encode_derived(model.take(offset, record, fields))
    model.finish()
    assert isinstance(model.state(), bytes)
    assert model.totals()["faults_suppressed"] >= 0
    assert not model.is_broken, model.faults[-1]
    assert all(fault.offset <= inputs[-1][0] for fault in model.faults)


@settings(max_examples=150)
@given(st.sampled_from(FLOWS), _CHANGES)
def test_the_model_of_risk_survives_any_log(
    inputs: list[Input], changes: list[tuple[int, int, int, bool]]
) -> None:
    check_survives(RiskModel(0), spoil(inputs, changes))


@settings(max_examples=60)
@given(streams(length_max=40), _CHANGES)
def test_the_model_of_the_matcher_survives_any_log(
    stream: list[Decoded[Any]], changes: list[tuple[int, int, int, bool]]
) -> None:
    inputs = [as_input("matching", offset, message) for offset, message in enumerate(stream)]
    check_survives(MatcherModel(0), spoil(inputs, changes))

"""The state of reports, carried on by stretches, is that of all of them at once."""

from itertools import pairwise
from random import Random
from typing import Final

import pytest

from services.domain import codes
from services.gateway.core.recorded import Beginning, Recorded
from services.gateway.core.report_state import ReportState
from tests.support.report_flow import Reported, ReportFlow, fold, make_read_model, picture
from tests.support.stretches import states_of, stretch_of

ACCOUNTS: Final = ("alice", "bob", "carol", "dave", "erin")


@pytest.mark.parametrize("seed", range(20))
def test_stretch_after_stretch_comes_to_the_same_bytes_as_all_at_once(seed: int) -> None:
    said = ReportFlow(seed, ACCOUNTS).run(400)
    for partition, whole in states_of(said).items():
        part = [one for one in said if one.partition == partition]
        cuts = [0, *sorted(Random(seed).sample(range(len(part)), 5)), len(part)]
        state = ReportState()
        for first, end in pairwise(cuts):
            state = ReportState.load(state.dump())
            state.carry_on(stretch_of(part[first:end]))
        assert state.dump() == whole.dump()


@pytest.mark.parametrize("seed", range(10))
def test_a_read_model_that_begins_with_states_is_that_of_the_whole_topic(seed: int) -> None:
    said = ReportFlow(seed, ACCOUNTS).run(300)
    whole = make_read_model()
    fold(whole, said)
    for split in sorted(Random(seed).sample(range(len(said)), 6)):
        model, recorded = make_read_model(), Recorded({})
        for state in states_of(said[:split]).values():
            recorded = ReportState.load(state.dump()).add_to(recorded)
        model.begin(Beginning("database", is_whole=True, reason=None), recorded)
        fold(model, said[split:])
        assert picture(model, ACCOUNTS) == picture(whole, ACCOUNTS), split


def test_an_id_that_is_used_again_has_the_place_of_its_new_order() -> None:
    flow = ReportFlow(1, ["alice"])
    flow.run(1)

    def said(status: int, number: int, exec_type: int = codes.EXEC_ORDER_STATUS) -> Reported:
        flow._report("alice", "AAPL-again", exec_type, status)
        assert flow.said[-1].payload.account_sequence == number
        return flow.said[-1]

    begun, ended = said(codes.NEW, 2), said(codes.CANCELED, 3)
    again, onwards = said(codes.NEW, 4), said(codes.PARTIALLY_FILLED, 5)
    within, between = ReportState(), ReportState()
    within.carry_on(stretch_of([begun]))
    within.carry_on(stretch_of([ended, again, onwards]))
    for stretch in ([begun, ended], [again], [onwards]):
        between.carry_on(stretch_of(stretch))
    assert within.dump() == between.dump()
    assert [order.first_sequence for order in within.orders()] == [4]


def test_bytes_that_are_no_state_are_refused() -> None:
    dumped = states_of(ReportFlow(2, ACCOUNTS).run(100))[0].dump()
    for junk in (b"", b"\x90", dumped[:-1], dumped + b"\x00", b"\xff" + dumped[1:]):
        with pytest.raises(ValueError):  # noqa: PT011 - of whatever kind
            ReportState.load(junk)

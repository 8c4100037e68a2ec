"""A read model that begins in the middle of `executions` comes to what the whole topic comes to."""

from collections.abc import Mapping
from random import Random
from typing import Final

import pytest

from services.domain import codes
from services.domain.events import ExecutionReport
from services.gateway.beginning import (
    NO_DATABASE,
    Bounds,
    NothingRecordedError,
    find_beginning,
)
from services.gateway.core.read_model import ReadModel
from services.gateway.core.recorded import Beginning, Recorded, RecordedOrder, RecordedTicker
from tests.support.report_flow import Reported, ReportFlow, fold, make_read_model, picture

ACCOUNTS: Final = ("alice", "bob", "carol")
FROM_DATABASE: Final = Beginning("database", is_whole=True, reason=None)


def state_of(model: ReadModel) -> Recorded:
    """What a model that has folded the time before would have recorded of it."""
    orders, tickers, states = [], [], []
    for account in ACCOUNTS:
        for number, order_id, status in model.orders.lists.before(account, None):
            if status in codes.LIVE_STATUSES:
                value = model.orders.find(account, order_id)
                assert isinstance(value, bytes)
                orders.append(RecordedOrder(account, order_id, status, number, value))
        held = model.holdings.find(account)
        if held is None:
            continue
        if held.state is not None:
            states.append((account, held.state))
        for ticker, reports in held.tickers.items():
            tickers.append(RecordedTicker(account, ticker, reports.accepted, reports.other))
    orders.sort(key=lambda order: order.first_sequence)
    numbers = {account: model.orders.sequence_of(account) for account in ACCOUNTS}
    return Recorded({}, tuple(orders), tuple(tickers), tuple(states),
                    {account: number for account, number in numbers.items() if number})  # fmt: skip


@pytest.mark.parametrize("seed", range(20))
def test_what_came_before_and_the_rest_are_the_whole(seed: int) -> None:
    said = ReportFlow(seed, ACCOUNTS).run(300)
    whole = make_read_model()
    fold(whole, said)
    expected = picture(whole, ACCOUNTS)
    assert any(account["live"]["orders"] for account in expected.values())
    for split in sorted(Random(seed).sample(range(len(said)), 6)):
        before, model = make_read_model(), make_read_model()
        fold(before, said[:split])
        model.begin(FROM_DATABASE, state_of(before))
        fold(model, said[split:])
        assert picture(model, ACCOUNTS) == expected, split
        for account, order_id in statuses_said(said[split:]):
            assert model.orders.find(account, order_id) == whole.orders.find(account, order_id)


def statuses_said(said: list[Reported]) -> set[tuple[str, str]]:
    """The orders whose status these say: of others only what came before may know it."""
    reports = [one.payload for one in said if isinstance(one.payload, ExecutionReport)]
    return {
        (report.account, report.order_id)
        for report in reports
        if report.order_status != codes.NO_ORDER
    }


def test_an_order_that_is_missing_from_the_time_before_is_found() -> None:
    said = ReportFlow(1, ACCOUNTS).run(300)
    whole, before, model = make_read_model(), make_read_model(), make_read_model()
    fold(whole, said)
    fold(before, said[:299])
    state = state_of(before)
    model.begin(FROM_DATABASE, Recorded({}, state.orders[:-1], state.tickers, state.states,
                                        state.sequences))  # fmt: skip
    fold(model, said[299:])
    assert picture(model, ACCOUNTS) != picture(whole, ACCOUNTS)


class Before:
    """`ReportsBefore` that answers this."""

    def __init__(self, answer: Recorded | NothingRecordedError) -> None:
        self._answer = answer

    def read(self, bounds: Mapping[int, Bounds], topic_id: str) -> Recorded:
        assert (set(bounds), topic_id) == ({0, 1}, "id")
        if isinstance(self._answer, Recorded):
            return self._answer
        raise self._answer


CUT: Final = {0: Bounds(0, 90), 1: Bounds(5, 80)}
WHOLE: Final = {0: Bounds(0, 90), 1: Bounds(0, 80)}


@pytest.mark.parametrize(
    "bounds,before,beginning,starts",
    [
        (WHOLE, None, ("topic", True, None), {0: 0, 1: 0}),
        (CUT, None, ("topic", False, NO_DATABASE), {0: 0, 1: 5}),
        (CUT, Recorded({0: 40, 1: 30}), ("database", True, None), {0: 40, 1: 30}),
        (WHOLE, Recorded({0: 0, 1: 0}), ("topic", True, None), {0: 0, 1: 0}),
        (CUT, Recorded({0: 9, 1: 9}, lacks="days"), ("database", False, "days"), {0: 9, 1: 9}),
        (CUT, NothingRecordedError("away"), ("topic", False, "away"), {0: 0, 1: 5}),
        (WHOLE, NothingRecordedError("away"), ("topic", True, "away"), {0: 0, 1: 0}),
    ],
)
def test_a_beginning_says_whether_anything_older_is_missing(
    bounds: dict[int, Bounds],
    before: Recorded | NothingRecordedError | None,
    beginning: tuple[str, bool, str | None],
    starts: dict[int, int],
) -> None:
    found, recorded = find_beginning(
        bounds, None if before is None else Before(before), lambda: "id"
    )
    assert (found.source, found.is_whole, found.reason) == beginning
    assert recorded.starts == starts

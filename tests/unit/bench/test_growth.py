"""`bench scaling` and `bench stages`: what they fold is what they say. Never how fast."""

import pytest
from rich.console import Console

from services.matcher.core import MatcherCore
from services.risk.core import RiskCore
from services.tools.bench.scaling import (
    MEANINGS,
    ScalingOrder,
    default_sizes,
    run_scaling_bench,
    scaling_table,
)
from services.tools.bench.scaling_worker import Axis, Point, measure_point, prepare
from services.tools.bench.stages import run_stages_bench, stages_table


def test_a_book_stays_as_deep_as_the_point_says_while_it_trades() -> None:
    make = prepare(Point("depth", 50, 40, 1))
    for _ in range(2):
        todo = make()
        given = [core.handle(offset, decoded) for core, offset, decoded in todo]
        core = todo[0][0]
        assert isinstance(core, MatcherCore)
        assert len(core._book.orders) == 50
        assert "Trade" in {type(one.payload).__name__ for messages in given for one in messages}


def test_every_account_places_orders_that_risk_forwards() -> None:
    todo = prepare(Point("accounts", 20, 40, 1))()
    core = todo[0][0]
    assert isinstance(core, RiskCore)
    given = [one for core, at, decoded in todo for one in core.handle(at, decoded)]
    assert {one.topic for one in given} == {"matching"}
    assert len({one.payload.account for one in given}) == 20


def test_books_take_turns_in_one_process() -> None:
    todo = prepare(Point("tickers", 3, 600, 1))()
    assert len({id(core) for core, _, _ in todo}) == 3
    assert measure_point(lambda: todo[:10], 1).commands == 10


@pytest.mark.parametrize("axis", ["depth", "processes"])
def test_a_point_is_measured_by_processes_of_its_own(axis: Axis) -> None:
    rows = run_scaling_bench(ScalingOrder({axis: [2]}, 200, 2), lambda _line: None)
    assert [(row.axis, row.size) for row in rows] == [(axis, 2)]
    assert rows[0].cpu_us.low > 0
    console = Console(width=160, record=True)
    console.print(scaling_table(rows))
    assert MEANINGS[axis] in console.export_text()


def test_a_point_that_fails_ends_the_run_with_its_cause() -> None:
    with pytest.raises(RuntimeError, match="0 tickers failed"):
        run_scaling_bench(ScalingOrder({"tickers": [0]}, 10, 1), lambda _line: None)


def test_a_full_run_goes_to_a_million_orders_and_a_quick_one_does_not() -> None:
    assert max(default_sizes(quick=False)["depth"]) == 1_000_000
    assert max(default_sizes(quick=True)["depth"]) < 1_000_000


def test_the_stages_count_what_each_gives_a_command() -> None:
    costs = run_stages_bench(600, 3, 1, lambda _line: None)
    assert [cost.stage for cost in costs] == ["ingest", "risk", "matcher"]
    ingest, risk, matcher = costs
    assert ingest.out == pytest.approx(1, abs=0.2)
    assert risk.out > 1
    assert matcher.out > 1
    assert risk.decode_us.median > 0
    console = Console(width=160, record=True)
    console.print(stages_table(costs))
    assert "median (least, most)" in console.export_text()


def test_stages_of_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 1 command"):
        run_stages_bench(0, 3, 1, lambda _line: None)

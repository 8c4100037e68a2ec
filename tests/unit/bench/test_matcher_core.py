"""The matcher's benchmark: what it counts and what it refuses to compare. Never how fast."""

from collections import Counter

import msgspec
import pytest
from rich.console import Console

from services.domain.genesis import default_genesis
from services.tools.bench import matcher_core
from services.tools.bench.matcher_core import (
    MatcherCoreFigures,
    matcher_core_table,
    run_matcher_core_bench,
)
from services.tools.bench.matcher_flow import make_flow
from services.tools.bench.plain_matcher import PlainMatcher
from services.wire.messages import Message


@pytest.fixture(scope="module")
def figures() -> MatcherCoreFigures:
    return run_matcher_core_bench(orders=50, seed=3, repeats=2)


@pytest.mark.long
def test_the_total_counts_every_ticker_and_no_warm_up(figures: MatcherCoreFigures) -> None:
    *tickers, total = figures.rows
    assert [row.ticker for row in tickers] == ["AAPL", "MSFT", "GOOGL", "TSLA", "NVDA"]
    assert [row.orders for row in tickers] == [10] * 5
    assert (total.ticker, total.orders) == ("total", 50)
    assert total.commands == sum(row.commands for row in tickers)
    for row in figures.rows:
        assert row.ratio.low <= row.ratio.median <= row.ratio.high


@pytest.mark.long
def test_the_table_shows_each_figure_with_its_spread(figures: MatcherCoreFigures) -> None:
    console = Console(width=160)
    with console.capture() as capture:
        console.print(matcher_core_table(figures))
    text = capture.get()
    assert "total" in text
    assert "(least–most)" in text


@pytest.mark.parametrize("orders, repeats", [(4, 1), (5, 0)])
def test_too_little_to_measure_is_refused(orders: int, repeats: int) -> None:
    with pytest.raises(ValueError, match="at least 5 orders and 1 repeat"):
        run_matcher_core_bench(orders, seed=3, repeats=repeats)


def test_matchers_that_differ_are_not_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    class Silent(PlainMatcher):
        def at_batch_end(self) -> list[Message]:
            return []

    monkeypatch.setattr(matcher_core, "PlainMatcher", Silent)
    with pytest.raises(RuntimeError, match="AAPL: the two matchers differ at command 0"):
        run_matcher_core_bench(orders=50, seed=3, repeats=1)


def test_a_flow_is_the_same_from_the_same_seed_and_holds_every_kind_of_command() -> None:
    genesis = default_genesis("flow")
    flow, again, other = (make_flow(genesis, genesis.instruments[0], 300, s) for s in (3, 3, 4))
    assert flow == again
    assert msgspec.json.encode(flow.commands) != msgspec.json.encode(other.commands)
    kinds = Counter(type(command.payload).__name__ for command in flow.commands)
    assert kinds["EnterOrder"] == flow.orders == 300
    assert set(kinds) == {"EnterOrder", "CancelOrder", "ReduceOrder", "ReplaceOrder"}

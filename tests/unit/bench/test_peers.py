"""Peers beside us: they must trade alike, and their tools' words are read right."""

from collections.abc import Sequence

import pytest
from rich.console import Console

from services.tools.bench.peer_log import read_consumer, read_producer
from services.tools.bench.peer_matchers import (
    ENGINES,
    OURS,
    Engine,
    Ready,
    Step,
    compare_matchers,
    shared_steps,
)
from services.tools.bench.peers import MATCHING, PeerRow, peers_table
from services.tools.bench.tries import Spread
from services.tools.stack.errors import StackError

PRODUCED = """1000 records sent, 200.0 records/sec (0.02 MB/sec), 9.0 ms avg latency.
50000 records sent, 125000.5 records/sec (11.92 MB/sec), 80.10 ms avg latency, 210.00 ms max\
 latency, 76 ms 50th, 150 ms 95th, 190 ms 99th, 205 ms 99.9th.
"""
CONSUMED = """start.time, end.time, data.consumed.in.MB, MB.sec, data.consumed.in.nMsg, nMsg.sec, a
2026-11-26 21:00:00:000, 2026-11-26 21:00:01:000, 4.7684, 4.7684, 50000, 61500.7500, 3
"""


def test_every_installed_engine_trades_alike_on_the_same_steps() -> None:
    found = compare_matchers(orders=300, seed=3, repeats=1)
    assert found.trades > 50
    assert found.cancels > 50
    speeds = {row.name: row.commands_per_s for row in found.rows}
    assert list(speeds) == [engine.name for engine in ENGINES]
    assert speeds[OURS] is not None
    assert speeds["matching-engine"] is not None


def test_steps_hold_what_every_engine_can_do_and_no_cancel_of_what_is_gone() -> None:
    steps = shared_steps(300, 3)
    assert steps == shared_steps(300, 3)
    alive: set[int] = set()
    for step in steps:
        if step.side:
            assert step.price > 0
            alive.add(step.number)
        else:
            assert step.number in alive
            alive.remove(step.number)


def test_an_engine_that_trades_otherwise_is_not_compared() -> None:
    def lazy(_steps: Sequence[Step]) -> Ready:
        return Ready(list, lambda _given: [])

    with pytest.raises(RuntimeError, match="a lazy one trades otherwise than the matcher's fold"):
        compare_matchers(300, 3, 1, (ENGINES[0], Engine("a lazy one", "everything", lazy)))


def test_an_engine_that_is_not_installed_is_told_without_a_figure() -> None:
    absent = Engine("nobody's", "", ENGINES[0].prepare, "no_such_package")
    found = compare_matchers(100, 3, 1, (ENGINES[0], absent))
    assert [row.commands_per_s is None for row in found.rows] == [False, True]


def test_the_last_line_of_the_producers_tool_and_the_table_of_the_consumers_are_read() -> None:
    assert read_producer(PRODUCED) == (125_000.5, 190.0)
    assert read_consumer(f"WARN something, else\n{CONSUMED}") == 61_500.75
    with pytest.raises(StackError, match="said no rate: what"):
        read_producer("what")
    with pytest.raises(StackError, match="said no rate"):
        read_consumer(CONSUMED.splitlines()[0])


def test_the_table_says_what_each_lacks() -> None:
    rows = [
        PeerRow(MATCHING, "ours", Spread(100.0, 90.0, 110.0), "commands/s", ""),
        PeerRow(MATCHING, "theirs", None, "commands/s", "self-trade prevention"),
    ]
    console = Console(width=200, record=True)
    console.print(peers_table(rows))
    text = " ".join(console.export_text().split())
    assert "ours │ 100 [90, 110] │ commands/s │ nothing" in text
    assert "theirs │ not installed │ commands/s │ self-trade prevention" in text

"""When latency counts as normal again after too much load, and what the report says of it."""

import msgspec
import pytest
from rich.console import Console

from services.tools.bench.gateway_load import LoadResult
from services.tools.bench.metrics_cost import CostRow, MetricsCost, ScrapeRow, metrics_tables
from services.tools.bench.pipeline import Latency
from services.tools.bench.rates import rates_table
from services.tools.bench.saturation import (
    RoomMemory,
    SaturationReport,
    calm_from,
    saturation_table,
)
from services.tools.bench.tries import Spread

LOAD = LoadResult(900.0, 9_000, 40, 70.0, 900.0, 4_000.0, 3.0, {"202": 8_960, "503": 40}, 500)
QUICK = [(100.0 + place / 10, 0.05) for place in range(60)]


def report(**changes: object) -> SaturationReport:
    made = SaturationReport(
        1_000.0, 2_000.0, LOAD, (RoomMemory("risk", 80.0, 90.0, 91.0, 92.0),), 120.0, 400.0,
        900.0, 4.2, LOAD, LOAD, {"audit": (10_000, 0)}, (),
    )  # fmt: skip
    return msgspec.structs.replace(made, **changes)


def test_latency_is_normal_since_the_first_quick_order_after_the_last_slow_answer() -> None:
    slow = [(98.0, 4.0), (99.0, 3.5)]
    assert calm_from(slow + QUICK, 106.0, 0.1) == pytest.approx(102.6)


def test_a_moment_of_calm_is_not_enough_and_neither_is_silence() -> None:
    assert calm_from(QUICK[:10], 101.0, 0.1) is None
    assert calm_from(QUICK, 110.0, 0.1) is None  # nothing came for four seconds
    assert calm_from([], 110.0, 0.1) is None
    assert calm_from([*QUICK, (105.5, 2.0)], 107.6, 0.1) is None


def test_a_run_is_sound_only_without_a_fault_and_in_time() -> None:
    assert report().is_sound
    assert not report(recovered_s=10.5).is_sound
    assert not report(recovered_s=None).is_sound
    assert not report(
        faults=("answered: alice/a-1 was promised and has no answer (1 of 2)",)
    ).is_sound


def test_the_table_counts_refusals_apart_from_what_was_never_sent() -> None:
    console = Console(width=250, record=True)
    console.print(saturation_table(report(faults=("audit: gone",), loaded_p99_ms=None)))
    text = " ".join(console.export_text().split())
    assert "9,000 sent (8,960 of 202, 40 of 503), 500 given up unsent" in text
    assert "p50 400 ms, p99 never under the load" in text
    assert "4.2 s after the load's end" in text
    assert "FAULT │ audit: gone" in text


def test_figures_survive_their_file() -> None:
    lost = report(recovered_s=None)
    assert msgspec.json.decode(msgspec.json.encode(lost), type=SaturationReport) == lost


def test_what_metrics_cost_is_the_difference_of_medians() -> None:
    cost = CostRow("risk", Spread(103.0, 101.0, 104.0), Spread(100.0, 99.0, 101.0))
    assert cost.share == pytest.approx(0.03)
    calm = [ScrapeRow("drift", 60, 2.0, 4.0, 5.0, 9_000)]
    scrapes = [ScrapeRow("risk", 20, 3.0, 8.0, 9.0, 12_000)]
    found = MetricsCost(scrapes, [cost], 60_000, 5_000, calm, 100)
    console = Console(width=160, record=True)
    for table in metrics_tables(found):
        console.print(table)
    text = " ".join(console.export_text().split())
    assert "risk │ 20 │ 3.0 │ 8.0 │ 9.0 │ 12,000" in text
    assert "a scrape of every room, at 100 commands/s" in text
    assert "drift │ 60 │ 2.0 │ 4.0 │ 5.0 │ 9,000" in text
    assert "103.0 (101.0, 104.0) │ 100.0 (99.0, 101.0) │ +3.0%" in text


def test_rates_stand_beside_their_percentiles() -> None:
    console = Console(width=160, record=True)
    console.print(rates_table([Latency(1_200, 36_000, 60.0, 90.0, 120.0, 300.0, 12.0)]))
    text = " ".join(console.export_text().split())
    assert "1,200 │ 60.0 │ 90.0 │ 120.0 │ 300.0 │ 36,000 │ 12.0" in text

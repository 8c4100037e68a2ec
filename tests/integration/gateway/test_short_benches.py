"""The short forms of the gateway's benchmarks that no other test runs, each on its own stack."""

from pathlib import Path

import pytest

from services.tools.bench.feed import WAYS, run_feed_bench
from services.tools.bench.gateway_start import run_gateway_start_bench

pytestmark = [pytest.mark.kafka, pytest.mark.long, pytest.mark.timeout(600)]


def test_every_way_of_feeding_a_loop_reads_every_record(tmp_path: Path) -> None:
    found = run_feed_bench(tmp_path, 500, 2.0, 4_000, 1, lambda _line: None)
    assert [way.way for way in found.ways] == list(WAYS)
    for way in found.ways:
        assert way.lag_p50_ms.median > 0
        assert way.records_per_s.median > 0
        assert way.steady_cpu_us.median > 0


def test_a_start_from_a_snapshot_asks_for_less_and_is_told_the_same(tmp_path: Path) -> None:
    # That the answers are the same is asserted by the benchmark itself.
    found = run_gateway_start_bench(tmp_path, [160_000], 20_000, 1, lambda _line: None)
    asked = {row.source: row.asked_offsets for row in found.questions}
    assert asked["snapshot"] == 20_000 < asked["everything"] == 60_000

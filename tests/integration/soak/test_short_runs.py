"""The short forms of `make soak` and `outcry bench saturation`, each on a stack of its own."""

from pathlib import Path

import pytest

from services.tools.bench.saturation import SaturationOrder, run_saturation_bench
from services.tools.soak.run import PICTURE_NAME, REPORT_NAME, SAMPLES_NAME, SoakOrder, run_soak
from services.tools.soak.samples import read_samples

pytestmark = [pytest.mark.kafka, pytest.mark.long, pytest.mark.timeout(900)]


def test_a_short_soak_with_kills_keeps_every_promise_and_leaves_its_figures(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "results"
    folder.mkdir()
    order = SoakOrder(
        tmp_path / "stack", folder, hours=0.025, seed=3, rate_per_s=30.0, kill_every_s=25.0
    )
    report = run_soak(order, lambda _line: None)
    assert report.faults == []
    assert report.is_sound
    assert sum(report.kills.values()) >= 1
    assert report.trades_read > 0
    assert report.checks["whole audit"][0] > 1_000
    samples = read_samples(folder / SAMPLES_NAME)
    assert len(samples) > 5
    assert any(sample.trades for sample in samples)
    assert {"risk", "kafka"} <= samples[-1].memory_mib.keys()
    assert all((folder / name).stat().st_size > 0 for name in (PICTURE_NAME, REPORT_NAME))


def test_more_than_the_exchange_bears_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    report = run_saturation_bench(
        SaturationOrder(tmp_path, seconds=8.0, find_seconds=3.0), lambda _line: None
    )
    assert report.faults == ()
    assert report.load.statuses["202"] > 0
    assert report.load.failed + report.load.statuses["202"] == report.load.requests
    looked, wrong = report.checks["answered"]
    assert looked > report.load.statuses["202"]
    assert wrong == 0
    assert {row.room for row in report.memory} >= {"ingest", "risk", "matcher", "gateway"}

import json
import os
import sys
from io import StringIO

import pytest
from rich.console import Console

from services.tools.bench.drift import drift_table, job_table, run_drift_bench
from services.tools.bench.drift_job import JobFigures, JobRun, _watched
from services.tools.bench.tries import Spread
from services.tools.drift.jobs.told import EXIT_OK, EXIT_UNJUDGED


def test_a_small_job_is_measured_in_a_process_of_its_own() -> None:
    told: list[str] = []
    found = run_drift_bench(20_000, 2, 2, 500, 1, 1, told.append)
    assert (found.rows, found.stretches) == (20_000, 20)
    assert told == ["1 of 1"]
    assert set(found.steps_s) >= {"calibrate", "judge"}
    assert found.peak_mib.median > 10
    page = StringIO()
    Console(file=page, width=120).print(drift_table(found))
    assert "drift of 20,000 rows x 2 features" in page.getvalue()


def test_a_try_that_fails_says_its_last_line() -> None:
    with pytest.raises(RuntimeError, match="a try failed"):
        run_drift_bench(2_000, 2, 2, 900, 1, 1, lambda _: None)


def print_jobs(code: int, outcome: str, *, children: int = 0, report: str = "") -> list[str]:
    """A command that says what `outcry drift run` would, once all of it has held some memory."""
    job = {"outcome": outcome, "detail": "why", "report": report}
    told = json.dumps({"jobs": [{"kind": kind} | job for kind in ("data", "quality", "labels")]})
    hold = "held = bytearray(60 * 2**20); time.sleep(1)"
    child = f"subprocess.Popen([sys.executable, '-c', {f'import time; {hold}'!r}])"
    program = (
        f"import subprocess, sys, time; own = [{child} for _ in range({children})]; {hold};"
        f" [one.wait() for one in own]; print({told!r});"
        f" print('the last line', file=sys.stderr); sys.exit({code})"
    )
    return [sys.executable, "-c", program]


def test_a_job_is_watched_from_outside_with_its_greatest_memory() -> None:
    seen = _watched(print_jobs(EXIT_OK, "ok"), os.environ)
    assert seen.outcome == "data ok, labels ok"
    assert 60 < seen.peak_mib < 120
    assert seen.wall_s > seen.cpu_s > 0


def test_memory_is_that_of_a_job_and_of_all_that_it_starts() -> None:
    assert _watched(print_jobs(EXIT_OK, "ok", children=2), os.environ).peak_mib > 180


@pytest.mark.parametrize(
    "code,outcome,report,why",
    [
        (1, "ok", "made", r"drift run failed \(1\): the last line"),
        (EXIT_UNJUDGED, "reference_gone", "", "drift run judged nothing: reference_gone: why"),
        (EXIT_OK, "ok", "not made: why", "drift run drew 0 reports of 2"),
    ],
)
def test_a_job_that_failed_or_judged_or_drew_nothing_is_no_figure(
    code: int, outcome: str, report: str, why: str
) -> None:
    with pytest.raises(RuntimeError, match=why):
        _watched(print_jobs(code, outcome, report=report), os.environ, reports=2)


def test_a_whole_job_is_shown_calibrated_anew_with_a_calibration_at_hand_and_drawn() -> None:
    anew = JobRun(Spread(31.0, 30.0, 32.0), Spread(9.0, 8.0, 10.0), Spread(900.0, 890.0, 910.0))
    kept = JobRun(Spread(6.0, 5.0, 7.0), Spread(4.0, 3.0, 5.0), Spread(400.0, 390.0, 410.0))
    drawn = JobRun(Spread(51.0, 50.0, 52.0), Spread(9.0, 8.0, 9.5), Spread(950.0, 940.0, 960.0))
    figures = JobFigures(99_000, 20, "data ok, labels ok", anew, kept, drawn)
    page = StringIO()
    Console(file=page, width=120).print(job_table(figures, 5))
    said = page.getvalue()
    assert "99,000 rows x 20 columns" in said
    (memory,) = [line for line in said.splitlines() if "greatest memory" in line]
    for cell in (
        "900.0 MiB [890.0, 910.0]",
        "400.0 MiB [390.0, 410.0]",
        "950.0 MiB [940.0, 960.0]",
    ):
        assert cell in memory

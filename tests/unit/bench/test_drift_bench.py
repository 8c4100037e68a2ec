from io import StringIO

import pytest
from rich.console import Console

from services.tools.bench.drift import drift_table, run_drift_bench


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

import os
from pathlib import Path

import pytest
from msgspec.structs import replace

from services.drift.ledger import Job
from services.drift.report_files import ReportLimits, path_of, remove_old
from tests.support.spoken import window

NOW_S = 1_000_000.0


def job_of(begin: int = 0) -> Job:
    return Job(
        kind="data", model="direction_10s", model_version=3, model_sha256="a" * 64,
        basis_sha256="b" * 64, window=window(begin, begin + 60), outcome="drift", is_alarm=True,
        ratio=1.5, detail="location of AAPL spread",
    )  # fmt: skip


def put_report(home: Path, number: int, size: int = 100) -> Path:
    """The n-th, written n hundred seconds ago."""
    page = home / path_of(job_of(number * 60))
    page.parent.mkdir(parents=True, exist_ok=True)
    for path in (page, page.with_suffix(".json")):
        path.write_bytes(b"x" * (size // 2))
        os.utime(path, (NOW_S - 100 * number,) * 2)
    return page


def left(home: Path) -> int:
    return len(list(home.glob("drift/reports/*/*")))


def test_a_report_lies_where_its_job_says() -> None:
    job = job_of()
    assert path_of(job) == path_of(replace(job, outcome="ok", detail="", is_alarm=False))
    assert path_of(job).startswith("drift/reports/data/1790000000-")


@pytest.mark.parametrize(
    "limits,kept",
    [
        (ReportLimits(reports_max=2), 2),
        (ReportLimits(reports_bytes_max=300), 3),
        (ReportLimits(reports_age_s_max=50), 1),
        (ReportLimits(), 5),
    ],
)
def test_the_oldest_reports_go_with_their_json(
    tmp_path: Path, limits: ReportLimits, kept: int
) -> None:
    pages = [put_report(tmp_path, number) for number in range(5)]
    removed = remove_old(tmp_path, limits, NOW_S)
    assert (removed.reports, removed.bytes) == (5 - kept, 100 * (5 - kept))
    assert [page.exists() for page in pages] == [number < kept for number in range(5)]
    assert left(tmp_path) == 2 * kept


def test_a_home_without_reports_has_nothing_to_remove(tmp_path: Path) -> None:
    assert remove_old(tmp_path, ReportLimits(), NOW_S).reports == 0

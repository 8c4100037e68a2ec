"""Where drift's results go: PostgreSQL, and what stands for it in memory."""

from collections.abc import Iterator
from math import inf, nan
from uuid import uuid4

import pytest
from msgspec.structs import replace
from psycopg.conninfo import make_conninfo

from services.drift.ledger import (
    REPORT_BYTES_MAX,
    Check,
    Job,
    Kind,
    Ledger,
    MemoryLedger,
    Result,
    ResultConflictError,
    UnfitResultError,
    job_id_of,
)
from services.drift.postgres import PostgresLedger
from services.recorder.migrations import migrate
from services.runtime.errors import NoTablesError, RetriableError
from tests.support.recorder_world import create_database, drop_database
from tests.support.spoken import window


@pytest.fixture(params=["memory", pytest.param("postgres", marks=pytest.mark.kafka)])
def ledger(request: pytest.FixtureRequest) -> Iterator[Ledger]:
    if request.param == "memory":
        yield MemoryLedger()
        return
    server = request.getfixturevalue("stack_infra").addresses.pg_dsn
    dsn = make_conninfo(server, dbname=f"drift_{uuid4().hex[:8]}")
    create_database(dsn)
    migrate(dsn)
    yield PostgresLedger(dsn, "default")
    drop_database(dsn)


CHECKS = (
    Check("", "macro_f1", "promise", "fallen", -0.01, 0.0, 1.5, -0.04, "its manifest"),
    Check("AAPL", "spread", "location", "not_enough_rows", detail="2 values"),
)


def result(begin: int = 0, kind: Kind = "performance", **changes: object) -> Result:
    job = Job(
        kind=kind,
        model="direction_10s",
        model_version=3,
        model_sha256="a" * 64,
        basis_sha256="b" * 64,
        window=window(begin, begin + 60),
        outcome="fallen",
        is_alarm=True,
        ratio=1.5,
        detail="fallen: σ “so” \\N",
        report_path="reports/1.html",
    )
    return Result(replace(job, **changes), b'{ "as": "it  came",\n "n": 1.0 }', CHECKS)


def test_a_result_comes_back_to_the_byte(ledger: Ledger) -> None:
    given = result()
    assert ledger.find(given.job.job_id) is None
    assert ledger.record(given)
    assert ledger.find(given.job.job_id) == given


@pytest.mark.parametrize("ratio", [None, 0.1 + 0.2, 5e-324, inf])
def test_numbers_come_back_to_the_last_digit(ledger: Ledger, ratio: float | None) -> None:
    given = replace(result(ratio=ratio), checks=(replace(CHECKS[0], statistic=ratio),))
    ledger.record(given)
    assert ledger.find(given.job.job_id) == given


def test_a_result_without_checks_is_one(ledger: Ledger) -> None:
    given = replace(result(), checks=())
    ledger.record(given)
    assert ledger.find(given.job.job_id) == given


def test_the_same_again_is_nothing_new(ledger: Ledger) -> None:
    given = replace(result(ratio=nan), checks=(replace(CHECKS[0], ratio=nan), CHECKS[1]))
    assert ledger.record(given)
    assert not ledger.record(given)
    assert len(ledger.history("performance", 10)) == 1


@pytest.mark.parametrize(
    "other,where",
    [
        (result(outcome="ok"), "outcome:"),
        (result(ratio=None, detail=""), "ratio, detail:"),
        (replace(result(), report=b"{}"), "report:"),
        (replace(result(), checks=CHECKS[:1]), "checks:"),
        (replace(result(), checks=CHECKS[::-1]), "checks:"),
    ],
)
def test_another_result_of_the_same_job_is_refused_and_the_first_stays(
    ledger: Ledger, other: Result, where: str
) -> None:
    first = result()
    ledger.record(first)
    with pytest.raises(ResultConflictError, match=f"recorded with another {where}"):
        ledger.record(other)
    assert ledger.find(first.job.job_id) == first


def test_history_is_the_latest_windows_of_a_kind(ledger: Ledger) -> None:
    given = [result(begin) for begin in (0, 120, 60)] + [result(300, "data")]
    for one in given:
        ledger.record(one)
    latest = [job.window for job in ledger.history("performance", 2)]
    assert latest == [window(120, 180), window(60, 120)]
    assert ledger.history("data", 10) == [given[3].job]
    assert list(ledger.history("parity", 10)) == []


@pytest.mark.parametrize(
    "unfit,why",
    [
        (replace(result(), report=b"{"), "no JSON"),
        (replace(result(), report=b'"' + b"x" * REPORT_BYTES_MAX + b'"'), "keep it in a file"),
        (replace(result(), checks=CHECKS * 30_000), "checks; 50,000"),
        (result(detail="x" * 4_001), "detail is too long"),
        (replace(result(), checks=(replace(CHECKS[0], ticker="\0"),)), "ticker"),
    ],
)
def test_a_result_that_would_not_come_back_is_refused(
    ledger: Ledger, unfit: Result, why: str
) -> None:
    with pytest.raises(UnfitResultError, match=why):
        ledger.record(unfit)
    assert ledger.find(unfit.job.job_id) is None


def test_a_job_is_named_by_what_it_looks_at_and_not_by_what_it_finds() -> None:
    first = result().job
    came = replace(first, outcome="ok", is_alarm=False, ratio=None, detail="", model_version=9)
    assert came.job_id == first.job_id
    asked = [
        job_id_of("performance", "a" * 64, window(0, 60), "b" * 64),
        job_id_of("data", "a" * 64, window(0, 60), "b" * 64),
        job_id_of("performance", "c" * 64, window(0, 60), "b" * 64),
        job_id_of("performance", "a" * 64, window(0, 61), "b" * 64),
        job_id_of("performance", "a" * 64, window(1, 60), "b" * 64),
        job_id_of("performance", "a" * 64, window(0, 60), "d" * 64),
    ]
    assert asked[0] == first.job_id
    assert len(set(asked)) == len(asked)


def test_deployments_share_a_database_and_no_result(ledger: Ledger) -> None:
    if isinstance(ledger, MemoryLedger):
        other: Ledger = MemoryLedger()
    else:
        assert isinstance(ledger, PostgresLedger)
        other = PostgresLedger(ledger._dsn, "other.")
    given = result()
    assert ledger.record(given)
    assert other.find(given.job.job_id) is None
    assert other.record(replace(given, report=b"{}"))
    assert ledger.find(given.job.job_id) == given


def test_a_server_that_is_away_is_worth_another_try() -> None:
    away = PostgresLedger("postgresql://nobody@127.0.0.1:1/none", "default")
    with pytest.raises(RetriableError, match="recording a job of drift"):
        away.record(result())


@pytest.mark.kafka
def test_a_database_without_tables_says_what_to_do(request: pytest.FixtureRequest) -> None:
    server = request.getfixturevalue("stack_infra").addresses.pg_dsn
    dsn = make_conninfo(server, dbname=f"drift_{uuid4().hex[:8]}")
    create_database(dsn)
    try:
        with pytest.raises(NoTablesError, match="outcry up"):
            PostgresLedger(dsn, "default").history("data", 1)
    finally:
        drop_database(dsn)

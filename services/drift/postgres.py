"""`ledger.Ledger` in PostgreSQL."""

from collections.abc import Callable, Sequence
from typing import Any, Final

import psycopg

from services.drift.core.windows import Window
from services.drift.database import in_transaction
from services.drift.ledger import HISTORY_MAX, Check, Job, Kind, Result, require_fit, require_same

_INSERT: Final = """
INSERT INTO outcry.drift_jobs (deployment, job_id, kind, model, model_version, model_sha256,
                               basis_sha256, window_begin_us, window_end_us, outcome, is_alarm,
                               ratio, detail, report_path, report)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (deployment, job_id) DO NOTHING
"""
_INSERT_CHECK: Final = """
INSERT INTO outcry.drift_checks (deployment, job_id, place, ticker, column_name, family, outcome,
                                 statistic, threshold, ratio, effect, detail)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
"""
_SELECT_JOB: Final = """
SELECT kind, model, model_version, model_sha256, basis_sha256, window_begin_us, window_end_us,
       outcome, is_alarm, ratio, detail, report_path, report
FROM outcry.drift_jobs WHERE deployment = %s AND job_id = %s
"""
_SELECT_CHECKS: Final = """
SELECT ticker, column_name, family, outcome, statistic, threshold, ratio, effect, detail
FROM outcry.drift_checks WHERE deployment = %s AND job_id = %s ORDER BY place
"""
_SELECT_HISTORY: Final = """
SELECT kind, model, model_version, model_sha256, basis_sha256, window_begin_us, window_end_us,
       outcome, is_alarm, ratio, detail, report_path
FROM outcry.drift_jobs WHERE deployment = %s AND kind = %s
ORDER BY window_end_us DESC, job_id LIMIT %s
"""


class PostgresLedger:
    """Calls are rare, so each makes a connection of its own."""

    def __init__(self, dsn: str, deployment: str) -> None:
        self._dsn = dsn
        self._deployment = deployment

    def record(self, result: Result) -> bool:
        """Keep it with its checks, in one transaction, unless it is there."""
        require_fit(result)
        job, job_id = result.job, result.job.job_id
        row = (
            self._deployment, job_id, job.kind, job.model, job.model_version, job.model_sha256,
            job.basis_sha256, job.window.begin_us, job.window.end_us, job.outcome, job.is_alarm,
            job.ratio, job.detail, job.report_path, result.report.decode(),
        )  # fmt: skip
        checks = [
            (
                self._deployment, job_id, place, check.ticker, check.column, check.family,
                check.outcome, check.statistic, check.threshold, check.ratio, check.effect,
                check.detail,
            )
            for place, check in enumerate(result.checks)
        ]  # fmt: skip

        def write(connection: psycopg.Connection) -> bool:
            # Whoever records the same job at this moment is waited for.
            if connection.execute(_INSERT, row).rowcount == 1:
                connection.cursor().executemany(_INSERT_CHECK, checks)
                return True
            kept = self._read(connection, job_id)
            assert kept is not None, "a row that stood in the way is there"
            require_same(kept, result)
            return False

        return self._run("recording a job of drift", write)

    def find(self, job_id: str) -> Result | None:
        """By id."""
        return self._run("reading a job of drift", lambda conn: self._read(conn, job_id))

    def history(self, kind: Kind, limit: int) -> Sequence[Job]:
        """The latest window first."""
        assert 0 < limit <= HISTORY_MAX, f"a history of {limit}"
        wanted = self._deployment, kind, limit
        rows = self._run(
            "reading drift's history",
            lambda connection: connection.execute(_SELECT_HISTORY, wanted).fetchall(),
        )
        return [_job_of(row) for row in rows]

    def _read(self, connection: psycopg.Connection, job_id: str) -> Result | None:
        named = self._deployment, job_id
        row = connection.execute(_SELECT_JOB, named).fetchone()
        if row is None:
            return None
        checks = connection.execute(_SELECT_CHECKS, named).fetchall()
        return Result(_job_of(row[:-1]), row[-1].encode(), tuple(Check(*check) for check in checks))

    def _run[T](self, doing: str, work: Callable[[psycopg.Connection], T]) -> T:
        return in_transaction(self._dsn, doing, work)


def _job_of(row: tuple[Any, ...]) -> Job:
    kind, model, version, model_sha256, basis_sha256, begin_us, end_us, *came = row
    outcome, is_alarm, ratio, detail, report_path = came
    return Job(
        kind=kind,
        model=model,
        model_version=version,
        model_sha256=model_sha256,
        basis_sha256=basis_sha256,
        window=Window(begin_us, end_us),
        outcome=outcome,
        is_alarm=is_alarm,
        ratio=ratio,
        detail=detail,
        report_path=report_path,
    )

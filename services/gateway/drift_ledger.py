"""What drift's jobs found, from the tables that the room drift keeps in PostgreSQL.

Read only, and little of it is asked: each question makes a connection of its own, in which nothing
can be written. Some wait for each other, since a page asks several at once; more are told to come
back, so that a slow database can't take all threads of the gateway.
"""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import psycopg
from psycopg.rows import dict_row

from services.door.problems import ProblemError
from services.gateway.drift_figures import figures_of, with_figures
from services.gateway.drift_queries import KINDS, Cursor, HistoryQuery, Paging
from services.gateway.problems import HttpReason, problem
from services.gateway.views import View
from services.runtime.telemetry import Telemetry

WAITING_A_READ: Final = 4
"""Most that wait, for each that reads."""
CHECKS_SHOWN: Final = 200
"""Of one job, those with the greatest ratio first."""
_CONNECT_TIMEOUT_S: Final = 3
_TURN_TIMEOUT_S: Final = 5.0
_OPTIONS: Final = "-c statement_timeout=5000 -c default_transaction_read_only=on"

_JOB: Final = """
SELECT j.job_id, j.kind AS job, j.model, j.model_version, j.window_begin_us, j.window_end_us,
       j.outcome, j.is_alarm, {ratio} AS ratio, j.detail, j.report_path <> '' AS has_report,
       (extract(epoch FROM j.recorded_at) * 1000000)::bigint AS recorded_at_us
"""
_OWN_RATIO: Final = "j.ratio"
_TICKERS_RATIO: Final = """(
    SELECT max(c.ratio) FROM outcry.drift_checks AS c
    WHERE c.deployment = j.deployment AND c.job_id = j.job_id AND c.ticker = %(ticker)s
)"""
_LATEST: Final = """{job}
FROM unnest(%(kinds)s::text[]) WITH ORDINALITY AS kinds (kind, place)
CROSS JOIN LATERAL (
    SELECT * FROM outcry.drift_jobs
    WHERE deployment = %(deployment)s AND kind = kinds.kind
    ORDER BY window_end_us DESC, job_id LIMIT 1
) AS j
ORDER BY kinds.place
"""
_ONE: Final = """{job}, j.report_path
FROM outcry.drift_jobs AS j WHERE j.deployment = %(deployment)s AND j.job_id = %(job_id)s
"""
_HISTORY: Final = """{job}
FROM outcry.drift_jobs AS j WHERE j.deployment = %(deployment)s{wanted}{after}{order}
"""
_CHECKS: Final = """
SELECT ticker, column_name AS "column", family, outcome, statistic, threshold, ratio, effect, detail
FROM outcry.drift_checks WHERE deployment = %(deployment)s AND job_id = %(job_id)s
ORDER BY ratio DESC NULLS LAST, place LIMIT %(limit)s
"""
_CHECKS_COUNT: Final = """
SELECT count(*) AS checks FROM outcry.drift_checks
WHERE deployment = %(deployment)s AND job_id = %(job_id)s
"""
_AFTER: Final = """ AND (j.window_end_us < %(at_us)s
    OR (j.window_end_us = %(at_us)s AND j.job_id > %(named)s))"""
_ORDER: Final = " ORDER BY j.window_end_us DESC, j.job_id LIMIT %(limit)s"
# The report is as long as it is: only those of the page are taken apart.
_PERFORMANCE: Final = """
WITH page AS (
    SELECT * FROM outcry.drift_jobs AS j
    WHERE j.deployment = %(deployment)s AND j.kind = 'performance'{after}{order}
)
SELECT j.job_id, j.model, j.model_version, j.window_begin_us, j.window_end_us, j.outcome,
       j.is_alarm, j.ratio,
       j.report::json #> '{{figures}}' AS figures,
       j.report::json #> '{{tests}}' AS tests,
       j.report::json #> '{{rivals}}' AS rivals
FROM page AS j ORDER BY j.window_end_us DESC, j.job_id
"""
_FIGURES: Final = """{job}, j.report::json AS report
FROM outcry.drift_jobs AS j
WHERE j.deployment = %(deployment)s AND j.job_id = %(job_id)s AND j.kind = 'performance'
"""
_ACTIONS: Final = """
SELECT b.action_id, b.kind AS action, b.job_id, b.model, b.model_version, b.outcome AS begun,
       (extract(epoch FROM b.recorded_at) * 1000000)::bigint AS begun_at_us,
       e.outcome, coalesce(e.detail, b.detail) AS detail,
       (extract(epoch FROM e.recorded_at) * 1000000)::bigint AS ended_at_us
FROM outcry.drift_actions AS b
LEFT JOIN outcry.drift_actions AS e
    ON e.deployment = b.deployment AND e.action_id = b.action_id AND e.place = 1
WHERE b.deployment = %(deployment)s AND b.place = 0{after}
ORDER BY b.recorded_at DESC, b.action_id LIMIT %(limit)s
"""
_AFTER_ACTION: Final = """ AND (b.recorded_at < {at} OR (b.recorded_at = {at}
    AND b.action_id > %(named)s))""".format(
    at="timestamptz 'epoch' + %(at_us)s * interval '1 microsecond'"
)


class DriftLedger:
    """The results of one deployment. Called from any thread; each method blocks.

    Raises, from every method:
        ProblemError: NO_LEDGER, LEDGER_UNAVAILABLE, or OVERLOADED.

    Args:
        dsn: of PostgreSQL; None: there is none here.
        deployment: whose.
        reads_max: most at a time.
        telemetry: is told why the database could not be read.
    """

    def __init__(
        self, dsn: str | None, deployment: str, reads_max: int, telemetry: Telemetry
    ) -> None:
        self._dsn = dsn
        self._deployment = deployment
        self._places = threading.BoundedSemaphore(reads_max)
        self._seats = threading.BoundedSemaphore(reads_max * (1 + WAITING_A_READ))
        self._telemetry = telemetry

    def latest(self) -> View:
        """The latest window of each kind of job that there is."""
        statement = _LATEST.format(job=_JOB.format(ratio=_OWN_RATIO))
        return {"verdicts": self._rows(statement, kinds=list(KINDS))}

    def history(self, query: HistoryQuery) -> View:
        """Windows, the latest first."""
        ratio = _OWN_RATIO if query.ticker is None else _TICKERS_RATIO
        wanted = ""
        if query.job is not None:
            wanted += " AND j.kind = %(job)s"
        if query.outcome is not None:
            wanted += " AND j.outcome = %(outcome)s"
        if query.is_alarm is not None:
            wanted += " AND j.is_alarm = %(is_alarm)s"
        if query.ticker is not None:
            wanted += """ AND EXISTS (SELECT FROM outcry.drift_checks AS c
                WHERE c.deployment = j.deployment AND c.job_id = j.job_id
                    AND c.ticker = %(ticker)s)"""
        after = _AFTER if query.paging.after else ""
        statement = _HISTORY.format(
            job=_JOB.format(ratio=ratio), wanted=wanted, after=after, order=_ORDER
        )
        rows = self._page(
            statement, query.paging, job=query.job, outcome=query.outcome,
            is_alarm=query.is_alarm, ticker=query.ticker,
        )  # fmt: skip
        return _paged("results", rows, query.paging, "window_end_us", "job_id")

    def performance(self, paging: Paging) -> View:
        """Figures of the model that served, window by window, the latest first."""
        after = _AFTER if paging.after else ""
        rows = self._page(_PERFORMANCE.format(after=after, order=_ORDER), paging)
        found = _paged("windows", rows, paging, "window_end_us", "job_id")
        found["windows"] = [with_figures(row) for row in found["windows"]]
        return found

    def figures(self, job_id: str) -> View | None:
        """All predictors of one window of performance; None: there is no such job of this kind."""
        statement = _FIGURES.format(job=_JOB.format(ratio=_OWN_RATIO))
        found = self._rows(statement, job_id=job_id)
        if not found:
            return None
        (job,) = found
        return figures_of(job, job.pop("report"))

    def actions(self, paging: Paging) -> View:
        """What alarms caused, the latest first."""
        after = _AFTER_ACTION if paging.after else ""
        rows = self._page(_ACTIONS.format(after=after), paging)
        return _paged("actions", rows, paging, "begun_at_us", "action_id")

    def job(self, job_id: str) -> View | None:
        """One job with its checks, the worst first."""
        with self._connection() as connection:
            found = self._one(connection, job_id)
            if not found:
                return None
            checks = _ask(connection, _CHECKS, {**self._named(job_id), "limit": CHECKS_SHOWN})
            (counted,) = _ask(connection, _CHECKS_COUNT, self._named(job_id))
        (job,) = found
        del job["report_path"]
        return job | {"checks": checks, "checks_left_out": counted["checks"] - len(checks)}

    def report_path(self, job_id: str) -> str | None:
        """Of a job's report below the deployment's folder; empty: it has none; None: no job."""
        with self._connection() as connection:
            found = self._one(connection, job_id)
        return str(found[0]["report_path"]) if found else None

    def _one(self, connection: psycopg.Connection[View], job_id: str) -> list[View]:
        statement = _ONE.format(job=_JOB.format(ratio=_OWN_RATIO))
        return _ask(connection, statement, self._named(job_id))

    def _named(self, job_id: str) -> dict[str, Any]:
        return {"deployment": self._deployment, "job_id": job_id}

    def _page(self, statement: str, paging: Paging, **wanted: object) -> list[View]:
        """One more than a page, if there are more."""
        after = paging.after or Cursor(0, "")
        return self._rows(
            statement, limit=paging.limit + 1, at_us=after.at_us, named=after.named, **wanted
        )

    def _rows(self, statement: str, **wanted: object) -> list[View]:
        with self._connection() as connection:
            return _ask(connection, statement, {"deployment": self._deployment, **wanted})

    @contextmanager
    def _connection(self) -> Iterator[psycopg.Connection[View]]:
        if self._dsn is None:
            raise problem(
                HttpReason.NO_LEDGER,
                "this gateway runs without PostgreSQL, where drift keeps its results: start it"
                " with OUTCRY_PG_DSN, as `outcry up` does",
            )
        try:
            with (
                self._turn(),
                psycopg.connect(
                    self._dsn,
                    connect_timeout=_CONNECT_TIMEOUT_S,
                    options=_OPTIONS,
                    row_factory=dict_row,
                ) as connection,
            ):
                yield connection
        except psycopg.errors.UndefinedTable as error:
            raise problem(
                HttpReason.NO_LEDGER,
                "the database has no tables of drift; `outcry up` makes them",
            ) from error
        except psycopg.Error as error:
            # What the server says may name what a stranger need not know.
            self._telemetry.log.warning("ledger_unread", error=" ".join(str(error).split()))
            raise problem(
                HttpReason.LEDGER_UNAVAILABLE, "drift's results can't be read now; nothing is lost"
            ) from error

    @contextmanager
    def _turn(self) -> Iterator[None]:
        if not self._seats.acquire(blocking=False):
            raise _crowded()
        try:
            if not self._places.acquire(timeout=_TURN_TIMEOUT_S):
                raise _crowded()
            try:
                yield
            finally:
                self._places.release()
        finally:
            self._seats.release()


def _crowded() -> ProblemError:
    return problem(HttpReason.OVERLOADED, "too many read drift's results; ask again shortly")


def _ask(
    connection: psycopg.Connection[View], statement: str, wanted: dict[str, Any]
) -> list[View]:
    # Composed of the constants above alone; what a client says is a parameter.
    return connection.execute(statement.encode(), wanted).fetchall()


def _paged(name: str, rows: Sequence[View], paging: Paging, at_us: str, named: str) -> View:
    shown = list(rows[: paging.limit])
    last = shown[-1] if len(rows) > paging.limit else None
    cursor = str(Cursor(last[at_us], last[named])) if last else None
    return {name: shown, "next_cursor": cursor}

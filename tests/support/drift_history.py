"""A ledger of drift with a history worth looking at, in a real PostgreSQL."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from uuid import uuid4

import psycopg
from msgspec.structs import replace
from psycopg.conninfo import make_conninfo

from services.drift.core.falls import against_baseline, against_promise
from services.drift.core.standing import (
    Figures,
    Performance,
    RivalPart,
    Standing,
    TickerPart,
    VersionPart,
)
from services.drift.core.windows import SECOND_US, Window
from services.drift.ledger import Check, Job, Kind, Result, result_of
from services.drift.postgres import PostgresLedger
from services.models.manifest import Estimate, Metrics
from services.recorder.migrations import migrate
from services.scoring.metrics import Calibration
from tests.support.recorder_world import create_database, drop_database

MODEL: Final = "direction_10s"
HOUR_S: Final = 3_600
FIRST_S: Final = 1_789_966_800
"""Begin of the first window."""
WINDOWS: Final = 48
CHANGED_AT: Final = 30
"""The window from which on the market is another."""
RETRAINED_AT: Final = 36
"""The window from which on the next version serves."""
REPORT: Final = (
    "<!doctype html><html><head><title>Drift</title></head><body><h1>Drift of spread</h1>"
    "<p id='said'></p><script>document.getElementById('said').textContent ="
    " 'origin ' + self.origin; fetch('/tickers').catch(() => { document.title = 'cut off'; })"
    "</script></body></html>"
)
_BASIS: Final = "b" * 64


@contextmanager
def drift_database(server: str) -> Iterator[str]:
    """The DSN of a database of its own with all tables and no row."""
    dsn = make_conninfo(server, dbname=f"drift_{uuid4().hex[:8]}")
    create_database(dsn)
    try:
        migrate(dsn)
        yield dsn
    finally:
        drop_database(dsn)


def window(number: int) -> Window:
    begin_s = FIRST_S + number * HOUR_S
    return Window(begin_s * SECOND_US, (begin_s + HOUR_S) * SECOND_US)


def version_at(number: int) -> int:
    return 3 if number < RETRAINED_AT else 4


def data_job(number: int, ratio: float | None = None, **changes: object) -> Result:
    """What a window's features came to; its ratio follows from its number unless it is given."""
    if ratio is None:
        is_changed = CHANGED_AT <= number < RETRAINED_AT
        ratio = 1.3 + 0.1 * (number % 3) if is_changed else 0.35 + 0.07 * (number * 7 % 5)
    is_alarm = ratio > 1
    outcome = "drift" if is_alarm else "ok"
    fields: dict[str, object] = {
        "kind": "data",
        "model": MODEL,
        "model_version": version_at(number),
        "model_sha256": f"{version_at(number):064x}",
        "basis_sha256": _BASIS,
        "window": window(number),
        "outcome": outcome,
        "is_alarm": is_alarm,
        "ratio": ratio,
        "detail": f"{outcome}: AAPL spread, location" if is_alarm else "",
    }
    checks = (
        Check("AAPL", "spread", "location", outcome, 3.5 * ratio, 3.5, ratio, 120.0),
        Check("MSFT", "spread", "location", "ok", 0.7, 3.5, 0.2, 3.0),
        Check("MSFT", "depth", "scale", "not_enough_rows", detail="2 values"),
    )
    return Result(Job(**(fields | changes)), b'{"format": 1}', checks)  # type: ignore[arg-type]


def with_report(result: Result, home: Path, text: str = REPORT) -> Result:
    """The same with a page below the deployment's folder."""
    job = result.job
    path = f"drift/reports/{job.kind}/{job.window.begin_us // SECOND_US}-{job.job_id[:16]}.html"
    (home / path).parent.mkdir(parents=True, exist_ok=True)
    (home / path).write_text(text, encoding="utf-8")
    return replace(result, job=replace(job, report_path=path))


def performance_job(number: int) -> Result:
    """What the version that served was worth: it falls when the market changes."""
    is_changed = CHANGED_AT <= number < RETRAINED_AT
    value = (0.352 if is_changed else 0.41) + 0.006 * ((number * 5) % 4 - 1.5)
    estimate = Estimate(value, value - 0.021, value + 0.019)
    promised = Estimate(0.408, 0.4, 0.416)
    rival = _figures(0.355, Estimate(0.355, 0.34, 0.37), is_rule=True)
    own = _figures(value, estimate)
    sha256 = f"{version_at(number) + 1:064x}"
    margin = Estimate(value - 0.355, value - 0.375, value - 0.335)
    tests = (
        against_promise(estimate, promised, 51),
        against_baseline("last_move", 0.355, margin, 51, 2),
    )
    fallen = [test for test in tests if test.is_fallen]
    found = Performance(
        standing=Standing.FALLEN if fallen else Standing.OK,
        detail="fallen: macro-F1 less that of its manifest" if fallen else "",
        ratio=max(test.ratio for test in tests),
        model=MODEL,
        version=version_at(number),
        model_sha256=f"{version_at(number):064x}",
        window=window(number),
        block_s=70,
        counts={"judged": 17_900},
        figures=own,
        calibration=(Calibration(17_900, 0.5, 0.48),),
        tests=tests,
        rivals=(
            RivalPart("last_move", rival, margin),
            RivalPart("majority", _figures(0.2, is_rule=True), None),
        ),
        versions=(
            VersionPart(
                version_at(number) + 1, sha256, "shadow", 17_900, "described", own, own, margin
            ),
            VersionPart(2, f"{2:064x}", "served", 9, "other_label_rule"),
        ),
        tickers=(TickerPart("AAPL", own, {"last_move": 0.355}),),
    )
    return result_of(found, _BASIS)


def _figures(value: float, estimate: Estimate | None = None, *, is_rule: bool = False) -> Figures:
    scores = {"macro_f1": value, "mcc": value - 0.3, "pnl_per_row": 1.0}
    if not is_rule:
        scores |= {"log_loss": 0.77, "ece": 0.02}
    if estimate is None:
        return Figures(17_900, 3_580, scores, None)
    mcc = Estimate(value - 0.3, value - 0.32, value - 0.28)
    of_probabilities = {} if is_rule else {
        "log_loss": Estimate(0.77, 0.75, 0.79), "ece": Estimate(0.02, 0.01, 0.03),
    }  # fmt: skip
    metrics = Metrics(estimate, mcc, Estimate(1.0, -1.0, 1.5), **of_probabilities)
    return Figures(17_900, 3_580, scores, metrics)


def fill(dsn: str, home: Path) -> list[Result]:
    """A history of two days: a change, its alarms, and the version that ends it."""
    ledger = PostgresLedger(dsn, "default")
    results = []
    for number in range(WINDOWS):
        for made in (with_report(data_job(number), home), performance_job(number)):
            ledger.record(made)
            results.append(made)
    for kind in ("predictions", "labels"):
        given: Kind = "predictions" if kind == "predictions" else "labels"
        ledger.record(data_job(WINDOWS - 1, 0.4, kind=given, detail=""))
    judged = data_job(WINDOWS - 1).job
    unjudged = replace(
        judged, kind="parity", ratio=None, outcome="log_cut", detail="log_cut: the log begins later"
    )
    ledger.record(Result(unjudged, b"{}"))
    alarm = data_job(CHANGED_AT + 1).job
    act(dsn, alarm, 0, "begun", "an alarm of drift")
    act(dsn, alarm, 1, "promoted", "version 4 of direction_10s serves")
    act(dsn, data_job(CHANGED_AT + 2).job, 0, "cooling_down", "the last one is 3,600 s ago")
    return results


def act(dsn: str, cause: Job, place: int, outcome: str, detail: str) -> None:
    """A row of what was done, as drift's room writes it."""
    with psycopg.connect(dsn) as connection:
        connection.execute(
            "INSERT INTO outcry.drift_actions (deployment, action_id, place, kind, job_id, model,"
            " model_version, outcome, detail) VALUES ('default', %s, %s, 'retrain', %s, %s, %s, %s,"
            " %s)",
            (
                cause.job_id[::-1], place, cause.job_id, cause.model, cause.model_version, outcome,
                detail,
            ),
        )  # fmt: skip

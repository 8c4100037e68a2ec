"""Where results of jobs are kept: once each, under an id that says what was looked at.

LedgerError (a FatalError)
├── ResultConflictError  the id is there with another result: its inputs are not what they were
└── UnfitResultError     a result that no store should take
"""

from collections.abc import Sequence
from hashlib import sha256
from typing import Final, Literal, Protocol

import msgspec

from services.drift.core.falls import METRIC
from services.drift.core.standing import Performance
from services.drift.core.windows import Window
from services.runtime.errors import FatalError

type Kind = Literal["data", "predictions", "labels", "quality", "performance", "parity"]

REPORT_BYTES_MAX: Final = 16 * 2**20
CHECKS_MAX: Final = 50_000
TEXT_LETTERS_MAX: Final = 4_000
"""Of any text beside the report."""
HISTORY_MAX: Final = 10_000
FALLEN: Final = "fallen"
"""Outcome of a check of performance that alarms."""


class LedgerError(FatalError):
    """One line: the cause and the next step."""


class ResultConflictError(LedgerError):
    """The id is there with another result."""


class UnfitResultError(LedgerError):
    """It would not come back as it was given, or is too large."""


class Check(msgspec.Struct, frozen=True):
    """One thing that a job looked at."""

    ticker: str
    """Empty: all tickers together."""
    column: str
    """Feature, or figure."""
    family: str
    """Kind of change, or which test."""
    outcome: str
    statistic: float | None = None
    threshold: float | None = None
    ratio: float | None = None
    """Above 1 is an alarm."""
    effect: float | None = None
    detail: str = ""


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """What was looked at, and what came of it."""

    kind: Kind
    model: str
    model_version: int
    model_sha256: str
    basis_sha256: str
    """Of what the window was held against: a calibration, or a manifest."""
    window: Window
    outcome: str
    is_alarm: bool
    ratio: float | None
    """Of the worst check; None: nothing was tested."""
    detail: str
    report_path: str = ""
    """Of the report for people, below the deployment's folder; empty: there is none."""

    @property
    def job_id(self) -> str:
        """What was looked at, and nothing of what came of it."""
        return job_id_of(self.kind, self.model_sha256, self.window, self.basis_sha256)


class Result(msgspec.Struct, frozen=True):
    """A job with all that it found."""

    job: Job
    report: bytes
    """JSON."""
    checks: tuple[Check, ...] = ()


class Ledger(Protocol):
    """The results of one deployment. Each method blocks.

    Raises, from every method:
        RetriableError: the store is away. A `record` may have happened: do it again.
        ConfigurationError: the store is not one this code can use.
    """

    def record(self, result: Result) -> bool:
        """Keep a result, wholly or not at all; False: it was there already, to the byte.

        Raises:
            ResultConflictError: this id is there with another result; nothing was changed.
            UnfitResultError: see `require_fit`.
        """
        ...

    def find(self, job_id: str) -> Result | None:
        """The result of a job, as it was given."""
        ...

    def history(self, kind: Kind, limit: int) -> Sequence[Job]:
        """Up to so many jobs of a kind, the latest window first; of equal ones by id."""
        ...


def job_id_of(kind: Kind, model_sha256: str, window: Window, basis_sha256: str) -> str:
    """The same question has the same id, whoever asks it and when."""
    asked = [kind, model_sha256, window.begin_us, window.end_us, basis_sha256]
    return sha256(msgspec.json.encode(asked)).hexdigest()


def result_of(found: Performance, basis_sha256: str, report_path: str = "") -> Result:
    """A window's performance as a job's result. What may still change is none."""
    assert found.is_final, "labels may still come"
    job = Job(
        kind="performance",
        model=found.model,
        model_version=found.version,
        model_sha256=found.model_sha256,
        basis_sha256=basis_sha256,
        window=found.window,
        outcome=found.standing,
        is_alarm=found.is_alarm,
        ratio=found.ratio,
        detail=_cut(found.detail),
        report_path=report_path,
    )
    checks = tuple(
        Check(
            ticker="",
            column=METRIC,
            family=test.name,
            outcome=FALLEN if test.is_fallen else "ok",
            statistic=test.margin.high,
            threshold=0.0,
            ratio=test.ratio,
            effect=test.margin.value,
            detail=_cut(test.against),
        )
        for test in found.tests
    )
    return Result(job, msgspec.json.encode(found, order="deterministic"), checks)


def require_fit(result: Result) -> None:
    """Refuse what a store would take only in part, or not give back.

    Raises:
        UnfitResultError: too large, a text with a zero byte, or a report that is no JSON.
    """
    if len(result.report) > REPORT_BYTES_MAX:
        raise UnfitResultError(f"a report of {len(result.report):,} bytes; keep it in a file")
    if len(result.checks) > CHECKS_MAX:
        raise UnfitResultError(f"{len(result.checks):,} checks; {CHECKS_MAX:,} are kept")
    for told in (result.job, *result.checks):
        for name in told.__struct_fields__:
            text = getattr(told, name)
            if isinstance(text, str) and (len(text) > TEXT_LETTERS_MAX or "\0" in text):
                raise UnfitResultError(f"{name} is too long, or has a zero byte in it")
    try:
        msgspec.json.decode(result.report)
    except msgspec.DecodeError as error:
        raise UnfitResultError(f"the report is no JSON: {error}") from error


def require_same(kept: Result, given: Result) -> None:
    """Refuse another result of the same id.

    Raises:
        ResultConflictError: they differ; the message says where first.
    """
    if _bytes(kept) == _bytes(given):
        return
    differing = [
        name
        for name in Job.__struct_fields__
        if _bytes(getattr(kept.job, name)) != _bytes(getattr(given.job, name))
    ]
    if _bytes(kept.checks) != _bytes(given.checks):
        differing.append("checks")
    if kept.report != given.report:
        differing.append("report")
    raise ResultConflictError(
        f"job {given.job.job_id[:12]} is recorded with another {', '.join(differing)}: its window"
        " was other rows then, or the lake was changed since. The first result stays"
    )


class MemoryLedger:
    """`Ledger` in memory, for tests and for a run that keeps nothing."""

    def __init__(self) -> None:
        self._results: dict[str, Result] = {}

    def record(self, result: Result) -> bool:
        """Keep it, unless it is there."""
        require_fit(result)
        kept = self._results.get(result.job.job_id)
        if kept is None:
            self._results[result.job.job_id] = result
            return True
        require_same(kept, result)
        return False

    def find(self, job_id: str) -> Result | None:
        """By id."""
        return self._results.get(job_id)

    def history(self, kind: Kind, limit: int) -> Sequence[Job]:
        """The latest window first."""
        assert 0 < limit <= HISTORY_MAX, f"a history of {limit}"
        jobs = [result.job for result in self._results.values() if result.job.kind == kind]
        return sorted(jobs, key=lambda job: (-job.window.end_us, job.job_id))[:limit]


def _bytes(value: object) -> bytes:
    """Also of numbers that are not equal to themselves."""
    return msgspec.msgpack.encode(value)


def _cut(text: str) -> str:
    return text if len(text) <= TEXT_LETTERS_MAX else text[: TEXT_LETTERS_MAX - 1] + "…"

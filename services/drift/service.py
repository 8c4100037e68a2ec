"""The room: a clock that starts jobs, one at a time, and tells what they found.

1. The next job that is due runs in a process of its own (`child`), by the command line.
2. What it told goes into metrics and the log: every alarm with its model version and window. It
   tells each result once that is recorded, so also what a job told that then died is heard.
3. An action that began and whose process died is taken up, whichever windows are told by now.
4. An alarm that may act, in a deployment that wants it, starts one action, in a process too.

Results, and what was done, are in PostgreSQL, so a room that was down, or a database that was away,
costs time. Alarms whose action could not begin are kept in memory alone, and tried with each run.
"""

from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from services.drift.actions import ActionKind, wanted
from services.drift.child import TOLD_BYTES_MAX, Ended, run_child
from services.drift.metrics import (
    ACTIONS,
    ALARMING,
    ALARMS,
    DONE,
    ENDINGS,
    FAMILIES,
    JUDGED,
    PARITY_MISMATCHES,
    RATIO,
    REPORTS,
    RUN_SECONDS,
    RUN_TIME,
    RUNS,
    SCORE,
    STOPPED,
    UNREADABLE,
    WINDOW_BEGIN,
    WINDOW_END,
    WINDOWS,
)
from services.drift.schedule import Schedule, Task
from services.drift.settings import DriftSettings
from services.runtime.labels import OTHER
from services.runtime.restore import Pacer
from services.runtime.telemetry import Telemetry

OWED_MAX: Final = 1_000
"""Alarms of a job whose action is still to begin. Where more come, the oldest is left."""
_TURN_S: Final = 0.5
_SECOND_US: Final = 1_000_000
_NOTHING_TO_GO_BACK_TO: Final = "refused"
"""Of a rollback: after this outcome alone the next choice is taken. One that cools down, failed or
is outdated is no reason to train."""


class _Window(msgspec.Struct, frozen=True):
    begin_us: int
    end_us: int


class _Job(msgspec.Struct, frozen=True):
    """What the command line tells of one window, as far as the room needs it."""

    kind: str
    outcome: str
    is_alarm: bool
    recorded: str
    model: str = ""
    version: int | None = None
    window: _Window | None = None
    detail: str = ""
    ratios: dict[str, float] = {}
    scores: dict[str, dict[str, float]] = {}
    families: tuple[str, ...] = ()
    """Which alarm."""
    counts: dict[str, int] = {}
    job_id: str = ""
    report_path: str = ""
    report: str = ""


class _Begun(msgspec.Struct, frozen=True):
    """An action that began and did not end."""

    kind: ActionKind
    job_id: str
    model: str
    model_version: int


class _Line(msgspec.Struct, frozen=True):
    """One line of what a run of jobs tells: one of these."""

    unfinished: tuple[_Begun, ...] = ()
    job: _Job | None = None
    """Told again once its report is drawn."""
    exit_code: int | None = None
    """The last line's."""


class _Told(msgspec.Struct, frozen=True):
    jobs: tuple[_Job, ...]
    unfinished: tuple[_Begun, ...]
    is_whole: bool
    """Every line could be read, and the last one was there."""


class _Came(msgspec.Struct, frozen=True):
    """What the command line tells of an action."""

    kind: str
    outcome: str
    detail: str = ""


class Service:
    """One process of the room.

    Args:
        settings: its own.
        telemetry: its log and metrics.
        pacer: says when to stop.
        now_s: wall clock, seconds since the epoch.
        run: starts a process and waits for its end.
    """

    def __init__(
        self,
        settings: DriftSettings,
        telemetry: Telemetry,
        pacer: Pacer,
        now_s: Callable[[], float],
        run: Callable[[Sequence[str], float, Pacer], Ended] = run_child,
    ) -> None:
        self._settings = settings
        self._telemetry = telemetry
        self._pacer = pacer
        self._now_s = now_s
        self._run_child = run
        often = settings.drift_interval_s
        tasks = [Task(job, often) for job in ("data", "predictions", "labels", "performance")]
        tasks.append(Task("parity", settings.drift_parity_interval_s))
        first_s = now_s() + settings.drift_first_wait_s
        self._schedule = Schedule(tasks, first_s, settings.drift_retry_s)
        for task in tasks:
            for ending in ENDINGS:
                telemetry.count(RUNS, 0, job=task.job, ending=ending)
        for job, families in FAMILIES.items():
            for family in families:
                telemetry.count(ALARMS, 0, job=job, family=family)
        self._shown: dict[str, set[str]] = {}
        """Tickers of which a ratio is shown, by job."""
        self._scores: set[tuple[str, str]] = set()
        """Ticker and name of those that are shown."""
        self._version: dict[str, str] = {}
        """Of the newest window, by job."""
        self._owed: dict[str, dict[str, _Job]] = {}
        """Alarms whose action has not come to its end, by job and id, the oldest first."""

    def run(self) -> None:
        """Work until stopped. A job that does not come to its end is tried again."""
        self._telemetry.ready.set()
        while not self._pacer.stopping():
            task = self._schedule.due(self._now_s())
            if task is None:
                self._pacer.wait(_TURN_S)
                continue
            self._do(task)
        self._telemetry.ready.clear()

    def _do(self, task: Task) -> None:
        began_s = self._now_s()
        ended = self._start(self._job_command(task.job), self._settings.drift_job_timeout_s)
        told = _told_in(ended.told)
        ending = ended.ending if told.is_whole or ended.ending != DONE else UNREADABLE
        self._telemetry.count(RUNS, job=task.job, ending=ending)
        if ending == DONE:
            self._telemetry.set(RUN_TIME, self._now_s(), job=task.job)
            self._telemetry.set(RUN_SECONDS, ended.took_s, job=task.job)
        elif ending != STOPPED:
            self._telemetry.log.warning(
                "job_failed", job=task.job, ending=ending, error=ended.cause
            )
        of_windows = {job.kind for job in told.jobs if job.window or job.is_alarm}
        for job in told.jobs:
            self._tell(job, shows=bool(job.window) or job.is_alarm or job.kind not in of_windows)
        # Only once all is told: an action may take an hour.
        acted = ending != STOPPED and self._act_on(task, told)
        if acted and ending == DONE:
            self._schedule.done(task, began_s)
        else:
            self._schedule.failed(task, self._now_s())

    # --- what was found

    def _tell(self, job: _Job, *, shows: bool) -> None:
        """Count, show and log it.

        Args:
            job: what was found.
            shows: whether gauges of the newest window are its. Not of a remark beside windows, as a
                clock that is ahead: it must not hide that one of them alarms.
        """
        telemetry = self._telemetry
        if job.recorded == "new":
            telemetry.count(WINDOWS, job=job.kind, outcome=job.outcome)
            if job.is_alarm:
                known = FAMILIES.get(job.kind, ())
                for family in {each if each in known else OTHER for each in job.families or [""]}:
                    telemetry.count(ALARMS, job=job.kind, family=family)
        if job.report:
            telemetry.count(REPORTS, outcome="made" if job.report in {"made", "there"} else "none")
        telemetry.set(JUDGED, float(job.is_alarm or job.outcome == "ok"), job=job.kind)
        if shows:
            self._show(job)
        say = telemetry.log.warning if job.is_alarm else telemetry.log.info
        if job.recorded != "kept":
            say(
                "alarm" if job.is_alarm else "judged",
                job=job.kind, outcome=job.outcome, model=job.model, version=job.version,
                begin_us=job.window and job.window.begin_us,
                end_us=job.window and job.window.end_us,
                detail=job.detail, recorded=job.recorded, job_id=job.job_id,
                report=job.report_path if job.report in {"made", "there"} else job.report,
            )  # fmt: skip

    def _show(self, job: _Job) -> None:
        telemetry = self._telemetry
        version = "" if job.version is None else str(job.version)
        if (before := self._version.get(job.kind, version)) != version:
            telemetry.forget(ALARMING, job=job.kind, version=before)
        self._version[job.kind] = version
        telemetry.set(ALARMING, float(job.is_alarm), job=job.kind, version=version)
        if job.window is not None:
            telemetry.set(WINDOW_BEGIN, job.window.begin_us / _SECOND_US, job=job.kind)
            telemetry.set(WINDOW_END, job.window.end_us / _SECOND_US, job=job.kind)
        if job.kind == "parity" and "mismatched" in job.counts:
            telemetry.set(PARITY_MISMATCHES, job.counts["mismatched"])
        self._show_ratios(job)
        # A window that was not judged again tells none, and the newest ones stay.
        if job.kind == "performance" and job.recorded != "kept":
            self._show_scores(job)

    def _show_ratios(self, job: _Job) -> None:
        for gone in self._shown.get(job.kind, set()) - job.ratios.keys():
            self._telemetry.forget(RATIO, job=job.kind, ticker=gone)
        for ticker, ratio in job.ratios.items():
            self._telemetry.set(RATIO, ratio, job=job.kind, ticker=ticker)
        self._shown[job.kind] = set(job.ratios)

    def _show_scores(self, job: _Job) -> None:
        found = {
            (ticker, name): value
            for ticker, scores in job.scores.items()
            for name, value in scores.items()
        }
        for ticker, name in self._scores - found.keys():
            self._telemetry.forget(SCORE, score=name, ticker=ticker)
        for (ticker, name), value in found.items():
            self._telemetry.set(SCORE, value, score=name, ticker=ticker)
        self._scores = set(found)

    # --- what is done about it

    def _act_on(self, task: Task, told: _Told) -> bool:
        """Whether nothing is left to try. Also of a run that failed: what it told is recorded."""
        owed = self._owed.setdefault(task.job, {})
        for job in told.jobs:
            if job.is_alarm and self._wanted(job):
                owed.setdefault(job.job_id, job)
        while len(owed) > OWED_MAX:
            left = owed.pop(next(iter(owed)))
            self._telemetry.log.warning("alarm_left", job=left.kind, job_id=left.job_id)
        # The older ones first: once one of them has ended, a newer alarm is of a version that does
        # not serve any more.
        if not all(self._take_up(begun) for begun in told.unfinished):
            return False
        for job in list(owed.values()):
            if not self._act(job):
                return False
            del owed[job.job_id]
        return True

    def _wanted(self, job: _Job) -> tuple[ActionKind, ...]:
        """What it causes in this deployment, the first choice first."""
        if not job.job_id or job.recorded in {"waits", "differs"}:
            return ()
        settings = self._settings
        return wanted(
            job.kind,
            job.outcome,
            retrains=settings.drift_retrain,
            rolls_back=settings.drift_rollback,
        )

    def _take_up(self, begun: _Begun) -> bool:
        """Whether it has ended now, or is not wanted here any more."""
        settings = self._settings
        on = {"retrain": settings.drift_retrain, "rollback": settings.drift_rollback}
        if not on[begun.kind]:
            return True
        return self._acted(begun.kind, begun.job_id, begun.model, begun.model_version) is not None

    def _act(self, job: _Job) -> bool:
        """Whether there is nothing left to try for this alarm."""
        for action in self._wanted(job):
            came = self._acted(action, job.job_id, job.model, job.version)
            if came is None:
                return False
            if came.outcome != _NOTHING_TO_GO_BACK_TO:
                break
        return True

    def _acted(
        self, action: ActionKind, job_id: str, model: str, version: int | None
    ) -> _Came | None:
        """None: it did not come to its end, and is unfinished."""
        argv = self._action_command(action, job_id)
        ended = self._start(argv, self._settings.drift_action_timeout_s)
        came = _read(ended, _Came)
        if came is None:
            self._telemetry.count(ACTIONS, action=action, outcome=ended.ending)
            if ended.ending != STOPPED:
                self._telemetry.log.warning(
                    "action_failed", action=action, job_id=job_id, ending=ended.ending,
                    error=ended.cause,
                )  # fmt: skip
            return None
        if came.outcome != "known":
            self._telemetry.count(ACTIONS, action=action, outcome=came.outcome)
            self._telemetry.log.warning(
                "acted", action=action, outcome=came.outcome, job_id=job_id, model=model,
                version=version, detail=came.detail,
            )  # fmt: skip
        return came

    # --- commands

    def _start(self, argv: Sequence[str], timeout_s: float) -> Ended:
        return self._run_child(argv, timeout_s, self._pacer)

    def _job_command(self, job: str) -> list[str]:
        settings = self._settings
        argv = [*settings.drift_command, "drift", "run", "--json-lines", "--job", job]
        argv += ["--horizon-s", str(settings.drift_horizon_s), "--alpha", str(settings.drift_alpha)]
        argv.append("--report" if settings.drift_reports else "--no-report")
        is_performance = job == "performance"
        window_s = (
            settings.drift_performance_window_s if is_performance else settings.drift_window_s
        )
        argv += ["--window-s", str(window_s)]
        if is_performance:
            argv += ["--step-s", str(min(settings.drift_performance_step_s, window_s))]
        return argv

    def _action_command(self, action: ActionKind, job_id: str) -> list[str]:
        settings = self._settings
        return [
            *settings.drift_command, "drift", "act", job_id, "--json", "--action", action,
            "--cooldown-s", str(settings.drift_cooldown_s),
            "--source", settings.drift_retrain_source,
            "--newest-s", str(settings.drift_retrain_newest_s),
            "--horizon-s", str(settings.drift_horizon_s),
        ]  # fmt: skip


def _told_in(lines: bytes) -> _Told:
    """What can be read of it. A result that is told again stands as it was told last."""
    is_whole = len(lines) <= TOLD_BYTES_MAX
    jobs: dict[object, _Job] = {}
    unfinished: tuple[_Begun, ...] = ()
    code = None
    for place, line in enumerate(lines.splitlines()):
        try:
            found = msgspec.json.decode(line, type=_Line)
        except msgspec.DecodeError:
            is_whole = False
            continue
        unfinished += found.unfinished
        if found.job is not None:
            jobs[(found.job.job_id, found.job.kind) if found.job.job_id else place] = found.job
        code = found.exit_code
    return _Told(tuple(jobs.values()), unfinished, is_whole and code is not None)


def _read[T](ended: Ended, kind: type[T]) -> T | None:
    """None: it did not come to its end, or told something else."""
    if ended.ending != DONE or len(ended.told) > TOLD_BYTES_MAX:
        return None
    try:
        return msgspec.json.decode(ended.told, type=kind)
    except msgspec.DecodeError:
        return None

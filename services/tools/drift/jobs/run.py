"""A run: each kind of job over the windows that it is due, or over the one that was asked for.

1. Which model serves; without one nothing can be judged, and the run says so.
2. What its windows are held against: a calibration from its file, or made now of the training's
   rows. It may be refused; then each window says why.
3. Windows that are over and not in the ledger, the oldest first. None: the newest result that is
   there is told again. A window that was asked for is judged whatever the ledger has.
4. Each window is judged, recorded and told, before its report is drawn: an alarm waits for no
   picture, and is not lost with a run that dies while it draws.

Whatever fails half-way has left whole results; the next run takes what is missing.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final

from msgspec.structs import replace

from services.drift.core.outcomes import Outcome, Refusal
from services.drift.core.windows import SECOND_US, Window
from services.drift.ledger import HISTORY_MAX, Job, Kind, Result, ResultConflictError
from services.drift.pictures import Order, ScoresOrder, draw
from services.drift.report_files import ReportLimits, path_of, remove_old
from services.lake.errors import LakeError
from services.tools.drift.errors import NotAskedWellError
from services.tools.drift.jobs.drawing import order_of, scores_order_of
from services.tools.drift.jobs.judged import Looked, basis_without, families_of, look_at, ratios_of
from services.tools.drift.jobs.parity import hour_of, mismatches_of, result_of_parity
from services.tools.drift.jobs.performance import (
    basis_of,
    performance_of,
    result_for,
    scores_of,
    shares_of,
)
from services.tools.drift.jobs.place import NothingServes, Place, Serving, serving_of
from services.tools.drift.jobs.reference import Known, Look, Question, known_of
from services.tools.drift.jobs.rows import newest_us
from services.tools.drift.jobs.served import (
    Served,
    served_since,
    served_windows,
    spoken_windows,
)
from services.tools.drift.jobs.told import NoJudgement, Recorded, Told
from services.tools.drift.jobs.windows import due_windows, of_a_run, over_windows
from services.trainer.errors import TrainerError

WINDOW_S: Final = 7_200
PERFORMANCE_WINDOW_S: Final = 3_600
PERFORMANCE_STEP_S: Final = 900
AHEAD_S_MAX: Final = 3_600
"""Of event time before this machine's clock: with more, one of the two is wrong."""

_OF_A_VERSION: Final = frozenset({"predictions", "performance"})
"""Of these a window is that of the version which served in it."""

type Tell = Callable[[str], None]
type Found = Callable[[Told], None]
"""Takes a result once it is recorded, and again once its report is drawn."""
type Drawer = Callable[[Order | ScoresOrder, Path], str]
"""As `pictures.draw`."""


@dataclass(frozen=True)
class RunOrder:
    """What a run is to do."""

    kinds: tuple[Kind, ...]
    """`quality` comes with `data`, asked for or not, since one look gives both."""
    alpha: float
    limits: ReportLimits
    """Of the reports that stay."""
    tickers: tuple[str, ...] = ()
    """None named: all of the training."""
    window: Window | None = None
    """None: those that are due."""
    window_s: int | None = None
    """None: WINDOW_S, and PERFORMANCE_WINDOW_S of performance."""
    step_s: int | None = None
    """From one window to the next. None: windows follow each other, and those of performance, if
    `window_s` is None, too, roll by PERFORMANCE_STEP_S."""
    draws: bool = True


@dataclass(frozen=True)
class _Due:
    """What a run is to look at, and what to say if there is nothing."""

    windows: list[Window]
    kept: Sequence[Told] = ()
    since_us: int | None = None
    """As `served_since`."""


def run_jobs(
    place: Place,
    order: RunOrder,
    tell: Tell = lambda _: None,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    drawer: Drawer = draw,
    found: Found = lambda _: None,
) -> list[Told]:
    """Do them, one kind after the other.

    Raises:
        NotAskedWellError: a ticker that the model was not trained on.
        RetriableError: the registry, Kafka or PostgreSQL is away; what was recorded stays.
        OperateError: Kafka or the schema registry does not answer.
    """
    serving = serving_of(place.registry)
    told = []
    if isinstance(serving, NothingServes):
        for kind in order.kinds:
            told.append(Told(kind=kind, outcome=serving.outcome, detail=serving.detail))
            found(told[-1])
        return told
    run = _Run(place, order, serving, tell, now, drawer, found)
    for kind in order.kinds:
        for one in run.of_kind(kind):
            found(one)
            told.append(one)
    remove_old(place.home, order.limits, now().timestamp())
    return told


class _Run:
    def __init__(
        self,
        place: Place,
        order: RunOrder,
        serving: Serving,
        tell: Tell,
        now: Callable[[], datetime],
        drawer: Drawer,
        found: Found,
    ) -> None:
        self._place = place
        self._order = order
        self._serving = serving
        self._tell = tell
        self._now = now
        self._draw = drawer
        self._found = found
        self._newest_us: dict[tuple[str, ...], int | None] = {}

    def of_kind(self, kind: Kind) -> Iterator[Told]:
        match kind:
            case "parity":
                yield self._parity()
            case "quality":
                if "data" not in self._order.kinds:
                    yield from self.of_kind("data")
            case "performance":
                yield from self._performance()
            case "data":
                yield from self._looks(kind)
                yield from self._clock(self._question(kind, self._order.window_s or WINDOW_S))
            case _:
                yield from self._looks(kind)

    # --- features, predictions, labels

    def _looks(self, look: Look) -> Iterator[Told]:
        question = self._question(look, self._order.window_s or WINDOW_S)
        self._tell(f"{look}: what is usual")
        known = known_of(self._place, question)
        basis = question.basis_sha256
        if isinstance(known, Refusal):
            basis = basis_without(basis, known)
        label_s = self._serving.manifest.label.horizon_s if look == "labels" else 0
        due = self._windows(look, question, basis, label_s)
        windows, said = of_a_run(due.windows), None
        if look == "predictions" and windows:
            served = self._served(due)
            windows, said = served.windows, served.said
            if said.is_cut:
                detail = "predictions of the window may be gone: judge within the topic's retention"
                yield self._nothing(look, NoJudgement.LOG_CUT, detail, windows[-1])
                return
            yield from self._partly(look, served)
        if not windows:
            yield from due.kept
            return
        for window in windows:
            self._tell(f"{look}: {_spelled(window)}")
            both = []
            # `quality` before `data`, by which a window is known to be judged: who dies in between
            # leaves it to the next run.
            for looked in reversed(look_at(self._place, question, known, window, said)):
                result, told = self._recorded(looked, question, known, label_s)
                self._found(told)
                both.append((looked, result, told))
            for looked, result, told in reversed(both):
                yield self._with_report(looked, result, told, known)

    def _recorded(
        self, looked: Looked, question: Question, known: Known | Refusal, needed_s: int
    ) -> tuple[Result, Told]:
        result = looked.result
        can_be_drawn = isinstance(known, Known) and looked.panel is not None
        # Of `quality` only an alarm has a page: the columns are those of `data`, drawn once more.
        if can_be_drawn and (result.job.kind != "quality" or result.job.is_alarm):
            result = replace(result, job=replace(result.job, report_path=path_of(result.job)))
        is_damaged = result.job.outcome == NoJudgement.DAMAGED_ROWS
        if not is_damaged and not self._is_over(question, result.job.window, needed_s):
            return result, _told(result, "waits")
        return result, self._record(result)

    def _with_report(
        self, looked: Looked, result: Result, told: Told, known: Known | Refusal
    ) -> Told:
        """Drawn, where there is something to draw."""
        if not result.job.report_path:
            return told
        assert isinstance(known, Known), "a refusal can't be drawn"
        assert looked.panel is not None, "a window without rows can't be drawn"
        return self._pictured(told, partial(order_of, result, known, looked.panel))

    def _pictured(self, told: Told, order: Callable[[], Order | ScoresOrder]) -> Told:
        """With its page, if it is recorded with one and pages are wanted."""
        if not (self._order.draws and told.report_path and told.recorded in {"new", "same"}):
            return told
        page = self._place.home / told.report_path
        if page.exists():
            return replace(told, report="there")
        assert told.window is not None, "what is recorded has a window"
        self._tell(f"{told.kind}: a report of {_spelled(told.window)}")
        return replace(told, report=self._draw(order(), page))

    # --- performance

    def _performance(self) -> Iterator[Told]:
        question = self._question("labels", self._order.window_s or PERFORMANCE_WINDOW_S)
        horizon_s = self._serving.manifest.label.horizon_s
        due = self._windows("performance", question, basis_of(question), horizon_s)
        if not due.windows:
            yield from due.kept
            return
        served = self._served(due)
        yield from self._partly("performance", served)
        shares = shares_of(self._place, question) if served.windows else None
        for window in served.windows:
            self._tell(f"performance: {_spelled(window)}")
            try:
                found, scored = performance_of(self._place, question, window, served.said, shares)
            except (LakeError, TrainerError) as error:
                yield self._nothing("performance", NoJudgement.DAMAGED_ROWS, str(error), window)
                continue
            if not found.is_final:
                yield Told(
                    kind="performance", model=found.model, version=found.version, window=window,
                    outcome=found.standing, is_alarm=found.is_alarm, detail=found.detail,
                    ratio=found.ratio, counts=found.counts, recorded="waits",
                )  # fmt: skip
                continue
            result = result_for(question, found, is_drawn=scored is not None)
            told = replace(self._record(result), counts=found.counts, scores=scores_of(found))
            if scored is not None:
                self._found(told)
                told = self._pictured(told, partial(scores_order_of, found, scored))
            yield told

    # --- parity

    def _parity(self) -> Told:
        self._tell("parity: the trades once more")
        found = self._place.served()
        told = self._record(result_of_parity(self._serving, found, hour_of(self._now())))
        counts = {"matched": found.matched, "mismatched": mismatches_of(found)}
        for name in ("foreign", "unprovable"):
            counts[name] = sum(getattr(tally, name) for tally in found.tallies)
        return replace(told, counts=counts | {"unreadable": found.unreadable})

    # --- parts

    def _question(self, look: Look, window_s: int) -> Question:
        trained = tuple(sorted(self._serving.manifest.data.offsets))
        if strange := sorted(set(self._order.tickers) - set(trained)):
            raise NotAskedWellError(
                f"{self._serving.name} version {self._serving.version} was not trained on"
                f" {', '.join(strange)}; its tickers are {', '.join(trained)}"
            )
        tickers = tuple(name for name in trained if name in self._order.tickers) or trained
        if self._order.window is not None:
            window = self._order.window
            window_s = self._order.window_s or (window.end_us - window.begin_us) // SECOND_US
        return Question(look, self._serving, tickers, window_s, self._order.alpha)

    def _windows(self, kind: Kind, question: Question, basis: str, needed_s: int) -> _Due:
        if self._order.window is not None:
            return _Due([self._order.window])
        try:
            newest = self._newest(question)
        except LakeError as error:
            return _Due([], self._no_lake(kind, str(error)))
        first_us = self._serving.manifest.data.last_grid_us + SECOND_US
        step_s = self._step_s(kind, question)
        over = over_windows(first_us, newest, question.window_s, step_s, needed_s)
        history = self._place.ledger.history(kind, HISTORY_MAX)
        before = [job for job in history if self._is_of(job, question, basis, step_s)]
        due = due_windows(over, [job.window for job in before])
        if kind in _OF_A_VERSION:
            due = self._not_anothers(due, history)
        if due:
            return _Due(due, since_us=served_since(before))
        if before:
            return _Due([], [_kept(self._place, job) for job in self._newest_of(kind, before)])
        detail = f"rows of {question.window_s:,} s and more after the training are needed"
        return _Due([], [self._nothing(kind, NoJudgement.NO_WINDOW_YET, detail)])

    def _is_of(self, job: Job, question: Question, basis: str, step_s: int) -> bool:
        length_us = job.window.end_us - job.window.begin_us
        is_own = job.model_sha256 == self._serving.manifest.model_sha256
        # A window that was asked for by its ends stands at no multiple of the step.
        is_regular = length_us == question.window_s * SECOND_US
        is_regular &= job.window.begin_us % (step_s * SECOND_US) == 0
        return is_own and is_regular and job.basis_sha256 == basis

    def _not_anothers(self, due: list[Window], history: Sequence[Job]) -> list[Window]:
        """Without what another version served and was judged by, before it gave way to this one."""
        own = self._serving.manifest.model_sha256
        others = [
            job for job in history if job.model == self._serving.name and job.model_sha256 != own
        ]
        known = set(spoken_windows(others))
        return [window for window in due if window not in known]

    def _newest_of(self, kind: Kind, before: Sequence[Job]) -> list[Job]:
        newest = before[0]
        if kind != "data":
            return [newest]
        twins = self._place.ledger.history("quality", HISTORY_MAX)
        return [newest, *(job for job in twins if _same_look(job, newest))]

    def _newest(self, question: Question) -> int | None:
        """Not ahead of this machine's clock: a row of next year must not end all windows before."""
        newest = self._newest_there(question)
        now_us = int(self._now().timestamp()) * SECOND_US
        return None if newest is None else min(newest, now_us)

    def _newest_there(self, question: Question) -> int | None:
        """Once a run: a lake that grows meanwhile is the next run's."""
        if question.tickers not in self._newest_us:
            self._newest_us[question.tickers] = newest_us(
                self._place.lake, question.feature_set, question.tickers
            )
        return self._newest_us[question.tickers]

    def _clock(self, question: Question) -> Iterator[Told]:
        try:
            newest = self._newest_there(question)
        except LakeError:  # Which has been told.
            return
        ahead_s = 0 if newest is None else newest / SECOND_US - self._now().timestamp()
        if ahead_s > AHEAD_S_MAX:
            detail = f"the lake's newest row is {ahead_s:,.0f} s ahead of this machine's clock"
            told = self._nothing("quality", NoJudgement.DAMAGED_ROWS, detail)
            yield replace(told, outcome=Outcome.CLOCK_JUMP)

    def _is_over(self, question: Question, window: Window, needed_s: int) -> bool:
        try:
            newest = self._newest(question)
        except LakeError:  # How far time has come is not known until the file is mended.
            return False
        return newest is not None and newest >= window.last_us + needed_s * SECOND_US

    def _served(self, due: _Due) -> Served:
        serving = self._serving
        if self._order.window is not None:
            window = self._order.window
            return Served([window], [], self._place.said(window.begin_us, window.end_us))
        return served_windows(
            self._place.said, due.windows, serving.name, serving.version, due.since_us
        )

    def _partly(self, kind: Kind, served: Served) -> Iterator[Told]:
        for window in served.partly:
            detail = "the window began before the version's first answer"
            yield self._nothing(kind, NoJudgement.PARTLY_SERVED, detail, window)

    def _step_s(self, kind: Kind, question: Question) -> int:
        """From one window to the next."""
        order = self._order
        if order.step_s is None and order.window_s is None and kind == "performance":
            return PERFORMANCE_STEP_S
        return order.step_s or question.window_s

    def _record(self, result: Result) -> Told:
        try:
            is_new = self._place.ledger.record(result)
        except ResultConflictError as error:
            return replace(_told(result, "differs"), detail=str(error))
        return _told(result, "new" if is_new else "same")

    def _no_lake(self, kind: Kind, error: str) -> list[Told]:
        """No window can be named; it is an alarm all the same."""
        told = self._nothing(kind, NoJudgement.DAMAGED_ROWS, error)
        return [told, replace(told, kind="quality", is_alarm=True)] if kind == "data" else [told]

    def _nothing(
        self, kind: Kind, outcome: NoJudgement, detail: str, window: Window | None = None
    ) -> Told:
        serving = self._serving
        return Told(
            kind=kind, model=serving.name, version=serving.version, window=window,
            outcome=outcome, detail=detail,
        )  # fmt: skip


def _told(result: Result, recorded: Recorded) -> Told:
    job = result.job
    return Told(
        kind=job.kind,
        model=job.model,
        version=job.model_version,
        window=job.window,
        outcome=job.outcome,
        is_alarm=job.is_alarm,
        detail=job.detail,
        ratio=job.ratio,
        ratios=ratios_of(result.checks),
        families=families_of(result),
        recorded=recorded,
        job_id=job.job_id,
        report_path=job.report_path,
    )


def _kept(place: Place, job: Job) -> Told:
    found = place.ledger.find(job.job_id)
    assert found is not None, "what is in the history is in the ledger"
    return _told(found, "kept")


def _same_look(one: Job, other: Job) -> bool:
    return (one.window, one.basis_sha256, one.model_sha256) == (
        other.window, other.basis_sha256, other.model_sha256,
    )  # fmt: skip


def _spelled(window: Window) -> str:
    begin, end = (
        datetime.fromtimestamp(us / SECOND_US, UTC) for us in (window.begin_us, window.end_us)
    )
    return f"{begin:%Y-%m-%d %H:%M:%S} to {end:%H:%M:%S} UTC"

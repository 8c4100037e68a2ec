"""One action on one alarm: a retraining through the pipeline, or a rollback of the champion."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import msgspec

from services.drift.actions import CAUSES, Action, ActionKind, Actions, Came, Claim
from services.drift.core.windows import SECOND_US
from services.drift.ledger import Job
from services.featuresets import SETS
from services.models.changes import CHAMPION, Change
from services.models.errors import ModelError, NothingBeforeError, PromotionRefusedError
from services.runtime.errors import RetriableError
from services.runtime.lock_file import LockHeldError, lock_file
from services.tools.drift.errors import ActLockedError, NotAskedWellError
from services.tools.drift.jobs.place import Place
from services.tools.drift.jobs.rows import newest_us
from services.tools.operate.errors import UnreachableError
from services.tools.pipeline.acts import steps_of
from services.tools.pipeline.errors import PipelineError, RunLockedError, StepFailedError
from services.tools.pipeline.order import PipelineOrder
from services.tools.pipeline.steps import read_records, run_steps
from services.trainer.dataset import DatasetPlan
from services.trainer.service import TrainingPlan

TRAINED_AS: Final = {"xgboost": "xgboost", "linear": "logistic"}
"""By a manifest's kind. A rule and a constant have nothing to learn."""
_ID_LETTERS: Final = 16

type Say = Callable[[str], None]
type Acted = Claim | Came


@dataclass(frozen=True)
class Training:
    """How a model is trained anew, beside what its manifest says."""

    source: Literal["lake", "kafka"]
    newest_s: int
    """Only rows of so many seconds of event time before the newest; 0: all."""
    budget: int


class WhatCame(msgspec.Struct, frozen=True):
    """Of one action."""

    kind: ActionKind
    job_id: str
    outcome: Acted
    detail: str = ""


def act(
    place: Place,
    actions: Actions,
    kind: ActionKind,
    job_id: str,
    cooldown_s: float,
    training: Training,
    say: Say = lambda _: None,
) -> WhatCame:
    """Do it, unless it was done, or another too short ago.

    Raises:
        NotAskedWellError: the ledger has no such job, or it is no cause of this action.
        RetriableError: a part is away; what began is taken up at the next call.
        ActLockedError: another process acts now.
        RunLockedError: another process works on the same run.
        OperateError: a part of the stack does not answer.
    """
    with _alone(place):
        job = _cause(place, kind, job_id)
        action = Action(kind, job_id, job.model, job.model_version)
        serves = place.registry.alias() == job.model_version
        claim = actions.claim(action, cooldown_s, may_begin=serves)
        if claim not in {"begun", "unfinished"}:
            return WhatCame(kind, job_id, claim)
        came = _came_before(place, action) if claim == "unfinished" else None
        if came is None and kind == "rollback":
            came = _roll_back(place, job)
        elif came is None:
            came = _retrain(place, action, training, say)
        outcome, detail = came
        actions.finish(action, outcome, detail)
        return WhatCame(kind, job_id, outcome, detail)


@contextmanager
def _alone(place: Place) -> Iterator[None]:
    """Two that take the same one up would roll back twice."""
    with ExitStack() as held:
        try:
            held.enter_context(lock_file(place.home / "drift" / ".act.lock"))
        except LockHeldError as error:
            raise ActLockedError(
                "another process acts on an alarm of this deployment; wait until it has ended"
            ) from error
        yield


def _cause(place: Place, kind: ActionKind, job_id: str) -> Job:
    found = place.ledger.find(job_id)
    if found is None:
        raise NotAskedWellError(
            f"no job {job_id[:70]!r} is recorded: `outcry drift history --json` has their ids"
        )
    job = found.job
    if not job.is_alarm or (job.kind, job.outcome) not in CAUSES[kind]:
        causes = ", ".join(f"{name} {outcome}" for name, outcome in sorted(CAUSES[kind]))
        raise NotAskedWellError(
            f"{job.kind} {job.outcome} is no cause of a {kind}; there are: {causes}"
        )
    return job


def _came_before(place: Place, action: Action) -> tuple[Came, str] | None:
    """What an action came to whose process died before it could say so; None: it did not end.

    The registry remembers who made whom champion, so nothing is guessed from who serves now: people
    may have promoted another version meanwhile, or the same one again.
    """
    place.registry.finish()
    try:
        change = _own_change(place, action)
    except PipelineError as error:
        return "failed", str(error)
    now = place.registry.alias()
    if change is not None:
        outcome: Came = "promoted" if action.kind == "retrain" else "rolled_back"
        later = "" if change.version == now else f", and version {now} serves by now"
        return outcome, f"version {change.version}, before its process died{later}"
    if now == action.model_version:
        return None
    return "outdated", f"its process died, and version {now} serves by now, which it did not train"


def _own_change(place: Place, action: Action) -> Change | None:
    """That of the champion which this action made, if it came so far."""
    changes = [change for change in place.registry.history() if change.alias == CHAMPION]
    if action.kind == "rollback":
        named = _cause_id(action.job_id)
        found = [one for one in changes if one.action == "rollback" and named in one.why]
        return found[-1] if found else None
    records = {one.step: one for one in read_records(_folder(place, action))}
    registered = records.get("register")
    if registered is None:
        return None
    # The same bytes are the same version, which may have been champion long before.
    since_us = int(registered.began.timestamp() * SECOND_US)
    version = registered.outputs["version"]
    found = [one for one in changes if one.version == version and one.at_us >= since_us]
    return found[-1] if found else None


def _roll_back(place: Place, job: Job) -> tuple[Came, str]:
    try:
        change = place.registry.rollback(
            f"drift: {job.kind} {job.outcome}, {_cause_id(job.job_id)}"
        )
    except (NothingBeforeError, PromotionRefusedError) as error:
        return "refused", str(error)
    return "rolled_back", f"version {change.version} serves again"


def _retrain(place: Place, action: Action, training: Training, say: Say) -> tuple[Came, str]:
    try:
        order = _order_of(place, action, training)
    except ModelError as error:
        return "refused", str(error)
    if order is None:
        return "refused", "the model is a rule or a constant: there is nothing to train"
    # Named for its cause: one that was cut short goes on where it stopped.
    folder = _folder(place, action)
    run = folder.name
    try:
        done = run_steps(folder, steps_of(order, say), say)
    except RunLockedError:
        raise
    except StepFailedError as error:
        if isinstance(error.__cause__, (RetriableError, UnreachableError)):
            raise
        return "failed", f"run {run}: {error}"
    except PipelineError as error:
        return "failed", f"run {run}: {error}"
    said = {item.record.step: item.record.outputs for item in done}
    version = said["register"]["version"]
    if said["promote"]["promoted"]:
        return "promoted", f"run {run}: version {version}"
    return "not_promoted", f"run {run}: version {version}: {said['promote']['why']}"


def _order_of(place: Place, action: Action, training: Training) -> PipelineOrder | None:
    """As the model was trained, of the rows of now. None: its kind has nothing to learn."""
    manifest = place.registry.manifest(action.model_version)
    model = TRAINED_AS.get(manifest.kind)
    if model is None:
        return None
    tickers = tuple(sorted(manifest.data.offsets))
    first_us = None
    if training.newest_s:
        newest = newest_us(place.lake, SETS[manifest.feature_set], tickers)
        first_us = None if newest is None else newest - training.newest_s * SECOND_US
    data = DatasetPlan(
        manifest.feature_set,
        manifest.label.horizon_s,
        manifest.label.threshold,
        tickers,
        first_us,
        folds=manifest.data.folds,
    )
    plan = TrainingPlan(data, model, manifest.seed, training.budget)
    # Nobody is told to reload: the inference room asks its registry by itself.
    return PipelineOrder(home=place.home, plan=plan, source=training.source)


def _cause_id(job_id: str) -> str:
    """As the registry remembers it."""
    return f"job {job_id[:12]}"


def _folder(place: Place, action: Action) -> Path:
    """Of the records of its run of the pipeline."""
    return place.home / "pipeline" / f"drift-{action.action_id[:_ID_LETTERS]}"

"""What an alarm causes: once, by whom it was caused, and taken up again if it was cut short."""

import shutil
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from services.drift.actions import Action, ActionKind
from services.drift.ledger import Job, Kind, Result
from services.models.changes import Change
from services.models.registry import Registry
from services.runtime.lock_file import lock_file
from services.tools.drift.act import Training, WhatCame, act
from services.tools.drift.errors import ActLockedError, NotAskedWellError
from services.tools.pipeline.steps import Record
from tests.support.drift_world import MODEL, DriftWorld, window
from tests.support.memory_actions import MemoryActions
from tests.support.model_kit import put_model, rule_model

TRAINING = Training("lake", newest_s=0, budget=1)


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A deployment with two versions; the second serves."""
    home = tmp_path_factory.mktemp("act") / "home"
    DriftWorld.copied(home).register(seed=2)
    return home


class Acting:
    """A deployment whose alarms act."""

    def __init__(self, home: Path) -> None:
        self.world = DriftWorld.at(home)
        self.actions = MemoryActions()

    def alarm(
        self, kind: Kind = "performance", outcome: str = "fallen", version: int = 2, place: int = 0
    ) -> str:
        """The id of a recorded one."""
        job = Job(
            kind=kind, model=MODEL, model_version=version, model_sha256=f"{version:064}",
            basis_sha256="b" * 64, window=window(place), outcome=outcome, is_alarm=outcome != "ok",
            ratio=None, detail="",
        )  # fmt: skip
        self.world.ledger.record(Result(job, b"{}"))
        return job.job_id

    def act(self, kind: ActionKind, job_id: str, cooldown_s: float = 60) -> WhatCame:
        return act(self.world.place(), self.actions, kind, job_id, cooldown_s, TRAINING)

    def outcomes(self) -> list[str]:
        return [entry.outcome for entry in self.actions.history(10)]


@pytest.fixture
def acting(first: Path, tmp_path: Path) -> Acting:
    return Acting(shutil.copytree(first, tmp_path / "home"))


def test_a_fall_makes_the_champion_before_champion_again_once(acting: Acting) -> None:
    alarm = acting.alarm()
    came = acting.act("rollback", alarm)
    assert (came.outcome, came.detail) == ("rolled_back", "version 1 serves again")
    assert acting.world.registry.alias() == 1
    assert acting.act("rollback", alarm).outcome == "known"
    assert acting.world.registry.history()[-1].why == f"drift: performance fallen, job {alarm[:12]}"
    assert acting.outcomes() == ["rolled_back", "begun"]


def test_an_alarm_of_a_version_that_does_not_serve_any_more_does_nothing(acting: Acting) -> None:
    came = acting.act("rollback", acting.alarm(version=1))
    assert came.outcome == "outdated"
    assert acting.world.registry.alias() == 2
    assert acting.outcomes() == []


def test_a_rollback_whose_process_died_before_it_could_say_so_is_not_done_twice(
    acting: Acting,
) -> None:
    acting.world.register(seed=3)
    alarm = acting.alarm(version=3)

    class Dying(MemoryActions):
        def finish(self, *_: object) -> None:
            raise KeyboardInterrupt

    dying = Dying()
    with pytest.raises(KeyboardInterrupt):
        act(acting.world.place(), dying, "rollback", alarm, 60, TRAINING)
    assert acting.world.registry.alias() == 2
    acting.actions._rows = dying._rows
    came = acting.act("rollback", alarm)
    assert (came.outcome, came.detail) == ("rolled_back", "version 2, before its process died")
    assert acting.world.registry.alias() == 2
    assert acting.outcomes() == ["rolled_back", "begun"]


def _cut_off(acting: Acting, kind: ActionKind, alarm: str, version: int) -> None:
    """It began, and its process died."""
    action = Action(kind, alarm, MODEL, version)
    assert acting.actions.claim(action, 60, may_begin=True) == "begun"


def _records(acting: Acting, alarm: str, **outputs: object) -> Path:
    """Of the step `register` of the run of the pipeline that the alarm caused."""
    action = Action("retrain", alarm, MODEL, 2)
    folder = acting.world.home / "pipeline" / f"drift-{action.action_id[:16]}"
    folder.mkdir(parents=True)
    now = datetime.now(UTC)
    record = Record("register", {}, outputs, now, now)
    (folder / "07-register.json").write_bytes(msgspec.json.encode(record))
    return folder


def test_a_retraining_that_died_once_its_model_was_promoted_has_promoted_it(
    acting: Acting,
) -> None:
    alarm = acting.alarm()
    _cut_off(acting, "retrain", alarm, 2)
    _records(acting, alarm, version=3)
    assert acting.world.register(seed=3) == 3
    came = acting.act("retrain", alarm)
    assert (came.outcome, came.detail) == ("promoted", "version 3, before its process died")
    assert acting.world.registry.alias() == 3
    assert acting.outcomes() == ["promoted", "begun"]


def test_a_retraining_that_died_is_told_as_it_came_though_another_version_serves_by_now(
    acting: Acting,
) -> None:
    alarm = acting.alarm()
    _cut_off(acting, "retrain", alarm, 2)
    _records(acting, alarm, version=3)
    for seed in (3, 4):
        acting.world.register(seed=seed)
    came = acting.act("retrain", alarm)
    assert came.outcome == "promoted"
    assert came.detail.endswith("and version 4 serves by now")
    assert acting.world.registry.alias() == 4


def test_a_retraining_that_died_before_it_promoted_is_outdated_once_another_version_serves(
    acting: Acting,
) -> None:
    alarm = acting.alarm()
    _cut_off(acting, "retrain", alarm, 2)
    # Its model is the same to the byte as one that was champion long before.
    _records(acting, alarm, version=1)
    acting.world.register(seed=3)
    came = acting.act("retrain", alarm)
    assert came.outcome == "outdated"
    assert "version 3 serves by now" in came.detail
    assert acting.act("retrain", alarm).outcome == "known"
    assert list(acting.actions.unfinished()) == []


def test_a_retraining_that_died_goes_on_while_the_version_that_alarmed_serves(
    acting: Acting,
) -> None:
    alarm = acting.alarm()
    _cut_off(acting, "retrain", alarm, 2)
    _records(acting, alarm, version=1)
    # There are no trades to train on, which the first step says.
    assert acting.act("retrain", alarm).outcome == "failed"
    assert list(acting.actions.unfinished()) == []


def test_a_damaged_record_of_a_run_that_died_is_a_named_end(acting: Acting) -> None:
    alarm = acting.alarm()
    _cut_off(acting, "retrain", alarm, 2)
    (_records(acting, alarm, version=3) / "07-register.json").write_bytes(b"{")
    came = acting.act("retrain", alarm)
    assert came.outcome == "failed"
    assert "is no record of a step" in came.detail


def test_a_rollback_that_died_is_outdated_once_people_promoted_another_version(
    acting: Acting,
) -> None:
    alarm = acting.alarm()
    _cut_off(acting, "rollback", alarm, 2)
    acting.world.register(seed=3)
    assert acting.act("rollback", alarm).outcome == "outdated"
    assert acting.world.registry.alias() == 3


def test_a_rollback_that_died_between_record_and_alias_is_finished_and_not_done_twice(
    acting: Acting,
) -> None:
    acting.world.register(seed=3)
    alarm = acting.alarm(version=3)
    _cut_off(acting, "rollback", alarm, 3)

    class Dying(Registry):
        def _finish(self, *_: object) -> Change:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Dying(acting.world.home, name=MODEL).rollback(
            f"drift: performance fallen, job {alarm[:12]}"
        )
    assert acting.world.registry.alias() == 3
    assert acting.act("rollback", alarm).outcome == "rolled_back"
    assert acting.world.registry.alias() == 2


def test_a_second_alarm_within_the_cool_down_is_recorded_and_left_out(acting: Acting) -> None:
    acting.act("retrain", acting.alarm(place=0))
    assert acting.act("retrain", acting.alarm(place=1)).outcome == "cooling_down"
    assert acting.outcomes()[0] == "cooling_down"


def test_a_retraining_that_fails_is_recorded_with_its_step(acting: Acting) -> None:
    came = acting.act("retrain", acting.alarm("data", "drift"))
    assert came.outcome == "failed"
    assert "step backfill: the lake has no trades" in came.detail
    assert acting.outcomes() == ["failed", "begun"]
    assert acting.world.registry.alias() == 2


def test_a_rule_has_nothing_to_learn_and_nothing_to_go_back_to_is_said(acting: Acting) -> None:
    registry = acting.world.registry
    folder = acting.world.home / "rule"
    put_model(folder, rule_model())
    registry.promote(registry.register(folder), force=True, why="a test")
    assert acting.act("retrain", acting.alarm(version=3)).outcome == "refused"
    shutil.rmtree(registry.folder_of(2))
    assert acting.act("rollback", acting.alarm(version=3)).outcome == "refused"


@pytest.mark.parametrize(
    "kind,outcome,action",
    [
        ("quality", "drift", "retrain"),
        ("data", "drift", "rollback"),
        ("performance", "ok", "rollback"),
        ("parity", "mismatch", "retrain"),
    ],
)
def test_what_no_new_model_could_mend_is_no_cause(
    acting: Acting, kind: Kind, outcome: str, action: ActionKind
) -> None:
    with pytest.raises(NotAskedWellError, match=f"{kind} {outcome} is no cause of a {action}"):
        acting.act(action, acting.alarm(kind, outcome))
    with pytest.raises(NotAskedWellError, match="no job 'f"):
        acting.act("retrain", "f" * 64)
    assert acting.outcomes() == []


def test_two_do_not_act_at_once(acting: Acting) -> None:
    with lock_file(acting.world.home / "drift" / ".act.lock"), pytest.raises(ActLockedError):
        acting.act("rollback", acting.alarm())
    assert acting.world.registry.alias() == 2

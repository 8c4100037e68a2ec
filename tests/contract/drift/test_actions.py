"""Where what was done about alarms is kept: PostgreSQL, and what stands for it in memory."""

import time
from collections.abc import Callable, Iterator
from uuid import uuid4

import pytest
from psycopg.conninfo import make_conninfo

from services.drift.actions import Action, Actions, wanted
from services.drift.postgres_actions import PostgresActions
from services.recorder.migrations import migrate
from services.runtime.errors import RetriableError
from tests.support.memory_actions import MemoryActions
from tests.support.recorder_world import create_database, drop_database

type Kept = tuple[Actions, Callable[[float], None]]
"""And what lets so many seconds pass."""

FIRST = Action("retrain", "a" * 64, "direction_10s", 3)
SECOND = Action("retrain", "b" * 64, "direction_10s", 3)

BOTH = {"retrain", "rollback"}


@pytest.fixture(params=["memory", pytest.param("postgres", marks=pytest.mark.kafka)])
def kept(request: pytest.FixtureRequest) -> Iterator[Kept]:
    if request.param == "memory":
        memory = MemoryActions()

        def pass_by(seconds: float) -> None:
            memory.now_s += seconds

        yield memory, pass_by
        return
    server = request.getfixturevalue("stack_infra").addresses.pg_dsn
    dsn = make_conninfo(server, dbname=f"drift_{uuid4().hex[:8]}")
    create_database(dsn)
    migrate(dsn)
    yield PostgresActions(dsn, "default"), time.sleep
    drop_database(dsn)


def test_an_alarm_acts_once_however_often_it_is_asked_for(kept: Kept) -> None:
    actions, _ = kept
    assert actions.claim(FIRST, 60, may_begin=True) == "begun"
    actions.finish(FIRST, "promoted", "version 4")
    assert actions.claim(FIRST, 0, may_begin=True) == "known"
    actions.finish(FIRST, "failed", "a second end")
    assert [(e.outcome, e.detail) for e in actions.history(10)] == [
        ("promoted", "version 4"), ("begun", ""),
    ]  # fmt: skip
    assert {entry.action for entry in actions.history(10)} == {FIRST}


def test_what_began_and_did_not_end_is_taken_up_again(kept: Kept) -> None:
    actions, _ = kept
    actions.claim(FIRST, 60, may_begin=True)
    assert actions.claim(FIRST, 60, may_begin=False) == "unfinished"


def test_another_alarm_within_the_cool_down_is_left_out_for_good(kept: Kept) -> None:
    actions, pass_by = kept
    actions.claim(FIRST, 60, may_begin=True)
    assert actions.claim(SECOND, 60, may_begin=True) == "cooling_down"
    pass_by(0.05)
    assert actions.claim(SECOND, 0.01, may_begin=True) == "known"
    third = Action("retrain", "c" * 64, "direction_10s", 3)
    assert actions.claim(third, 0.01, may_begin=True) == "begun"


def test_what_began_is_unfinished_until_it_ends_whatever_alarms_meanwhile(kept: Kept) -> None:
    actions, pass_by = kept
    rollback = Action("rollback", FIRST.job_id, "direction_10s", 3)
    actions.claim(FIRST, 60, may_begin=True)
    pass_by(0.01)
    actions.claim(rollback, 60, may_begin=True)
    assert actions.claim(SECOND, 60, may_begin=True) == "cooling_down"
    assert list(actions.unfinished()) == [FIRST, rollback]
    actions.finish(rollback, "rolled_back", "version 2")
    assert list(actions.unfinished()) == [FIRST]
    # Another version serves by now: it may not begin, and yet it must end.
    assert actions.claim(FIRST, 60, may_begin=False) == "unfinished"
    actions.finish(FIRST, "outdated", "version 5 serves")
    assert list(actions.unfinished()) == []
    assert actions.claim(FIRST, 0, may_begin=True) == "known"
    assert actions.history(1)[0].outcome == "outdated"


def test_what_was_left_out_or_never_began_is_not_unfinished(kept: Kept) -> None:
    actions, _ = kept
    actions.claim(FIRST, 60, may_begin=False)
    assert list(actions.unfinished()) == []
    actions.claim(FIRST, 60, may_begin=True)
    actions.finish(FIRST, "failed", "")
    actions.claim(SECOND, 60, may_begin=True)
    assert list(actions.unfinished()) == []


def test_a_rollback_does_not_wait_for_a_retraining(kept: Kept) -> None:
    actions, _ = kept
    actions.claim(FIRST, 60, may_begin=True)
    rollback = Action("rollback", FIRST.job_id, "direction_10s", 3)
    assert actions.claim(rollback, 60, may_begin=True) == "begun"


def test_what_may_not_begin_any_more_leaves_no_trace(kept: Kept) -> None:
    actions, _ = kept
    assert actions.claim(FIRST, 60, may_begin=False) == "outdated"
    assert list(actions.history(10)) == []


def test_a_database_that_is_away_is_worth_another_try() -> None:
    away = PostgresActions("postgresql://nobody@127.0.0.1:1/none", "default")
    with pytest.raises(RetriableError, match="recording an action of drift"):
        away.claim(FIRST, 60, may_begin=True)
    with pytest.raises(RetriableError, match="reading what drift began"):
        away.unfinished()


@pytest.mark.parametrize(
    "kind,outcome,on,what",
    [
        ("data", "drift", BOTH, ("retrain",)),
        ("data", "drift", {"rollback"}, ()),
        ("data", "new_category", BOTH, ()),
        ("quality", "drift", BOTH, ()),
        ("parity", "mismatch", BOTH, ()),
        ("performance", "fallen", BOTH, ("rollback", "retrain")),
        ("performance", "fallen", set(), ()),
        ("performance", "damaged_predictions", BOTH, ()),
    ],
)
def test_only_what_a_new_model_could_mend_causes_an_action(
    kind: str, outcome: str, on: set[str], what: tuple[str, ...]
) -> None:
    retrains, rolls_back = "retrain" in on, "rollback" in on
    assert wanted(kind, outcome, retrains=retrains, rolls_back=rolls_back) == what

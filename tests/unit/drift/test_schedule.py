from services.drift.schedule import Schedule, Task

FAST = Task("data", 60)
SLOW = Task("parity", 3_600)
START_S = 7_200.0


def schedule() -> Schedule:
    return Schedule((FAST, SLOW), START_S, retry_s=10)


def test_nothing_is_due_before_the_first_time_and_then_everything_in_order() -> None:
    plan = schedule()
    assert plan.due(START_S - 1) is None
    assert plan.due(START_S) == FAST
    plan.done(FAST, START_S)
    assert plan.due(START_S) == SLOW
    plan.done(SLOW, START_S)
    assert plan.due(START_S + 59) is None


def test_a_job_is_due_at_multiples_of_its_interval_whenever_it_ran() -> None:
    plan = schedule()
    plan.done(SLOW, START_S)
    plan.done(FAST, START_S + 50)
    assert plan.due(START_S + 59) is None
    assert plan.due(START_S + 60) == FAST


def test_a_night_that_was_slept_through_is_made_up_for_once() -> None:
    plan = schedule()
    for task in (FAST, SLOW):
        plan.done(task, START_S)
    morning_s = START_S + 8 * 3_600
    assert plan.due(morning_s) == FAST
    plan.done(FAST, morning_s)
    plan.done(SLOW, morning_s)
    assert plan.due(morning_s + 1) is None


def test_a_job_that_failed_is_tried_again_soon_and_holds_no_other_up() -> None:
    plan = schedule()
    plan.failed(FAST, START_S)
    assert plan.due(START_S) == SLOW
    plan.done(SLOW, START_S)
    assert plan.due(START_S + 9) is None
    assert plan.due(START_S + 10) == FAST


def test_a_clock_that_is_put_back_stops_nothing() -> None:
    plan = schedule()
    plan.failed(FAST, START_S + 3_600)
    plan.done(SLOW, START_S + 3_600)
    assert plan.due(START_S + 60) == FAST
    plan.done(FAST, START_S + 60)
    assert plan.due(START_S + 60) == SLOW


def test_a_job_that_takes_longer_than_its_interval_keeps_no_other_from_its_turn() -> None:
    schedule = Schedule([Task("slow", 10), Task("quick", 10), Task("rare", 1_000)], 0.0, 60.0)
    now_s, turns = 0.0, []
    for _ in range(9):
        task = schedule.due(now_s)
        assert task is not None
        turns.append(task.job)
        schedule.done(task, now_s)
        now_s += 12
    assert turns[:3] == ["slow", "quick", "rare"]
    assert turns[3:] == ["slow", "quick"] * 3


def test_a_job_that_fails_at_once_keeps_no_other_from_its_turn() -> None:
    schedule = Schedule([Task("broken", 10), Task("quick", 10)], 0.0, 0.0)
    turns = []
    for at in range(6):
        now_s = 12.0 * at
        task = schedule.due(now_s)
        assert task is not None
        turns.append(task.job)
        if task.job == "broken":
            schedule.failed(task, now_s)
        else:
            schedule.done(task, now_s)
    assert turns == ["broken", "quick"] * 3

"""Runs on a schedule: one at a time, and one that fails does not end it."""

import signal
import threading
import time
from datetime import UTC, datetime

import pytest
from apscheduler.triggers.cron import CronTrigger

from services.tools.pipeline.errors import PipelineError
from services.tools.pipeline.schedule import cron, next_time, run_on_schedule


@pytest.mark.parametrize(
    "line,after,expected",
    [
        ("15 * * * *", datetime(2026, 1, 5, 9, 20, tzinfo=UTC), "2026-01-05 10:15"),
        ("0 6 * * mon", datetime(2026, 1, 6, 0, 0, tzinfo=UTC), "2026-01-12 06:00"),
        ("*/20 * * * *", datetime(2026, 1, 5, 9, 20, tzinfo=UTC), "2026-01-05 09:20"),
    ],
)
def test_a_line_names_times_of_utc(line: str, after: datetime, expected: str) -> None:
    found = next_time(cron(line), after)
    assert found is not None
    assert f"{found.astimezone(UTC):%Y-%m-%d %H:%M}" == expected


@pytest.mark.parametrize("line", ["", "hourly", "61 * * * *", "* * * *", "* * * * * *"])
def test_a_line_that_names_no_times_is_refused_with_an_example(line: str) -> None:
    with pytest.raises(PipelineError, match=r"is no cron line .*for example '15 \* \* \* \*'"):
        cron(line)


class Runs:
    """Each takes longer than a time apart from the next, and fails; the last one is interrupted."""

    def __init__(self, count: int) -> None:
        self.begun = 0
        self.were_two = False
        self._count = count
        self._running = threading.Lock()

    def act(self) -> None:
        if not self._running.acquire(blocking=False):
            self.were_two = True
            return
        try:
            self.begun += 1
            time.sleep(1.3)
            if self.begun == self._count:  # as Ctrl-C does
                signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
            raise RuntimeError("the registry is away")
        finally:
            self._running.release()


def test_a_run_that_fails_or_lasts_does_not_end_the_schedule_and_none_runs_beside_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    runs = Runs(2)
    run_on_schedule(CronTrigger(second="*", timezone=UTC), runs.act)
    assert runs.begun == 2
    assert not runs.were_two
    said = [record.getMessage() for record in caplog.records]
    assert any("raised an exception" in line for line in said)
    assert any("maximum number of running instances reached" in line for line in said)

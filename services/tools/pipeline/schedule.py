"""Runs at the times of a cron line, one after the other, by APScheduler."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from apscheduler.schedulers.blocking import BlockingScheduler
from apscheduler.triggers.cron import CronTrigger

from services.tools.pipeline.errors import PipelineError

_LATE_S_MAX: Final = 3_600
"""A run whose time passed while the machine slept is made up for within an hour, once."""


def cron(line: str) -> CronTrigger:
    """The times (UTC) that five fields name: minute, hour, day, month, weekday.

    Raises:
        PipelineError: the line is none.
    """
    try:
        return CronTrigger.from_crontab(line, timezone=UTC)
    except ValueError as error:
        raise PipelineError(
            f"{line!r} is no cron line ({error}); for example '15 * * * *': each hour at :15"
        ) from error


def next_time(trigger: CronTrigger, now: datetime) -> datetime | None:
    """The first time of the trigger that is not before now."""
    found: datetime | None = trigger.get_next_fire_time(None, now)
    return found


def run_on_schedule(trigger: CronTrigger, act: Callable[[], None]) -> None:
    """Call `act` at each time until interrupted. Blocks; never two at once.

    A time that comes while a run still works is left out. What `act` raises is logged by the
    scheduler and does not end it.
    """
    scheduler = BlockingScheduler(timezone=UTC)
    scheduler.add_job(act, trigger, max_instances=1, coalesce=True, misfire_grace_time=_LATE_S_MAX)
    try:
        scheduler.start()
    except (KeyboardInterrupt, SystemExit):
        scheduler.shutdown(wait=False)

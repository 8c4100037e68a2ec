"""Where reports for people lie, and how many of them stay.

    <home>/drift/reports/<kind>/<begin>-<job>.html   and beside it .json

The place follows from the job, so that a job that runs again puts its report where the ledger says.
"""

from pathlib import Path
from typing import Final

import msgspec
from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from services.drift.ledger import Job
from services.runtime.settings import ENV_PREFIX

FOLDER: Final = "drift/reports"
_ID_LETTERS: Final = 16
_SECOND_US: Final = 1_000_000


class ReportLimits(BaseSettings):
    """How much of them is kept: the oldest go first."""

    model_config = SettingsConfigDict(env_prefix=f"{ENV_PREFIX}DRIFT_", frozen=True, extra="ignore")

    reports_max: int = Field(default=200, ge=1)
    reports_bytes_max: int = Field(default=2**30, ge=1)
    reports_age_s_max: float = Field(default=30 * 86_400.0, gt=0)


class Removed(msgspec.Struct, frozen=True):
    """What was taken away."""

    reports: int
    bytes: int


def path_of(job: Job) -> str:
    """Below the deployment's folder."""
    begin_s = job.window.begin_us // _SECOND_US
    return f"{FOLDER}/{job.kind}/{begin_s}-{job.job_id[:_ID_LETTERS]}.html"


def remove_old(home: Path, limits: ReportLimits, now_s: float) -> Removed:
    """Keep within the limits; a file that is gone meanwhile is none.

    Args:
        home: the deployment's.
        limits: how much stays.
        now_s: wall clock, seconds since the epoch.
    """
    found = []
    for page in (home / FOLDER).glob("*/*.html"):
        files = [path for path in (page, page.with_suffix(".json")) if path.exists()]
        if files:
            sizes = [path.stat().st_size for path in files]
            found.append((files[0].stat().st_mtime, sum(sizes), files))
    found.sort(key=lambda one: one[0], reverse=True)
    kept_bytes = removed = removed_bytes = 0
    for number, (written_s, size, files) in enumerate(found):
        kept_bytes += size
        is_kept = (
            number < limits.reports_max
            and kept_bytes <= limits.reports_bytes_max
            and now_s - written_s <= limits.reports_age_s_max
        )
        if not is_kept:
            removed, removed_bytes = removed + 1, removed_bytes + size
            for path in files:
                path.unlink(missing_ok=True)
    return Removed(removed, removed_bytes)

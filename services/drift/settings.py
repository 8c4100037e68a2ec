"""What drift is told from outside, beside what every room is told."""

import sys
from pathlib import Path
from typing import Literal

from pydantic import Field

from services.models.classes import HORIZON_S
from services.runtime.settings import RoomSettings


class DriftSettings(RoomSettings):
    """Read once, at start. The jobs read limits of their own (`report_files.ReportLimits`)."""

    home: Path
    """Where the lake, the models and the reports are."""
    drift_command: tuple[str, ...] = Field(
        default=(sys.executable, "-m", "services.cli"), min_length=1
    )
    """How the command line is started, as JSON: each job is a process of its own."""
    drift_horizon_s: int = Field(default=HORIZON_S, ge=1, le=86_400)
    """Whose models are watched: those of this horizon."""
    drift_interval_s: int = Field(default=1_800, ge=1, le=7 * 86_400)
    """Between two looks whether a window is over. By wall clock: at its multiples."""
    drift_parity_interval_s: int = Field(default=3_600, ge=1, le=7 * 86_400)
    """Between two comparisons of what was served with the trades."""
    drift_first_wait_s: float = Field(default=60.0, ge=0, le=86_400)
    """From the start to the first jobs: the other rooms start, too."""
    drift_retry_s: float = Field(default=60.0, ge=0.1, le=86_400)
    """From a job that did not come to its end to the next try."""
    drift_job_timeout_s: float = Field(default=1_800.0, ge=1, le=86_400)
    """Longest run of one job, reports included; then it is killed."""
    drift_action_timeout_s: float = Field(default=7_200.0, ge=1, le=7 * 86_400)
    """Longest run of one retraining."""
    drift_window_s: int = Field(default=7_200, ge=60, le=7 * 86_400)
    """Event time of a window of features, predictions and labels."""
    drift_performance_window_s: int = Field(default=3_600, ge=60, le=7 * 86_400)
    """Of a window of performance; twenty blocks of horizon and longest feature window must fit."""
    drift_performance_step_s: int = Field(default=900, ge=60, le=7 * 86_400)
    """From one window of performance to the next: shorter than a window, they roll."""
    drift_alpha: float = Field(default=0.05, ge=0.001, le=0.5)
    """Windows that may alarm where nothing has changed: of features, of predictions, of labels."""
    drift_reports: bool = True
    """Have Evidently draw each window."""
    drift_retrain: bool = False
    """An alarm of features, predictions, labels or performance trains a new model, and promotes it
    if it is better."""
    drift_rollback: bool = False
    """A fall of performance makes the champion before the present one champion again."""
    drift_cooldown_s: float = Field(default=21_600.0, ge=0, le=30 * 86_400)
    """Least time between two actions of a kind."""
    drift_retrain_source: Literal["lake", "kafka"] = "kafka"
    """Of the trades: those on the log, or history that was ingested."""
    drift_retrain_newest_s: int = Field(default=0, ge=0)
    """Train on rows of so many last seconds of event time; 0: on all."""

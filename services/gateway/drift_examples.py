"""An example of each answer about drift."""

from collections.abc import Mapping
from typing import Any, Final

from pydantic import BaseModel

from services.gateway.drift_models import (
    DriftActions,
    DriftHistory,
    DriftJobChecks,
    DriftPerformance,
    DriftVerdicts,
    PerformanceFigures,
)

_BEGIN_US: Final = 1_790_000_000_000_000
_END_US: Final = _BEGIN_US + 7_200_000_000
_JOB_ID: Final = "3f" * 32
_WINDOW: Final[Mapping[str, Any]] = {
    "job_id": _JOB_ID,
    "model": "direction_10s",
    "model_version": 3,
    "window_begin_us": _BEGIN_US,
    "window_end_us": _END_US,
}
_JOB: Final[Mapping[str, Any]] = {
    **_WINDOW,
    "job": "data",
    "outcome": "drift",
    "is_alarm": True,
    "ratio": 1.42,
    "detail": "drift: AAPL spread, location",
    "has_report": True,
    "recorded_at_us": _END_US + 60_000_000,
}
_CHECK: Final = {
    "ticker": "AAPL",
    "column": "spread",
    "family": "location",
    "outcome": "drift",
    "statistic": 4.26,
    "threshold": 3.0,
    "ratio": 1.42,
    "effect": 0.61,
    "detail": "",
}
_MACRO_F1: Final = {"value": 0.412, "low": 0.398, "high": 0.426}
_FIGURES: Final[Mapping[str, Any]] = {
    "macro_f1": _MACRO_F1,
    "mcc": {"value": 0.131, "low": 0.112, "high": 0.15},
    "log_loss": {"value": 1.021, "low": 1.015, "high": 1.027},
    "calibration_error": {"value": 0.018, "low": None, "high": None},
    "pnl_per_row": {"value": -12.5, "low": -14.1, "high": -10.9},
}
_ROWS: Final = 17_900

DRIFT_ANSWERS: Final[Mapping[type[BaseModel], Mapping[str, Any]]] = {
    DriftVerdicts: {"verdicts": [_JOB]},
    DriftHistory: {"results": [_JOB], "next_cursor": None},
    DriftJobChecks: {**_JOB, "checks": [_CHECK], "checks_left_out": 0},
    DriftPerformance: {
        "windows": [
            {
                **_WINDOW,
                "outcome": "ok",
                "is_alarm": False,
                "ratio": 0.7,
                "rows": _ROWS,
                **_FIGURES,
                "promised": 0.4,
                "baseline": {"name": "last_move", "macro_f1": 0.355},
            }
        ],
        "next_cursor": None,
    },
    PerformanceFigures: {
        **_WINDOW,
        "outcome": "ok",
        "detail": "",
        "memory_s": 12,
        "block_s": 60,
        "counts": {"judged": _ROWS},
        "predictors": [
            {"role": "champion", "name": "3", "rows": _ROWS, **_FIGURES, "margin": None}
        ],
        "calibration": [{"rows": 5_120, "confidence": 0.52, "right": 0.5}],
    },
    DriftActions: {
        "actions": [
            {
                "action_id": "9a" * 32,
                "action": "retrain",
                "job_id": _JOB_ID,
                "model": "direction_10s",
                "model_version": 3,
                "begun": "begun",
                "begun_at_us": _END_US + 61_000_000,
                "outcome": "promoted",
                "detail": "version 4",
                "ended_at_us": _END_US + 361_000_000,
            }
        ],
        "next_cursor": None,
    },
}

"""The room's own metrics, beside those of the runtime."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from services.runtime.labels import OTHER
from services.runtime.telemetry import Metric

RUNS: Final = "outcry_drift_runs_total"
RUN_TIME: Final = "outcry_drift_run_timestamp_seconds"
RUN_SECONDS: Final = "outcry_drift_run_seconds"
WINDOWS: Final = "outcry_drift_windows_total"
ALARMS: Final = "outcry_drift_alarms_total"
ALARMING: Final = "outcry_drift_alarming"
JUDGED: Final = "outcry_drift_judged"
RATIO: Final = "outcry_drift_ratio"
SCORE: Final = "outcry_drift_score"
WINDOW_BEGIN: Final = "outcry_drift_window_begin_timestamp_seconds"
WINDOW_END: Final = "outcry_drift_window_end_timestamp_seconds"
PARITY_MISMATCHES: Final = "outcry_drift_parity_mismatches"
REPORTS: Final = "outcry_drift_reports_total"
ACTIONS: Final = "outcry_drift_actions_total"

DONE: Final = "done"
FAILED: Final = "failed"
CRASHED: Final = "crashed"
TIMED_OUT: Final = "timed_out"
STOPPED: Final = "stopped"
UNREADABLE: Final = "unreadable"
ENDINGS: Final = (DONE, FAILED, CRASHED, TIMED_OUT, STOPPED, UNREADABLE)
"""Of a job's process: it told its results; an error with one line; a signal or a traceback; killed
after its time; killed since the room stops; it told nothing that could be read."""

_OF_CLASSES: Final = ("location", "missing", OTHER)
FAMILIES: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "data": ("location", "scale", "shape", "correlation", OTHER),
        "quality": ("missing", "stale", "swap", OTHER),
        "predictions": _OF_CLASSES,
        "labels": _OF_CLASSES,
        "performance": ("promise", "baseline", OTHER),
        "parity": ("parity", OTHER),
    }
)
"""Which may alarm, by job: shown as 0 from the start, since a counter that begins at 1 has not
risen. `other`: what has no check, as records or files that are damaged."""

METRICS: Final = (
    Metric(RUNS, "counter", ("job", "ending"), "Processes of jobs, by how they ended"),
    Metric(RUN_TIME, "gauge", ("job",), "When it last told its results, Unix time: alert on age"),
    Metric(RUN_SECONDS, "gauge", ("job",), "How long that took"),
    Metric(WINDOWS, "counter", ("job", "outcome"), "Windows recorded, by outcome"),
    Metric(
        ALARMS,
        "counter",
        ("job", "family"),
        "Windows recorded that alarm, by each family that does: alert on a rise",
    ),
    Metric(ALARMING, "gauge", ("job", "version"), "1: the newest window, of that version, alarms"),
    Metric(JUDGED, "gauge", ("job",), "1: the newest window was judged; 0: it could not be"),
    Metric(RATIO, "gauge", ("job", "ticker"), "Greatest statistic through threshold; >1 is drift"),
    Metric(
        SCORE,
        "gauge",
        ("score", "ticker"),
        "Of the version that serves, in the newest window of performance; no ticker: of all."
        " `pnl_per_row` is net of half a spread, in 1/20000 dollar a share",
    ),
    Metric(WINDOW_BEGIN, "gauge", ("job",), "Begin of the newest window, event time as Unix time"),
    Metric(WINDOW_END, "gauge", ("job",), "End of the newest window, event time as Unix time"),
    Metric(PARITY_MISMATCHES, "gauge", (), "Served vectors that are not what the trades give"),
    Metric(REPORTS, "counter", ("outcome",), "Reports asked for: made, or not"),
    Metric(ACTIONS, "counter", ("action", "outcome"), "What alarms caused"),
)

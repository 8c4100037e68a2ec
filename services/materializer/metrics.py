"""The room's own metrics, beside those of the runtime."""

from typing import Final

from services.runtime.telemetry import Metric

ROWS_ONLINE: Final = "outcry_rows_online_total"
ROWS_IN_LAKE: Final = "outcry_rows_in_lake_total"
ROWS_PASSED: Final = "outcry_rows_passed_over_total"
LAKE_FILES: Final = "outcry_lake_files_total"
LAKE_WAITING: Final = "outcry_lake_rows_waiting"
ONLINE_SECONDS: Final = "outcry_online_write_seconds"
FEATURE_TIME: Final = "outcry_online_feature_time_seconds"
_SECONDS: Final = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
METRICS: Final = (
    Metric(ROWS_ONLINE, "counter", ("feature_set",), "Rows written to the online store"),
    Metric(ROWS_IN_LAKE, "counter", (), "Rows written to the lake"),
    Metric(ROWS_PASSED, "counter", ("cause",), "Records of features that are no row to keep"),
    Metric(LAKE_FILES, "counter", (), "Files written to the lake"),
    Metric(LAKE_WAITING, "gauge", (), "Rows read that are not in the lake yet"),
    Metric(ONLINE_SECONDS, "histogram", (), "One write to the online store", _SECONDS),
    Metric(FEATURE_TIME, "gauge", ("feature_set", "ticker"), "Grid time of the newest row online"),
)

"""The room's own metrics, beside those of the runtime."""

from typing import Final

from services.runtime.telemetry import Metric

ROWS: Final = "outcry_feature_rows_total"
WRITE_SECONDS: Final = "outcry_feature_write_seconds"
EVENT_AGE: Final = "outcry_feature_event_age_seconds"
ROW_AGE: Final = "outcry_feature_row_age_seconds"
REFOLDED: Final = "outcry_feature_trades_refolded_total"

_WRITE_BUCKETS: Final = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
_OF_ROWS: Final = ("ticker", "feature_set")
METRICS: Final = (
    Metric(ROWS, "counter", _OF_ROWS, "Feature rows written; more than once after a restart"),
    Metric(WRITE_SECONDS, "histogram", (), "Until a batch's rows are durable", _WRITE_BUCKETS),
    Metric(EVENT_AGE, "gauge", _OF_ROWS, "Now less the grid time of the newest row"),
    Metric(ROW_AGE, "gauge", _OF_ROWS, "Since the newest row became durable"),
    Metric(REFOLDED, "counter", ("partition",), "Trades folded again for a restore"),
)

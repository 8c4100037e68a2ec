"""The room's own metrics, beside those of the runtime."""

from typing import Final

from services.runtime.telemetry import Metric

_SECONDS: Final = (0.0005, 0.001, 0.002, 0.003, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0)
_AGES: Final = (0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 300.0, 3600.0)

REQUESTS: Final = "outcry_inference_requests_total"
REQUEST_SECONDS: Final = "outcry_inference_request_seconds"
REQUESTS_UNDER_WAY: Final = "outcry_inference_requests_under_way"
PREDICTIONS: Final = "outcry_inference_predictions_total"
FEATURE_AGE: Final = "outcry_inference_feature_age_seconds"
ROWS_UNFIT: Final = "outcry_inference_rows_unfit_total"
MODEL_VERSION: Final = "outcry_inference_model_version"
MODELS_LOADED: Final = "outcry_inference_models_loaded_total"
MODEL_REFUSED: Final = "outcry_inference_model_refused"
MODELS_REFUSED: Final = "outcry_inference_models_refused_total"
REGISTRY_FAILURES: Final = "outcry_inference_registry_failures_total"
SHADOW_SKIPPED: Final = "outcry_inference_shadow_skipped_total"
UNSENT: Final = "outcry_inference_predictions_unsent"
LOST: Final = "outcry_inference_predictions_lost_total"
UNRECORDED: Final = "outcry_inference_requests_refused_unrecorded_total"
STREAM_ROWS: Final = "outcry_inference_stream_rows_total"

STOPPED: Final = "stopped"
"""Cause of a loss: the process ended while predictions waited."""
REFUSED_BY_LOG: Final = "refused_by_log"
"""Cause of a loss: the log will never take it; the room's log says with which error."""
LOSSES: Final = (STOPPED, REFUSED_BY_LOG)

BUSY: Final = "busy"
LOG_FULL: Final = "log_full"
FAILED: Final = "failed"
SKIPS: Final = (BUSY, LOG_FULL, FAILED)
"""Causes for which the shadow model did not see a request."""

METRICS: Final = (
    Metric(REQUESTS, "counter", ("method", "route", "status"), "HTTP requests answered"),
    Metric(REQUEST_SECONDS, "histogram", ("route",), "From request to answer", _SECONDS),
    Metric(REQUESTS_UNDER_WAY, "gauge", (), "HTTP requests under way"),
    Metric(PREDICTIONS, "counter", ("mode", "alias"), "Predictions made of rows"),
    Metric(FEATURE_AGE, "histogram", (), "Age of the rows predicted from on request", _AGES),
    Metric(ROWS_UNFIT, "counter", ("reason",), "Rows that could not be predicted from"),
    Metric(MODEL_VERSION, "gauge", ("alias",), "Version that is served; 0: none"),
    Metric(MODELS_LOADED, "counter", ("alias",), "Models taken into service"),
    Metric(MODEL_REFUSED, "gauge", ("alias",), "1: the version of the alias is refused; alert"),
    Metric(MODELS_REFUSED, "counter", ("alias", "reason"), "Models refused, by reason"),
    Metric(REGISTRY_FAILURES, "counter", (), "Times that the model registry did not answer"),
    Metric(SHADOW_SKIPPED, "counter", ("cause",), "Requests that the shadow model did not see"),
    Metric(UNSENT, "gauge", (), "Predictions that wait for the log"),
    Metric(LOST, "counter", ("cause",), "Predictions that the log did not take: alert on a rise"),
    Metric(UNRECORDED, "counter", (), "Requests refused since predictions wait for the log"),
    Metric(STREAM_ROWS, "counter", ("outcome",), "Feature rows of the stream, by what became"),
)

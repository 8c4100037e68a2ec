"""The gateway's own metrics, beside those of the runtime."""

from typing import Final

from services.runtime.telemetry import Metric

_SECONDS: Final = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)

REQUESTS: Final = "outcry_gateway_requests_total"
REQUEST_SECONDS: Final = "outcry_gateway_request_seconds"
REQUESTS_UNDER_WAY: Final = "outcry_gateway_requests_under_way"
APPEND_SECONDS: Final = "outcry_gateway_append_seconds"
SOCKETS: Final = "outcry_gateway_sockets"
SOCKETS_CLOSED: Final = "outcry_gateway_sockets_closed_total"
FEED_RECORDS: Final = "outcry_gateway_feed_records_total"
ACCESS_REFUSED: Final = "outcry_gateway_access_refused_total"
ENDED_ORDERS: Final = "outcry_gateway_ended_orders"

METRICS: Final = (
    Metric(REQUESTS, "counter", ("method", "route", "status"), "HTTP requests answered"),
    Metric(REQUEST_SECONDS, "histogram", ("route",), "From request to answer", _SECONDS),
    Metric(REQUESTS_UNDER_WAY, "gauge", (), "HTTP requests under way"),
    Metric(APPEND_SECONDS, "histogram", (), "From command to durable in `orders`", _SECONDS),
    Metric(SOCKETS, "gauge", (), "WebSockets open"),
    Metric(SOCKETS_CLOSED, "counter", ("code",), "WebSockets closed by the gateway"),
    Metric(FEED_RECORDS, "counter", ("topic",), "Records of the feeds folded"),
    Metric(ACCESS_REFUSED, "counter", ("reason",), "Requests refused before they had a route"),
    Metric(ENDED_ORDERS, "gauge", (), "Ended orders kept to be shown"),
)

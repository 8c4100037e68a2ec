"""What a room says about itself: JSON log lines, metrics, and whether it is ready.

One log line a meaningful event, none per order at INFO. Metrics are a closed list, counted once
a batch, so that a record costs nothing.
"""

import time
import warnings
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Lock, Thread
from typing import Any, Final, Literal, assert_never

import msgspec
import structlog
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from services.runtime.errors import ConfigurationError
from services.runtime.histogram import BatchHistogram
from services.runtime.labels import LABELS, OTHER
from services.runtime.log_lines import Log

type Kind = Literal["counter", "gauge", "histogram"]


class Metric(msgspec.Struct, frozen=True):
    """One metric. Names end in their unit (and `_total` for counters), as Prometheus asks."""

    name: str
    kind: Kind
    labels: tuple[str, ...]
    meaning: str
    buckets: tuple[float, ...] = ()


_SECONDS: Final = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
_AGES: Final = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
_RECORDS: Final = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0, 2000.0, 5000.0)
_PLACE: Final = ("topic", "partition")

RECORDS_CONSUMED: Final = "outcry_records_consumed_total"
RECORDS_PRODUCED: Final = "outcry_records_produced_total"
RECORDS_UNDECODABLE: Final = "outcry_records_undecodable_total"
BATCH_RECORDS: Final = "outcry_batch_records"
FOLD_SECONDS: Final = "outcry_fold_seconds"
TRANSACTION_SECONDS: Final = "outcry_transaction_seconds"
COMMITTED_OFFSET: Final = "outcry_committed_offset"
RESTORES: Final = "outcry_restores_total"
RESTORE_SECONDS: Final = "outcry_restore_seconds"
RESTARTS: Final = "outcry_loop_restarts_total"
READY: Final = "outcry_ready"
STANDING_BY: Final = "outcry_standing_by"
LAG_OFFSETS: Final = "outcry_lag_offsets"
RECORD_AGE_SECONDS: Final = "outcry_record_age_seconds"
SNAPSHOT_TIME: Final = "outcry_snapshot_timestamp_seconds"
SNAPSHOT_BYTES: Final = "outcry_snapshot_bytes"
SNAPSHOTS_LOST: Final = "outcry_snapshots_lost_total"

METRICS: Final = (
    Metric(RECORDS_CONSUMED, "counter", ("topic",), "Records read and committed"),
    Metric(RECORDS_PRODUCED, "counter", ("topic",), "Records written and committed"),
    Metric(RECORDS_UNDECODABLE, "counter", ("topic",), "Records of an inbox passed over as junk"),
    Metric(BATCH_RECORDS, "histogram", (), "Records of one transaction", _RECORDS),
    Metric(FOLD_SECONDS, "histogram", (), "Decode, fold and encode of one batch", _SECONDS),
    Metric(TRANSACTION_SECONDS, "histogram", (), "From begin to committed", _SECONDS),
    Metric(COMMITTED_OFFSET, "gauge", _PLACE, "The next offset to read"),
    Metric(LAG_OFFSETS, "gauge", _PLACE, "From there to the log's end, markers included"),
    Metric(
        RECORD_AGE_SECONDS,
        "histogram",
        ("topic",),
        "Age of a transaction's oldest record once it is committed, by the log's time",
        _AGES,
    ),
    Metric(RESTORES, "counter", ("source",), "Partitions restored, from a snapshot or fresh"),
    Metric(RESTORE_SECONDS, "gauge", _PLACE, "How long the last restore took"),
    Metric(RESTARTS, "counter", ("error",), "Loops started anew after an operating error"),
    Metric(READY, "gauge", (), "1 while the process does its work, as `/ready` says"),
    Metric(STANDING_BY, "gauge", (), "1 while this process follows another, ready to take over"),
    Metric(SNAPSHOT_TIME, "gauge", _PLACE, "When the newest snapshot was stored, Unix time"),
    Metric(SNAPSHOT_BYTES, "gauge", _PLACE, "Size of the newest snapshot's state"),
    Metric(SNAPSHOTS_LOST, "counter", ("cause",), "Snapshots dropped: superseded, or store away"),
)
"""Every metric of the runtime. A room with metrics of its own passes its table to Telemetry."""


class Telemetry:
    """A room's log, metrics and readiness. Its methods may be called from any thread.

    Args:
        room: the room's name; stands in every log line.
        metrics: the room's own metrics, beside those of the runtime.
        clock_s: seconds since the epoch.
    """

    def __init__(
        self,
        room: str,
        instance: str = "0",
        metrics: Sequence[Metric] = (),
        clock_s: Callable[[], float] = time.time,
    ) -> None:
        self.log: Log = structlog.get_logger().bind(room=room, instance=instance)
        self.ready = Event()
        """Set while the room does its work; cleared before, and while it restores."""
        self._clock_s = clock_s
        self._registry = CollectorRegistry()
        # A series more for each of counters and histograms, which nobody asks for.
        disable_created_metrics()  # type: ignore[no-untyped-call] # it ships without types
        ProcessCollector(registry=self._registry)
        self._values: dict[tuple[str, str], set[str]] = {}
        self._counters: dict[str, Counter] = {}
        self._gauges: dict[str, Gauge] = {}
        self._histograms: dict[str, BatchHistogram] = {}
        # Found once for each name and its labels, since the library takes long to find them.
        self._counted: dict[tuple[Any, ...], Counter] = {}
        self._shown: dict[tuple[Any, ...], Gauge] = {}
        self._showing = Lock()
        """Held while a gauge is found or forgotten, so that none is kept that nobody sees."""
        for metric in (*METRICS, *metrics):
            self._register(metric)
        self.show(READY, self.ready.is_set)

    def _register(self, metric: Metric) -> None:
        name, meaning, labels = metric.name, metric.meaning, metric.labels
        unlisted = set(labels) - LABELS.keys()
        assert not unlisted, f"{name} has labels that are not in the list: {unlisted}"
        match metric.kind:
            case "counter":
                self._counters[name] = Counter(name, meaning, labels, registry=self._registry)
            case "gauge":
                self._gauges[name] = Gauge(name, meaning, labels, registry=self._registry)
            case "histogram":
                made = BatchHistogram(name, meaning, labels, metric.buckets)
                self._registry.register(made)
                self._histograms[name] = made
            case never:
                assert_never(never)

    def count(self, name: str, amount: int = 1, **labels: str) -> None:
        """Add to a counter."""
        counter = self._counted.get((name, *labels.items()))
        (self._find_counter(name, labels) if counter is None else counter).inc(amount)

    def _find_counter(self, name: str, labels: dict[str, str]) -> Counter:
        bounded = self._bounded(name, labels)
        counter = self._counters[name]
        if labels:
            counter = counter.labels(**bounded)
        # Of values beyond the limit no more is kept either.
        if bounded is labels:
            self._counted[name, *labels.items()] = counter
        return counter

    def set(self, name: str, value: float, **labels: str) -> None:
        """Set a gauge."""
        gauge = self._shown.get((name, *labels.items()))
        (self._find_gauge(name, labels) if gauge is None else gauge).set(value)

    def _find_gauge(self, name: str, labels: dict[str, str]) -> Gauge:
        with self._showing:
            gauge = self._gauges[name]
            bounded = self._bounded(name, labels)
            if labels:
                gauge = gauge.labels(**bounded)
            # Of values beyond the limit no more is kept either.
            if bounded is labels:
                self._shown[name, *labels.items()] = gauge
            return gauge

    def _bounded(self, name: str, labels: dict[str, str]) -> dict[str, str]:
        for label, value in labels.items():
            known = self._values.setdefault((name, label), set())
            if value in known:
                continue
            if len(known) < LABELS[label].values_max:
                known.add(value)
            else:
                labels = labels | {label: OTHER}
        return labels

    def forget(self, name: str, **labels: str) -> None:
        """Show a gauge with these labels no more, until it is set again: it has no value now."""
        with self._showing, warnings.catch_warnings():
            self._shown = {key: gauge for key, gauge in self._shown.items() if key[0] != name}
            # Feast, imported in the same process, asks for metrics of several processes; these
            # values were made without, and are in this process alone.
            warnings.simplefilter("ignore", UserWarning)
            self._gauges[name].remove_by_labels(labels)

    def observe(self, name: str, value: float, **labels: str) -> None:
        """Note one value in a histogram."""
        self.observe_all(name, (value,), **labels)

    def observe_all(self, name: str, values: Iterable[float], **labels: str) -> None:
        """Note the values of a batch in a histogram."""
        self._histograms[name].observe(values, self._bounded(name, labels))

    def counter(self, name: str, **labels: str) -> Callable[[], None]:
        """What adds one to a counter with these labels, for who does it with every request."""
        return self._find_counter(name, labels).inc

    def observer(self, name: str, **labels: str) -> Callable[[float], None]:
        """What notes one value in a histogram with these labels; as `counter`."""
        return self._histograms[name].observer(self._bounded(name, labels))

    def show(self, name: str, read: Callable[[], float]) -> None:
        """Ask for a gauge's value whenever it is shown, on the thread that shows it."""
        self._find_gauge(name, {}).set_function(read)

    def observe_age(self, name: str, timestamp_ms: int, **labels: str) -> None:
        """Note how long ago that was, in seconds; 0 if it lies ahead: clocks differ."""
        self.observe(name, max(0.0, self._clock_s() - timestamp_ms / 1_000), **labels)

    def expect(self, reads: Iterable[str], writes: Iterable[str] = ()) -> None:
        """Show 0 of what comes from, and goes to, these topics: nothing so far is no unknown."""
        for topic in reads:
            self.count(RECORDS_CONSUMED, 0, topic=topic)
            self.count(RECORDS_UNDECODABLE, 0, topic=topic)
        for topic in writes:
            self.count(RECORDS_PRODUCED, 0, topic=topic)

    def exposition(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return generate_latest(self._registry)


class TelemetryServer:
    """Serves /metrics, /health (the process is alive) and /ready (200 once it works, else 503).

    Raises:
        ConfigurationError: the port is taken.
    """

    def __init__(self, telemetry: Telemetry, host: str, port: int) -> None:
        try:
            self._server = _QuietServer((host, port), partial(_Handler, telemetry))
        except OSError as error:
            msg = f"can't listen on {host}:{port} ({error.strerror}); set OUTCRY_METRICS_PORT"
            raise ConfigurationError(msg) from error
        self.port: int = self._server.server_address[1]
        self._thread = Thread(
            target=self._server.serve_forever, name="telemetry", kwargs={"poll_interval": 0.2}
        )
        self._thread.daemon = True
        self._thread.start()

    def close(self) -> None:
        """Stop answering. Returns when the port is free."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _QuietServer(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - socketserver's
        """A scraper that hangs up is no event."""


class _Handler(BaseHTTPRequestHandler):
    wbufsize = -1  # The answer leaves in one piece, not a piece each for headers and body.

    def __init__(self, telemetry: Telemetry, *args: Any) -> None:  # noqa: ANN401 - http.server's
        self._telemetry = telemetry
        super().__init__(*args)

    def do_GET(self) -> None:
        match self.path.partition("?")[0]:
            case "/metrics":
                self._answer(HTTPStatus.OK, CONTENT_TYPE_LATEST, self._telemetry.exposition())
            case "/health":
                self._answer(HTTPStatus.OK, "text/plain", b"alive\n")
            case "/ready" if self._telemetry.ready.is_set():
                self._answer(HTTPStatus.OK, "text/plain", b"ready\n")
            case "/ready":
                self._answer(HTTPStatus.SERVICE_UNAVAILABLE, "text/plain", b"not ready\n")
            case _:
                self._answer(HTTPStatus.NOT_FOUND, "text/plain", b"/metrics /health /ready\n")

    def _answer(self, status: HTTPStatus, content_type: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
        """Requests are not logged."""

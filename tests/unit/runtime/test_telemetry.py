"""Logs, metrics and readiness of a room."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from http.client import HTTPConnection

import pytest

from services.runtime.errors import ConfigurationError
from services.runtime.labels import LABELS
from services.runtime.room import serve_metrics
from services.runtime.settings import RoomSettings, read_settings
from services.runtime.telemetry import (
    COMMITTED_OFFSET,
    METRICS,
    RECORD_AGE_SECONDS,
    RECORDS_CONSUMED,
    Metric,
    Telemetry,
    TelemetryServer,
)

SPEAK_OF_ORDERS = """
import logging
import warnings
import structlog
from services.runtime.log_lines import configure_logging
from services.runtime.telemetry import Telemetry
configure_logging("INFO")
log = Telemetry("gateway").log
structlog.contextvars.bind_contextvars(order_id="AAPL-1", trace_id="4bf9")
log.info("append_failed", pg_dsn="postgresql://outcry:hunter2@db/outcry")
logging.getLogger("library").warning("reconnecting with password=hunter2")
logging.getLogger("library").info("not_said")
warnings.warn("old", stacklevel=1)
try:
    raise ValueError("Authorization: Bearer hunter2hunter2")
except ValueError:
    log.exception("failed", headers={"X-Api-Key": "hunter2", "Accept": "*/*"})
"""
TERMINAL = """
import pty, os, subprocess, sys
master, slave = pty.openpty()
subprocess.run([sys.executable, "-c", sys.argv[1]], stdout=slave, check=True)
os.close(slave)
sys.stdout.write(os.read(master, 65536).decode())
"""
SPEAK = """
from services.runtime.log_lines import configure_logging
from services.runtime.telemetry import Telemetry
configure_logging("INFO")
log = Telemetry("matcher", "1").log
log.debug("not_said")
log.info("restored", offset=7, path=object)
try:
    raise ValueError("why")
except ValueError:
    log.exception("failed")
"""


@pytest.fixture
def telemetry() -> Telemetry:
    return Telemetry("test", metrics=[Metric("outcry_own_total", "counter", (), "A room's own")])


@pytest.fixture
def server(telemetry: Telemetry) -> Iterator[TelemetryServer]:
    made = TelemetryServer(telemetry, "127.0.0.1", 0)
    yield made
    made.close()


def get(server: TelemetryServer, path: str) -> tuple[int, str]:
    connection = HTTPConnection("127.0.0.1", server.port, timeout=30)
    connection.request("GET", path)
    with connection.getresponse() as answer:
        return answer.status, answer.read().decode()


def test_log_lines_are_json_with_room_and_time() -> None:
    said = subprocess.run(
        [sys.executable, "-c", SPEAK], check=True, capture_output=True, text=True
    ).stdout.splitlines()
    restored, failed = (json.loads(line) for line in said)
    assert restored.items() >= {
        "event": "restored", "level": "info", "room": "matcher", "instance": "1", "offset": 7,
    }.items()  # fmt: skip
    assert restored["timestamp"].endswith("Z")
    assert "ValueError: why" in failed["exception"]


def test_lines_carry_what_is_bound_to_the_task_and_no_secret() -> None:
    said = subprocess.run(
        [sys.executable, "-c", SPEAK_OF_ORDERS], check=True, capture_output=True, text=True
    )
    assert not said.stderr
    assert "hunter2" not in said.stdout
    own, library, warned, failed = (json.loads(line) for line in said.stdout.splitlines())
    for line in (own, library, warned, failed):
        assert (line["order_id"], line["trace_id"]) == ("AAPL-1", "4bf9")
        assert line["timestamp"].endswith("Z")
    assert own["pg_dsn"] == "postgresql://outcry:[redacted]@db/outcry"
    assert library["logger"] == "library"
    assert library["level"] == "warning"
    assert "UserWarning: old" in warned["event"]
    assert "ValueError: Authorization: Bearer [redacted]" in failed["exception"]
    assert failed["headers"] == {"X-Api-Key": "[redacted]", "Accept": "*/*"}


def test_on_a_terminal_lines_are_for_people() -> None:
    said = subprocess.run(
        [sys.executable, "-c", TERMINAL, SPEAK_OF_ORDERS],
        check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    assert "append_failed" in said
    assert "AAPL-1" in said
    assert "hunter2" not in said
    assert '"event"' not in said


def test_a_gauge_that_is_forgotten_is_not_shown_until_it_is_set_again(telemetry: Telemetry) -> None:
    for partition in ("0", "1"):
        telemetry.set(COMMITTED_OFFSET, 7, topic="trades", partition=partition)
    for _ in range(2):  # What is gone may be forgotten again.
        telemetry.forget(COMMITTED_OFFSET, topic="trades", partition="1")
    shown = telemetry.exposition().decode()
    assert 'outcry_committed_offset{partition="0",topic="trades"} 7.0' in shown
    assert 'outcry_committed_offset{partition="1"' not in shown
    # Whoever names the labels in another order means the same one.
    telemetry.set(COMMITTED_OFFSET, 8, partition="0", topic="trades")
    telemetry.set(COMMITTED_OFFSET, 8, topic="trades", partition="1")
    assert 'partition="1",topic="trades"} 8.0' in telemetry.exposition().decode()
    telemetry.forget(COMMITTED_OFFSET, topic="trades", partition="0")
    telemetry.set(COMMITTED_OFFSET, 9, partition="0", topic="trades")
    assert 'partition="0",topic="trades"} 9.0' in telemetry.exposition().decode()


def test_metric_names_are_unique_and_carry_their_unit() -> None:
    names = [metric.name for metric in METRICS]
    assert len(set(names)) == len(names)
    for metric in METRICS:
        assert metric.name.startswith("outcry_")
        assert metric.name.endswith("_total") == (metric.kind == "counter")
        assert bool(metric.buckets) == (metric.kind == "histogram")
        assert metric.meaning


def test_metrics_are_served(telemetry: Telemetry, server: TelemetryServer) -> None:
    telemetry.count("outcry_records_consumed_total", 3, topic="orders")
    telemetry.count("outcry_own_total")
    telemetry.observe("outcry_batch_records", 7)
    telemetry.set("outcry_committed_offset", 12, topic="orders", partition="0")
    status, body = get(server, "/metrics")
    assert status == 200
    lines = body.splitlines()
    assert 'outcry_records_consumed_total{topic="orders"} 3.0' in lines
    assert "outcry_own_total 1.0" in lines
    assert 'outcry_batch_records_bucket{le="10.0"} 1.0' in lines
    assert 'outcry_committed_offset{partition="0",topic="orders"} 12.0' in lines


def test_a_name_outside_the_list_is_refused(telemetry: Telemetry) -> None:
    with pytest.raises(KeyError):
        telemetry.count("outcry_misspelt_total")


def test_ready_answers_503_until_it_is(telemetry: Telemetry, server: TelemetryServer) -> None:
    assert get(server, "/ready")[0] == 503
    telemetry.ready.set()
    assert get(server, "/ready?verbose")[0] == 200
    telemetry.ready.clear()
    assert get(server, "/ready")[0] == 503


def test_metrics_say_what_ready_answers(telemetry: Telemetry) -> None:
    assert "outcry_ready 0.0" in telemetry.exposition().decode().splitlines()
    telemetry.ready.set()
    assert "outcry_ready 1.0" in telemetry.exposition().decode().splitlines()


def test_health_answers_while_not_ready(server: TelemetryServer) -> None:
    assert get(server, "/health") == (200, "alive\n")
    assert get(server, "/else")[0] == 404


def test_a_room_that_can_be_scraped_gives_other_threads_short_turns(
    telemetry: Telemetry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OUTCRY_KAFKA_BOOTSTRAP", "127.0.0.1:9092")
    monkeypatch.setenv("OUTCRY_REGISTRY_URL", "http://127.0.0.1:8081/apis/ccompat/v7")
    monkeypatch.setenv("OUTCRY_METRICS_PORT", "0")
    before_s = sys.getswitchinterval()
    with ExitStack() as resources:
        resources.callback(sys.setswitchinterval, before_s)
        sys.setswitchinterval(0.005)  # Python's default; another test's room may have changed it.
        serve_metrics(read_settings(RoomSettings), telemetry, resources.callback)
        assert sys.getswitchinterval() <= 0.001


def test_a_taken_port_is_a_setting_to_change(telemetry: Telemetry, server: TelemetryServer) -> None:
    with pytest.raises(ConfigurationError, match="OUTCRY_METRICS_PORT"):
        TelemetryServer(telemetry, "127.0.0.1", server.port)


def test_values_of_a_label_beyond_its_limit_are_counted_together(telemetry: Telemetry) -> None:
    most = LABELS["topic"].values_max
    for number in range(most + 3):
        telemetry.count(RECORDS_CONSUMED, topic=f"t{number}")
        telemetry.observe(RECORD_AGE_SECONDS, 0.1, topic=f"t{number}")
        telemetry.set(COMMITTED_OFFSET, 1, topic=f"t{number}", partition="0")
    shown = telemetry.exposition().decode().splitlines()
    assert 'outcry_records_consumed_total{topic="other"} 3.0' in shown
    assert 'outcry_record_age_seconds_count{topic="other"} 3.0' in shown
    assert 'outcry_committed_offset{partition="0",topic="other"} 1.0' in shown
    assert sum(line.startswith("outcry_records_consumed_total{") for line in shown) == most + 1


def test_a_label_outside_the_list_is_refused() -> None:
    planted = Metric("outcry_own_total", "counter", ("account",), "One series an account")
    with pytest.raises(AssertionError, match="not in the list"):
        Telemetry("test", metrics=[planted])


def test_an_age_is_that_of_the_logs_time_and_never_negative() -> None:
    telemetry = Telemetry("test", clock_s=lambda: 100.0)
    telemetry.observe_age(RECORD_AGE_SECONDS, 98_500, topic="orders")
    telemetry.observe_age(RECORD_AGE_SECONDS, 100_500, topic="orders")
    shown = telemetry.exposition().decode().splitlines()
    assert 'outcry_record_age_seconds_sum{topic="orders"} 1.5' in shown
    assert 'outcry_record_age_seconds_bucket{le="0.002",topic="orders"} 1.0' in shown

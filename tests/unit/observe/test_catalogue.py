"""The list of metrics: complete, in Prometheus' words, and all that code can use."""

import ast
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

from services.runtime.labels import LABELS
from services.runtime.telemetry import METRICS, Metric, Telemetry
from services.tools.observe.catalogue import (
    OWN,
    PROCESS,
    all_metrics,
    draw_metrics,
    metrics_of,
    series_of,
    unit_of,
)
from services.tools.stack.rooms import ROOM_NAMES
from tests.support.exposition import shown_metrics

SERVICES = Path(__file__).parents[3] / "services"


def test_every_room_has_its_place_in_the_list() -> None:
    assert set(OWN) == {*ROOM_NAMES, "stack"}


def test_names_follow_prometheus_and_no_two_rooms_mean_different_things_by_one() -> None:
    listed = [*METRICS, *(metric for own in OWN.values() for metric in own)]
    names = [metric.name for metric in listed]
    assert len(set(names)) == len(names)
    for metric in listed:
        assert metric.name.startswith("outcry_")
        assert metric.name.endswith("_total") == (metric.kind == "counter"), metric.name
        assert bool(metric.buckets) == (metric.kind == "histogram"), metric.name
        assert set(metric.labels) <= LABELS.keys(), metric.name
        assert metric.meaning


def test_every_label_of_the_list_is_used_by_some_metric() -> None:
    used = {label for metric in all_metrics().values() for label in metric.labels}
    assert used == LABELS.keys()


def test_units_come_from_the_name() -> None:
    assert unit_of(Metric("outcry_a_seconds", "histogram", (), "")) == "seconds"
    assert unit_of(Metric("outcry_a_bytes_total", "counter", (), "")) == "bytes"
    assert unit_of(Metric("outcry_restarts_total", "counter", (), "")) == "1"


def test_a_histogram_has_three_series() -> None:
    assert series_of(Metric("outcry_a_seconds", "histogram", (), "", (1.0,))) == (
        "outcry_a_seconds_bucket",
        "outcry_a_seconds_count",
        "outcry_a_seconds_sum",
    )


@pytest.mark.parametrize("room", OWN)
def test_a_room_shows_its_part_of_the_list_and_nothing_else(room: str) -> None:
    shown = shown_metrics(Telemetry(room, metrics=OWN[room]).exposition().decode())
    listed = {name: metric.kind for name, metric in metrics_of(room).items()}
    assert shown == listed | {name: kind for name, (kind, _) in PROCESS.items()}


def test_the_page_names_every_metric() -> None:
    page = draw_metrics()
    assert all(f"| `{name}` |" in page for name in (*all_metrics(), *PROCESS))


def modules_that(uses: str) -> set[str]:
    """Modules that import this name of prometheus_client, or call it."""
    return {
        str(path.relative_to(SERVICES))
        for path in SERVICES.rglob("*.py")
        if uses in set(_words(ast.parse(path.read_text(encoding="utf-8"))))
    }


def _words(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        match node:
            case ast.ImportFrom(module=str(module)):
                yield f"import {module.partition('.')[0]}"
            case ast.Import(names=names):
                yield from (f"import {name.name.partition('.')[0]}" for name in names)
            case ast.Call(func=ast.Name(id=called)):
                yield f"call {called}"
            case _:
                continue


def test_nobody_makes_a_metric_past_the_list() -> None:
    assert modules_that("import prometheus_client") == {
        "runtime/histogram.py",
        "runtime/telemetry.py",
    }
    # tracking.py: MLflow's class of the same name.
    tables = modules_that("call Metric") - {"models/tracking.py"}
    assert tables == {
        "runtime/telemetry.py",
        "tools/observe/stack_metrics.py",
        *(f"{room}/metrics.py" for room, own in OWN.items() if own and room != "stack"),
    }


def test_a_metric_outside_the_list_would_be_found() -> None:
    planted = "from prometheus_client import Counter\nMetric('outcry_a', 'gauge', (), '')\n"
    assert set(_words(ast.parse(planted))) == {"import prometheus_client", "call Metric"}


@pytest.mark.parametrize("room", [room for room in ROOM_NAMES if OWN[room]])
def test_a_room_is_given_the_table_that_is_listed(room: str) -> None:
    source = (SERVICES / room / ("service.py" if room == "gateway" else "__main__.py")).read_text(
        encoding="utf-8"
    )
    assert f"from services.{room}.metrics import METRICS" in source
    assert import_module(f"services.{room}.metrics").METRICS is OWN[room]

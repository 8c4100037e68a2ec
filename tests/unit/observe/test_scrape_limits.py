"""How much a room can show Prometheus, and how much that takes."""

import json
from math import prod
from pathlib import Path
from typing import Any

import pytest
import yaml

from services.runtime.labels import LABELS
from services.runtime.telemetry import Metric
from services.tools.observe.catalogue import OWN, PROCESS, all_metrics, metrics_of
from services.tools.observe.prometheus import JOB, SCRAPE_LIMITS, configuration

ROOT = Path(__file__).parents[3]
CONTAINER = (ROOT / "infra" / "docker" / "prometheus.yml").read_text(encoding="utf-8")
OF_A_REQUEST = {"method", "route", "status"}
OF_A_SCRAPE = 4
"""Labels that Prometheus adds: the name, job, instance, room."""


def values_max(label: str) -> int:
    """Those of the list, and `other`."""
    return LABELS[label].values_max + 1


def answers_max() -> int:
    """Ways to ask and be answered: as documented, with a method that is none, by no route at all.

    Of the gateway, which has the most routes.
    """
    document = json.loads((ROOT / "docs" / "openapi.json").read_text(encoding="utf-8"))
    paths = document["paths"].values()
    documented = sum(len(one["responses"]) for path in paths for one in path.values())
    return documented + values_max("method") * (len(paths) + values_max("status"))


def series_max(metric: Metric) -> int:
    asked = set(metric.labels) >= OF_A_REQUEST
    sets = answers_max() if asked else prod(values_max(label) for label in metric.labels)
    # A bucket each, one without bound, count and sum.
    return sets * (len(metric.buckets) + 3 if metric.kind == "histogram" else 1)


def shown_max(room: str) -> int:
    return len(PROCESS) + sum(series_max(metric) for metric in metrics_of(room).values())


@pytest.mark.parametrize("room", OWN)
def test_what_a_room_can_show_at_most_is_half_of_what_prometheus_takes(room: str) -> None:
    assert 2 * shown_max(room) <= SCRAPE_LIMITS["sample_limit"]


def test_a_room_that_shows_too_much_would_be_refused() -> None:
    largest = max(map(shown_max, OWN))
    assert SCRAPE_LIMITS["sample_limit"] < 3 * largest, "a limit far above all is none"
    planted = Metric("outcry_planted", "gauge", ("route", "version"), "")
    assert series_max(planted) > SCRAPE_LIMITS["sample_limit"]


def test_labels_of_the_list_are_within_the_limits_of_a_scrape() -> None:
    most = max(len(metric.labels) + bool(metric.buckets) for metric in all_metrics().values())
    assert most + OF_A_SCRAPE <= SCRAPE_LIMITS["label_limit"]
    assert max(map(len, LABELS)) <= SCRAPE_LIMITS["label_name_length_limit"]


def rooms_job(text: str) -> dict[str, Any]:
    """The rooms' job in a configuration."""
    jobs: list[dict[str, Any]] = yaml.safe_load(text)["scrape_configs"]
    (job,) = (job for job in jobs if job["job_name"] == JOB)
    return job


def limits(text: str) -> dict[str, int]:
    job = rooms_job(text)
    return {name: value for name, value in job.items() if name.endswith("_limit")}


def test_the_local_prometheus_and_the_one_in_a_container_take_the_same() -> None:
    assert limits(configuration({"risk": 9001}, 0.5)) == SCRAPE_LIMITS == limits(CONTAINER)


def test_labels_of_our_own_are_kept_where_prometheus_has_some_of_that_name() -> None:
    assert {"job"} <= {label for metric in all_metrics().values() for label in metric.labels}
    for text in (configuration({"drift": 9001}, 0.5), CONTAINER):
        assert rooms_job(text)["honor_labels"] is True

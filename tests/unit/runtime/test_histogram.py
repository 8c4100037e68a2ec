"""A histogram of batches counts as prometheus_client's own does."""

import random
from concurrent.futures import ThreadPoolExecutor

import pytest
from prometheus_client import CollectorRegistry, Histogram, disable_created_metrics, generate_latest

from services.runtime.histogram import BatchHistogram

BOUNDS = (0.5, 1.0, 2.0)


def test_a_batch_counts_like_single_values_of_prometheus_clients_histogram() -> None:
    disable_created_metrics()  # type: ignore[no-untyped-call] # it ships without types
    chance = random.Random(3)
    values = [chance.choice((0.5, 1.0, 2.0, chance.uniform(0, 3))) for _ in range(200)]
    theirs, ours = CollectorRegistry(), CollectorRegistry()
    single = Histogram("took_seconds", "Why", ("topic",), registry=theirs, buckets=BOUNDS)
    batch = BatchHistogram("took_seconds", "Why", ("topic",), BOUNDS)
    ours.register(batch)
    for value in values:
        single.labels(topic="orders").observe(value)
    batch.observe(values[:50], {"topic": "orders"})
    batch.observe(values[50:], {"topic": "orders"})
    assert generate_latest(ours) == generate_latest(theirs)


def test_single_values_from_several_threads_are_all_counted() -> None:
    histogram = BatchHistogram("took_seconds", "Why", ("topic",), BOUNDS)
    observe = histogram.observer({"topic": "orders"})

    def note(_: int) -> None:
        for _ in range(5_000):
            observe(0.75)
            histogram.observe((1.5, 1.5), {"topic": "orders"})

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(note, range(4)))
    registry = CollectorRegistry()
    registry.register(histogram)
    shown = generate_latest(registry).decode()
    assert 'took_seconds_bucket{le="1.0",topic="orders"} 20000.0' in shown
    assert 'took_seconds_count{topic="orders"} 60000.0' in shown


def test_without_labels_it_is_shown_as_zero_before_its_first_value() -> None:
    registry = CollectorRegistry()
    registry.register(BatchHistogram("took_seconds", "Why", (), BOUNDS))
    assert 'took_seconds_bucket{le="+Inf"} 0.0' in generate_latest(registry).decode()


def test_other_labels_than_its_own_are_refused() -> None:
    histogram = BatchHistogram("took_seconds", "Why", ("topic",), BOUNDS)
    with pytest.raises(AssertionError, match="has the labels"):
        histogram.observe([1.0], {"partition": "0"})


def test_bounds_that_do_not_rise_are_refused() -> None:
    with pytest.raises(AssertionError, match="must rise"):
        BatchHistogram("took_seconds", "Why", (), (1.0, 0.5))

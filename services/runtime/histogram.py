"""A histogram that takes a batch's values at once.

prometheus_client's takes one value a call, some microseconds each: too dear for a room that has
thousands of records in one batch.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from math import inf
from threading import Lock

from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector


class _Series:
    """Counts of one combination of label values."""

    def __init__(self, buckets: int) -> None:
        self.counts = [0] * buckets
        self.total = 0.0


class BatchHistogram(Collector):
    """May be called from any thread.

    Args:
        bounds: upper bounds of the buckets, rising; one without a bound follows.
    """

    def __init__(
        self, name: str, meaning: str, labels: Sequence[str], bounds: Sequence[float]
    ) -> None:
        assert list(bounds) == sorted(set(bounds)), f"{name}: bounds must rise"
        self._name = name
        self._meaning = meaning
        self._labels = tuple(labels)
        self._bounds = (*bounds, inf)
        self._lock = Lock()
        self._series: dict[tuple[str, ...], _Series] = {}
        if not labels:
            self._series[()] = _Series(len(self._bounds))

    def observe(self, values: Iterable[float], labels: dict[str, str]) -> None:
        """Count values under these labels, which must be those of the list."""
        assert labels.keys() == set(self._labels), f"{self._name} has the labels {self._labels}"
        key = tuple(labels[label] for label in self._labels)
        with self._lock:
            series = self._find(key)
            for value in values:
                series.counts[bisect_left(self._bounds, value)] += 1
                series.total += value

    def observer(self, labels: dict[str, str]) -> Callable[[float], None]:
        """What counts one value under these labels, for who has one at a time and many of them."""
        assert labels.keys() == set(self._labels), f"{self._name} has the labels {self._labels}"
        lock, bounds = self._lock, self._bounds
        with lock:
            series = self._find(tuple(labels[label] for label in self._labels))

        def observe(value: float) -> None:
            place = bisect_left(bounds, value)
            with lock:
                series.counts[place] += 1
                series.total += value

        return observe

    def _find(self, key: tuple[str, ...]) -> _Series:
        series = self._series.get(key)
        if series is None:
            series = self._series[key] = _Series(len(self._bounds))
        return series

    def collect(self) -> list[HistogramMetricFamily]:
        """What Prometheus reads: for each bound, how many values were at most it."""
        family = HistogramMetricFamily(self._name, self._meaning, labels=self._labels)
        with self._lock:
            for key, series in self._series.items():
                buckets, below = [], 0
                for bound, count in zip(self._bounds, series.counts, strict=True):
                    below += count
                    buckets.append(("+Inf" if bound == inf else repr(float(bound)), float(below)))
                family.add_metric(key, buckets, series.total)
        return [family]

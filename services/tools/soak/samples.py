"""What a long run looks like every few seconds: memory, lag and latency, a line of JSON each."""

import time
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from threading import Event, Thread
from typing import Final, Self

import msgspec
import psutil

from services.tools.bench.tries import at_percent
from services.tools.observe.prometheus import metrics_ports
from services.tools.proof.chaos.probe import Probe
from services.tools.proof.chaos.site import Site
from services.tools.stack.plan import Plan
from services.tools.stack.settings import HOST

SAMPLE_S: Final = 5.0
_ANSWER_S: Final = 2.0
_MIB: Final = 1024 * 1024
_LAG: Final = "outcry_lag_offsets{"


class Sample(msgspec.Struct, frozen=True):
    """One moment. What could not be seen, since its process was away, is not there."""

    at_s: float
    """Since the run's beginning."""
    memory_mib: dict[str, float]
    """Resident, of each component that runs, with its children."""
    lag: dict[str, float]
    """Offsets between what a room has committed and the log's end, over all its partitions."""
    trades: int
    """Of the probe since the sample before."""
    p50_ms: float | None
    """From the probe's order to its trade, of those; None: there was none."""
    p99_ms: float | None


class Mark(msgspec.Struct, frozen=True):
    """Something was done to the exchange."""

    at_s: float
    what: str


class Sampler:
    """Samples on a thread from entering to leaving; use it in a `with`.

    Args:
        path: of the file of samples, a line each.
        interval_s: between two of them.
    """

    def __init__(self, site: Site, probe: Probe, path: Path, interval_s: float = SAMPLE_S) -> None:
        self.samples: list[Sample] = []
        self._site = site
        self._probe = probe
        self._path = path
        self._interval_s = interval_s
        self._began_s = self._last_s = time.time()
        self._stop = Event()
        self._thread = Thread(target=self._sample_all, name="samples")

    def now_s(self) -> float:
        """Seconds since it began."""
        return time.time() - self._began_s

    def _sample_all(self) -> None:
        with self._path.open("ab") as file:
            while not self._stop.wait(self._interval_s):
                sample = self._sample()
                self.samples.append(sample)
                file.write(msgspec.json.encode(sample) + b"\n")
                file.flush()

    def _sample(self) -> Sample:
        now_s = time.time()
        # A trade that is not readable yet is heard in the sample after.
        delays = self._probe.heard(self._last_s, now_s)
        self._last_s = now_s
        quick_ms = [delay_s * 1_000 for delay_s in delays]
        return Sample(
            at_s=now_s - self._began_s,
            memory_mib=resident_mib(self._site),
            lag=lags(self._site.rooms.plan),
            trades=len(quick_ms),
            p50_ms=at_percent(quick_ms, 50) if quick_ms else None,
            p99_ms=at_percent(quick_ms, 99) if quick_ms else None,
        )

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


def resident_mib(site: Site) -> dict[str, float]:
    """Memory of each component that runs now."""
    found: dict[str, float] = {}
    for stack in dict.fromkeys((site.infra, site.rooms)):
        status = stack.status()
        for row in status.components if status is not None else ():
            if row.process is None:
                continue
            try:
                parent = psutil.Process(row.process.pid)
                family = (parent, *parent.children(recursive=True))
                found[row.name] = sum(one.memory_info().rss for one in family) / _MIB
            except psutil.NoSuchProcess:
                continue  # it was killed just now
    return found


def lags(plan: Plan) -> dict[str, float]:
    """Of each room that answers, by its own metrics."""
    found = {}
    for room, port in metrics_ports(plan).items():
        try:
            with urllib.request.urlopen(f"http://{HOST}:{port}/metrics", timeout=_ANSWER_S) as said:
                text = said.read().decode()
        except OSError:
            continue
        lag = lag_in(text)
        if lag is not None:
            found[room] = lag
    return found


def lag_in(exposition: str) -> float | None:
    """The sum of all partitions' lag; None: it says none."""
    values = [
        float(line.rpartition(" ")[2]) for line in exposition.splitlines() if line.startswith(_LAG)
    ]
    return sum(values) if values else None


def read_samples(path: Path) -> list[Sample]:
    """From a run's file; a last line that is not whole is left out."""
    lines = path.read_bytes().splitlines(keepends=True)
    return [msgspec.json.decode(line, type=Sample) for line in lines if line.endswith(b"\n")]


def series(samples: list[Sample]) -> Mapping[str, list[tuple[float, float]]]:
    """Times and values by name: `memory of risk`, `lag of risk`, `order to trade, p99`."""
    found: dict[str, list[tuple[float, float]]] = {}

    def note(name: str, at_s: float, value: float | None) -> None:
        if value is not None:
            found.setdefault(name, []).append((at_s, value))

    for sample in samples:
        for name, mib in sample.memory_mib.items():
            note(f"memory of {name}", sample.at_s, mib)
        for name, offsets in sample.lag.items():
            note(f"lag of {name}", sample.at_s, offsets)
        note("order to trade, p50", sample.at_s, sample.p50_ms)
        note("order to trade, p99", sample.at_s, sample.p99_ms)
    return found

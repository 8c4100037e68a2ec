"""`outcry bench tracing`: what traces cost the rooms, on and off in turn.

Each try of each way has a deployment of its own, with the same commands: off; on with a trace for
one command in a hundred; on with one for each. A collector in this process takes the spans and
looks at none, so that it costs the measured machine as little as can be.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Final

import msgspec
from rich.table import Table

from services.domain.genesis import default_genesis
from services.tools.bench.deployment import open_bench
from services.tools.bench.frame import Say
from services.tools.bench.pipeline import BENCH_ROOMS, PipelineOrder, measure_flow
from services.tools.bench.tries import Spread, cell_of, spread_of

WAYS: Final[Mapping[str, int]] = {"off": 0, "1 in 100": 100, "every command": 1}
"""Which commands have a trace: the first of so many; 0: none, and the rooms ask for none."""
ENDPOINT_VARIABLE: Final = "OUTCRY_TRACES_ENDPOINT"
_TRACING_ROOMS: Final = ("ingest", "risk", "matcher")


class Way(msgspec.Struct, frozen=True):
    """Figures of one way over the tries."""

    name: str
    cpu_us_per_command: Spread
    """User and system time of ingest, risk and matcher together."""
    steady_per_s: Spread
    p50_ms: Spread
    p99_ms: Spread
    collected_bytes: Spread
    """What the collector was sent."""


class TracingReport(msgspec.Struct, frozen=True):
    """All figures of one run."""

    tries: int
    commands: int
    ways: tuple[Way, ...]


class _Collector(BaseHTTPRequestHandler):
    """Takes what it is sent, and counts it."""

    taken_bytes = 0

    def do_POST(self) -> None:
        length = int(self.headers["Content-Length"])
        self.rfile.read(length)
        type(self).taken_bytes += length
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def run_tracing_bench(home: Path, order: PipelineOrder, tries: int, say: Say) -> TracingReport:
    """Measure each way so many times, in turn. Blocks for about a minute each.

    Raises:
        StackError: the stack does not start.
        AssertionError: a command stayed unanswered.
    """
    found: dict[str, list[tuple[float, float, float, float, float]]] = {name: [] for name in WAYS}
    for number in range(tries):
        for name, every in WAYS.items():
            say(f"try {number + 1} of {tries}, traces: {name}")
            place = home / f"{number}-{every}"
            wanted = msgspec.structs.replace(order, home=place, trace_every=every)
            found[name].append(_measure(wanted, say))
    ways = tuple(
        Way(name, *(spread_of(figures) for figures in zip(*values, strict=True)))
        for name, values in found.items()
    )
    return TracingReport(tries, order.throughput_commands, ways)


def _measure(order: PipelineOrder, say: Say) -> tuple[float, float, float, float, float]:
    with _collector() as url, _told(url if order.trace_every else None):
        genesis = default_genesis("bench")
        with open_bench(order.home, BENCH_ROOMS, genesis, order.seed) as bench:
            latency, throughput = measure_flow(bench, order, say)
        taken = float(_Collector.taken_bytes)
    cpu_us = sum(throughput.cpu_us_per_command[room] for room in _TRACING_ROOMS)
    return cpu_us, throughput.steady_per_s, latency.p50_ms, latency.p99_ms, taken


@contextmanager
def _collector() -> Iterator[str]:
    _Collector.taken_bytes = 0
    with ThreadingHTTPServer(("127.0.0.1", 0), _Collector) as server:
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/v1/traces"
        server.shutdown()
        thread.join()


@contextmanager
def _told(endpoint: str | None) -> Iterator[None]:
    """Rooms that are started meanwhile send their spans there."""
    before = os.environ.pop(ENDPOINT_VARIABLE, None)
    if endpoint is not None:
        os.environ[ENDPOINT_VARIABLE] = endpoint
    try:
        yield
    finally:
        os.environ.pop(ENDPOINT_VARIABLE, None)
        if before is not None:
            os.environ[ENDPOINT_VARIABLE] = before


def tracing_table(report: TracingReport) -> Table:
    """The figures beside each other, median and range."""
    table = Table(
        "traces",
        "CPU of ingest, risk and matcher a command",
        "answered",
        "order to execution, p50",
        "p99",
        "sent to the collector",
        title=f"bench tracing: {report.tries} tries of {report.commands:,} commands",
    )
    for way in report.ways:
        table.add_row(
            way.name,
            cell_of(way.cpu_us_per_command, "us", 0),
            cell_of(way.steady_per_s, "/s", 0),
            cell_of(way.p50_ms, "ms", 1),
            cell_of(way.p99_ms, "ms", 1),
            cell_of(way.collected_bytes, "bytes", 0),
        )
    return table

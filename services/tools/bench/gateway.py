"""`outcry bench gateway`: orders over HTTP, beside a bare route and beside another exchange.

Everything shares the machine with the generator, which is a process of its own. The ways take
turns, each at saturation; then this gateway alone is asked at a steady rate below half of that.

- bare: a FastAPI route with a pydantic model that writes nothing, on the gateway's own server;
- ours: POST /orders, answered once all in-sync replicas of Kafka have it (acks=all, one broker);
- theirs: the server of the PyPI package matching-engine, which fsyncs its write-ahead log before it
  answers; left out where the package is not installed.

No room reads the orders meanwhile: what they cost is told by `outcry bench pipeline`.
"""

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import msgspec
from rich.table import Table

from services.tools.bench.frame import Say
from services.tools.bench.gateway_load import Kind, LoadOrder, LoadResult
from services.tools.bench.servers import (
    Server,
    free_port,
    room_environment,
    started,
    wait_until_ok,
)
from services.tools.bench.tries import Spread, cell_of, spread_of, try_apart
from services.tools.stack.deployment import create_topics, register_schemas
from services.tools.stack.plan import Addresses
from services.tools.stack.portcheck import free_run_base
from services.tools.stack.settings import StackSettings
from services.tools.stack.stack import Stack, running_stack

_PREFIX: Final = "bench."
_LOAD: Final = "services.tools.bench.gateway_load"
_GRACE_S: Final = 60.0
_US_PER_S: Final = 1_000_000
_UNLIMITED: Final = "1000000000"

BARE: Final = "bare"
OURS: Final = "ours"
THEIRS: Final = "theirs"
PEER: Final = "matching_engine"


class GatewayOrder(msgspec.Struct, frozen=True):
    """What to run."""

    home: Path
    rounds: int = 5
    seconds: float = 5.0
    """Of each round, and of each way in it."""
    connections: int = 64
    share: float = 0.45
    """Of what it took at saturation: the rate at which acknowledgements are timed."""
    steady_seconds: float = 20.0
    warm_up_seconds: float = 15.0
    """Of each way, before the first round: a broker that just started compiles itself for as long,
    at the cost of whoever is asked meanwhile."""


class Way(msgspec.Struct, frozen=True):
    """One of them at saturation."""

    name: str
    answered_per_s: Spread
    p50_ms: Spread
    failed: int
    cpu_us: Spread
    """Processor time of its own process, an answer."""
    broker_us: Spread
    """Of the broker, which idles while the others are asked."""
    generator_us: Spread


class _Round(msgspec.Struct, frozen=True):
    """One way, once; processor time of its process and the broker's."""

    found: LoadResult
    cpu_s: float
    broker_s: float


class GatewayReport(msgspec.Struct, frozen=True):
    """All figures of one run."""

    ways: tuple[Way, ...]
    steady_rate_per_s: float
    steady: LoadResult
    without: str
    """Why there is no other exchange beside; empty: there is."""

    def way(self, name: str) -> Way | None:
        """One of them."""
        return next((way for way in self.ways if way.name == name), None)


def run_gateway_bench(order: GatewayOrder, say: Say) -> GatewayReport:
    """Start everything under the order's home, measure, stop everything."""
    settings = StackSettings(home=order.home / "stack", port_base=free_run_base())
    with running_stack(settings, rooms=()) as stack, ExitStack() as servers:
        create_topics(stack.addresses, _PREFIX)
        register_schemas(stack.addresses, _PREFIX)
        ways = {
            BARE: servers.enter_context(_bare(order.home)),
            OURS: servers.enter_context(gateway(order.home, stack.addresses, _PREFIX)),
        }
        without = "" if find_spec(PEER) else "the package matching-engine is not installed"
        if not without:
            ways[THEIRS] = servers.enter_context(_theirs(order.home))
        taken = _saturated(order, ways, _broker_of(stack), say)
        rate = order.share * next(way for way in taken if way.name == OURS).answered_per_s.median
        say(
            f"{rate:,.0f} orders/s for {order.steady_seconds:g} s, whether or not they are answered"
        )
        steady = _load(order, OURS, ways[OURS], "steady", order.steady_seconds, rate)
    return GatewayReport(taken, rate, steady, without)


def _broker_of(stack: Stack) -> Server:
    status = stack.status()
    assert status is not None
    kafka = status.row("kafka")
    assert kafka.process is not None
    assert kafka.port is not None
    return Server(kafka.port, kafka.process.pid)


def _saturated(
    order: GatewayOrder, ways: Mapping[str, Server], broker: Server, say: Say
) -> tuple[Way, ...]:
    for name, server in ways.items():
        _load(order, name, server, "warm", order.warm_up_seconds)
    rounds: dict[str, list[_Round]] = {name: [] for name in ways}
    for number in range(order.rounds):
        for name, server in ways.items():
            say(f"round {number + 1} of {order.rounds}: {name}")
            before_s, broker_before_s = server.cpu_s(), broker.cpu_s()
            found = _load(order, name, server, f"r{number}", order.seconds)
            cpu_s, broker_s = server.cpu_s() - before_s, broker.cpu_s() - broker_before_s
            rounds[name].append(_Round(found, cpu_s, broker_s))
    return tuple(_way(name, results) for name, results in rounds.items())


def _load(
    order: GatewayOrder, name: str, server: Server, run: str, seconds: float, rate: float = 0
) -> LoadResult:
    kind: Kind = "theirs" if name == THEIRS else "ours"
    asked = LoadOrder(server.port, kind, run, order.connections, seconds, rate)
    argument = msgspec.json.encode(asked).decode()
    said = try_apart(_LOAD, [argument], seconds + _GRACE_S, f"the load of {name}")
    return msgspec.convert(said, LoadResult)


def _way(name: str, results: list[_Round]) -> Way:
    def of_each(spent_s: Callable[[_Round], float]) -> Spread:
        return spread_of([spent_s(one) / one.found.requests * _US_PER_S for one in results])

    return Way(
        name=name,
        answered_per_s=spread_of([one.found.answered_per_s for one in results]),
        p50_ms=spread_of([one.found.p50_ms for one in results]),
        failed=sum(one.found.failed for one in results),
        cpu_us=of_each(lambda one: one.cpu_s),
        broker_us=of_each(lambda one: one.broker_s),
        generator_us=of_each(lambda one: one.found.cpu_s),
    )


@contextmanager
def _bare(home: Path) -> Iterator[Server]:
    port = free_port()
    command = [sys.executable, "-m", "services.tools.bench.gateway_bare", str(port)]
    log = home / "bare.log"
    with started(log, command, {}) as pid:
        wait_until_ok(f"http://127.0.0.1:{port}/healthz", log)
        yield Server(port, pid)


@contextmanager
def gateway(home: Path, addresses: Addresses, prefix: str, **changes: str) -> Iterator[Server]:
    """`python -m services.gateway` as the stack runs it, which counts requests and refuses none."""
    port = free_port()
    env = room_environment(home, addresses, prefix) | {
        "OUTCRY_GATEWAY_ACCESS": "open",
        "OUTCRY_GATEWAY_PORT": str(port),
        "OUTCRY_GATEWAY_RATE_OF_ADDRESS_MAX": _UNLIMITED,
        "OUTCRY_METRICS_PORT": str(free_port()),
        "OUTCRY_LOG_LEVEL": "WARNING",
    }
    log = home / "gateway.log"
    with started(log, [sys.executable, "-m", "services.gateway"], env | changes) as pid:
        wait_until_ok(f"http://127.0.0.1:{port}/readyz", log)
        yield Server(port, pid)


@contextmanager
def _theirs(home: Path) -> Iterator[Server]:
    port = free_port()
    env = {"ME_DATA_DIR": str(home / "matching-engine"), "ME_FSYNC": "1"}
    command = [sys.executable, "-m", PEER, "serve", "--host", "127.0.0.1", "--port", str(port)]
    log = home / "matching-engine.log"
    with started(log, command, env) as pid:
        wait_until_ok(f"http://127.0.0.1:{port}/healthz", log)
        yield Server(port, pid)


def gateway_table(report: GatewayReport) -> Table:
    """For people."""
    table = Table(
        "way", "answers/s (least, most)", "p50 (least, most)", "its processor time an answer",
        "the broker's", "the generator's", "failed", title="bench gateway",
    )  # fmt: skip
    for way in report.ways:
        table.add_row(
            way.name,
            cell_of(way.answered_per_s, "", 0),
            cell_of(way.p50_ms, "ms", 1),
            cell_of(way.cpu_us, "us", 0),
            cell_of(way.broker_us, "us", 0),
            cell_of(way.generator_us, "us", 0),
            str(way.failed),
        )
    ours = report.way(OURS)
    assert ours is not None
    for name in (BARE, THEIRS):
        other = report.way(name)
        if other is not None:
            times = ours.answered_per_s.median / other.answered_per_s.median
            table.add_row(f"ours / {name}", f"{times:.2f}x", "", "", "", "", "")
    steady = report.steady
    table.add_row(
        f"ours at {report.steady_rate_per_s:,.0f}/s", f"p99 {steady.p99_ms:.1f} ms",
        f"p50 {steady.p50_ms:.1f}, most {steady.max_ms:.1f} ms",
        f"generator late p99 {steady.late_p99_ms:.1f} ms", "", "", str(steady.failed),
    )  # fmt: skip
    if report.without:
        table.caption = report.without
    return table

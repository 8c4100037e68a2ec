"""`outcry bench sockets`: many readers of books that change often, and some who never read.

The benchmark writes the changes to the topic `book` itself, at a steady rate over five tickers: no
matcher makes them, and each is of one level. A change's age on arrival counts from the moment
before it was written, and so holds Kafka, the gateway's wait for more changes, and the clients' own
slowness.
"""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import Final

import msgspec
from confluent_kafka import KafkaError, Message, Producer
from rich.table import Table

from services.domain import codes
from services.domain.events import BookDepth, Level
from services.domain.genesis import TICKERS
from services.domain.origin import MATCHING, Origin
from services.runtime.registry import load_codec
from services.tools.bench.frame import Say
from services.tools.bench.gateway import gateway
from services.tools.bench.servers import Server
from services.tools.bench.sockets_load import SocketsOrder, SocketsResult
from services.tools.bench.tries import at_percent
from services.tools.stack.deployment import create_topics, register_schemas
from services.tools.stack.plan import Addresses
from services.tools.stack.portcheck import free_run_base
from services.tools.stack.settings import StackSettings
from services.tools.stack.stack import running_stack
from services.wire.topics import BOOK

_PREFIX: Final = "bench."
_LOAD: Final = "services.tools.bench.sockets_load"
_LEVELS: Final = 10
_WARM_UP_CHANGES: Final = 2_000
_SETTLE_S: Final = 2.0
_ANSWER_S: Final = 120.0
_PRICE: Final = 1_870_000
_CENT: Final = 100


class SocketsPlan(msgspec.Struct, frozen=True):
    """What to run."""

    home: Path
    clients: int = 500
    silent: int = 50
    rate_per_s: int = 1_000
    seconds: float = 30.0


class SocketsReport(msgspec.Struct, frozen=True):
    """All figures of one run."""

    plan: SocketsPlan
    found: SocketsResult
    written_per_s: float
    """Changes of books that the writer managed."""
    kafka_p99_ms: float
    """From before a change was written until Kafka had it: part of each age."""
    start_mib: float
    half_mib: float
    end_mib: float
    """Memory of the gateway: before the changes, after half of them, and at the end."""
    cores: float
    """Processor time of the gateway, seconds a second."""


def run_sockets_bench(plan: SocketsPlan, say: Say) -> SocketsReport:
    """Start everything under the plan's home, measure, stop everything."""
    settings = StackSettings(home=plan.home / "stack", port_base=free_run_base())
    most = str(plan.clients + plan.silent)
    limits = {
        "OUTCRY_GATEWAY_SOCKETS_MAX": most,
        "OUTCRY_GATEWAY_SOCKETS_OF_ADDRESS_MAX": most,
    }
    with running_stack(settings, rooms=()) as stack:
        create_topics(stack.addresses, _PREFIX)
        register_schemas(stack.addresses, _PREFIX)
        writer = BookWriter(stack.addresses, plan.rate_per_s)
        writer.warm_up()
        with gateway(plan.home, stack.addresses, _PREFIX, **limits) as server:
            say(f"{plan.clients} clients that read, {plan.silent} that do not")
            order = SocketsOrder(server.port, plan.clients, plan.silent)
            with _clients(order) as clients:
                return _measure(plan, server, clients, writer, say)


def _measure(
    plan: SocketsPlan,
    server: Server,
    clients: subprocess.Popen[str],
    writer: "BookWriter",
    say: Say,
) -> SocketsReport:
    say(f"{plan.rate_per_s} changes/s for {plan.seconds:g} s")
    start_mib, before_s = server.resident_mib(), server.cpu_s()
    writer.start()
    time.sleep(plan.seconds / 2)
    half_mib = server.resident_mib()
    time.sleep(plan.seconds / 2)
    written = writer.stop()
    cores = (server.cpu_s() - before_s) / plan.seconds
    time.sleep(_SETTLE_S)
    end_mib = server.resident_mib()
    said, _ = clients.communicate(timeout=_ANSWER_S)
    found = msgspec.json.decode(said.splitlines()[-1], type=SocketsResult)
    require_whole_chains(found)
    return SocketsReport(
        plan,
        found,
        written / plan.seconds,
        writer.kafka_p99_ms(),
        start_mib,
        half_mib,
        end_mib,
        cores,
    )


def require_whole_chains(found: SocketsResult) -> None:
    """Refuse ages of books that were not told whole.

    Raises:
        RuntimeError: a client was told a change of a book that it does not have.
    """
    if found.breaks:
        raise RuntimeError(f"{found.breaks} books did not follow on what their client had")


@contextmanager
def _clients(order: SocketsOrder) -> Iterator[subprocess.Popen[str]]:
    """The clients' process, once all of them hear."""
    argument = msgspec.json.encode(order).decode()
    process = subprocess.Popen(
        [sys.executable, "-m", _LOAD, argument],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        if process.stdout.readline().strip() != "ready":
            raise RuntimeError("the clients of the benchmark did not connect")
        yield process
    finally:
        process.kill()
        process.wait()


class BookWriter:
    """Writes changes of five books at a rate, from a thread."""

    def __init__(self, addresses: Addresses, rate_per_s: int) -> None:
        self._codec = load_codec(addresses.registry_url)
        self._producer = Producer(
            {"bootstrap.servers": addresses.kafka_bootstrap, "linger.ms": 1, "log_level": 2}
        )
        self._rate_per_s = rate_per_s
        self._stop = Event()
        self._thread = Thread(target=self._write, name="books", daemon=True)
        self._written = 0
        self._took_ms: list[float] = []
        self._books = [
            [
                [Level(_PRICE + sign * n * _CENT, 1, 3) for n in range(1, _LEVELS + 1)]
                for sign in (-1, 1)
            ]
            for _ in TICKERS
        ]
        """Bids and asks of each ticker."""

    def kafka_p99_ms(self) -> float:
        """How long Kafka took to have a change; to be asked once stopped."""
        return at_percent(self._took_ms, 99)

    def warm_up(self) -> None:
        """First books of each ticker, so many that Kafka runs as it does after a while."""
        for _ in range(_WARM_UP_CHANGES):
            self._put()
            self._producer.poll(0.001)
        self._producer.flush()
        self._took_ms.clear()

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def stop(self) -> int:
        """End; how many were written at the rate."""
        self._stop.set()
        self._thread.join()
        self._producer.flush()
        return self._written - _WARM_UP_CHANGES

    def _write(self) -> None:
        began_s = time.perf_counter()
        count = 0
        while not self._stop.is_set():
            due = int((time.perf_counter() - began_s) * self._rate_per_s)
            for _ in range(due - count):
                self._put()
            count = due
            self._producer.poll(0)
            time.sleep(0.001)

    def _put(self) -> None:
        number = self._written
        place = number % len(TICKERS)
        ticker = TICKERS[place]
        origin = Origin(MATCHING, place, number, 0, number + 1, time.time_ns() // 1_000, 0)
        bids, asks = self._change(place, number // len(TICKERS))
        book = BookDepth(ticker, codes.OPEN, _PRICE, bids, asks)
        value = self._codec.encode(BOOK.name, origin, book)
        began_s = time.perf_counter()

        def delivered(error: KafkaError | None, _: Message) -> None:
            assert error is None, error
            self._took_ms.append((time.perf_counter() - began_s) * 1_000)

        self._producer.produce(_PREFIX + BOOK.name, value, ticker.encode(), place, delivered)
        self._written += 1

    def _change(self, place: int, number: int) -> list[tuple[Level, ...]]:
        """A ticker's sides after its next change."""
        sides = self._books[place]
        levels = sides[number % 2]
        at = number // 2 % _LEVELS
        levels[at] = msgspec.structs.replace(levels[at], quantity=1 + number % 900)
        return [tuple(side) for side in sides]


def sockets_table(report: SocketsReport) -> Table:
    """For people."""
    found, plan = report.found, report.plan
    table = Table("figure", "value", title="bench sockets")
    rows = {
        "changes of books": f"{report.written_per_s:,.0f}/s over {len(TICKERS)} tickers",
        "until Kafka has a change, p99": f"{report.kafka_p99_ms:.0f} ms",
        "clients that heard of changes": f"{found.clients} of {plan.clients}, {found.lost} lost",
        "clients that heard nothing, their wait being an age": str(found.deaf),
        "clients that never read": str(plan.silent),
        "changes that arrived, each of the book that its client had": f"{found.updates:,}",
        "whole books that came in their place": f"{found.snapshots:,}",
        "age on arrival, the worst client's p50": f"{found.worst_p50_ms:.0f} ms",
        "age on arrival, the worst client's p99": f"{found.worst_p99_ms:.0f} ms",
        "age on arrival, the oldest of all": f"{found.worst_ms:.0f} ms",
        "memory of the gateway": f"{report.start_mib:.0f} MiB, half-way {report.half_mib:.0f},"
        f" end {report.end_mib:.0f}",
        "processor time of the gateway": f"{report.cores:.2f} cores",
    }
    for name, value in rows.items():
        table.add_row(name, value)
    return table

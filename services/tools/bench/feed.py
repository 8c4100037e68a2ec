"""`outcry bench feed`: how an event loop had best be fed from Kafka, three ways in turns.

At a steady rate, which shows lag and what a record costs while it trickles; and over a topic that
is there already, as at a gateway's start. Records have the size of execution reports and are
written in transactions, as the rooms write theirs; their partitions are those of `executions`.
"""

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final, get_args

import msgspec
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic, OffsetSpec
from rich.table import Table

from services.tools.bench.feed_reader import (
    TIME_BYTES,
    ReaderOrder,
    ReaderResult,
    Way,
)
from services.tools.bench.frame import Say
from services.tools.bench.tries import Spread, cell_of, spread_of
from services.tools.stack.portcheck import free_run_base
from services.tools.stack.settings import StackSettings
from services.tools.stack.stack import running_stack
from services.wire.topics import EXECUTIONS

WAYS: Final[tuple[Way, ...]] = get_args(Way.__value__)
_TOPIC: Final = "feed"
_VALUE_BYTES: Final = 300
_TRANSACTION_S: Final = 0.02
_PARTITIONS: Final = EXECUTIONS.partitions
_ANSWER_S: Final = 300.0
_SETTLE_S: Final = 0.5


class WayFigures(msgspec.Struct, frozen=True):
    """What one way came to."""

    way: str
    steady_cpu_us: Spread
    """A record, of the whole process."""
    lag_p50_ms: Spread
    lag_p99_ms: Spread
    loop_late_p99_ms: Spread
    records_per_s: Spread
    """Over a topic that is there already."""
    bulk_cpu_us: Spread


class FeedFigures(msgspec.Struct, frozen=True):
    """All of one run."""

    rate_per_s: int
    seconds: float
    bulk_records: int
    repeats: int
    load: tuple[float, float]
    ways: list[WayFigures]


class FeedWriter:
    """Writes records in transactions of some milliseconds each."""

    def __init__(self, bootstrap: str) -> None:
        self._producer = Producer(
            {
                "bootstrap.servers": bootstrap,
                "transactional.id": "bench-feed",
                "transaction.timeout.ms": 10_000,
                "linger.ms": 1,
                "retry.backoff.ms": 1,
                "retry.backoff.max.ms": 5,
                "log_level": 2,
            }
        )
        self._producer.init_transactions()
        self._rest = bytes(_VALUE_BYTES - TIME_BYTES)
        self.written = 0

    def write(self, records: int) -> None:
        """So many in one transaction, spread over the partitions."""
        self._producer.begin_transaction()
        for _ in range(records):
            self.written += 1
            value = time.time_ns().to_bytes(TIME_BYTES) + self._rest
            self._producer.produce(_TOPIC, value, partition=self.written % _PARTITIONS)
        self._producer.commit_transaction()

    def write_paced(self, records: int, rate_per_s: int) -> None:
        """So many at a rate; what is late is made up for."""
        began_s, written = time.perf_counter(), 0
        while written < records:
            time.sleep(_TRANSACTION_S)
            due = int((time.perf_counter() - began_s) * rate_per_s)
            count = min(due, records) - written
            if count > 0:
                self.write(count)
                written += count


def run_feed_bench(
    home: Path, rate_per_s: int, seconds: float, bulk_records: int, repeats: int, say: Say
) -> FeedFigures:
    """On a Kafka of its own under `home`; blocks for minutes.

    Raises:
        StackError: it does not start.
        RuntimeError: a reader ended without an answer.
    """
    settings = StackSettings(home=home, port_base=free_run_base(), topic_prefix="")
    load = os.getloadavg()[0]
    steady: dict[Way, list[ReaderResult]] = {way: [] for way in WAYS}
    bulk: dict[Way, list[ReaderResult]] = {way: [] for way in WAYS}
    with running_stack(settings, rooms=()) as stack:
        bootstrap = stack.addresses.kafka_bootstrap
        admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 2})
        admin.create_topics([NewTopic(_TOPIC, _PARTITIONS)])[_TOPIC].result()
        writer = FeedWriter(bootstrap)
        while writer.written < bulk_records:
            writer.write(1_000)
        count = int(rate_per_s * seconds)
        for repeat in range(repeats):
            for way in WAYS:
                say(f"{repeat + 1} of {repeats}: {way}")
                order = ReaderOrder(way, bootstrap, _TOPIC, (0,) * _PARTITIONS, bulk_records)
                bulk[way].append(_read(order, None, 0))
                order = ReaderOrder(way, bootstrap, _TOPIC, _ends(admin), count)
                steady[way].append(_read(order, writer, rate_per_s))
    ways = [_figures(way, steady[way], bulk[way], bulk_records) for way in WAYS]
    after = os.getloadavg()[0]
    return FeedFigures(rate_per_s, seconds, bulk_records, repeats, (load, after), ways)


def _ends(admin: AdminClient) -> tuple[int, ...]:
    """Where each partition ends now."""
    latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]  # the library has no types here
    asked = {TopicPartition(_TOPIC, place): latest for place in range(_PARTITIONS)}
    found = admin.list_offsets(asked)
    ends = {place.partition: future.result().offset for place, future in found.items()}
    return tuple(ends[place] for place in range(_PARTITIONS))


def _read(order: ReaderOrder, writer: FeedWriter | None, rate_per_s: int) -> ReaderResult:
    """What a reader sees, while the writer writes what it waits for."""
    process = subprocess.Popen(
        [sys.executable, "-m", "services.tools.bench.feed_reader",
         msgspec.json.encode(order).decode()],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        if process.stdout.readline().strip() != "ready":
            raise RuntimeError(f"the reader by {order.way} did not begin")
        if writer is not None:
            time.sleep(_SETTLE_S)
            writer.write_paced(order.records, rate_per_s)
        said, _ = process.communicate(timeout=_ANSWER_S)
        if process.returncode:
            raise RuntimeError(f"the reader by {order.way} failed ({process.returncode})")
        return msgspec.json.decode(said.splitlines()[-1], type=ReaderResult)
    finally:
        process.kill()
        process.wait()


def _figures(
    way: Way, steady: Sequence[ReaderResult], bulk: Sequence[ReaderResult], records: int
) -> WayFigures:
    return WayFigures(
        way=way,
        steady_cpu_us=spread_of([one.cpu_us for one in steady]),
        lag_p50_ms=spread_of([one.lag_p50_ms for one in steady]),
        lag_p99_ms=spread_of([one.lag_p99_ms for one in steady]),
        loop_late_p99_ms=spread_of([one.loop_late_p99_ms for one in steady]),
        records_per_s=spread_of([records / one.seconds for one in bulk]),
        bulk_cpu_us=spread_of([one.cpu_us for one in bulk]),
    )


def feed_table(found: FeedFigures) -> Table:
    """For people."""
    table = Table(
        "", *(row.way for row in found.ways),
        title=f"bench feed: medians of {found.repeats} \\[lowest, highest];"
        f" load {found.load[0]:.1f} to {found.load[1]:.1f}",
    )  # fmt: skip
    steady = f"{found.rate_per_s:,}/s for {found.seconds:g} s"
    bulk = f"{found.bulk_records:,} at once"
    rows: list[tuple[str, list[str]]] = [
        (f"{steady}: processor a record", [cell_of(w.steady_cpu_us, "us", 1) for w in found.ways]),
        (f"{steady}: lag, p50", [cell_of(w.lag_p50_ms, "ms", 1) for w in found.ways]),
        (f"{steady}: lag, p99", [cell_of(w.lag_p99_ms, "ms", 1) for w in found.ways]),
        (f"{steady}: loop late, p99", [cell_of(w.loop_late_p99_ms, "ms", 1) for w in found.ways]),
        (f"{bulk}: read", [cell_of(w.records_per_s, "/s", 0) for w in found.ways]),
        (f"{bulk}: processor a record", [cell_of(w.bulk_cpu_us, "us", 1) for w in found.ways]),
    ]
    for name, cells in rows:
        table.add_row(name, *cells)
    return table

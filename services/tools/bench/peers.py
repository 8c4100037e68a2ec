"""`outcry bench peers`: others beside us, on the same flow, in one run on one machine.

Matching in one process, the log alone, orders and predictions over HTTP, and online reads. Who
lacks a guarantee that ours has is told so in its row: a faster row that keeps less is no better
one.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import msgspec
from rich.table import Table

from services.runtime.registry import load_codec
from services.tools.bench.frame import Say
from services.tools.bench.gateway import BARE, OURS, THEIRS, GatewayOrder, run_gateway_bench
from services.tools.bench.inference import REFERENCE_RATE_PER_S
from services.tools.bench.inference_stage import serving_stage
from services.tools.bench.log_reference import measure_log
from services.tools.bench.online_reads import LACKS as READ_LACKS
from services.tools.bench.online_reads import ReadsReport, compare_reads
from services.tools.bench.peer_log import measure_perf_tools
from services.tools.bench.peer_matchers import compare_matchers
from services.tools.bench.serving_peers import LACKS as SERVING_LACKS
from services.tools.bench.serving_peers import OURS as PREDICT
from services.tools.bench.serving_peers import WayFigures, compare_serving
from services.tools.bench.tries import Spread, spell
from services.tools.stack.deployment import register_schemas
from services.tools.stack.portcheck import free_run_base
from services.tools.stack.settings import StackSettings
from services.tools.stack.stack import running_stack

_PREFIX: Final = "bench."
_RECORD_BYTES: Final = 100
"""About what a command of the crowd has in Avro."""

MATCHING: Final = "matching, in one process"
LOG: Final = "the log alone, one partition, acks=all"
ORDERS: Final = "orders over HTTP, durable"
PREDICTIONS: Final = "predictions over HTTP"
READS: Final = "online reads, one row"
TASKS: Final = {
    "matching": MATCHING, "log": LOG, "orders": ORDERS, "predictions": PREDICTIONS, "reads": READS
}  # fmt: skip

_LACKS: Final = {
    BARE: "everything but the body's shape: writes nothing, no keys, no limits",
    OURS: "",
    THEIRS: "risk limits, keys, ids under which an order sent again is the same one; it fsyncs,"
    " which Kafka here does not",
}


class PeerRow(msgspec.Struct, frozen=True):
    """One figure of one of them."""

    task: str
    who: str
    figure: Spread | None
    """None: it is not installed."""
    unit: str
    lacks: str
    """Of what ours does in the same place."""


class PeersOrder(msgspec.Struct, frozen=True):
    """What to run."""

    home: Path
    seed: int
    tasks: tuple[str, ...]
    """Of `TASKS`, by their short names."""
    repeats: int
    orders: int
    """Of the matching engines' flow."""
    records: int
    """Of the perf tools."""
    seconds: float
    """Of each way over HTTP, in each repeat."""


def run_peers_bench(order: PeersOrder, say: Say) -> list[PeerRow]:
    """One task after the other; blocks for minutes, and starts a stack for each but matching.

    Raises:
        StackError: a stack or a tool of Kafka's fails.
        RuntimeError: two engines trade differently.
    """
    steps = {
        "matching": _matching, "log": _log, "orders": _orders, "predictions": _predictions,
        "reads": _reads,
    }  # fmt: skip
    rows: list[PeerRow] = []
    for name in order.tasks:
        say(TASKS[name])
        home = order.home / name
        home.mkdir()
        rows += steps[name](msgspec.structs.replace(order, home=home), say)
    return rows


def _matching(order: PeersOrder, _say: Say) -> Iterator[PeerRow]:
    found = compare_matchers(order.orders, order.seed, order.repeats)
    for row in found.rows:
        yield PeerRow(MATCHING, row.name, row.commands_per_s, "commands/s of a core", row.lacks)


def _log(order: PeersOrder, say: Say) -> Iterator[PeerRow]:
    settings = StackSettings(home=order.home / "stack", port_base=free_run_base())
    with running_stack(settings, rooms=()) as stack:
        register_schemas(stack.addresses, _PREFIX)
        bootstrap = stack.addresses.kafka_bootstrap
        codec = load_codec(stack.addresses.registry_url)
        ours = measure_log(bootstrap, codec, order.seed)
        say("Kafka's own tools")
        theirs = measure_perf_tools(
            settings, bootstrap, order.records, _RECORD_BYTES, order.repeats
        )
    both = Spread(ours.median_per_s, ours.min_per_s, ours.max_per_s)
    lacks = "folds, limits, transactions, a record in PostgreSQL"
    unit = f"records/s of {_RECORD_BYTES} bytes"
    yield PeerRow(LOG, "our client, written and read", both, "records/s", lacks)
    yield PeerRow(LOG, "kafka-producer-perf-test", theirs.written_per_s, unit, lacks)
    yield PeerRow(LOG, "kafka-producer-perf-test, 99th", theirs.written_p99_ms, "ms", lacks)
    yield PeerRow(LOG, "kafka-consumer-perf-test", theirs.read_per_s, unit, lacks)


def _orders(order: PeersOrder, say: Say) -> Iterator[PeerRow]:
    found = run_gateway_bench(
        GatewayOrder(order.home, order.repeats, order.seconds, steady_seconds=order.seconds), say
    )
    names = {BARE: "a bare FastAPI route", OURS: "POST /orders", THEIRS: "matching-engine's server"}
    for key, name in names.items():
        way = found.way(key)
        answered = None if way is None else way.answered_per_s
        yield PeerRow(ORDERS, name, answered, "answers/s", _LACKS[key])
        if way is not None:
            yield PeerRow(ORDERS, name, way.p50_ms, "ms at the median", _LACKS[key])


def _predictions(order: PeersOrder, say: Say) -> Iterator[PeerRow]:
    with serving_stage(order.home, say) as stage:
        ways = compare_serving(stage, REFERENCE_RATE_PER_S, order.seconds, order.repeats, say)
    for way in ways:
        yield from serving_rows(PREDICTIONS, way)


def _reads(order: PeersOrder, say: Say) -> Iterator[PeerRow]:
    with serving_stage(order.home, say) as stage:
        found = compare_reads(stage, REFERENCE_RATE_PER_S, order.seconds, order.repeats, say)
    return read_rows(found)


def read_rows(found: ReadsReport) -> Iterator[PeerRow]:
    """In process, then over HTTP."""
    for one in found.in_process:
        lacks = READ_LACKS[one.who]
        yield PeerRow(READS, one.who, one.p50_us, f"us at the median, {one.when}", lacks)
        yield PeerRow(READS, one.who, one.p99_us, f"us, 99th, {one.when}", lacks)
        yield PeerRow(READS, one.who, one.cpu_us, f"us of processor time, {one.when}", lacks)
    for way in found.over_http:
        yield from serving_rows(READS, way)


def serving_rows(task: str, way: WayFigures) -> Iterator[PeerRow]:
    """One way over HTTP; a request that failed is told beside each figure, whatever it took."""
    lacks = SERVING_LACKS[way.name]
    if way.failed:
        lacks = "; ".join(filter(None, (f"{way.failed} of {way.requests} requests failed", lacks)))
    yield PeerRow(task, way.name, way.p50_ms, f"ms, 50th, at {way.rate_per_s}/s", lacks)
    yield PeerRow(task, way.name, way.p99_ms, f"ms, 99th, at {way.rate_per_s}/s", lacks)
    yield PeerRow(task, way.name, way.cpu_ms, "ms of its servers' processor time a request", lacks)
    if way.name != PREDICT:
        yield PeerRow(task, way.name, way.p99_to_ours, "times ours, 99th, same turn", lacks)


def peers_table(rows: Iterable[PeerRow]) -> Table:
    """For people."""
    table = Table(
        "task", "who", "median (least, most)", "unit", "what it lacks", title="bench peers",
        show_lines=True,
    )  # fmt: skip
    for row in rows:
        table.add_row(row.task, row.who, spell(row.figure), row.unit, row.lacks or "nothing")
    return table

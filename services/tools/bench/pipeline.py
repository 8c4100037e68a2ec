"""`outcry bench pipeline`: orders published to Kafka until their executions are readable.

On a stack of its own with fresh topics, in one run:
- a reference: the same bytes through one Kafka topic alone, produced and read again, since no
  exchange on this log can be faster than the log;
- latency: open-loop at a low rate, from each command's intended publication to the moment its
  first execution report is readable by a read_committed consumer in another process;
- throughput: open-loop at a rate above what the rooms bear, answers per second at steady state;
- memory (only with `--memory-orders`): resident memory of each room over a long open-loop load.
"""

import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from itertools import islice, pairwise
from pathlib import Path
from statistics import quantiles
from typing import Final

import msgspec
from rich.table import Table

from services.domain.genesis import default_genesis
from services.tools.bench.answers import AnswerReader
from services.tools.bench.deployment import Bench, open_bench
from services.tools.bench.frame import Say
from services.tools.bench.log_reference import LogReference, measure_log
from services.tools.bench.pipeline_load import LoadOrder, LoadResult
from services.tools.market.simulator import Crowd

BENCH_ROOMS: Final = ("ingest", "risk", "matcher", "recorder")
REMEMBER_US: Final = 60_000_000
"""The dedup window of the benchmark's genesis: 60 s, so that memory can become stationary."""

_WARM_UP: Final = 3_000
_SLICES: Final = 10
_IDLE_S: Final = 3.0
_TIMEOUT_S: Final = 1_800.0
_SAMPLE_S: Final = 5.0


class Latency(msgspec.Struct, frozen=True):
    """Milliseconds from intended publication to readable first report."""

    rate_per_s: int
    commands: int
    p50_ms: float
    p95_ms: float
    p99_ms: float
    max_ms: float
    lateness_max_ms: float
    """By how much the generator itself was late at worst; it counts in the figures above."""


class Throughput(msgspec.Struct, frozen=True):
    """Commands answered per second while the rooms were saturated."""

    offered_per_s: int
    commands: int
    steady_per_s: float
    """Of the middle four fifths; the slowest and the fastest tenth of it beside it."""
    min_per_s: float
    max_per_s: float
    whole_per_s: float
    """All commands over the time from the first publication to the last answer."""
    cpu_us_per_command: Mapping[str, float]
    """User and system time of each process, the broker included."""


class Memory(msgspec.Struct, frozen=True):
    """Resident memory of one room over the last half of a long load, in MiB."""

    room: str
    half_mib: float
    end_mib: float
    max_mib: float

    @property
    def growth(self) -> float:
        """End over half, minus one."""
        return self.end_mib / self.half_mib - 1


class PipelineReport(msgspec.Struct, frozen=True):
    """All figures of one run."""

    reference: LogReference
    latency: Latency
    throughput: Throughput
    memory: tuple[Memory, ...]
    memory_commands: int


class PipelineOrder(msgspec.Struct, frozen=True):
    """What to run."""

    home: Path
    seed: int
    latency_rate_per_s: int
    latency_commands: int
    offered_per_s: int
    throughput_commands: int
    memory_commands: int
    memory_rate_per_s: int
    trace_every: int = 0
    """One of so many commands has a trace; 0: none has."""


def run_pipeline_bench(order: PipelineOrder, say: Say) -> PipelineReport:
    """Start a stack under `order.home`, measure, stop it. Blocks for minutes.

    Raises:
        StackError: the stack does not start.
        AssertionError: a command stayed unanswered; there is no figure for a run that lost one.
    """
    genesis = default_genesis("bench")
    genesis = msgspec.structs.replace(genesis, remember_ended_us=REMEMBER_US)
    with open_bench(order.home, BENCH_ROOMS, genesis, order.seed) as bench:
        latency, throughput = measure_flow(bench, order, say)
        at = _WARM_UP + order.latency_commands + order.throughput_commands
        memory: Sequence[Memory] = ()
        if order.memory_commands:
            say(f"memory over {order.memory_commands} commands")
            memory = _measure_memory(bench, order, at)
        say("the log alone")
        reference = measure_log(bench.addresses.kafka_bootstrap, bench.codec, order.seed)
    return PipelineReport(reference, latency, throughput, tuple(memory), order.memory_commands)


def measure_flow(bench: Bench, order: PipelineOrder, say: Say) -> tuple[Latency, Throughput]:
    """Latency and throughput of a fresh deployment, after a warm-up. Blocks for minutes."""
    say("warming up")
    at = warm_up(bench, order.seed)
    say(f"latency at {order.latency_rate_per_s}/s")
    commands, rate = order.latency_commands, order.latency_rate_per_s
    latency = measure_latency(bench, order.seed, at, commands, rate, order.trace_every)
    say(f"throughput at {order.offered_per_s}/s offered")
    return latency, _measure_throughput(bench, order, at + order.latency_commands)


def warm_up(bench: Bench, seed: int) -> int:
    """Some seconds of load; how many records of the crowd's stream that took."""
    run_load(bench, seed, 0, _WARM_UP, 500, keep=False)
    return _WARM_UP


def measure_latency(
    bench: Bench, seed: int, first: int, commands: int, rate: int, trace_every: int = 0
) -> Latency:
    """Answers of a part of the crowd's stream, at a rate a second, from when each was due.

    Raises:
        AssertionError: a command stayed unanswered.
    """
    reader, result = run_load(
        bench, seed, first, commands, rate, keep=True, trace_every=trace_every
    )
    answered = reader.first_answers(bench.codec)
    wanted = _command_ids(seed, first, commands)
    _require_all_answered(wanted, answered)
    delays = [
        (answered[command_id] - (result.t0_s + place / rate)) * 1_000
        for command_id, place in wanted.items()
    ]
    cuts = quantiles(delays, n=100)
    return Latency(
        rate_per_s=rate,
        commands=len(delays),
        p50_ms=cuts[49],
        p95_ms=cuts[94],
        p99_ms=cuts[98],
        max_ms=max(delays),
        lateness_max_ms=result.lateness_max_ms,
    )


def _measure_throughput(bench: Bench, order: PipelineOrder, first: int) -> Throughput:
    before = bench.cpu_seconds()
    reader, result = run_load(
        bench,
        order.seed,
        first,
        order.throughput_commands,
        order.offered_per_s,
        keep=True,
        trace_every=order.trace_every,
    )
    spent = {name: s - before.get(name, 0.0) for name, s in bench.cpu_seconds().items()}
    answered = reader.first_answers(bench.codec)
    wanted = _command_ids(order.seed, first, order.throughput_commands)
    _require_all_answered(wanted, answered)
    at = sorted(answered[command_id] for command_id in wanted)
    # The middle four fifths: the first batches and the last stragglers are no steady state. Ten
    # slices of it show the spread, each long enough to hold several transactions.
    steady = at[len(at) // 10 : len(at) * 9 // 10]
    cuts = [steady[len(steady) * place // _SLICES] for place in range(_SLICES)] + [steady[-1]]
    rates = [len(steady) / _SLICES / (late - early) for early, late in pairwise(cuts)]
    return Throughput(
        offered_per_s=order.offered_per_s,
        commands=len(wanted),
        steady_per_s=len(steady) / (steady[-1] - steady[0]),
        min_per_s=min(rates),
        max_per_s=max(rates),
        whole_per_s=len(wanted) / (at[-1] - result.t0_s),
        cpu_us_per_command={n: s / len(wanted) * 1e6 for n, s in spent.items()},
    )


def _measure_memory(bench: Bench, order: PipelineOrder, first: int) -> list[Memory]:
    samples: list[Mapping[str, float]] = []
    process = _start_load(bench, order.seed, first, order.memory_commands, order.memory_rate_per_s)
    reader = AnswerReader(bench.addresses.kafka_bootstrap, bench.prefix, keep=False)
    try:
        _go(process)
        while process.poll() is None or time.time() - reader.last_at_s < _IDLE_S:
            samples.append(bench.resident_mib())
            time.sleep(_SAMPLE_S)
        _finish(process)
    finally:
        reader.close()
        process.kill()  # a run that failed leaves no load behind
    half = len(samples) // 2
    return [
        Memory(
            room=room,
            half_mib=samples[half][room],
            end_mib=samples[-1][room],
            max_mib=max(sample[room] for sample in samples),
        )
        for room in BENCH_ROOMS
    ]


def run_load(
    bench: Bench,
    seed: int,
    first: int,
    records: int,
    rate_per_s: int,
    *,
    keep: bool,
    trace_every: int = 0,
) -> tuple[AnswerReader, LoadResult]:
    """Publish a part of the crowd's stream open-loop, and wait until the answers have stopped.

    Args:
        bench: what is loaded.
        seed: of the crowd.
        first: skip so many records of its stream.
        records: publish so many.
        rate_per_s: at times fixed beforehand.
        keep: whether the reader has the answers afterwards.
        trace_every: begin a trace with each so manieth command; 0: with none.
    """
    process = _start_load(bench, seed, first, records, rate_per_s, trace_every)
    reader = AnswerReader(bench.addresses.kafka_bootstrap, bench.prefix, keep=keep)
    try:
        _go(process)
        result = _finish(process)
        reader.wait_until_idle(_IDLE_S, _TIMEOUT_S)
    finally:
        reader.close()
        process.kill()  # a run that failed leaves no load behind
    return reader, result


def _start_load(
    bench: Bench, seed: int, first: int, records: int, rate_per_s: int, trace_every: int = 0
) -> subprocess.Popen[str]:
    order = LoadOrder(
        bootstrap=bench.addresses.kafka_bootstrap,
        registry_url=bench.addresses.registry_url,
        prefix=bench.prefix,
        seed=seed,
        first=first,
        records=records,
        rate_per_s=rate_per_s,
        trace_every=trace_every,
    )
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "services.tools.bench.pipeline_load",
            msgspec.json.encode(order).decode(),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    ready = process.stdout.readline().strip()
    assert ready == "ready", f"the load generator did not start: {ready!r}"
    return process


def _go(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("go\n")
    process.stdin.flush()


def _finish(process: subprocess.Popen[str]) -> LoadResult:
    out, _ = process.communicate(timeout=_TIMEOUT_S)
    assert process.returncode == 0, f"the load generator failed: {process.returncode}"
    return msgspec.json.decode(out.splitlines()[-1], type=LoadResult)


def _command_ids(seed: int, first: int, records: int) -> dict[str, int]:
    """The command ids of a load and the place of each one's first publication in it."""
    found: dict[str, int] = {}
    stream = islice(Crowd(seed).commands(), first, first + records)
    for place, outbound in enumerate(stream):
        # A duplicate's answer may come from before this load; it is not a new command.
        if outbound.payload is None or outbound.is_junk or outbound.kind == "duplicate":
            continue
        payload = outbound.payload
        command_id = getattr(payload, "client_order_id", "") or getattr(
            payload, "client_command_id", ""
        )
        found.setdefault(command_id, place)
    return found


def _require_all_answered(wanted: Mapping[str, int], answered: Mapping[str, float]) -> None:
    missing = [command_id for command_id in wanted if command_id not in answered]
    assert not missing, f"{len(missing)} commands stayed unanswered, first {missing[:3]}"


def pipeline_table(report: PipelineReport) -> Table:
    """The figures for people."""
    table = Table("figure", "value", "spread", title="bench pipeline")
    latency, throughput, reference = report.latency, report.throughput, report.reference
    table.add_row(
        f"order to execution at {latency.rate_per_s}/s, p50",
        f"{latency.p50_ms:.1f} ms",
        f"p95 {latency.p95_ms:.1f}, p99 {latency.p99_ms:.1f}, max {latency.max_ms:.1f} ms"
        f" ({latency.commands:,} commands, generator late by {latency.lateness_max_ms:.1f})",
    )
    table.add_row(
        f"commands answered, {throughput.offered_per_s:,}/s offered",
        f"{throughput.steady_per_s:,.0f}/s",
        f"tenths {throughput.min_per_s:,.0f} to {throughput.max_per_s:,.0f},"
        f" first to last {throughput.whole_per_s:,.0f}/s ({throughput.commands:,} commands)",
    )
    for name, cpu_us in sorted(throughput.cpu_us_per_command.items()):
        table.add_row(f"CPU of {name}", f"{cpu_us:.0f} us/command", "")
    for room in report.memory:
        table.add_row(
            f"memory of {room.room} over {report.memory_commands:,} commands",
            f"{room.end_mib:.0f} MiB",
            f"half-way {room.half_mib:.0f}, max {room.max_mib:.0f}, growth {room.growth:+.1%}",
        )
    table.add_row(
        "reference: the log alone, one partition",
        f"{reference.median_per_s:,.0f}/s",
        f"{reference.min_per_s:,.0f} to {reference.max_per_s:,.0f} ({reference.records:,} records)",
    )
    return table

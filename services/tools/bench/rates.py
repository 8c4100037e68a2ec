"""`outcry bench rates`: order to execution by the rate at which orders come, open-loop.

The load and the reader are those of `bench pipeline`. Each rate's times run from when each command
was due, so a rate that is too high shows as latency that grows with the run's length.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec
from rich.table import Table

from services.domain.genesis import default_genesis
from services.tools.bench.deployment import open_bench
from services.tools.bench.frame import Say
from services.tools.bench.pipeline import (
    BENCH_ROOMS,
    REMEMBER_US,
    Latency,
    measure_latency,
    warm_up,
)

_COMMANDS_MIN: Final = 300
"""Of a rate: fewer have no 99th percentile to speak of."""


def run_rates_bench(
    home: Path, rates_per_s: Sequence[int], seconds: float, seed: int, say: Say
) -> list[Latency]:
    """One rate after the other on one stack under `home`; blocks for minutes.

    Raises:
        StackError: the stack does not start.
        AssertionError: a command stayed unanswered.
    """
    genesis = msgspec.structs.replace(default_genesis("bench"), remember_ended_us=REMEMBER_US)
    found = []
    with open_bench(home, BENCH_ROOMS, genesis, seed) as bench:
        at = warm_up(bench, seed)
        for rate in rates_per_s:
            say(f"{rate}/s for {seconds:g} s")
            commands = max(_COMMANDS_MIN, int(rate * seconds))
            found.append(measure_latency(bench, seed, at, commands, rate))
            at += commands
    return found


def rates_table(rows: Sequence[Latency]) -> Table:
    """For people."""
    table = Table(
        "commands/s", "p50 ms", "p95 ms", "p99 ms", "most ms", "commands", "generator late ms",
        title="bench rates: order to execution, from when each was due",
    )  # fmt: skip
    for row in rows:
        times = (row.p50_ms, row.p95_ms, row.p99_ms, row.max_ms)
        table.add_row(
            f"{row.rate_per_s:,}", *(f"{time_ms:,.1f}" for time_ms in times),
            f"{row.commands:,}", f"{row.lateness_max_ms:,.1f}",
        )  # fmt: skip
    return table

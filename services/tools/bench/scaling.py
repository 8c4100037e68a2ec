"""`outcry bench scaling`: what a command costs as books, accounts, tickers and processes grow.

Each point is a process of its own, so that no size sees another's memory. The rooms' folds alone:
codec, log and transactions do not know how deep a book is.
"""

import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Final

import msgspec
from rich.table import Table

from services.tools.bench.frame import Say
from services.tools.bench.scaling_worker import Axis, Point, PointResult
from services.tools.bench.tries import Spread, spread_of

_WORKER: Final = "services.tools.bench.scaling_worker"
_TIMEOUT_S: Final = 1_800.0

MEANINGS: Final[dict[Axis, str]] = {
    "depth": "orders resting in a book (matcher)",
    "accounts": "accounts open in a partition (risk)",
    "tickers": "books in one process (matcher)",
    "processes": "processes with a book each (matcher)",
}


class ScalingRow(msgspec.Struct, frozen=True):
    """One point."""

    axis: Axis
    size: int
    commands: int
    cpu_us: Spread
    """Processor time a command."""
    per_s: float
    """Commands a second of all processes together, on the wall: the median try."""
    mib: float
    """Memory of one process, libraries included."""


class ScalingOrder(msgspec.Struct, frozen=True):
    """What to run."""

    sizes: dict[Axis, list[int]]
    commands: int
    repeats: int


def default_sizes(*, quick: bool) -> dict[Axis, list[int]]:
    """The sizes of a run; a book of a million orders takes 2 GB and a minute to fill."""
    cores = os.cpu_count() or 1
    return {
        "depth": [10, 1_000, 100_000] if quick else [10, 100, 1_000, 10_000, 100_000, 1_000_000],
        "accounts": [10, 1_000, 10_000] if quick else [10, 100, 1_000, 10_000, 100_000],
        "tickers": [1, 5] if quick else [1, 5, 20, 50],
        "processes": sorted({1, cores} if quick else {1, 2, cores, 2 * cores}),
    }


def run_scaling_bench(order: ScalingOrder, say: Say) -> list[ScalingRow]:
    """One point after the other; blocks for minutes.

    Raises:
        RuntimeError: a point fails; the message ends with the last that it said.
    """
    rows = []
    for axis, sizes in order.sizes.items():
        for size in sizes:
            say(f"{size:,} {MEANINGS[axis]}")
            point = Point(axis, size, order.commands, order.repeats)
            rows.append(_row(point, _measure(point, size if axis == "processes" else 1)))
    return rows


def _row(point: Point, found: Sequence[PointResult]) -> ScalingRow:
    rates = [one.commands / spread_of(one.wall_s).median for one in found]
    return ScalingRow(
        point.axis,
        point.size,
        found[0].commands,
        spread_of([us for one in found for us in one.cpu_us]),
        sum(rates),
        max(one.mib for one in found),
    )


def _measure(point: Point, processes: int) -> list[PointResult]:
    """So many workers of this point, which begin together."""
    argument = msgspec.json.encode(point).decode()
    with ExitStack() as running:
        workers = []
        for _ in range(processes):
            worker = subprocess.Popen(
                [sys.executable, "-m", _WORKER, argument],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            )  # fmt: skip
            running.enter_context(worker)
            running.callback(worker.kill)
            workers.append(worker)
        for worker in workers:
            assert worker.stdout is not None
            worker.stdout.readline()
        for worker in workers:
            if worker.poll() is None:
                assert worker.stdin is not None
                worker.stdin.write("go\n")
                worker.stdin.flush()
        return [_result(worker, point) for worker in workers]


def _result(worker: subprocess.Popen[str], point: Point) -> PointResult:
    said, errors = worker.communicate(timeout=_TIMEOUT_S)
    if worker.returncode:
        last = (errors.strip().splitlines() or ["it said nothing"])[-1]
        raise RuntimeError(f"{point.size} {point.axis} failed ({worker.returncode}): {last}")
    return msgspec.json.decode(said.splitlines()[-1], type=PointResult)


def scaling_table(rows: Sequence[ScalingRow]) -> Table:
    """For people."""
    table = Table(
        "of what", "size", "us a command (least, most)", "commands/s together", "MiB",
        title="bench scaling", caption="processor time in the rooms' folds alone",
    )  # fmt: skip
    for row in rows:
        us = row.cpu_us
        table.add_row(
            MEANINGS[row.axis],
            f"{row.size:,}",
            f"{us.median:.1f} [{us.low:.1f}, {us.high:.1f}]",
            f"{row.per_s:,.0f}",
            f"{row.mib:,.0f}",
        )
    return table

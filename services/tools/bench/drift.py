"""`outcry bench drift`: a reference calibrated and a window judged, each try in its own process."""

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec
from rich.table import Table

_TRY_TIMEOUT_S: Final = 1_800


class DriftSpread(msgspec.Struct, frozen=True):
    """Of one figure over the tries."""

    median: float
    low: float
    high: float


class DriftFigures(msgspec.Struct, frozen=True):
    """What one benchmark found."""

    rows: int
    """Of the reference, over all tickers."""
    features: int
    tickers: int
    window_s: int
    seed: int
    repeats: int
    load: tuple[float, float]
    """Load average of the last minute before and after."""
    stretches: int
    checks: int
    wall_s: DriftSpread
    cpu_s: DriftSpread
    peak_mib: DriftSpread
    """Of the process, rows and libraries included."""
    steps_s: dict[str, DriftSpread]


def run_drift_bench(
    rows: int,
    features: int,
    tickers: int,
    window_s: int,
    seed: int,
    repeats: int,
    tell: Callable[[str], None],
) -> DriftFigures:
    """Do it so many times.

    Raises:
        RuntimeError: a try's process failed; the message is its last line.
    """  # fmt: skip
    load = os.getloadavg()[0]
    tries = []
    for repeat in range(repeats):
        tell(f"{repeat + 1} of {repeats}")
        tries.append(_try(rows, features, tickers, window_s, seed))
    return DriftFigures(
        rows=tries[0]["rows"],
        features=features,
        tickers=tickers,
        window_s=window_s,
        seed=seed,
        repeats=repeats,
        load=(load, os.getloadavg()[0]),
        stretches=tries[0]["stretches"],
        checks=tries[0]["checks"],
        wall_s=_spread([one["wall_s"] for one in tries]),
        cpu_s=_spread([one["cpu_s"] for one in tries]),
        peak_mib=_spread([one["peak_mib"] for one in tries]),
        steps_s={
            step: _spread([one["steps"][step] for one in tries]) for step in tries[0]["steps"]
        },
    )


def drift_table(figures: DriftFigures) -> Table:
    """The figures for people: medians, with the least and the most in brackets."""
    table = Table(
        "figure", "value",
        title=f"drift of {figures.rows:,} rows x {figures.features} features",
        caption=f"{figures.tickers} tickers, windows of {figures.window_s:,} s,"
        f" {figures.stretches} stretches, {figures.checks} checks; {figures.repeats} tries;"
        f" load average {figures.load[0]:.1f} before, {figures.load[1]:.1f} after",
    )  # fmt: skip
    table.add_row("whole job, on the wall", _cell(figures.wall_s, "s"))
    for step, found in figures.steps_s.items():
        table.add_row(f"  {step}", _cell(found, "s"))
    table.add_row("processor time", _cell(figures.cpu_s, "s"))
    table.add_row("greatest memory", _cell(figures.peak_mib, "MiB"))
    return table


def _try(*numbers: int) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "services.tools.bench.drift_worker", *map(str, numbers)],
        capture_output=True, text=True, check=False, timeout=_TRY_TIMEOUT_S,
    )  # fmt: skip
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise RuntimeError(f"a try failed ({done.returncode}): {last}")
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def _spread(values: Sequence[float]) -> DriftSpread:
    return DriftSpread(statistics.median(values), min(values), max(values))


def _cell(found: DriftSpread, unit: str) -> str:
    return f"{found.median:,.2f} {unit} [{found.low:,.2f}, {found.high:,.2f}]"

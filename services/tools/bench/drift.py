"""`outcry bench drift`: a reference calibrated and a window judged, each try in its own process.

Twice: the arithmetic alone on rows in memory, and the job as the room starts it (`drift_job`).
"""

import os
from typing import Final

import msgspec
from rich.table import Table

from services.featuresets.microstructure_v2 import MICROSTRUCTURE_V2
from services.tools.bench.drift_job import JobFigures, run_job_bench
from services.tools.bench.frame import Say
from services.tools.bench.tries import Spread, cell_of, spread_of, try_apart

_TRY_TIMEOUT_S: Final = 1_800
_WORKER: Final = "services.tools.bench.drift_worker"


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
    wall_s: Spread
    cpu_s: Spread
    peak_mib: Spread
    """Of the process, rows and libraries included."""
    steps_s: dict[str, Spread]
    job: JobFigures | None = None
    """Of the whole job over a lake; None: not asked for."""


def run_drift_bench(
    rows: int,
    features: int,
    tickers: int,
    window_s: int,
    seed: int,
    repeats: int,
    tell: Say,
) -> DriftFigures:
    """Do it so many times.

    Raises:
        RuntimeError: a try's process failed; the message is its last line.
    """  # fmt: skip
    load = os.getloadavg()[0]
    numbers = [str(each) for each in (rows, features, tickers, window_s, seed)]
    tries = []
    for repeat in range(repeats):
        tell(f"{repeat + 1} of {repeats}")
        tries.append(try_apart(_WORKER, numbers, _TRY_TIMEOUT_S, "a try"))
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
        wall_s=spread_of([one["wall_s"] for one in tries]),
        cpu_s=spread_of([one["cpu_s"] for one in tries]),
        peak_mib=spread_of([one["peak_mib"] for one in tries]),
        steps_s={
            step: spread_of([one["steps"][step] for one in tries]) for step in tries[0]["steps"]
        },
    )


def with_job(figures: DriftFigures, tell: Say) -> DriftFigures:
    """The same, and the whole job of as many rows, tickers, repeats. Raises as `run_job_bench`."""
    job = run_job_bench(
        figures.rows, figures.tickers, figures.window_s, figures.seed, figures.repeats, tell
    )
    return msgspec.structs.replace(figures, job=job)


def drift_tables(figures: DriftFigures) -> list[Table]:
    """All for people."""
    tables = [drift_table(figures)]
    if figures.job is not None:
        tables.append(job_table(figures.job, figures.tickers))
    return tables


def job_table(figures: JobFigures, tickers: int) -> Table:
    """The whole job for people."""
    table = Table(
        "figure", "calibrated anew", "calibration at hand", "anew, reports drawn",
        title=f"outcry drift run --job data --job labels: {figures.rows:,} rows x"
        f" {figures.columns} columns",
        caption=f"{tickers} tickers, {MICROSTRUCTURE_V2.name}, inputs and label; memory of all"
        f" processes of a job together; {figures.outcome}",
    )  # fmt: skip
    runs = (figures.new, figures.kept, figures.drawn)
    for name, unit, part in (
        ("on the wall", "s", "wall_s"),
        ("processor time", "s", "cpu_s"),
        ("greatest memory", "MiB", "peak_mib"),
    ):
        cells = [cell_of(getattr(run, part), unit, 1) for run in runs]
        table.add_row(name, *cells)
    return table


def drift_table(figures: DriftFigures) -> Table:
    """The figures for people: medians, with the least and the most in brackets."""
    table = Table(
        "figure", "value",
        title=f"drift of {figures.rows:,} rows x {figures.features} features",
        caption=f"{figures.tickers} tickers, windows of {figures.window_s:,} s,"
        f" {figures.stretches} stretches, {figures.checks} checks; {figures.repeats} tries;"
        f" load average {figures.load[0]:.1f} before, {figures.load[1]:.1f} after",
    )  # fmt: skip
    table.add_row("whole job, on the wall", cell_of(figures.wall_s, "s", 2))
    for step, found in figures.steps_s.items():
        table.add_row(f"  {step}", cell_of(found, "s", 2))
    table.add_row("processor time", cell_of(figures.cpu_s, "s", 2))
    table.add_row("greatest memory", cell_of(figures.peak_mib, "MiB", 2))
    return table

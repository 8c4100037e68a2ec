"""`outcry bench training`: a whole training run over a lake, beside scikit-learn's trees.

Each try is a process of its own, the two ways taking turns, so that the greatest memory is that of
one run. Trades are made up, and the rows are what the fold makes of them; the lake is written
before the clock starts.
"""

import os
import tempfile
from pathlib import Path
from typing import Any, Final

import msgspec
from rich.table import Table

from services.tools.bench.frame import Say
from services.tools.bench.training_lake import make_lake
from services.tools.bench.tries import Spread, cell_of, spread_of, try_apart

_TRY_TIMEOUT_S: Final = 7_200
_WORKER: Final = "services.tools.bench.training_worker"
_WAYS: Final = ("run", "library")


class TrainingFigures(msgspec.Struct, frozen=True):
    """What one benchmark found."""

    rows: int
    """In the lake."""
    rows_used: int
    """With a label and all inputs."""
    tickers: int
    model: str
    seed: int
    budget: int
    repeats: int
    load: tuple[float, float]
    """Load average of the last minute before and after."""
    rounds: int
    """Of the final model's trees."""
    wall_s: Spread
    """Of the whole run."""
    cpu_s: Spread
    """Of all threads, with the imports."""
    peak_mib: Spread
    steps_s: dict[str, Spread]
    library_rounds: int
    library_fit_s: Spread
    """One fit of the final model's rows by scikit-learn's histogram trees, one thread."""
    library_peak_mib: Spread


def run_training_bench(
    rows: int,
    tickers: int,
    model: str,
    seed: int,
    budget: int,
    repeats: int,
    tell: Say,
) -> TrainingFigures:
    """Time both ways so many times.

    Raises:
        RuntimeError: a try's process failed; the message is its last line.
    """  # fmt: skip
    load = os.getloadavg()[0]
    tries: dict[str, list[dict[str, Any]]] = {way: [] for way in _WAYS}
    with tempfile.TemporaryDirectory(prefix="outcry-bench-") as home:
        tell(f"making {rows:,} rows")
        made = make_lake(Path(home), rows, tickers, seed)
        for repeat in range(repeats):
            for way in _WAYS:
                tell(f"{way}: {repeat + 1} of {repeats}")
                tries[way].append(
                    try_apart(
                        _WORKER,
                        (way, home, model, str(seed), str(budget)),
                        _TRY_TIMEOUT_S,
                        f"a try of {way}",
                    )
                )
    ours, theirs = tries["run"], tries["library"]
    return TrainingFigures(
        rows=made,
        rows_used=ours[0]["rows"],
        tickers=tickers,
        model=model,
        seed=seed,
        budget=budget,
        repeats=repeats,
        load=(load, os.getloadavg()[0]),
        rounds=ours[0]["rounds"],
        wall_s=spread_of([one["wall_s"] for one in ours]),
        cpu_s=spread_of([one["cpu_s"] for one in ours]),
        peak_mib=spread_of([one["peak_mib"] for one in ours]),
        steps_s={
            step: spread_of([one["steps"][step] for one in ours]) for step in ours[0]["steps"]
        },
        library_rounds=theirs[0]["rounds"],
        library_fit_s=spread_of([one["wall_s"] for one in theirs]),
        library_peak_mib=spread_of([one["peak_mib"] for one in theirs]),
    )


def training_table(figures: TrainingFigures) -> Table:
    """The figures for people: medians, with the least and the most in brackets."""
    table = Table(
        "figure", "value",
        title=f"training of {figures.model} on {figures.rows_used:,} of {figures.rows:,} rows",
        caption=f"{figures.repeats} tries; budget {figures.budget}; load average"
        f" {figures.load[0]:.1f} before, {figures.load[1]:.1f} after",
    )  # fmt: skip
    table.add_row("whole run, on the wall", cell_of(figures.wall_s, "s", 1))
    for step, found in figures.steps_s.items():
        table.add_row(f"  {step}", cell_of(found, "s", 1))
    table.add_row("processor time", cell_of(figures.cpu_s, "s", 1))
    table.add_row("greatest memory", cell_of(figures.peak_mib, "MiB", 1))
    table.add_row("rounds of the final model", f"{figures.rounds:,}")
    table.add_row(
        "reference: one fit by scikit-learn's trees",
        f"{cell_of(figures.library_fit_s, 's', 1)}, {figures.library_rounds:,} rounds",
    )
    table.add_row("reference: its greatest memory", cell_of(figures.library_peak_mib, "MiB", 1))
    return table

"""`outcry bench features`: microstructure_v1 over a history, beside pandas, Polars and DuckDB.

All make the same rows from the same trades, which lie in memory in the form that each likes best;
the backfill alone reads them from Parquet and writes its rows there, as `outcry features backfill`.
Each try is a process of its own with one thread, the ways taking turns, and is judged by its
processor time. The rows of each are compared with the fold's, value by value.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
from rich.table import Table

from services.featuresets.microstructure_v1 import MICROSTRUCTURE_V1
from services.tools.bench.feature_flow import save_trades
from services.tools.bench.feature_worker import WAYS
from services.tools.bench.frame import Say
from services.tools.vectorfold.made_trades import make_trades

TOLERANCE_UNITS: Final = 2
"""Of a feature's own unit (1e-9 of a return): floats of others may part from an integer by that."""

_NAMES: Final[Mapping[str, str]] = {
    "columns": "fold, columns",
    "fold": "fold, stepwise",
    "backfill": "backfill, lake to lake",
    "pandas": "pandas",
    "polars": "Polars",
    "duckdb": "DuckDB",
}
_ONE_THREAD: Final = dict.fromkeys(
    ("POLARS_MAX_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "ARROW_NUM_THREADS"), "1"
)
_TRY_TIMEOUT_S: Final = 600


class WayFigures(msgspec.Struct, frozen=True):
    """One way of making the rows."""

    way: str
    median_per_s: float
    """Trades per second of processor time."""
    low_per_s: float
    high_per_s: float
    cpu_us_per_trade: float
    wall_s: float
    """Median time on the wall of one try."""
    rows: int
    equal: int
    """Values that are the fold's, to the last digit of the feature's unit."""
    near: int
    """Values that differ by at most TOLERANCE_UNITS of it."""
    other: int
    """Values that differ by more, or are defined in one of the two alone."""


class FeatureFigures(msgspec.Struct, frozen=True):
    """What one benchmark found."""

    seed: int
    trades: int
    tickers: int
    mean_gap_ms: int
    repeats: int
    load: tuple[float, float]
    """Load average of the last minute before and after."""
    ways: list[WayFigures]


def run_features_bench(
    trades: int,
    tickers: int,
    mean_gap_ms: int,
    seed: int,
    repeats: int,
    tell: Say,
) -> FeatureFigures:
    """Time every way so many times. Some seconds a way and repeat for each million trades.

    Raises:
        RuntimeError: a way's process failed, or its rows are not those of the grid.
    """  # fmt: skip
    load = os.getloadavg()[0]
    flows = [
        make_trades(seed + number, trades // tickers, mean_gap_ms * 1_000)
        for number in range(tickers)
    ]
    times: dict[str, list[tuple[float, float]]] = {way: [] for way in WAYS}
    with tempfile.TemporaryDirectory(prefix="outcry-bench-") as folder:
        given = Path(folder) / "trades.npz"
        save_trades(given, flows)
        for repeat in range(repeats):
            for way in WAYS:
                tell(f"{way}: {repeat + 1} of {repeats}")
                times[way].append(_try(way, given, Path(folder) / f"{way}.npz"))
        count = sum(len(flow.price) for flow in flows)
        with np.load(Path(folder) / "fold.npz") as reference:
            ours = dict(reference)
        ways = []
        for way in WAYS:
            with np.load(Path(folder) / f"{way}.npz") as rows:
                ways.append(_figures(way, count, times[way], compare_rows(ours, rows)))
    return FeatureFigures(
        seed, count, tickers, mean_gap_ms, repeats, (load, os.getloadavg()[0]), ways
    )


def compare_rows(
    ours: Mapping[str, np.ndarray], theirs: Mapping[str, np.ndarray]
) -> tuple[int, int, int]:
    """How many values are equal, near, and neither.

    Raises:
        RuntimeError: the rows do not stand at the same tickers and times.
    """
    for name in ("ticker", "at"):
        if not np.array_equal(ours[name], theirs[name]):
            raise RuntimeError("rows at other grid times than the fold's: nothing to compare")
    equal = near = other = 0
    for feature in MICROSTRUCTURE_V1.features:
        own = np.rint(ours[feature.name] * feature.scale)
        peer = np.rint(theirs[feature.name] * feature.scale)
        nobody = np.isnan(own) & np.isnan(peer)
        same = (own == peer) | nobody
        close = ~same & (np.abs(own - peer) <= TOLERANCE_UNITS)
        equal += int(same.sum())
        near += int(close.sum())
        other += int((~same & ~close).sum())
    return equal, near, other


def features_table(figures: FeatureFigures) -> Table:
    """The figures for people: medians, with the least and the most in brackets."""
    table = Table(
        title="microstructure_v1 over a history, trades per second of processor time",
        caption=(
            f"median of {figures.repeats} repeats (least–most), each a process with one thread;"
            f" {figures.trades:,} trades of {figures.tickers} tickers, one each"
            f" {figures.mean_gap_ms} ms, {figures.ways[0].rows:,} rows; seed {figures.seed};"
            " equal, near, other: values beside the fold's;"
            f" load {figures.load[0]:.1f} before, {figures.load[1]:.1f} after"
        ),
    )
    table.add_column("way", no_wrap=True)
    for heading in ("1000 trades/s", "us each", "equal", "near", "other"):
        table.add_column(heading, justify="right", no_wrap=True)
    for way in figures.ways:
        median_k, low_k, high_k = (
            rate / 1_000 for rate in (way.median_per_s, way.low_per_s, way.high_per_s)
        )
        table.add_row(
            _NAMES[way.way],
            f"{median_k:,.0f} ({low_k:,.0f}–{high_k:,.0f})",
            f"{way.cpu_us_per_trade:.2f}",
            *(f"{count:,}" for count in (way.equal, way.near, way.other)),
        )
    return table


def _try(way: str, given: Path, result: Path) -> tuple[float, float]:
    """Processor time and time on the wall, in seconds."""
    done = subprocess.run(
        [sys.executable, "-m", "services.tools.bench.feature_worker", way, given, result],
        check=False, capture_output=True, text=True, timeout=_TRY_TIMEOUT_S,
        env=os.environ | _ONE_THREAD,
    )  # fmt: skip
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise RuntimeError(f"{way} failed: {last}")
    told: dict[str, Any] = json.loads(done.stdout)
    return float(told["cpu_s"]), float(told["wall_s"])


def _figures(
    way: str, trades: int, times: Sequence[tuple[float, float]], values: tuple[int, int, int]
) -> WayFigures:
    rates = [trades / cpu_s for cpu_s, _ in times]
    return WayFigures(
        way,
        statistics.median(rates),
        min(rates),
        max(rates),
        statistics.median(cpu_s for cpu_s, _ in times) / trades * 1e6,
        statistics.median(wall_s for _, wall_s in times),
        sum(values) // len(MICROSTRUCTURE_V1.features),
        *values,
    )

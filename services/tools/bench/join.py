"""`outcry bench join`: features as of labels' times, beside Polars and Feast's DuckDB store.

All join the same labels with the same lake on the disk. Each try is a process of its own, the ways
taking turns, with as many threads as it likes. Feast gets the first few labels only, as many as it
can bear. Every value of each answer is compared with ours.
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
import pyarrow as pa
import pyarrow.compute as pc
from rich.table import Table

from services.featuresets.microstructure_v1 import MICROSTRUCTURE_V1
from services.tools.bench.frame import Say
from services.tools.bench.join_lake import JoinLake, make_labels, make_lake
from services.tools.bench.join_worker import FEAST_TTL, WAYS, load_table, save_table

_NAMES: Final[Mapping[str, str]] = {
    "ours": "features_as_of",
    "polars": "Polars",
    "feast": "Feast, DuckDB",
}
_FIGURES: Final = (
    "labels", "seconds", "processor seconds", "MiB at the start", "MiB at most", "values equal",
    "other",
)  # fmt: skip
_TRY_TIMEOUT_S: Final = 300
_TTL_US: Final = FEAST_TTL.days * 86_400_000_000


class JoinOrder(msgspec.Struct, frozen=True):
    """What to run."""

    home: Path | None
    """Where the lake is made, or is from the last time; None: in a temporary folder."""
    rows: int
    labels: int
    feast_labels: int
    """0: without Feast."""
    repeats: int
    seed: int


class JoinTry(msgspec.Struct, frozen=True):
    """What one process took for one join."""

    wall_s: float
    cpu_s: float
    """User and system time of all its threads."""
    peak_mib: float
    """Most resident memory of the process, its libraries included."""
    before_mib: float
    """Resident when the clock started."""


class JoinWay(msgspec.Struct, frozen=True):
    """One way of joining."""

    way: str
    labels: int
    tries: list[JoinTry]
    equal: int
    """Values that are ours, to the last bit."""
    other: int
    failed: str
    """Why there is no answer; then there are no figures either."""


class JoinFigures(msgspec.Struct, frozen=True):
    """What one benchmark found."""

    order: JoinOrder
    load: tuple[float, float]
    """Load average of the last minute before the first try and after the last."""
    ways: list[JoinWay]


class _Failed(Exception):  # noqa: N818 - an outcome of a way, told beside the others
    pass


def run_join_bench(order: JoinOrder, tell: Say) -> JoinFigures:
    """Make the lake, which takes a minute for some ten million rows, and time every way.

    Raises:
        FileExistsError: the folder has something else.
        RuntimeError: our own way failed.
    """
    made_of = JoinLake(order.rows, order.seed)
    with tempfile.TemporaryDirectory(prefix="outcry-bench-") as folder:
        home = order.home or Path(folder) / "home"
        make_lake(home, made_of, lambda rows, of: tell(f"lake: {rows:,} of {of:,} rows"))
        labels = make_labels(made_of, order.labels)
        given = {"ours": labels, "polars": labels, "feast": labels.slice(0, order.feast_labels)}
        ways = [way for way in WAYS if given[way].num_rows]
        for way in ways:
            save_table(Path(folder) / f"{way}.labels", given[way])
        load = os.getloadavg()[0]
        tries: dict[str, list[JoinTry]] = {way: [] for way in ways}
        failed: dict[str, str] = {}
        for repeat in range(order.repeats):
            for way in ways:
                if way not in failed:
                    tell(f"{way}: {repeat + 1} of {order.repeats}")
                    try:
                        tries[way].append(_try(way, home, Path(folder)))
                    except _Failed as failure:
                        failed[way] = str(failure)
        if "ours" in failed:
            raise RuntimeError(f"features_as_of failed: {failed['ours']}")
        after = os.getloadavg()[0]
        ours = load_table(Path(folder) / "ours.answer")
        found = []
        for way in ways:
            equal = other = 0
            if way not in failed:
                theirs = load_table(Path(folder) / f"{way}.answer")
                expected = expired(ours.slice(0, order.feast_labels)) if way == "feast" else ours
                equal, other = compare_answers(expected, theirs)
            found.append(
                JoinWay(way, given[way].num_rows, tries[way], equal, other, failed.get(way, ""))
            )
    return JoinFigures(order, (load, after), found)


def compare_answers(ours: "pa.Table", theirs: "pa.Table") -> tuple[int, int]:
    """How many values are equal, and how many are not; both being undefined is equal.

    Raises:
        RuntimeError: the answers are not to the same labels.
    """
    if not ours.column("ticker").equals(theirs.column("ticker").cast(pa.string())):
        raise RuntimeError("the answers are to other labels than ours: nothing to compare")
    equal = 0
    names = [name for name in theirs.column_names if name != "ticker"]
    for name in names:
        mine, other = ours.column(name), theirs.column(name)
        nobody = pc.and_(pc.is_null(mine), pc.is_null(other))
        same = pc.or_(nobody, pc.fill_null(pc.equal(mine, other), fill_value=False))
        equal += pc.sum(same).as_py() or 0
    return equal, ours.num_rows * len(names) - equal


def expired(ours: "pa.Table") -> "pa.Table":
    """Our answer as it must be where a row older than Feast's time to live counts as none."""
    age_us = pc.subtract(ours.column("time_us"), ours.column("grid_time_us"))
    lives = pc.fill_null(pc.less_equal(age_us, _TTL_US), fill_value=False)
    columns = {"ticker": ours.column("ticker")}
    for name in MICROSTRUCTURE_V1.columns:
        columns[name] = pc.if_else(lives, ours.column(name), pa.scalar(None, pa.float64()))
    return pa.table(columns)


def join_table(figures: JoinFigures) -> Table:
    """The figures for people: medians, with the least and the most in brackets."""
    order = figures.order
    table = Table(
        title=f"Features as of labels' times, {order.rows:,} rows of microstructure_v1",
        caption=(
            f"median of {order.repeats} repeats (least–most), each a process of its own;"
            " MiB: resident memory, libraries included; equal, other: values beside ours;"
            f" Feast's rows live {FEAST_TTL.days} day; seed {order.seed};"
            f" load {figures.load[0]:.1f} before, {figures.load[1]:.1f} after"
        ),
    )
    table.add_column("", no_wrap=True)
    for way in figures.ways:
        table.add_column(_NAMES[way.way], justify="right")
    cells = [_cells(way) for way in figures.ways]
    for figure in _FIGURES:
        table.add_row(figure, *(of_way[figure] for of_way in cells))
    return table


def _cells(way: JoinWay) -> dict[str, str]:
    """What stands in a column; a way without an answer says why there."""
    cells = dict.fromkeys(_FIGURES, "") | {"labels": f"{way.labels:,}"}
    if way.failed:
        return cells | {"seconds": way.failed}
    return cells | {
        "seconds": _spread([one.wall_s for one in way.tries]),
        "processor seconds": _spread([one.cpu_s for one in way.tries]),
        "MiB at the start": f"{max(one.before_mib for one in way.tries):,.0f}",
        "MiB at most": f"{max(one.peak_mib for one in way.tries):,.0f}",
        "values equal": f"{way.equal:,}",
        "other": f"{way.other:,}",
    }


def _spread(seconds: Sequence[float]) -> str:
    return f"{statistics.median(seconds):.2f} ({min(seconds):.2f}–{max(seconds):.2f})"


def _try(way: str, home: Path, folder: Path) -> JoinTry:
    """One process. Raises _Failed: it took too long, too much memory, or did not know how."""
    files = (home, folder / f"{way}.labels", folder / f"{way}.answer")
    try:
        done = subprocess.run(
            [sys.executable, "-m", "services.tools.bench.join_worker", way, *files],
            check=False, capture_output=True, text=True, timeout=_TRY_TIMEOUT_S,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise _Failed(f"no answer in {_TRY_TIMEOUT_S} s") from None
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise _Failed(last[:200])
    told: dict[str, Any] = json.loads(done.stdout)
    return msgspec.convert(told, JoinTry)

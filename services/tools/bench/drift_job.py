"""The job itself for `outcry bench drift`: `outcry drift run` over a lake, as the room starts it.

The lake, the champion that was trained on it, PostgreSQL and the rest of the infrastructure are
made before the clock starts. A job that calibrates anew and one that finds the calibration of the
first take turns, each a process of its own, watched from outside with all that it starts. Last
comes one that calibrates anew and has its reports drawn, as the room has it unless told otherwise.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage
from tempfile import TemporaryDirectory, TemporaryFile
from time import perf_counter, sleep
from typing import Final

import msgspec
import psutil

from services.drift.core.windows import SECOND_US
from services.featuresets.microstructure_v2 import MICROSTRUCTURE_V2
from services.lake.places import Lake
from services.models.registry import Registry
from services.tools.bench.training_lake import make_lake
from services.tools.bench.tries import Spread, spread_of
from services.tools.drift.jobs.rows import newest_us
from services.tools.drift.jobs.told import EXIT_ALARM, EXIT_OK, EXIT_UNJUDGED
from services.tools.stack.deployment import migrate_database
from services.tools.stack.portcheck import free_run_base
from services.tools.stack.settings import StackSettings
from services.tools.stack.stack import Stack, running_stack
from services.trainer.dataset import DatasetPlan
from services.trainer.service import TrainingPlan, train

_TIMEOUT_S: Final = 1_800
_POLL_S: Final = 0.05
_JOBS: Final = ("data", "labels")
"""Together they look at every column of the feature set: the inputs, and the mid as labels."""
_AFTER_S: Final = 180
"""Rows beyond the window, so that it is over."""
_ENDINGS: Final = (EXIT_OK, EXIT_ALARM, EXIT_UNJUDGED)
_JUDGED: Final = ("ok", "drift", "window_shorter_than_block")
"""What the window of a market without a change can come to; anything else looked at no rows."""


class JobRun(msgspec.Struct, frozen=True):
    """Tries of one way."""

    wall_s: Spread
    """Of the process: imports, rows, judgement, the ledger."""
    cpu_s: Spread
    peak_mib: Spread
    """Greatest sum of the resident memory of the process and those that it starts, as sampled each
    50 ms; pages that they share count twice."""


class JobFigures(msgspec.Struct, frozen=True):
    """What `outcry drift run --job data --job labels` costs."""

    rows: int
    """That the champion was trained on, with labels."""
    columns: int
    """Looked at, of each ticker: inputs and label."""
    outcome: str
    """Of each job."""
    new: JobRun
    """Calibrated anew, from the rows of the training."""
    kept: JobRun
    """With the calibrations that an earlier run left."""
    drawn: JobRun
    """Calibrated anew, with a report of each job."""


def run_job_bench(
    rows: int, tickers: int, window_s: int, seed: int, repeats: int, tell: Callable[[str], None]
) -> JobFigures:
    """Make the deployment, and run the job in it.

    Raises:
        StackError: the infrastructure does not start.
        RuntimeError: a job failed, or judged nothing; the message has its last line.
    """  # fmt: skip
    with TemporaryDirectory(prefix="outcry-bench-") as folder:
        home = Path(folder)
        seconds = rows // tickers
        tell(f"making {rows:,} rows")
        make_lake(home, (seconds + window_s + _AFTER_S) * tickers, tickers, seed, MICROSTRUCTURE_V2)
        tell("training a champion of them")
        champion = _champion(home, window_s, seed)
        with _stack(home) as stack:
            asked = _command(champion.last_us + SECOND_US, window_s)
            silent = [*asked, "--no-report"]
            environment = os.environ | {
                "OUTCRY_HOME": str(home),
                "OUTCRY_PORT_BASE": str(stack.plan.port_base),
                "OUTCRY_TOPIC_PREFIX": "",
                "OUTCRY_PG_DSN": stack.addresses.pg_dsn,
            }
            new, kept, drawn = [], [], []
            for repeat in range(repeats):
                tell(f"drift run: {repeat + 1} of {repeats}")
                shutil.rmtree(home / "drift", ignore_errors=True)
                new.append(_watched(silent, environment))
                kept.append(_watched(silent, environment))
                shutil.rmtree(home / "drift")
                drawn.append(_watched(asked, environment, reports=len(_JOBS)))
    return JobFigures(
        champion.rows, champion.columns, new[0].outcome, *map(_run_of, (new, kept, drawn))
    )


class _Champion(msgspec.Struct, frozen=True):
    rows: int
    columns: int
    last_us: int


class _Watched(msgspec.Struct, frozen=True):
    wall_s: float
    cpu_s: float
    peak_mib: float
    outcome: str


@contextmanager
def _stack(home: Path) -> Iterator[Stack]:
    settings = StackSettings(home=home / "stack", port_base=free_run_base(), topic_prefix="")
    with running_stack(settings, rooms=()) as stack:
        migrate_database(stack.addresses, "")
        yield stack


def _champion(home: Path, window_s: int, seed: int) -> _Champion:
    """The quickest kind that learns, of all but the last rows; forced, for it learns noise."""
    lake = Lake(home)
    name = MICROSTRUCTURE_V2.name
    ends = [
        newest_us(lake, MICROSTRUCTURE_V2, (ticker,)) for ticker in lake.tickers(f"features/{name}")
    ]
    # Tickers were silent for some minutes each: they do not end together.
    last_us = min(end for end in ends if end is not None) - (window_s + _AFTER_S) * SECOND_US
    with TemporaryDirectory(prefix="outcry-bench-") as into:
        plan = TrainingPlan(DatasetPlan(name, last_us=last_us), "logistic", seed, budget=1)
        trained = train(lake, Path(into), plan)
        registry = Registry(home)
        version = registry.register(trained.folder)
    registry.promote(version, force=True, why="a benchmark")
    columns = len(trained.manifest.columns) + 1  # the label, which the mid gives
    return _Champion(trained.manifest.data.rows, columns, last_us)


def _command(begin_us: int, window_s: int) -> list[str]:
    begin_s = begin_us // SECOND_US
    first, last = (
        datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S")
        for at in (begin_s, begin_s + window_s)
    )
    jobs = [word for job in _JOBS for word in ("--job", job)]
    asked = [*jobs, "--from", first, "--to", last, "--json"]
    return [sys.executable, "-m", "services.cli", "drift", "run", *asked]


def _watched(argv: list[str], environment: Mapping[str, str], reports: int = 0) -> _Watched:
    before, began_s = _cpu_s(), perf_counter()
    peak_mib = 0.0
    with TemporaryFile() as told, TemporaryFile() as said:
        process = subprocess.Popen(argv, env=environment, stdout=told, stderr=said)
        try:
            while process.poll() is None:
                peak_mib = max(peak_mib, _resident_mib(process.pid))
                if perf_counter() - began_s > _TIMEOUT_S:
                    raise RuntimeError(f"drift run took longer than {_TIMEOUT_S:,} s")
                sleep(_POLL_S)
        finally:
            process.kill()
            process.wait()
        wall_s = perf_counter() - began_s
        told.seek(0)
        said.seek(0)
        if process.returncode not in _ENDINGS:
            last = (said.read().decode().strip().splitlines() or ["it said nothing"])[-1]
            raise RuntimeError(f"drift run failed ({process.returncode}): {last}")
        jobs = msgspec.json.decode(told.read())["jobs"]
    outcomes = []
    for kind in _JOBS:
        (job,) = [job for job in jobs if job["kind"] == kind]
        if job["outcome"] not in _JUDGED:
            raise RuntimeError(f"drift run judged nothing: {job['outcome']}: {job['detail']}")
        outcomes.append(f"{kind} {job['outcome']}")
    made = [job["report"] for job in jobs if job["kind"] in _JOBS].count("made")
    if made != reports:
        raise RuntimeError(f"drift run drew {made} reports of {reports}")
    return _Watched(wall_s, _cpu_s() - before, peak_mib, ", ".join(outcomes))


def _cpu_s() -> float:
    used = getrusage(RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _resident_mib(pid: int) -> float:
    """Of the process and those that it has started, now."""
    try:
        parent = psutil.Process(pid)
        family = [parent, *parent.children(recursive=True)]
    except psutil.NoSuchProcess:  # It has ended meanwhile.
        return 0.0
    return sum(map(_own_mib, family))


def _own_mib(process: psutil.Process) -> float:
    try:
        return float(process.memory_info().rss) / 2**20
    except psutil.NoSuchProcess:
        return 0.0


def _run_of(tries: list[_Watched]) -> JobRun:
    return JobRun(
        spread_of([one.wall_s for one in tries]),
        spread_of([one.cpu_s for one in tries]),
        spread_of([one.peak_mib for one in tries]),
    )

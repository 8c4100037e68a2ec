"""`outcry bench all`: the benchmarks one after another, each in its own process, on one page.

What each found is kept as JSON with the command that found it; the pages and their pictures are
drawn from that file alone (`make docs` draws docs/benchmarks-run.md and its pictures again from
docs/benchmarks-run.json), so that no figure on them was typed.
"""

import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

import msgspec
import psutil

from services.tools.bench.frame import Say
from services.tools.stack.fetch import KAFKA, REGISTRY, directory_of

JSON_NAME: Final = "benchmarks-run.json"
PAGE_NAME: Final = "benchmarks-run.md"
HTML_NAME: Final = "benchmarks-run.html"
DIRTY: Final = "-dirty"
"""What the commit ends with where tracked files had changes that were not committed."""

_LOAD_MAX: Final = 1.0
"""Load average over a minute at which a benchmark of a whole run may begin."""
_QUIET_S_MAX: Final = 120.0
"""How long to wait for it; an idle machine forgets a load of 7 in that time."""
_LOOK_S: Final = 2.0
_GIB: Final = 1024**3
_PACKAGES: Final = (
    "confluent-kafka", "fastavro", "msgspec", "fastapi", "uvicorn", "feast", "mlflow-skinny",
    "xgboost-cpu", "matching-engine", "lightmatchingengine",
)  # fmt: skip


class Entry(msgspec.Struct, frozen=True):
    """One benchmark of the run."""

    name: str
    meaning: str
    quick: tuple[str, ...]
    """Its options in a quick run."""
    full: tuple[str, ...]
    """And in a whole one; none: those that it has by itself."""
    timeout_s: float


class Machine(msgspec.Struct, frozen=True):
    """Where it ran."""

    processor: str
    cores: int
    memory_gib: float
    system: str
    versions: dict[str, str]


class Found(msgspec.Struct, frozen=True):
    """What one benchmark found."""

    name: str
    command: str
    took_s: float
    load_before: float
    """Load average over a minute, as it began; after the wait for a quiet machine."""
    figures: msgspec.Raw
    """As it printed them; null where it failed."""
    error: str = ""
    commit: str = ""
    """Where it was run again, alone and later than the others: at which commit; else the run's."""


class Run(msgspec.Struct):
    """One run of them all; the file that it is kept in."""

    began: str
    """In UTC."""
    commit: str
    is_quick: bool
    machine: Machine
    found: list[Found] = msgspec.field(default_factory=list)


ENTRIES: Final = (
    Entry(
        "matcher-core", "Orders a second by ticker and in all, the matcher's fold alone",
        ("--orders", "10000", "--repeats", "3"), ("--orders", "50000", "--repeats", "5"), 900,
    ),
    Entry(
        "scaling", "As depth, accounts, tickers and processes grow",
        ("--quick", "--commands", "5000"), ("--commands", "20000", "--repeats", "5"), 3_600,
    ),
    Entry(
        "instances", "As a room's processes become more, over Kafka",
        ("--processes", "1,2", "--commands", "5000", "--repeats", "1"), (), 2_400,
    ),
    Entry(
        "stages", "What a command costs each room's own code",
        ("--commands", "5000"), ("--commands", "50000", "--repeats", "5"), 900,
    ),
    Entry(
        "rates", "Order to execution by rate",
        ("--rates", "100,400", "--seconds", "8"),
        ("--rates", "50,100,300,600,1200,2400", "--seconds", "30"), 1_800,
    ),
    Entry(
        "pipeline", "The whole pipeline at saturation, and each process' share",
        ("--latency-commands", "600", "--commands", "20000"),
        ("--latency-commands", "12000", "--commands", "120000"), 1_800,
    ),
    Entry("peers", "Others beside us", ("--quick", "--repeats", "1"), (), 3_600),
    Entry(
        "metrics", "Scrapes, and what metrics cost",
        ("--commands", "20000", "--rounds", "1", "--calm-seconds", "10"), (), 2_400,
    ),
    Entry(
        "tracing", "What traces cost",
        ("--latency-commands", "300", "--commands", "20000", "--repeats", "1"), (), 2_400,
    ),
    Entry(
        "snapshots", "The pause of a snapshot", ("--sizes", "1000,10000", "--repeats", "3"), (), 900
    ),
    Entry(
        "sockets", "Books over the WebSocket", ("--clients", "50", "--silent", "5"),
        ("--seconds", "30"), 900,
    ),
    Entry(
        "saturation", "Twice what it bears, and afterwards",
        ("--minutes", "0.5", "--find-seconds", "5"), ("--minutes", "5"), 2_400,
    ),
)  # fmt: skip


def run_all(
    *, quick: bool, only: Sequence[str], folder: Path, say: Say, entries: Sequence[Entry] = ENTRIES
) -> Run:
    """Run them; after each, the file in `folder` holds all until then. Blocks for long.

    A benchmark that fails leaves its error in its place, and the others run all the same. In a
    whole run each waits, for two minutes at most, until what the one before left has died down.
    """
    run = Run(
        began=time.strftime("%Y-%m-%d %H:%M", time.gmtime()),
        commit=_commit(),
        is_quick=quick,
        machine=_machine(),
    )
    for entry in entries:
        if only and entry.name not in only:
            continue
        options = entry.quick if quick else entry.full
        command = " ".join(("outcry bench", entry.name, *options))
        if not quick:
            wait_until_quiet(say)
        say(command)
        run.found.append(_one(entry, options, command))
        if run.found[-1].error:
            say(f"{entry.name} failed: {run.found[-1].error}")
        encoded = msgspec.json.format(msgspec.json.encode(run), indent=1)
        (folder / JSON_NAME).write_bytes(encoded + b"\n")
    return run


def wait_until_quiet(
    say: Say,
    wait_s_max: float = _QUIET_S_MAX,
    load_of: Callable[[], float] = lambda: os.getloadavg()[0],
    sleep: Callable[[float], None] = time.sleep,
) -> float:
    """Wait while the load is too high, and for no longer; returns the load that is left."""
    load, waited_s = load_of(), 0.0
    if load >= _LOAD_MAX:
        say(f"waiting for a load below {_LOAD_MAX:g}, it is {load:.1f}")
    while load >= _LOAD_MAX and waited_s < wait_s_max:
        sleep(_LOOK_S)
        waited_s += _LOOK_S
        load = load_of()
    return load


def read_figures(found: Found, shape: Any) -> Any:  # noqa: ANN401 - whatever the shape is
    """The figures as what the benchmark made them of.

    Raises:
        msgspec.ValidationError: the file is older than the benchmark.
    """
    return msgspec.json.decode(found.figures, type=shape, dec_hook=lambda kind, value: kind(value))


def _one(entry: Entry, options: Sequence[str], command: str) -> Found:
    load_before = os.getloadavg()[0]
    began_s = time.monotonic()
    try:
        done = subprocess.run(
            [sys.executable, "-m", "services.cli", "bench", entry.name, *options, "--json"],
            capture_output=True, check=False, timeout=entry.timeout_s,
        )  # fmt: skip
        said, errors = done.stdout, done.stderr.decode(errors="replace").strip()
    except subprocess.TimeoutExpired:
        said, errors = b"", f"it took more than {entry.timeout_s:g} s"
    took_s = time.monotonic() - began_s
    lines = said.splitlines()
    # Figures that break a goal come with exit code 1, and are figures all the same.
    figures, error = b"null", (errors.splitlines() or ["it said nothing"])[-1]
    if lines and lines[-1][:1] in {b"{", b"["}:
        figures, error = lines[-1], ""
    return Found(entry.name, command, took_s, load_before, msgspec.Raw(figures), error)


def _commit() -> str:
    done = subprocess.run(
        # No tag, so that a commit is spelled alike before a release and after it.
        ["git", "describe", "--always", f"--dirty={DIRTY}", "--exclude=*"],
        capture_output=True, text=True, check=False, cwd=Path(__file__).parent,
    )  # fmt: skip
    return done.stdout.strip() or "unknown"


def _machine() -> Machine:
    versions = {"Python": platform.python_version()}
    for download in (KAFKA, REGISTRY):
        # `kafka-4.3.1-` and a hash of what it was resolved from.
        versions[download.title] = directory_of(download, Path()).name.split("-")[1]
    for package in _PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "not installed"
    return Machine(
        _processor(),
        os.cpu_count() or 1,
        psutil.virtual_memory().total / _GIB,
        f"{platform.system()} {platform.release()}",
        versions,
    )


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    text = info.read_text(encoding="utf-8") if info.is_file() else ""
    names = (
        line.partition(":")[2].strip()
        for line in text.splitlines()
        if line.startswith("model name")
    )
    return next(names, platform.processor() or platform.machine())

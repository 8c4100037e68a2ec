"""The page of a run of `outcry bench all`, drawn from its file."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec
from rich.table import Table
from rich.text import Text

from services.tools.bench.matcher_core import MatcherCoreFigures, matcher_core_table
from services.tools.bench.metrics_cost import MetricsCost, metrics_tables
from services.tools.bench.peers import PeerRow, peers_table
from services.tools.bench.pipeline import Latency, PipelineReport, pipeline_table
from services.tools.bench.rates import rates_table
from services.tools.bench.run_all import ENTRIES, JSON_NAME, Found, Run
from services.tools.bench.saturation import SaturationReport, saturation_table
from services.tools.bench.scaling import ScalingRow, scaling_table
from services.tools.bench.snapshots import SnapshotFigures, snapshots_table
from services.tools.bench.sockets import SocketsReport, sockets_table
from services.tools.bench.stages import StageCost, stages_table

type _Draw = Callable[[Any], Table | Iterable[Table]]

_SHOWN: Final[Mapping[str, tuple[Any, _Draw]]] = {
    "matcher-core": (MatcherCoreFigures, matcher_core_table),
    "scaling": (list[ScalingRow], scaling_table),
    "stages": (list[StageCost], stages_table),
    "rates": (list[Latency], rates_table),
    "pipeline": (PipelineReport, pipeline_table),
    "peers": (list[PeerRow], peers_table),
    "metrics": (MetricsCost, metrics_tables),
    "snapshots": (list[SnapshotFigures], snapshots_table),
    "sockets": (SocketsReport, sockets_table),
    "saturation": (SaturationReport, saturation_table),
}
"""How each one's figures are read, and its tables drawn."""


def draw_page(run: Run) -> str:
    """The whole page, in Markdown."""
    machine = run.machine
    versions = ", ".join(f"{name} {found}" for name, found in machine.versions.items())
    kind = "A quick run, for a first look" if run.is_quick else "A whole run"
    how = "outcry bench all --quick" if run.is_quick else "outcry bench all"
    parts = [
        "# A run of all benchmarks",
        (
            f"{kind} of `{how}` at commit {run.commit}, begun {run.began} UTC. Drawn from"
            f" {JSON_NAME}; nothing here was typed. [Benchmarks](benchmarks.md) says what each"
            " measures and how to read it."
        ),
        (
            f"{machine.processor}, {machine.cores} cores, {machine.memory_gib:.0f} GiB,"
            f" {machine.system}; {versions}. Everything, load and readers included, ran on it."
        ),
    ]
    limit = limit_of(run)
    if limit:
        parts += ["## Where the limit is", limit]
    meanings = {entry.name: entry.meaning for entry in ENTRIES}
    for found in run.found:
        parts += _section(found, meanings.get(found.name, found.name))
    return "\n\n".join(parts) + "\n"


def _section(found: Found, meaning: str) -> list[str]:
    parts = [
        f"## {meaning}",
        (
            f"`{found.command}`, {found.took_s:,.0f} s; load average {found.load_before:.1f} as it"
            " began."
        ),
    ]
    if found.error:
        return [*parts, f"It failed: {found.error}"]
    return [*parts, *(markdown_of(table) for table in tables_of(found))]


def tables_of(found: Found) -> list[Table]:
    """One benchmark's figures as its own command shows them."""
    shape, draw = _SHOWN[found.name]
    tables = draw(read_figures(found, shape))
    return [tables] if isinstance(tables, Table) else list(tables)


def read_figures(found: Found, shape: Any) -> Any:  # noqa: ANN401 - whatever the shape is
    """The figures as what the benchmark made them of.

    Raises:
        msgspec.ValidationError: the file is older than the benchmark.
    """
    return msgspec.json.decode(found.figures, type=shape, dec_hook=lambda kind, value: kind(value))


def markdown_of(table: Table) -> str:
    """A table for terminals as one of Markdown, its caption below."""
    columns = [[_plain(cell) for cell in column.cells] for column in table.columns]
    heads = [_plain(column.header) for column in table.columns]
    rows = [heads, ["---"] * len(heads), *map(list, zip(*columns, strict=True))]
    lines = "\n".join(f"| {' | '.join(cells)} |" for cells in rows)
    return f"{lines}\n\n{_plain(table.caption)}." if table.caption else lines


def _plain(cell: object) -> str:
    text = cell.plain if isinstance(cell, Text) else str(cell)
    return " ".join(text.split()).replace("|", "\\|")


def limit_of(run: Run) -> str:
    """What bounds the exchange on this machine, by the processor time of each process.

    Empty where the run has no pipeline.
    """
    found = next((one for one in run.found if one.name == "pipeline" and not one.error), None)
    if found is None:
        return ""
    report: PipelineReport = read_figures(found, PipelineReport)
    costs = sorted(
        report.throughput.cpu_us_per_command.items(), key=lambda cost: cost[1], reverse=True
    )
    total_us = sum(us for _, us in costs)
    (first, first_us), cores = costs[0], run.machine.cores
    spelled = ", ".join(f"{name} {us:.0f} us" for name, us in costs if us >= 1)
    used = report.throughput.steady_per_s * total_us / 1e6
    room, room_us = next((name, us) for name, us in costs if name not in _SHARED)
    return (
        f"A command costs {total_us:.0f} us of processor time: {spelled}. At"
        f" {report.throughput.steady_per_s:,.0f} commands/s these processes take {used:.1f} of"
        f" {cores} cores; load and reader, which share the machine, take theirs beside. So"
        f" {cores} cores bear at most {cores * 1e6 / total_us:,.0f}/s, the largest part is {first}"
        f" ({first_us / total_us:.0%}), and with cores to spare the first process at its end is"
        f" {room}, whose one takes {1e6 / room_us:,.0f}/s."
    )


_SHARED: Final = frozenset({"kafka", "postgres", "registry"})
"""Servers with threads of their own; a room's loop is one thread."""


def write_page(source: Path, target: Path) -> None:
    """Draw a run's file as a page."""
    run = msgspec.json.decode(source.read_bytes(), type=Run)
    target.write_text(draw_page(run), encoding="utf-8")

"""The pages of a run of `outcry bench all`, Markdown and HTML, drawn from its file."""

from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec
from markdown_it import MarkdownIt
from markdown_it.token import Token
from rich.table import Table
from rich.text import Text

from services.tools.bench.instances import InstancesRow, instances_table
from services.tools.bench.matcher_core import MatcherCoreFigures, matcher_core_table
from services.tools.bench.metrics_cost import MetricsCost, metrics_tables
from services.tools.bench.peers import PeerRow, peers_table
from services.tools.bench.pipeline import Latency, PipelineReport, pipeline_table
from services.tools.bench.rates import rates_table
from services.tools.bench.run_all import (
    DIRTY,
    ENTRIES,
    HTML_NAME,
    JSON_NAME,
    PAGE_NAME,
    Found,
    Run,
    read_figures,
)
from services.tools.bench.run_plots import IMAGES, draw_plot, file_of, is_drawn, words_of
from services.tools.bench.saturation import SaturationReport, saturation_table
from services.tools.bench.scaling import ScalingRow, scaling_table
from services.tools.bench.snapshots import SnapshotFigures, snapshots_table
from services.tools.bench.sockets import SocketsReport, sockets_table
from services.tools.bench.stages import StageCost, stages_table
from services.tools.bench.tracing import TracingReport, tracing_table

type _Draw = Callable[[Any], Table | Iterable[Table]]

_SHOWN: Final[Mapping[str, tuple[Any, _Draw]]] = {
    "matcher-core": (MatcherCoreFigures, matcher_core_table),
    "scaling": (list[ScalingRow], scaling_table),
    "instances": (list[InstancesRow], instances_table),
    "stages": (list[StageCost], stages_table),
    "rates": (list[Latency], rates_table),
    "pipeline": (PipelineReport, pipeline_table),
    "peers": (list[PeerRow], peers_table),
    "metrics": (MetricsCost, metrics_tables),
    "tracing": (TracingReport, tracing_table),
    "snapshots": (list[SnapshotFigures], snapshots_table),
    "sockets": (SocketsReport, sockets_table),
    "saturation": (SaturationReport, saturation_table),
}
"""How each one's figures are read, and its tables drawn."""


def draw_page(run: Run) -> str:
    """The whole page, in Markdown; its pictures are files beside it."""
    machine = run.machine
    versions = ", ".join(f"{name} {found}" for name, found in machine.versions.items())
    kind = "A quick run, for a first look" if run.is_quick else "A whole run"
    how = "outcry bench all --quick" if run.is_quick else "outcry bench all"
    parts = [
        "# A run of all benchmarks",
        (
            f"{kind} of `{how}` at commit {_commit(run)}, begun {run.began} UTC. Drawn from"
            f" {JSON_NAME}; nothing here was typed. [docs/benchmarks.md](benchmarks.md) says what"
            " each measures and how to read it."
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


def _commit(run: Run) -> str:
    clean = run.commit.removesuffix(DIRTY)
    return clean if clean == run.commit else f"{clean} with changes that were not committed"


def _section(found: Found, meaning: str) -> list[str]:
    parts = [
        f"## {meaning}",
        (
            f"`{found.command}`, {found.took_s:,.0f} s; load average {found.load_before:.1f} as it"
            f" began.{f' Run again later, at commit {found.commit}.' if found.commit else ''}"
        ),
    ]
    if found.error:
        return [*parts, f"It failed: {found.error}"]
    parts += [markdown_of(table) for table in tables_of(found)]
    if is_drawn(found):
        parts.append(f"![{words_of(found)}]({IMAGES}/{file_of(found)})")
    return parts


def tables_of(found: Found) -> list[Table]:
    """One benchmark's figures as its own command shows them."""
    shape, draw = _SHOWN[found.name]
    tables = draw(read_figures(found, shape))
    return [tables] if isinstance(tables, Table) else list(tables)


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


_STYLE: Final = """
body { font: 15px/1.5 sans-serif; margin: 2em auto; max-width: 72em; padding: 0 1em; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { border-bottom: 1px solid #ddd; padding: .2em .8em .2em 0; text-align: left; }
th, td { vertical-align: top; }
img { display: block; height: auto; margin: 1em 0; max-width: 100%; }
"""


def plots_of(run: Run) -> dict[str, bytes]:
    """Its pictures as SVG, by the paths that the page has for them."""
    return {f"{IMAGES}/{file_of(one)}": draw_plot(one) for one in run.found if is_drawn(one)}


def draw_html(run: Run) -> str:
    """The same page as HTML, its pictures inside: one file that needs nothing else."""
    markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
    plots = plots_of(run)
    tokens = markdown.parse(draw_page(run))
    for token in tokens:
        # Links lead to neighbours in docs/, which this file does not have.
        token.children = [
            _inside(child, plots)
            for child in token.children or ()
            if child.type not in {"link_open", "link_close"}
        ]
    body = markdown.renderer.render(tokens, markdown.options, {})
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width">\n'
        f"<title>A run of all benchmarks</title>\n<style>{_STYLE}</style>\n</head>\n"
        f"<body>\n{body}</body>\n</html>\n"
    )


def _inside(token: Token, plots: Mapping[str, bytes]) -> Token:
    """An image by its bytes: identifiers of several inline SVG elements would be the same ones."""
    if token.type == "image":
        encoded = b64encode(plots[str(token.attrs["src"])]).decode()
        token.attrs["src"] = f"data:image/svg+xml;base64,{encoded}"
    return token


def write_pages(source: Path) -> list[Path]:
    """Draw a run's file as pages and pictures beside it; returns what was written."""
    run = msgspec.json.decode(source.read_bytes(), type=Run)
    folder = source.parent
    contents = {
        folder / PAGE_NAME: draw_page(run).encode(),
        folder / HTML_NAME: draw_html(run).encode(),
        **{folder / name: plot for name, plot in plots_of(run).items()},
    }
    for file, content in contents.items():
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(content)
    return list(contents)

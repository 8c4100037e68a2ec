"""The pictures of a run of `outcry bench all`, drawn from its file like its tables."""

from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

from services.tools.bench.pipeline import Latency, PipelineReport
from services.tools.bench.run_all import Found, read_figures
from services.tools.bench.scaling import MEANINGS, ScalingRow
from services.tools.bench.svg import new_figure, svg_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

IMAGES: Final = "images"
"""The folder of the pictures, beside the page; `docs/` has one of that name, too."""

_WIDTH_IN: Final = 9.0
_ROW_IN: Final = 3.2
_BAR_IN: Final = 0.34
_SMALL: Final = 8
_WORDS: Final = 9
_COLOUR: Final = "#1d4ed8"
_FADED: Final = "0.55"
_PERCENTILES: Final[Mapping[str, tuple[str, str]]] = {
    "p50_ms": ("50th percentile", "#15803d"),
    "p95_ms": ("95th", "#1d4ed8"),
    "p99_ms": ("99th", "#b45309"),
    "max_ms": ("most", "#b91c1c"),
}


def draw_latencies(rows: Sequence[Latency]) -> "Figure":
    """Percentiles by rate; both axes are logarithmic."""
    figure = new_figure("Order to execution by rate", _WIDTH_IN, 1.3 * _ROW_IN)
    axes = figure.add_subplot()
    rates = [row.rate_per_s for row in rows]
    for field, (name, colour) in _PERCENTILES.items():
        times_ms = [getattr(row, field) for row in rows]
        axes.plot(rates, times_ms, marker="o", markersize=3, label=name, color=colour, linewidth=1)
    axes.set_xscale("log")
    axes.set_yscale("log")
    _ticks(axes, rates)
    _plain_numbers(axes)
    _name(axes, "commands/s offered", "ms from when each was due")
    axes.legend(fontsize=_SMALL)
    return figure


def draw_scaling(rows: Sequence[ScalingRow]) -> "Figure":
    """What a command costs by size, a panel for each thing that grows."""
    grown = [(axis, list(points)) for axis, points in groupby(rows, lambda row: row.axis)]
    height_in = _ROW_IN * ((len(grown) + 1) // 2)
    figure = new_figure("As depth, accounts, books and processes grow", _WIDTH_IN, height_in)
    for place, (axis, points) in enumerate(grown, start=1):
        axes = figure.add_subplot((len(grown) + 1) // 2, 2, place)
        sizes = [point.size for point in points]
        axes.set_xscale("log")
        if axis == "processes":
            _together(axes, points)
        else:
            us = [point.cpu_us for point in points]
            axes.errorbar(
                sizes, [one.median for one in us],
                yerr=([one.median - one.low for one in us], [one.high - one.median for one in us]),
                marker="o", markersize=3, color=_COLOUR, linewidth=1, capsize=3,
            )  # fmt: skip
            axes.margins(y=0.1)
            axes.set_ylim(bottom=0)
        _ticks(axes, sizes)
        _name(
            axes, MEANINGS[axis], "commands/s together" if axis == "processes" else "us a command"
        )
    return figure


def _together(axes: "Axes", points: Sequence[ScalingRow]) -> None:
    """What processes do together, and what they would if each did as much as one alone."""
    sizes = [point.size for point in points]
    alone_per_s = points[0].per_s / points[0].size
    axes.plot(
        sizes, [point.per_s for point in points], marker="o", markersize=3, color=_COLOUR,
        linewidth=1, label="measured",
    )  # fmt: skip
    axes.plot(
        sizes, [alone_per_s * size for size in sizes], color=_FADED, linewidth=1, linestyle="--",
        label="each as fast as one alone",
    )  # fmt: skip
    axes.set_yscale("log")
    _plain_numbers(axes)
    axes.legend(fontsize=_SMALL)


def draw_costs(report: PipelineReport) -> "Figure":
    """Processor time a command by process, the most expensive above."""
    costs = sorted(report.throughput.cpu_us_per_command.items(), key=lambda cost: cost[1])
    figure = new_figure(
        f"Processor time a command: {sum(us for _, us in costs):,.0f} us",
        _WIDTH_IN, _BAR_IN * len(costs) + 1.2,
    )  # fmt: skip
    axes = figure.add_subplot()
    bars = axes.barh([name for name, _ in costs], [us for _, us in costs], color=_COLOUR)
    axes.bar_label(bars, fmt="%.0f", padding=3, fontsize=_SMALL)
    axes.margins(x=0.08)
    _name(axes, "us of user and system time, at saturation", "")
    axes.grid(visible=False, axis="y")
    return figure


def _name(axes: "Axes", across: str, upward: str) -> None:
    axes.set_xlabel(across, fontsize=_WORDS)
    axes.set_ylabel(upward, fontsize=_WORDS)
    axes.tick_params(labelsize=_SMALL)
    axes.grid(visible=True, which="major", color="0.9", linewidth=0.6)
    axes.set_axisbelow(True)


def _ticks(axes: "Axes", sizes: Sequence[int]) -> None:
    """A tick where something was measured, and nowhere else."""
    axes.set_xticks(sizes, [f"{size:,}" for size in sizes])
    axes.set_xticks([], minor=True)


def _plain_numbers(axes: "Axes") -> None:
    """Upward, 100 and 200 rather than powers of ten, which a short axis may have but one of."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:,.0f}" if y >= 1 else f"{y:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())


_DRAWN: Final[Mapping[str, tuple[Any, Callable[[Any], "Figure"], str]]] = {
    "rates": (
        list[Latency], draw_latencies,
        "Percentiles of the time from order to execution by rate, both axes logarithmic",
    ),
    "scaling": (
        list[ScalingRow], draw_scaling,
        "Processor time a command by resting orders, accounts, books; commands/s by processes",
    ),
    "pipeline": (
        PipelineReport, draw_costs, "Processor time a command by process, the largest part above"
    ),
}  # fmt: skip
"""How a benchmark's figures are read, how they are drawn, and what that shows."""


def is_drawn(found: Found) -> bool:
    """Whether it has a picture: not each one has, and none that failed."""
    return found.name in _DRAWN and not found.error


def file_of(found: Found) -> str:
    """The name of its picture."""
    return f"benchmarks-run-{found.name}.svg"


def words_of(found: Found) -> str:
    """What its picture shows, for whoever can't see it."""
    return _DRAWN[found.name][2]


def draw_plot(found: Found) -> bytes:
    """Its picture, as SVG."""
    shape, draw, _ = _DRAWN[found.name]
    return svg_of(draw(read_figures(found, shape)))

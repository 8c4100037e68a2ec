"""A run's figures over time as SVG, without a display."""

from collections.abc import Mapping, Sequence
from typing import Final

from services.tools.bench.svg import new_figure, svg_of
from services.tools.soak.samples import Mark

type Lines = Mapping[str, Sequence[tuple[float, float]]]

_WIDTH_IN: Final = 10.0
_PANEL_IN: Final = 2.6
_MINUTE_S: Final = 60.0


def draw_run(title: str, lines: Lines, marks: Sequence[Mark]) -> bytes:
    """Memory, lag and latency over minutes, with a thin line at each mark."""
    groups = {
        "memory, MiB": _of(lines, "memory of "),
        "lag, offsets": _of(lines, "lag of "),
        "order to trade, ms": _of(lines, "order to trade, "),
    }
    return draw_panels(title, "minutes", groups, [mark.at_s / _MINUTE_S for mark in marks])


def _of(lines: Lines, prefix: str) -> dict[str, list[tuple[float, float]]]:
    return {
        name.removeprefix(prefix): [(at_s / _MINUTE_S, value) for at_s, value in points]
        for name, points in lines.items()
        if name.startswith(prefix)
    }


def draw_panels(
    title: str, across: str, groups: Mapping[str, Lines], marks: Sequence[float] = ()
) -> bytes:
    """One panel a group, the lines of each with a legend; the same figures give the same bytes.

    Args:
        title: of the whole picture.
        across: what the horizontal axis counts.
        groups: by the unit that stands beside the panel.
        marks: places on the horizontal axis.
    """
    figure = new_figure(title, _WIDTH_IN, _PANEL_IN * len(groups))
    for place, (unit, lines) in enumerate(groups.items(), start=1):
        axes = figure.add_subplot(len(groups), 1, place)
        for name, points in lines.items():
            axes.plot(
                [at for at, _ in points], [value for _, value in points], label=name, linewidth=1
            )
        for at in marks:
            axes.axvline(at, color="0.8", linewidth=0.6, zorder=0)
        axes.set_ylabel(unit, fontsize=8)
        axes.set_ylim(bottom=0)
        axes.tick_params(labelsize=7)
        if lines:
            axes.legend(fontsize=6, ncols=4, loc="upper left")
        if place == len(groups):
            axes.set_xlabel(across, fontsize=8)
    return svg_of(figure)

"""A dashboard drawn without Grafana: the same panels, the same queries, as one PNG."""

import io
import math
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from services.tools.observe.panels import RATE, Dashboard, Panel
from services.tools.observe.prometheus import Line, ask_past

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_POINTS: Final = 120
_RATE_S_MIN: Final = 5.0
_LINES_MAX: Final = 10
"""Of one panel: more can't be told apart."""
_COLUMNS: Final = 3
_UNITS: Final = {"s": "s", "bytes": "MB", "reqps": "1/s", "percentunit": "%", "short": ""}
_FACTORS: Final = {"bytes": 1e-6, "percentunit": 100.0}
_DPI: Final = 90
_PICTURE_WIDTH_IN: Final = 15.0
_ROW_HEIGHT_IN: Final = 2.6


def draw(dashboard: Dashboard, address: str, past_s: float) -> bytes:
    """The panels as they were over this time; empty ones say so."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = math.ceil(len(dashboard.panels) / _COLUMNS)
    height_in = _ROW_HEIGHT_IN * rows
    figure = Figure(figsize=(_PICTURE_WIDTH_IN, height_in))
    FigureCanvasAgg(figure)
    figure.suptitle(f"{dashboard.title}, over the seconds until now", y=1 - 0.2 / height_in)
    # Set by hand: a layout that is worked out draws everything several times.
    figure.subplots_adjust(
        left=0.04, right=0.985, bottom=0.4 / height_in, top=1 - 0.8 / height_in, hspace=0.35
    )
    for place, panel in enumerate(dashboard.panels):
        axes = figure.add_subplot(rows, _COLUMNS, place + 1)
        draw_panel(axes, panel, address, past_s)
    target = io.BytesIO()
    figure.savefig(target, format="png", dpi=_DPI)
    return target.getvalue()


def draw_panel(axes: "Axes", panel: Panel, address: str, past_s: float) -> None:
    """One panel as it was over this time, "no data" if nothing answers."""
    step_s = past_s / _POINTS
    rate = f"{max(_RATE_S_MIN, 4 * step_s):.0f}s"
    factor, drawn = _FACTORS.get(panel.unit, 1.0), 0
    for query in panel.queries:
        lines = ask_past(address, query.expression.replace(RATE, rate), past_s, step_s)
        finite = [line for line in lines if any(map(math.isfinite, line.values))]
        for line in sorted(finite, key=_size, reverse=True)[:_LINES_MAX]:
            ago = [at - line.times_s[-1] for at in line.times_s]
            values = [value * factor for value in line.values]
            axes.plot(ago, values, linewidth=1, label=said(query.legend, line.labels))
            drawn += 1
    unit = _UNITS[panel.unit]
    axes.set_title(f"{panel.title} ({unit})" if unit else panel.title, fontsize=9)
    axes.tick_params(labelsize=7)
    if drawn:
        # Zero is always seen, and a line at zero is not hidden by the frame.
        top = max(axes.get_ylim()[1], 0.0)
        axes.set_ylim(bottom=-0.02 * top, top=top * 1.02)
        if any(text for text in axes.get_legend_handles_labels()[1]):
            axes.legend(fontsize=5, ncols=2, loc="upper left")
    else:
        axes.text(0.5, 0.5, "no data", ha="center", transform=axes.transAxes)


def _size(line: Line) -> float:
    return sum(value for value in line.values if math.isfinite(value))


def said(legend: str, labels: Mapping[str, str]) -> str:
    """A line's name, from Grafana's pattern."""
    return re.sub(r"\{\{(\w+)\}\}", lambda found: labels.get(found[1], ""), legend).strip()

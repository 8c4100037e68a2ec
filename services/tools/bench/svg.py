"""Pictures as SVG, without a display; the same figures give the same bytes."""

import io
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def new_figure(title: str, width_in: float, height_in: float) -> "Figure":
    """An empty picture, whose parts find their own places."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width_in, height_in), layout="constrained")
    figure.suptitle(title, fontsize=11)
    return figure


def svg_of(figure: "Figure") -> bytes:
    """As a file of its own, its words kept as text."""
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    target = io.BytesIO()
    with mpl.rc_context({"svg.hashsalt": "outcry", "svg.fonttype": "none"}):
        FigureCanvasSVG(figure)
        figure.savefig(target, format="svg", metadata={"Date": None, "Creator": None})
    return target.getvalue()

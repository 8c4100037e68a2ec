"""The pictures of a model card, as PNG bytes. Drawn without a display and without a clock.

Nothing of matplotlib's state is shared: each picture has a canvas of its own.
"""

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from services.models.classes import CLASS_NAMES
from services.models.manifest import Estimate
from services.scoring.arrays import Ints
from services.scoring.metrics import Calibration
from services.trainer.importance import Importance

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DPI: Final = 110
_INK: Final = "#1f4e79"
_GREY: Final = "#999999"


def plot_metric(rows: Sequence[tuple[str, Estimate]], title: str) -> bytes:
    """A figure with its interval for each predictor, the model on top."""
    figure, axes = _canvas(7.0, 0.6 + 0.38 * len(rows))
    for place, (name, found) in enumerate(reversed(rows)):
        color = _INK if place == len(rows) - 1 else _GREY
        axes.plot([found.low, found.high], [place, place], color=color, linewidth=2)
        axes.plot([found.value], [place], "o", color=color, label=name)
    axes.set_yticks(range(len(rows)), [name for name, _ in reversed(rows)])
    axes.set_title(title)
    return _png(figure)


def plot_calibration(bins: Sequence[Calibration]) -> bytes:
    """How often the model was right, by how sure it was."""
    figure, axes = _canvas(4.6, 4.2)
    axes.plot([0, 1], [0, 1], color=_GREY, linewidth=1, linestyle="--")
    most = max(one.rows for one in bins)
    axes.plot([b.confidence for b in bins], [b.right for b in bins], color=_INK, linewidth=1)
    axes.scatter(
        [one.confidence for one in bins],
        [one.right for one in bins],
        s=[15 + 120 * one.rows / most for one in bins],
        color=_INK,
    )
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    axes.set_xlabel("confidence")
    axes.set_ylabel("share right")
    axes.set_title("Calibration (area: rows)")
    return _png(figure)


def plot_confusion(confusion: Ints) -> bytes:
    """Shares of each class that came, by what was said."""
    figure, axes = _canvas(4.6, 4.2)
    shares = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for row in range(len(CLASS_NAMES)):
        for column in range(len(CLASS_NAMES)):
            share = float(shares[row, column])
            axes.text(
                column, row, f"{share:.0%}\n{int(confusion[row, column]):,}",
                ha="center", va="center", color="white" if share > 0.5 else "black",
            )  # fmt: skip
    axes.set_xticks(range(len(CLASS_NAMES)), CLASS_NAMES)
    axes.set_yticks(range(len(CLASS_NAMES)), CLASS_NAMES)
    axes.set_xlabel("said")
    axes.set_ylabel("came")
    axes.set_title("Confusion")
    return _png(figure)


def plot_importance(found: Sequence[Importance]) -> bytes:
    """Rise of the log-loss when an input is shuffled."""
    figure, axes = _canvas(7.0, 0.8 + 0.28 * len(found))
    upwards = list(reversed(found))
    axes.barh([one.column for one in upwards], [one.log_loss_rise for one in upwards], color=_INK)
    axes.set_title("Rise of the log-loss when an input is shuffled")
    return _png(figure)


def _canvas(width: float, height: float) -> "tuple[Figure, Axes]":
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415 - it takes a second
    from matplotlib.figure import Figure  # noqa: PLC0415

    figure = Figure(figsize=(width, height), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _png(figure: "Figure") -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()

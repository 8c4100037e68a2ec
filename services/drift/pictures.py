"""A report for people, drawn by Evidently in a process of its own.

Evidently takes ten seconds to import and half a second a column; it may fail on values that nobody
thought of, and then a job still has its result. Its own tests are in the report and decide nothing:
the page says so on top, with what our calibration says.
"""

import subprocess
import sys
from dataclasses import dataclass
from html import escape
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from services.drift.arrays_file import encode_arrays
from services.drift.core.panel import Panel
from services.drift.core.performance import Scored

DRAW_S_MAX: Final = 300
"""For one report, on a machine with much else to do."""
COLUMNS_MAX: Final = 24
"""Of all tickers together, the worst first."""
MADE: Final = "made"
_OF_WINDOWS: Final = "services.drift.evidently_process"
_OF_SCORES: Final = "services.drift.evidently_scores"
_CAUSE_LETTERS_MAX: Final = 300


@dataclass(frozen=True)
class Order:
    """What is to be drawn."""

    title: str
    lines: tuple[str, ...]
    """What was decided, and by whom."""
    reference: Panel
    window: Panel
    drawn: tuple[tuple[int, int], ...]
    """Places of ticker and column, the worst first."""


@dataclass(frozen=True)
class ScoresOrder:
    """What is to be drawn of a window of performance."""

    title: str
    lines: tuple[str, ...]
    """What was decided, and by whom."""
    scored: Scored


def draw(order: Order | ScoresOrder, page: Path, program: str | None = None) -> str:
    """Put a page and, beside it, JSON there, both or none; `made`, or why not in one line.

    Blocks for at most DRAW_S_MAX.

    Args:
        order: what to draw.
        page: where.
        program: the module that draws, unless the order's own.
    """
    own = _OF_WINDOWS if isinstance(order, Order) else _OF_SCORES
    with TemporaryDirectory(prefix="outcry-drift-") as folder:
        given, html, document = (Path(folder) / name for name in ("given", "html", "json"))
        given.write_bytes(encode_arrays(order))
        try:
            done = subprocess.run(
                [sys.executable, "-m", program or own, given, html, document],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=DRAW_S_MAX,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return f"not made: Evidently took more than {DRAW_S_MAX} s"
        if done.returncode != 0:
            return f"not made: {_cause(done.returncode, done.stderr)}"
        if not (html.exists() and document.exists()):
            return "not made: Evidently drew nothing"
        try:
            page.parent.mkdir(parents=True, exist_ok=True)
            page.with_suffix(".json").write_bytes(document.read_bytes())
            # The page last: who sees it finds the other.
            partial = page.with_name(f".{page.name}.partial")
            partial.write_text(_with_heading(html.read_text("utf-8"), order), "utf-8")
            partial.replace(page)
        except OSError as error:
            return f"not made: {page} can't be written ({error.strerror})"
    return MADE


def _cause(code: int, said: bytes) -> str:
    if code < 0:
        return f"Evidently's process was killed by signal {-code}"
    lines = said.decode("utf-8", "replace").strip().splitlines()
    return f"Evidently failed ({code}): {lines[-1] if lines else ''}"[:_CAUSE_LETTERS_MAX]


def _with_heading(page: str, order: Order | ScoresOrder) -> str:
    lines = "".join(f"<p>{escape(line)}</p>" for line in order.lines)
    heading = (
        '<section style="font:16px sans-serif;margin:1rem;padding:1rem;border:2px solid #334155">'
        f"<h1>{escape(order.title)}</h1>{lines}</section>"
    )
    before, body, after = page.partition("<body>")
    return f"{before}{body}{heading}{after}" if body else heading + page

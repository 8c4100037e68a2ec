"""`outcry drift show`: one window with all its checks, and of performance every figure."""

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec
from rich.table import Table

from services.drift.core.standing import Figures, Performance
from services.drift.ledger import Check, Kind, Ledger, Result
from services.models.manifest import Estimate
from services.tools.drift.errors import NotAskedWellError

CHECKS_SHOWN: Final = 40
"""The worst first; `--json` has all."""
SCORES: Final = ("macro_f1", "mcc", "log_loss", "ece", "pnl_per_row")
_TITLES: Final = ("macro-F1", "MCC", "log-loss", "calibration error", "PnL a row, 1/20000 $")

type Predictor = tuple[str, Figures | None, Estimate | None]
"""What it is called, its figures, and a margin of macro-F1."""


def find_result(ledger: Ledger, job_id: str | None, kind: Kind) -> Result:
    """The result of a job by its id; None: the newest of a kind.

    Raises:
        NotAskedWellError: there is none.
    """
    if job_id is None:
        newest = ledger.history(kind, 1)
        if not newest:
            raise NotAskedWellError(f"no window of {kind} is recorded yet: `outcry drift run`")
        job_id = newest[0].job_id
    found = ledger.find(job_id)
    if found is None:
        raise NotAskedWellError(
            f"no job {job_id[:70]!r} is recorded: `outcry drift history --json` has their ids"
        )
    return found


def performance_of_report(result: Result) -> Performance | None:
    """What a report of performance says; None: it is one of another kind."""
    if result.job.kind != "performance":
        return None
    return msgspec.json.decode(result.report, type=Performance)


def predictors_of(found: Performance) -> Iterator[Predictor]:
    """Everybody with figures in a window: the version itself first."""
    yield f"v{found.version} (champion)", found.figures, None
    for part in found.versions:
        yield f"v{part.version} ({part.role})", part.figures, part.margin
    for rival in found.rivals:
        yield rival.name, rival.figures, rival.margin
    for ticker in found.tickers:
        yield f"v{found.version} on {ticker.ticker}", ticker.figures, None


def figures_table(found: Performance) -> Table:
    """A line for everybody; in brackets 95 % intervals, where there are blocks enough for one."""
    table = Table(
        "who", "rows", *_TITLES, "margin of macro-F1",
        title=f"{found.model} version {found.version}: {found.standing}",
        caption="margin: the champion less a plain rule; another version less the champion, on the"
        " rows of both",
    )  # fmt: skip
    for name, figures, margin in predictors_of(found):
        if figures is None:
            table.add_row(name, "0", *("-" for _ in SCORES), "-")
            continue
        cells = [_cell(figures, score) for score in SCORES]
        table.add_row(name, f"{figures.rows:,}", *cells, _spelled(margin) if margin else "-")
    return table


def checks_table(checks: Sequence[Check]) -> Table:
    """The worst first."""
    ordered = sorted(checks, key=lambda one: -(one.ratio or 0.0))
    left_out = len(ordered) - CHECKS_SHOWN
    table = Table(
        "ticker", "column", "family", "outcome", "ratio", "effect", "detail",
        caption=f"and {left_out:,} more, see --json" if left_out > 0 else None,
    )  # fmt: skip
    for one in ordered[:CHECKS_SHOWN]:
        table.add_row(
            one.ticker or "all", one.column or "all", one.family, one.outcome,
            "-" if one.ratio is None else f"{one.ratio:.2f}",
            "-" if one.effect is None else f"{one.effect:.4g}", one.detail,
        )  # fmt: skip
    return table


def _cell(figures: Figures, score: str) -> str:
    interval = getattr(figures.metrics, score) if figures.metrics else None
    if interval is not None:
        return _spelled(interval)
    value = figures.scores.get(score)
    return "-" if value is None else f"{value:.4f}"


def _spelled(one: Estimate) -> str:
    return f"{one.value:.4f} [{one.low:.4f}, {one.high:.4f}]"

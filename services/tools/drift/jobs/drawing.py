"""What is drawn of a result: the worst columns, with what was decided on top."""

from typing import Final

import numpy as np

from services.drift.core.calibration import BLOCKS_SHARES
from services.drift.core.panel import Panel
from services.drift.core.performance import Scored
from services.drift.core.standing import Performance
from services.drift.ledger import Result
from services.drift.pictures import COLUMNS_MAX, Order, ScoresOrder
from services.tools.drift.jobs.reference import Known, sample_of

DECIDED: Final = (
    "What alarms is decided by our calibration: how far windows of the reference are from each"
    " other. Evidently's own tests, below, decide nothing; on columns that remember they flag what"
    " has not changed."
)
LEVEL_UNKNOWN: Final = (
    "The reference is short, so how often this alarms for nothing is unknown: where its way was"
    f" measured, on references of 27 windows, in {BLOCKS_SHARES[0]:.1%} to {BLOCKS_SHARES[1]:.1%}"
    " of windows."
)


SCORED_MAX: Final = 50_000
"""Rows of a window of performance on its page, evenly taken."""
FALL_DECIDED: Final = (
    "What alarms is decided by our test for a fall, of macro-F1 with its interval, against the"
    " manifest and the best plain rule. Evidently's own tests, below, decide nothing: they hold the"
    " window against guessing, and take rows for independent."
)


def scores_order_of(found: Performance, scored: Scored) -> ScoresOrder:
    """What the serving version said with what came, one row a statement that has a label."""
    step = -(-len(scored) // SCORED_MAX)
    drawn = Scored(
        scored.label[::step],
        scored.said[::step],
        scored.probabilities[::step],
        scored.states_probabilities,
    )
    alarms = "an alarm" if found.is_alarm else "no alarm"
    told = (
        f"{found.model} version {found.version}, event time {found.window.begin_us} to"
        f" {found.window.end_us} us: {found.standing}, {alarms}. {found.detail}"
    )
    rows = f"{len(drawn):,} of {len(scored):,} predictions with their labels, all tickers together."
    tests = [
        f"{test.name}: macro-F1 less that of {test.against} ({test.expected:.4f}) is"
        f" {test.margin.value:+.4f}, {test.margin.low:+.4f} to {test.margin.high:+.4f}."
        for test in found.tests
    ]
    title = f"performance: {found.standing}"
    return ScoresOrder(title, (told, rows, *tests, FALL_DECIDED), drawn)


def order_of(result: Result, known: Known, window: Panel) -> Order:
    """Every n-th second of reference and window, and the columns with the greatest ratios."""
    job = result.job
    ratio = "none" if job.ratio is None else f"{job.ratio:.2f}"
    alarms = "an alarm" if job.is_alarm else "no alarm"
    told = (
        f"{job.model} version {job.model_version}, event time {job.window.begin_us} to"
        f" {job.window.end_us} us: {job.outcome}, {alarms}. {job.detail}"
    )
    counted = f"Greatest ratio to the threshold: {ratio} (above 1 is drift)."
    lines = (told, counted, LEVEL_UNKNOWN) if known.calibration.level is None else (told, counted)
    return Order(
        f"{job.kind}: {job.outcome}",
        (*lines, DECIDED),
        known.sample,
        sample_of(window),
        _worst_first(result, window),
    )


def _worst_first(result: Result, window: Panel) -> tuple[tuple[int, int], ...]:
    ratios: dict[tuple[int, int], float] = {}
    names = {column.name: place for place, column in enumerate(window.columns)}
    tickers = {name: place for place, name in enumerate(window.tickers)}
    for check in result.checks:
        # `a=b` is a class of column a, and `a x b` a pair, whose first stands for it.
        column = names.get(check.column.partition(" x ")[0].partition("=")[0])
        if column is not None and check.ticker in tickers:
            place = tickers[check.ticker], column
            ratios[place] = max(ratios.get(place, 0.0), check.ratio or 0.0)
    # A column without any value can't be drawn.
    drawable = [place for place in ratios if _has_values(window, place)]
    drawable.sort(key=lambda place: (-ratios[place], place))
    return tuple(drawable[:COLUMNS_MAX])


def _has_values(panel: Panel, place: tuple[int, int]) -> bool:
    values = panel.values[:, *place]
    return not bool(np.isnan(values).all())

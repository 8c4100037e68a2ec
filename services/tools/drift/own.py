"""A reference of one's own: the rows of the lake, what is usual among them, and what is found."""

import msgspec
import numpy as np

from services.drift.core.arrays import Bools
from services.drift.core.calibration import (
    BLOCKS_SHARES,
    Calibration,
    LevelUnknown,
    calibrate,
)
from services.drift.core.judge import judge
from services.drift.core.outcomes import Family, Refusal
from services.drift.core.panel import Column, Panel, panel_of
from services.lake.places import Lake
from services.tools.drift.errors import NotCalibratedError
from services.tools.drift.shifts import SHIFTS, shifted
from services.tools.drift.trials import DELAY_WINDOWS_MAX
from services.trainer.dataset import DatasetPlan, check_has_rows, known_set, no_rows, read_rows
from services.trainer.rows import rows_of_table


class OwnShift(msgspec.Struct, frozen=True):
    """One change, planted into the reference's last windows."""

    shift: str
    windows: int
    alarms: int


class OwnFigures(msgspec.Struct, frozen=True):
    """What a calibration by one reference is worth."""

    tickers: tuple[str, ...]
    columns: tuple[str, ...]
    seconds: int
    window_s: int
    method: str
    stretches: int
    threshold: float
    """Of the excess, and where it lies with 95 % certainty; no bound: null."""
    threshold_low: float
    threshold_high: float
    level: float | None
    """The share of windows that alarms for nothing, on average over such references."""
    level_low: float | None
    """Of windows after this very reference, with 95 % certainty."""
    level_high: float | None
    level_unknown: LevelUnknown
    """Why there is no level."""
    level_measured: tuple[float, float] | None
    """Instead of it: least and greatest share where this way was measured, on longer references."""
    block_s: int
    too_slow: tuple[str, ...]
    """Columns that a window is too short for."""
    constant: tuple[str, ...]
    widest_begin_us: int | None
    """The stretch that is furthest from the others; it may set the threshold."""
    widest_family: Family
    widest_excess: float
    found: tuple[OwnShift, ...]
    """Judged by the windows before; empty: there are too few of them."""


def panel_of_lake(lake: Lake, plan: DatasetPlan) -> Panel | Refusal:
    """The rows that a data set would be made of, all features but `mid`.

    Raises:
        TrainerError: the plan can't be, the lake has no row that fits it, or rows are damaged.
        LakeError: a file is damaged or another's.
    """
    feature_set = known_set(plan)
    check_has_rows(lake, plan, feature_set)
    table, others = read_rows(lake, plan, feature_set)
    if table.num_rows == 0:
        raise no_rows(feature_set, others)
    rows = rows_of_table(table, feature_set)
    kept = [place for place, name in enumerate(feature_set.columns) if name != "mid"]
    return panel_of(
        rows.tickers,
        [Column(feature_set.columns[place]) for place in kept],
        rows.ticker.astype(np.int64),
        rows.grid_time_us,
        rows.values[:, kept],
    )


def figures_of(reference: Panel | Refusal, window_s: int, alpha: float, seed: int) -> OwnFigures:
    """Calibrate by all of it, and plant changes into its last windows.

    Raises:
        NotCalibratedError: the reference says too little.
    """
    known = calibrate(reference, window_s, alpha=alpha, seed=seed)
    if not isinstance(known, Calibration) or not isinstance(reference, Panel):
        assert isinstance(known, Refusal), "a reference that is none is refused"
        raise NotCalibratedError(f"{known.outcome}: {known.detail}")
    return OwnFigures(
        reference.tickers,
        known.marks.names,
        len(reference),
        window_s,
        known.method,
        known.stretches,
        known.threshold,
        known.threshold_low,
        known.threshold_high,
        known.level,
        known.level_low,
        known.level_high,
        known.level_unknown,
        BLOCKS_SHARES if known.level_unknown else None,
        known.block_s,
        _names(known, known.is_slow & known.marks.has_values & ~known.marks.is_constant),
        _names(known, known.marks.is_constant),
        known.widest.begin_us,
        known.widest.family,
        known.widest.excess,
        _planted(reference, window_s, alpha, seed),
    )


def _planted(reference: Panel, window_s: int, alpha: float, seed: int) -> tuple[OwnShift, ...]:
    last = len(reference) - DELAY_WINDOWS_MAX * window_s
    if last <= 0:
        return ()
    before = reference.part(0, last)
    known = calibrate(before, window_s, alpha=alpha, seed=seed)
    if isinstance(known, Refusal):
        return ()
    windows = [
        reference.part(begin, begin + window_s) for begin in range(last, len(reference), window_s)
    ]
    mean, spread = known.marks.centre, known.marks.scale
    places = known.marks.numbers
    found = [OwnShift("nothing", len(windows), sum(judge(known, w).is_alarm for w in windows))]
    for name, shift in SHIFTS.items():
        if len(reference.tickers) < 2 and "swapped" in name:
            continue
        assert len(places) == len(reference.columns), "features are numbers"
        verdicts = [judge(known, shifted(window, shift, mean, spread)) for window in windows]
        found.append(OwnShift(name, len(windows), sum(v.is_alarm for v in verdicts)))
    return tuple(found)


def _names(known: Calibration, chosen: Bools) -> tuple[str, ...]:
    return tuple(
        f"{known.tickers[ticker]} {known.marks.names[at]}" for ticker, at in np.argwhere(chosen)
    )

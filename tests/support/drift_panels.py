"""Small panels of which it is known what they hold: columns that remember, and nothing else."""

from dataclasses import replace

import numpy as np

from services.drift.core.arrays import Floats
from services.drift.core.calibration import Calibration, Method, calibrate
from services.drift.core.panel import SECOND_US, Column, Panel
from services.tools.drift.markets import ar_market

WINDOW_S = 300
PIECES = 39
"""Stretches of a reference: at 5 % the threshold is the second greatest."""


def market(seed: int, windows: int = 1, tickers: int = 2, features: int = 3) -> Panel:
    """A reference and so many windows after it; each value keeps 0.8 of the one before."""
    return ar_market(0.8)(seed, WINDOW_S * (PIECES + windows), tickers, features)


def reference_of(panel: Panel) -> Panel:
    return panel.part(0, WINDOW_S * PIECES)


def window_of(panel: Panel, number: int = 0) -> Panel:
    begin = WINDOW_S * (PIECES + number)
    return panel.part(begin, begin + WINDOW_S)


def calibrated(
    panel: Panel,
    method: Method = "stretches",
    seed: int = 1,
    draws: int = 199,
    block_s: int | None = None,
) -> Calibration:
    made = calibrate(
        reference_of(panel), WINDOW_S, method=method, seed=seed, draws=draws, block_s=block_s
    )
    assert isinstance(made, Calibration), made
    return made


def changed(panel: Panel, values: Floats, columns: tuple[Column, ...] | None = None) -> Panel:
    return replace(panel, values=values, columns=columns or panel.columns)


def with_class(panel: Panel, classes: tuple[str, ...], codes: Floats) -> Panel:
    """A column of classes beside the others: [seconds, tickers]."""
    values = np.concatenate([panel.values, codes[:, :, None]], axis=2)
    return changed(panel, values, (*panel.columns, Column("said", classes)))


def later(panel: Panel, by_s: int) -> Panel:
    return replace(panel, time_us=panel.time_us + by_s * SECOND_US)

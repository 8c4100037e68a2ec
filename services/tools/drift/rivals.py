"""What others would alarm at: Evidently's default tests, and a population stability index of 0.2.

They look at the same columns: each feature of each ticker apart.
"""

import os
import warnings
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import numpy as np

from services.drift.core.arrays import Bools, Floats
from services.drift.core.panel import Panel

PSI_MAX: Final = 0.2
DRIFT_SHARE: Final = 0.5
"""Evidently's default: so many columns make the data set one that has drifted."""
SHORT_ROWS: Final = 1_000
"""A reference of no more rows is tested by Kolmogorov and Smirnov; a longer one by a distance."""
_PSI_BINS: Final = 10
_PSI_LEAST: Final = 1e-4
"""What an empty bin counts as."""


class Rival(NamedTuple):
    """A way of others."""

    name: str
    alarm_share: float
    """Columns flagged, as a share, that make an alarm; 0: any column does."""


EVIDENTLY: Final = Rival("Evidently, whole reference", DRIFT_SHARE)
EVIDENTLY_ANY: Final = Rival("Evidently, any column", 0.0)
EVIDENTLY_SHORT: Final = Rival(f"Evidently, last {SHORT_ROWS:,} rows of reference", DRIFT_SHARE)
EVIDENTLY_SHORT_ANY: Final = Rival(f"Evidently, last {SHORT_ROWS:,} rows, any column", 0.0)
PSI: Final = Rival(f"PSI above {PSI_MAX}, any column", 0.0)


class PsiReference:
    """Deciles of a reference's columns."""

    def __init__(self, reference: Panel) -> None:
        values = reference.values
        self._edges = np.nanquantile(
            values, np.arange(1, _PSI_BINS) / _PSI_BINS, axis=0, overwrite_input=False
        )
        self._shares = _bin_shares(values, self._edges)

    def flags(self, window: Panel) -> Bools:
        """By ticker and column."""
        here = _bin_shares(window.values, self._edges)
        index = ((here - self._shares) * np.log(here / self._shares)).sum(axis=0)
        flagged: Bools = index > PSI_MAX
        return flagged


class EvidentlyReference:
    """Evidently's own tests, chosen by its own defaults; the report itself is not drawn.

    The result is the report's: it calls the same function with the same two series, and then
    spends half a second a column on pictures.
    """

    def __init__(self, reference: Panel, rows_max: int | None = None) -> None:
        # It would tell its makers of each report.
        os.environ.setdefault("DO_NOT_TRACK", "1")
        self._there = reference.values[-rows_max:] if rows_max else reference.values

    def flags(self, window: Panel) -> Bools:
        """By ticker and column."""
        import pandas as pd

        get_stattest = _chooser_of_tests()
        values: Floats = window.values  # noqa: PD011 - an array's, no data frame's
        flagged = np.zeros(self._there.shape[1:], dtype=np.bool_)
        for place in np.ndindex(flagged.shape):
            there = pd.Series(_present(self._there[:, *place]))
            here = pd.Series(_present(values[:, *place]))
            if len(there) == 0 or len(here) == 0:
                continue
            test = get_stattest(there, here, "num", None)
            flagged[place] = bool(test(there, here, "num", None).drifted)
        return flagged


def _chooser_of_tests() -> Callable[..., Any]:
    # Its libraries warn of each other's old names while they are imported.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from evidently.legacy.calculations.stattests import get_stattest
    chooser: Callable[..., Any] = get_stattest
    return chooser


def _present(values: Floats) -> Floats:
    return values[~np.isnan(values)]


def _bin_shares(values: Floats, edges: Floats) -> Floats:
    """By bin, ticker and column."""
    shares = np.empty((_PSI_BINS, *values.shape[1:]))
    for place in np.ndindex(values.shape[1:]):
        present = _present(values[:, *place])
        bins = np.searchsorted(edges[:, *place], present)
        counts = np.bincount(bins, minlength=_PSI_BINS)
        shares[:, *place] = counts / max(len(present), 1)
    return np.maximum(shares, _PSI_LEAST)

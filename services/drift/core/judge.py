"""A window against what is usual: one named outcome for each thing that was looked at."""

from collections.abc import Callable
from typing import Final

import numpy as np

from services.drift.core.arrays import Floats
from services.drift.core.calibration import Calibration
from services.drift.core.outcomes import Check, Family, Outcome, Refusal, Verdict, verdict_of
from services.drift.core.panel import Panel
from services.drift.core.statistics import Moments, distances_of, moments_of, swaps_of
from services.drift.core.sums import Sums, classes_of, marks_of, sums_by
from services.drift.core.usual import compared, ratios_of

LENGTH_SHARE_MAX: Final = 0.1
"""By which a window may be shorter or longer than those that were calibrated."""
PRESENT_SHARE_MIN: Final = 0.5
"""Values of a column in the window, as a share of the fewest that any stretch had: with fewer its
mean varies more than any stretch's did."""

type Ratios = dict[Family, tuple[Floats, Floats, float]]
type _Pick = Callable[[Moments], Floats]


def judge(calibration: Calibration | Refusal, window: Panel | Refusal) -> Verdict:
    """Look at everything; what can't be judged says why, and is not `ok`."""
    for given in (calibration, window):
        if isinstance(given, Refusal):
            return given.verdict()
    assert isinstance(calibration, Calibration), "a refusal has returned above"
    assert isinstance(window, Panel), "a refusal has returned above"
    if refused := _refused(calibration, window):
        return refused.verdict()
    sums = sums_by(window, calibration.marks, len(window))
    found = compared(
        sums, calibration.reference, calibration.marks, calibration.is_slow, calibration.distances
    )
    ratios = ratios_of(found, calibration.usual, calibration.threshold)
    looked = _Looked(calibration, window, sums, ratios)
    checks = [
        *looked.new_categories(),
        *(check for family in _BY_COLUMN for check in looked.by_column(family)),
        *looked.correlations(),
        *looked.swaps(),
    ]
    return verdict_of(tuple(checks))


_BY_COLUMN: Final = (
    Family.LOCATION,
    Family.SCALE,
    Family.SHAPE,
    Family.MISSING,
    Family.STALE,
)
_OF_VALUES: Final = frozenset({Family.LOCATION, Family.SCALE, Family.SHAPE})
"""They need many values; the shares need only seconds."""


def _refused(calibration: Calibration, window: Panel) -> Refusal | None:
    if (window.tickers, window.columns) != (calibration.tickers, calibration.columns):
        return Refusal(Outcome.COLUMNS_DIFFER, "other tickers or columns than the reference")
    if len(window) == 0:
        return Refusal(Outcome.EMPTY_WINDOW, "no rows")
    if window.time_us[0] <= calibration.end_us:
        return Refusal(
            Outcome.WINDOW_IN_REFERENCE,
            f"it begins at {window.time_us[0]} us, the reference ends at {calibration.end_us} us",
        )
    if len(window) < calibration.block_s:
        return Refusal(
            Outcome.WINDOW_SHORTER_THAN_BLOCK,
            f"{len(window):,} s; columns remember for up to {calibration.block_s:,} s",
        )
    if abs(len(window) - calibration.window_s) > LENGTH_SHARE_MAX * calibration.window_s:
        return Refusal(
            Outcome.WINDOW_OF_OTHER_LENGTH,
            f"{len(window):,} s; the thresholds are for {calibration.window_s:,} s",
        )
    return None


class _Looked:
    """One window beside its reference."""

    def __init__(self, calibration: Calibration, window: Panel, sums: Sums, ratios: Ratios) -> None:
        self._known = calibration
        self._marks = calibration.marks
        self._window = window
        self._sums = sums
        self._ratios = ratios
        self._here = moments_of(sums, self._marks)
        self._there = moments_of(calibration.reference, self._marks)
        self._shape = distances_of(sums.histogram, calibration.reference.histogram)[0]
        self._values_min = PRESENT_SHARE_MIN * calibration.present_min
        # What "constant" means for a window: its own values, not the winsorised ones.
        self._own = marks_of(window)

    def by_column(self, family: Family) -> list[Check]:
        """One check for each ticker and column that the family looks at."""
        columns = self._ratios[family][0].shape[1]
        return [
            self._check(family, ticker, column)
            for ticker in range(len(self._known.tickers))
            for column in range(columns)
            if not (family is Family.MISSING and self._is_repeated(column))
        ]

    def new_categories(self) -> list[Check]:
        """Classes that the columns are not said to have, or that the reference never had."""
        checks = []
        for place, classes in classes_of(self._known.columns, self._marks).items():
            name = self._known.columns[place].name
            for at, ticker in enumerate(self._known.tickers):
                values = self._window.values[:, at, place]
                values = values[~np.isnan(values)]
                unknown = values[(values < 0) | (values >= len(classes)) | (values % 1 != 0)]
                said = [f"{value:g}" for value in np.unique(unknown)[:5]]
                said += [
                    self._marks.names[measured]
                    for measured in classes
                    if self._sums.present[0, at, measured]
                    and self._never_there(at, measured)
                    and self._own.centre[at, measured] > 0
                ]
                if said:
                    checks.append(
                        Check(
                            ticker, name, Family.SHAPE, Outcome.NEW_CATEGORY,
                            detail=", ".join(said),
                        )
                    )  # fmt: skip
        return checks

    def correlations(self) -> list[Check]:
        """For each ticker the pair that changed most."""
        z, ratio, bound = self._ratios[Family.CORRELATION]
        first, second = self._marks.pairs
        names = self._marks.names
        checks = []
        for at, ticker in enumerate(self._known.tickers):
            if ratio.shape[1] == 0:
                continue
            if np.all(np.isnan(ratio[at])):
                checks.append(
                    Check(
                        ticker, "", Family.CORRELATION, Outcome.NOT_ENOUGH_ROWS,
                        detail="no pair of features has enough values that vary",
                    )
                )  # fmt: skip
                continue
            worst = int(np.nanargmax(ratio[at]))
            pair = f"{names[first[worst]]} x {names[second[worst]]}"
            here, there = (np.tanh(m.correlation[0, at, worst]) for m in (self._here, self._there))
            checks.append(
                Check(
                    ticker, pair, Family.CORRELATION, _outcome(ratio[at, worst]),
                    float(z[at, worst]), bound, float(ratio[at, worst]), float(here - there),
                )
            )  # fmt: skip
        return checks

    def swaps(self) -> list[Check]:
        """For each ticker the other that its features are nearest to."""
        if len(self._known.tickers) < 2:
            return []
        z, ratio, bound = self._ratios[Family.SWAP]
        nearer = swaps_of(self._sums, self._known.reference, self._marks, self._known.distances)[0]
        checks = []
        for at, ticker in enumerate(self._known.tickers):
            other = int(nearer[at].argmax())
            by = float(nearer[at, other])
            if np.isnan(ratio[at, 0]):
                checks.append(Check(ticker, "", Family.SWAP, Outcome.NOT_ENOUGH_ROWS))
                continue
            # Unusually near, and yet nearer to itself, is no swap.
            outcome = _outcome(ratio[at, 0]) if by > 0 else Outcome.OK
            checks.append(
                Check(
                    ticker, "", Family.SWAP, outcome, float(z[at, 0]), bound,
                    float(ratio[at, 0]) if by > 0 else min(float(ratio[at, 0]), 1.0),
                    by, f"nearest to {self._known.tickers[other]}" if by > 0 else "",
                )
            )  # fmt: skip
        return checks

    def _check(self, family: Family, ticker: int, column: int) -> Check:
        names = self._known.tickers[ticker], self._marks.names[column], family
        if reason := self._unjudged(family, ticker, column):
            outcome, detail = reason
            return Check(*names, outcome, detail=detail)
        z, ratio, bound = self._ratios[family]
        if np.isnan(ratio[ticker, column]):
            return Check(*names, Outcome.NOT_ENOUGH_ROWS, detail="in the reference's stretches")
        return Check(
            *names, _outcome(ratio[ticker, column]), float(z[ticker, column]), bound,
            float(ratio[ticker, column]), self._effect(family, ticker, column),
        )  # fmt: skip

    def _unjudged(self, family: Family, ticker: int, column: int) -> tuple[Outcome, str] | None:
        if family is Family.MISSING:
            return None
        present = self._sums.present[0, ticker, column]
        if not self._marks.has_values[ticker, column]:
            return Outcome.ALL_MISSING, "the reference has no value"
        if present == 0:
            return Outcome.ALL_MISSING, "the window has no value"
        if self._marks.is_constant[ticker, column]:
            return self._constant(ticker, column)
        if family is Family.STALE:
            return None
        if self._known.is_slow[ticker, column]:
            block_s = int(self._known.blocks[ticker, column])
            return Outcome.WINDOW_SHORTER_THAN_BLOCK, f"it needs {block_s:,} s or more"
        if present < self._values_min[ticker, column]:
            return Outcome.NOT_ENOUGH_ROWS, f"{int(present):,} values in the window"
        return None

    def _constant(self, ticker: int, column: int) -> tuple[Outcome, str]:
        was = self._marks.centre[ticker, column]
        low, high = self._own.low[ticker, column], self._own.high[ticker, column]
        is_same = self._own.is_constant[ticker, column] and self._own.centre[ticker, column] == was
        if column >= len(self._marks.numbers):  # A class: a new one says so itself.
            return Outcome.CONSTANT_COLUMN if is_same else Outcome.CONSTANT_CHANGED, f"{was:g}"
        if is_same:
            return Outcome.CONSTANT_COLUMN, f"{was:g}"
        return Outcome.CONSTANT_CHANGED, f"{was:g} in the reference, now {low:g} to {high:g}"

    def _effect(self, family: Family, ticker: int, column: int) -> float:
        def change(pick: _Pick) -> float:
            return float(pick(self._here)[0, ticker, column] - pick(self._there)[0, ticker, column])

        match family:
            case Family.LOCATION:
                return change(lambda m: m.mean) * float(self._marks.scale[ticker, column])
            case Family.SCALE:
                there = float(self._there.spread[0, ticker, column])
                return float(self._here.spread[0, ticker, column]) / there
            case Family.MISSING:
                return change(lambda m: m.missing)
            case Family.STALE:
                return change(lambda m: m.stale)
            case _:
                return float(self._shape[ticker, column])

    def _is_repeated(self, column: int) -> bool:
        numbers = len(self._marks.numbers)
        if column < numbers:
            return False
        place = self._marks.classes[column - numbers][0]
        return any(place == other for other, _ in self._marks.classes[: column - numbers])

    def _never_there(self, ticker: int, measured: int) -> bool:
        return bool(
            self._marks.is_constant[ticker, measured] and self._marks.centre[ticker, measured] == 0
        )


def _outcome(ratio: float) -> Outcome:
    return Outcome.DRIFT if ratio > 1 else Outcome.OK

"""What a check can come to: a closed set of names, of which one alone is green."""

from enum import StrEnum
from typing import Final

import msgspec


class Outcome(StrEnum):
    """Of one check, or of a window that could not be looked at."""

    OK = "ok"
    """Judged, and within the threshold."""
    DRIFT = "drift"
    """Judged, and beyond the threshold."""
    NEW_CATEGORY = "new_category"
    """A class that the column is not said to have, or that the reference never had."""
    CONSTANT_CHANGED = "constant_changed"
    """The reference never varied, and the window has another value."""
    CONSTANT_COLUMN = "constant_column"
    """The reference never varied, and the window has the same value: nothing to calibrate by."""
    ALL_MISSING = "all_missing"
    """Window or reference has no value at all; whether that is new, the missing share says."""
    NOT_ENOUGH_ROWS = "not_enough_rows"
    """Too few values or stretches to know what is usual."""
    WINDOW_SHORTER_THAN_BLOCK = "window_shorter_than_block"
    """The column remembers too long: one window of it says nothing about the next."""
    WINDOW_OF_OTHER_LENGTH = "window_of_other_length"
    """The thresholds were made for windows of another number of seconds."""
    WINDOW_IN_REFERENCE = "window_in_reference"
    """It begins before the reference ends: it would be compared with itself."""
    EMPTY_WINDOW = "empty_window"
    REFERENCE_GONE = "reference_gone"
    """There is no reference, or it is empty."""
    CLOCK_JUMP = "clock_jump"
    """Times off the grid, one second said twice and differently, or a leap of more than a week."""
    TWO_MODELS = "two_models"
    """Rows of more than one version of the model."""
    COLUMNS_DIFFER = "columns_differ"
    """The window has not the reference's tickers and columns."""


ALARMS: Final = frozenset({Outcome.DRIFT, Outcome.NEW_CATEGORY, Outcome.CONSTANT_CHANGED})
"""The others are `ok`, or say why there is no judgement."""


class Family(StrEnum):
    """Kinds of change; each is looked for with a statistic of its own."""

    LOCATION = "location"
    """Effect: difference of means (winsorised), in the feature's unit; of a class, of shares."""
    SCALE = "scale"
    """Effect: standard deviation (winsorised) as a multiple of the reference's."""
    SHAPE = "shape"
    """Effect: Kolmogorov-Smirnov distance of the two distributions, 0 to 1."""
    MISSING = "missing"
    """Effect: difference of the shares of seconds without a value."""
    STALE = "stale"
    """Effect: difference of the shares of seconds that repeat the second before."""
    CORRELATION = "correlation"
    """Effect: difference of the correlations of two features of one ticker."""
    SWAP = "swap"
    """Effect: how much nearer the features are to another ticker's, in its own spreads."""


class Check(msgspec.Struct, frozen=True):
    """One thing that was looked at."""

    ticker: str
    column: str
    """`a=b` is class b of column a; `a x b` a pair; empty: all columns together."""
    family: Family
    outcome: Outcome
    statistic: float | None = None
    """How many standard deviations from what stretches of the reference have."""
    threshold: float | None = None
    ratio: float | None = None
    """Statistic through threshold; above 1 is drift."""
    effect: float | None = None
    """See `Family`."""
    detail: str = ""


class Verdict(msgspec.Struct, frozen=True):
    """Of one window."""

    outcome: Outcome
    """The worst alarm; else `ok` if every check is; else why something could not be judged."""
    detail: str
    ratio: float | None
    """The greatest of any check."""
    checks: tuple[Check, ...]

    @property
    def is_alarm(self) -> bool:
        """Whether somebody must look."""
        return self.outcome in ALARMS


class Refusal(msgspec.Struct, frozen=True):
    """Why rows can't be looked at."""

    outcome: Outcome
    detail: str

    def verdict(self) -> Verdict:
        """Of a window that this befell: never green."""
        return Verdict(self.outcome, self.detail, None, ())


def verdict_of(checks: tuple[Check, ...]) -> Verdict:
    """The whole from its parts. No checks at all is no `ok`."""
    judged = [check for check in checks if check.ratio is not None]
    worst = max(judged, key=lambda check: check.ratio or 0.0, default=None)
    ratio = worst.ratio if worst else None
    for outcome in (Outcome.DRIFT, Outcome.NEW_CATEGORY, Outcome.CONSTANT_CHANGED):
        alarms = [check for check in checks if check.outcome is outcome]
        if alarms:
            first = max(alarms, key=lambda check: check.ratio or 0.0)
            return Verdict(outcome, _named(first, len(alarms)), ratio, checks)
    unjudged = [check for check in checks if check.outcome is not Outcome.OK]
    if unjudged:
        return Verdict(unjudged[0].outcome, _named(unjudged[0], len(unjudged)), ratio, checks)
    if not judged:
        return Verdict(Outcome.NOT_ENOUGH_ROWS, "nothing could be judged", None, checks)
    return Verdict(Outcome.OK, "", ratio, checks)


def _named(check: Check, count: int) -> str:
    others = f", and {count - 1} more" if count > 1 else ""
    return f"{check.family} of {check.ticker} {check.column}".rstrip() + others

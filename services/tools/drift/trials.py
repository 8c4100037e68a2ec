"""Windows in which nothing has changed, and windows in which something has: who alarms."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec
import numpy as np

from services.drift.core.arrays import Bools
from services.drift.core.calibration import Calibration, calibrate
from services.drift.core.intervals import share_interval
from services.drift.core.judge import judge
from services.drift.core.outcomes import Outcome
from services.drift.core.panel import Panel
from services.tools.drift.errors import NotCalibratedError
from services.tools.drift.rivals import (
    EVIDENTLY,
    EVIDENTLY_ANY,
    EVIDENTLY_SHORT,
    EVIDENTLY_SHORT_ANY,
    PSI,
    SHORT_ROWS,
    EvidentlyReference,
    PsiReference,
    Rival,
)
from services.tools.drift.shifts import shifted, shifts_for

DELAY_WINDOWS_MAX: Final = 4
"""A change that lasts is looked for in so many windows."""
OURS: Final = "stretches"
BLOCKS: Final = "blocks (bootstrap)"


class Order(msgspec.Struct, frozen=True):
    """How much to try."""

    references: int
    """Of each market; each is calibrated anew."""
    windows: int
    """After each reference, nothing changed."""
    tickers: int
    features: int
    window_s: int
    reference_windows: int
    """A reference's length, in windows."""
    shift_references: int
    """References after which changes are planted, too."""
    evidently_references: int
    """References that Evidently is asked after; of changes it sees the first two windows after the
    first reference alone, since it takes most of the time."""
    draws: int
    """Of the bootstrap by blocks, which is not asked for changes; 0: leave it out."""
    alpha: float
    seed: int


class Rate(msgspec.Struct, frozen=True):
    """Alarms of windows."""

    windows: int
    alarms: int
    share: float
    low: float | None
    """Of the 95 % interval; windows that share a reference count for fewer, by as much as they
    are alike. None: all share one, so nobody knows how much that is."""
    high: float | None


class Quiet(msgspec.Struct, frozen=True):
    """One way, where nothing has changed."""

    way: str
    rate: Rate
    columns_flagged: float
    """The share of a window's columns, on average."""


class Found(msgspec.Struct, frozen=True):
    """One way, where something has."""

    way: str
    shift: str
    rate: Rate
    within_two: Rate
    """Changes that the first or the second window alarms at."""
    delay_windows: float | None
    """Median until the first alarm; None: most were not found in four windows."""


class MarketFigures(msgspec.Struct, frozen=True):
    """Of one market."""

    market: str
    order: Order
    block_s: int
    """Longest that was needed."""
    threshold: float
    """Of the excess: median over references."""
    unjudged: int
    """Windows of ours that were neither ok nor an alarm."""
    quiet: tuple[Quiet, ...]
    found: tuple[Found, ...]


@dataclass
class _Flags:
    """[references][windows] of one way."""

    alarms: list[list[bool]] = field(default_factory=list)
    columns: list[float] = field(default_factory=list)

    def add(self, alarms: Sequence[bool], columns: Sequence[float]) -> None:
        self.alarms.append(list(alarms))
        self.columns += columns


def try_market(
    name: str,
    make: Callable[[int, int, int, int], Panel],
    order: Order,
    tell: Callable[[int, int], None],
) -> MarketFigures:
    """Calibrate references of one market, and judge what comes after each.

    Raises:
        NotCalibratedError: a reference can't be calibrated; the message is why.
    """
    quiet: dict[str, _Flags] = {}
    found: dict[tuple[str, str], _Flags] = {}
    thresholds: list[float] = []
    blocks: list[int] = []
    unjudged = 0
    for number in range(order.references):
        tell(number, order.references)
        length = order.window_s * order.reference_windows
        after = max(order.windows, DELAY_WINDOWS_MAX if number < order.shift_references else 0)
        panel = make(
            order.seed * 100_000 + number, length + after * order.window_s,
            order.tickers, order.features,
        )  # fmt: skip
        reference = panel.part(0, length)
        windows = [
            panel.part(length + at * order.window_s, length + (at + 1) * order.window_s)
            for at in range(after)
        ]
        # Of classes Evidently's tests are others: they are not compared here.
        is_asked = number < order.evidently_references and not panel.columns[0].classes
        ways = _Ways(reference, order, is_evidently_asked=is_asked)
        thresholds.append(ways.ours.threshold)
        blocks.append(ways.ours.block_s)
        for way, alarms, columns in ways.look(windows[: order.windows]):
            quiet.setdefault(way, _Flags()).add(alarms, columns)
        unjudged += ways.unjudged
        if number < order.shift_references:
            mean = np.nanmean(reference.values, axis=0)
            spread = np.nanstd(reference.values, axis=0)
            for shift, change in shifts_for(panel.columns).items():
                changed = [
                    shifted(window, change, mean, spread) for window in windows[:DELAY_WINDOWS_MAX]
                ]
                ways.ask_fewer(is_evidently_asked=is_asked and number == 0)
                for way, alarms, columns in ways.look(changed):
                    found.setdefault((way, shift), _Flags()).add(alarms, columns)
    tell(order.references, order.references)
    return MarketFigures(
        name,
        order,
        max(blocks),
        float(np.median(thresholds)),
        unjudged,
        tuple(
            Quiet(way, rate_of(flags.alarms), float(np.mean(flags.columns)))
            for way, flags in quiet.items()
        ),
        tuple(_found(way, shift, flags) for (way, shift), flags in found.items()),
    )


def rate_of(alarms: Sequence[Sequence[bool]]) -> Rate:
    """Of windows in groups that share a reference."""
    of_group = np.array([np.mean(group) for group in alarms])
    count = sum(len(group) for group in alarms)
    hits = sum(sum(group) for group in alarms)
    share = hits / count
    if len(alarms) == 1 < count:
        return Rate(count, int(hits), share, None, None)
    # How much more the groups' shares vary than those of independent windows would.
    effect = 1.0
    if len(of_group) > 1 and 0 < share < 1:
        independent = share * (1 - share) * len(of_group) / count
        effect = max(float(of_group.var(ddof=1)) / independent, 1.0)
    worth = max(round(count / effect), 1)
    low, high = share_interval(min(round(share * worth), worth), worth)
    return Rate(count, int(hits), share, low, high)


def _found(way: str, shift: str, flags: _Flags) -> Found:
    firsts = [
        next((at + 1 for at, alarm in enumerate(group) if alarm), None) for group in flags.alarms
    ]
    # Beyond the last window, for the median.
    delays = [first or DELAY_WINDOWS_MAX + 1 for first in firsts]
    delay = float(np.median(delays))
    within = [[first is not None and first <= 2] for first in firsts]
    return Found(
        way,
        shift,
        rate_of(flags.alarms),
        rate_of(within),
        delay if delay <= DELAY_WINDOWS_MAX else None,
    )


class _Ways:
    """Everyone's view of one reference."""

    def __init__(self, reference: Panel, order: Order, *, is_evidently_asked: bool) -> None:
        self.ours = _calibrated(reference, order, "stretches")
        self._blocks = _calibrated(reference, order, "blocks") if order.draws else None
        self._psi = PsiReference(reference)
        self._evidently = EvidentlyReference(reference) if is_evidently_asked else None
        self._short = EvidentlyReference(reference, SHORT_ROWS) if is_evidently_asked else None
        self._evidently_windows = order.windows
        self.unjudged = 0

    def ask_fewer(self, *, is_evidently_asked: bool) -> None:
        """From now on no bootstrap by blocks, and Evidently only where it matters."""
        self._blocks = None
        self._evidently_windows = 2
        if not is_evidently_asked:
            self._evidently = self._short = None

    def look(self, windows: Sequence[Panel]) -> Iterator[tuple[str, list[bool], list[float]]]:
        """Way, alarms, and shares of columns flagged."""
        yield OURS, *self._judged(self.ours, windows)
        if self._blocks:
            yield BLOCKS, *self._judged(self._blocks, windows)
        yield PSI.name, *_flagged(PSI, [self._psi.flags(window) for window in windows])
        # The last rows of the window are as many as those of the short reference.
        for asked, whole, any_column, rows in (
            (self._evidently, EVIDENTLY, EVIDENTLY_ANY, None),
            (self._short, EVIDENTLY_SHORT, EVIDENTLY_SHORT_ANY, SHORT_ROWS),
        ):
            if asked:
                seen = windows[: self._evidently_windows]
                flags = [asked.flags(_last(window, rows)) for window in seen]
                yield whole.name, *_flagged(whole, flags)
                yield any_column.name, *_flagged(any_column, flags)

    def _judged(
        self, calibration: Calibration, windows: Sequence[Panel]
    ) -> tuple[list[bool], list[float]]:
        alarms, columns = [], []
        for window in windows:
            verdict = judge(calibration, window)
            self.unjudged += not verdict.is_alarm and verdict.outcome is not Outcome.OK
            alarms.append(verdict.is_alarm)
            flagged = {
                (check.ticker, check.column)
                for check in verdict.checks
                if check.outcome is Outcome.DRIFT and " x " not in check.column and check.column
            }
            columns.append(len(flagged) / (len(window.tickers) * len(window.columns)))
        return alarms, columns


def _last(window: Panel, rows: int | None) -> Panel:
    return window.part(max(len(window) - rows, 0), len(window)) if rows else window


def _flagged(rival: Rival, flags: Sequence[Bools]) -> tuple[list[bool], list[float]]:
    shares = [float(flag.mean()) for flag in flags]
    return [
        share >= rival.alarm_share if rival.alarm_share else share > 0 for share in shares
    ], shares


def _calibrated(reference: Panel, order: Order, method: str) -> Calibration:
    made = calibrate(
        reference, order.window_s, alpha=order.alpha,
        method="blocks" if method == "blocks" else "stretches",
        seed=order.seed, draws=order.draws or 999,
    )  # fmt: skip
    if isinstance(made, Calibration):
        return made
    raise NotCalibratedError(f"{made.outcome}: {made.detail}")

"""What is usual: how far stretches of the reference are from the rest of it.

A window alarms if any of its differences is too great, so the thresholds are made for the greatest
of all. Each difference is counted in standard deviations of what stretches of the reference have
there; the greatest of a family (see `Family`) is divided by what that family's greatest usually
is, since 100 means have a lower greatest than 950 correlations; and the greatest of these is the
stretch's *excess*. The threshold is a quantile of the stretches' excesses.

Two ways give the stretches:

stretches  the reference, cut into pieces as long as the window. Each is judged as a window would
           be: against the others alone, with centre, deviation and usual greatest of the others
           alone. If pieces and window are exchangeable (nothing has drifted, and a piece is long
           against what the columns remember), the window's excess is as likely to be at any place
           among theirs. So at most a share `alpha` of all windows alarms, whatever the
           distributions: the error of a short reference is in it. It draws nothing.
blocks     windows and references put together from blocks that are drawn with replacement: the
           moving-block bootstrap, for a reference of fewer windows. Blocks that are short against
           what the columns remember make it too sure, so it states no level.
"""

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from services.drift.core.arrays import Bools, Floats, Ints
from services.drift.core.intervals import beta_quantile, binomial_quantile
from services.drift.core.outcomes import Family, Outcome, Refusal
from services.drift.core.panel import Column, Panel
from services.drift.core.slowness import (
    BLOCK_TIMES,
    MEMORIES_MIN,
    block_seconds,
    class_memory_seconds,
)
from services.drift.core.statistics import FAMILIES, Differences
from services.drift.core.sums import Marks, Sums, marks_of, sums_by
from services.drift.core.usual import Usual, compared, usual_distance, usual_of

type Method = Literal["stretches", "blocks"]
type LevelUnknown = Literal["", "not_held_by_blocks"]

ALPHA: Final = 0.05
BLOCKS_SHARES: Final = (0.038, 0.262)
"""[measured] Shares of unchanged windows that alarm by blocks at an alpha of 5 %, least and
greatest of five markets with references of 27 windows; of shorter ones nothing is known
(docs/benchmarks.md)."""
DRAWS: Final = 999
BLOCKS_MIN: Final = 20
"""In a reference; fewer blocks drawn again and again are the same few windows."""
STRETCHES_MAX: Final = 1_000
"""Of a reference: what is kept of each is 64 bins a column."""
UNITS_MAX: Final = 4_000
"""Quarters of blocks in a reference; blocks longer than the columns need are as good."""
OFFSETS: Final = 4
"""Blocks begin at every fourth of their length."""
_DRAWN_AT_ONCE: Final = 100


@dataclass(frozen=True)
class Widest:
    """The stretch of the reference that is furthest from the others."""

    begin_us: int | None
    """None for a drawn one, which has no time."""
    family: Family
    excess: float


@dataclass(frozen=True)
class Calibration:
    """A reference, and what is usual for windows of one length."""

    method: Method
    alpha: float
    """The share of windows that may alarm where nothing has changed."""
    tickers: tuple[str, ...]
    columns: tuple[Column, ...]
    end_us: int
    window_s: int
    """Seconds of the grid with rows: those of a window, and of each stretch."""
    stretches: int
    """Pieces of the reference, or drawn windows."""
    block_s: int
    """Of the slowest column that is judged."""
    blocks: Ints
    """Seconds of each column's block: [tickers, measured]."""
    threshold: float
    """Of the excess."""
    threshold_low: float
    """With 95 % certainty the quantile is between these, where they are finite: how far so few
    stretches may be off."""
    threshold_high: float
    level: float | None
    """The share of windows that alarms, on average over references: at most `alpha`. None: see
    `level_unknown`."""
    level_low: float | None
    """For this very reference that share is unknown: between these with 95 % certainty."""
    level_high: float | None
    widest: Widest
    marks: Marks
    reference: Sums
    present_min: Floats
    """Fewest values in a stretch: [tickers, measured]."""
    usual: dict[Family, Usual]
    distances: Floats
    """[measured]: in which a ticker's distance to another is counted; NaN: left out."""

    @property
    def level_unknown(self) -> LevelUnknown:
        """Why there is no level; empty: there is one."""
        return "not_held_by_blocks" if self.method == "blocks" else ""

    @property
    def is_slow(self) -> Bools:
        """Columns whose block is longer than the window: [tickers, measured]."""
        slow: Bools = self.blocks > self.window_s
        return slow


def calibrate(
    reference: Panel | Refusal | None,
    window_s: int,
    *,
    alpha: float = ALPHA,
    method: Method | None = None,
    seed: int = 1,
    block_s: int | None = None,
    draws: int = DRAWS,
) -> Calibration | Refusal:
    """Learn what is usual.

    Args:
        reference: what the windows will be compared with.
        window_s: seconds with rows in each window.
        alpha: the share of windows that may alarm for nothing.
        method: pieces where there are enough of them for `alpha`, else blocks, unless given.
        seed: of drawn blocks; pieces draw nothing.
        block_s: length of drawn blocks, unless as long as the columns need.
        draws: windows made of blocks.
    """
    assert 0 < alpha < 1, f"alpha {alpha}"
    assert window_s > 0, f"a window of {window_s} s"
    assert draws * alpha >= 1, f"{draws} draws are too few for a quantile of {alpha}"
    if reference is None:
        return Refusal(Outcome.REFERENCE_GONE, "there is no reference")
    if isinstance(reference, Refusal):
        gone = reference.outcome is Outcome.EMPTY_WINDOW
        outcome = Outcome.REFERENCE_GONE if gone else reference.outcome
        return Refusal(outcome, f"the reference: {reference.detail}")
    if len(reference) < 2 * window_s:
        return Refusal(
            Outcome.NOT_ENOUGH_ROWS,
            f"a reference of {len(reference):,} s for windows of {window_s:,} s",
        )
    marks = marks_of(reference)
    needed = block_seconds(reference, marks, window_s)
    if marks.classes:
        memory_s = class_memory_seconds(reference, marks, window_s)
        if memory_s * MEMORIES_MIN > len(reference):
            of_class = needed[:, len(marks.numbers) :]
            np.maximum(of_class, int(np.ceil(memory_s * BLOCK_TIMES)), out=of_class)
    judged = marks.has_values & ~marks.is_constant
    slow = judged & (needed > window_s)
    if np.any(judged) and np.all(slow == judged):
        return Refusal(
            Outcome.WINDOW_SHORTER_THAN_BLOCK,
            f"every column remembers for more than {window_s // BLOCK_TIMES:,} s, and a window"
            f" has {window_s:,} s",
        )
    left = judged & ~slow
    longest = int(needed[left].max()) if np.any(left) else 1
    pieces = min(len(reference) // window_s, STRETCHES_MAX)
    chosen = method or ("stretches" if rank_of(alpha, pieces) >= 1 else "blocks")
    given = _Given(reference, marks, needed, longest, window_s, alpha)
    if chosen == "stretches":
        return _by_stretches(given, pieces)
    least_s = len(reference) * OFFSETS // UNITS_MAX
    return _by_blocks(given, block_s or max(longest, least_s), draws, seed)


def rank_of(alpha: float, stretches: int) -> int:
    """Which of the greatest excesses is the threshold; 0: there are too few for `alpha`."""
    # 1e-9: 0.05 x 20 is a whole number, if not for a computer.
    return int(alpha * (stretches + 1) + 1e-9)


# --- the two ways --------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Given:
    reference: Panel
    marks: Marks
    needed: Ints
    longest: int
    window_s: int
    alpha: float


def _by_stretches(given: _Given, pieces: int) -> Calibration | Refusal:
    rank = rank_of(given.alpha, pieces)
    if rank < 1:
        return Refusal(
            Outcome.NOT_ENOUGH_ROWS,
            f"{pieces} windows in the reference; at a false-alarm rate of {given.alpha:g}"
            f" {int(np.ceil(1 / given.alpha)) - 1} are needed",
        )
    length = len(given.reference)
    last = given.reference.part(length - pieces * given.window_s, length)
    stretches = sums_by(last, given.marks, given.window_s)
    total = stretches.total()
    rest = stretches.each(lambda field: field.sum(axis=0, keepdims=True) - field)
    differences, distances = _compared(given, stretches, rest)
    return _finished(given, "stretches", stretches, total, differences, distances, given.longest)


def _by_blocks(given: _Given, block_s: int, draws: int, seed: int) -> Calibration | Refusal:
    # As many whole blocks as fit make a window; each is at least as long as asked.
    in_window = max(given.window_s // block_s, 1)
    unit = max(given.window_s // in_window // OFFSETS, 1)
    offsets = OFFSETS if block_s >= OFFSETS else 1
    block = unit * offsets
    in_reference = len(given.reference) // block
    if in_reference < BLOCKS_MIN:
        return Refusal(
            Outcome.NOT_ENOUGH_ROWS,
            f"{in_reference} blocks of {block:,} s in the reference; {BLOCKS_MIN} are needed",
        )
    units = sums_by(given.reference, given.marks, unit)
    blocks = units.each(lambda field: _overlapping(field, offsets))
    rng = np.random.default_rng(seed)
    count = len(blocks.seconds)
    windows = _counts(rng, draws, given.window_s // block, count)
    references = _counts(rng, draws, in_reference, count)
    distances: Floats | None = None
    parts: list[Differences] = []
    for begin in range(0, draws, _DRAWN_AT_ONCE):
        drawn = slice(begin, begin + _DRAWN_AT_ONCE)
        part, distances = _compared(
            given, blocks.drawn(windows[drawn]), blocks.drawn(references[drawn]), distances
        )
        parts.append(part)
    differences = {family: np.concatenate([part[family] for part in parts]) for family in FAMILIES}
    assert distances is not None, "there is at least one draw"
    return _finished(given, "blocks", blocks, units.total(), differences, distances, block)


def _overlapping(units: Floats, offsets: int) -> Floats:
    """Sums of every `offsets` successive units."""
    if offsets == 1:
        return units
    upto = np.concatenate([np.zeros_like(units[:1]), np.cumsum(units, axis=0)])
    found: Floats = upto[offsets:] - upto[:-offsets]
    return found


def _counts(rng: np.random.Generator, draws: int, blocks: int, of: int) -> Floats:
    """[draws, of]: how often each block is in each draw."""
    chosen = rng.integers(0, of, size=(draws, blocks)) + of * np.arange(draws)[:, None]
    counts = np.bincount(chosen.ravel(), minlength=draws * of)
    return counts.reshape(draws, of).astype(np.float64)


def _compared(
    given: _Given, stretches: Sums, references: Sums, distances: Floats | None = None
) -> tuple[Differences, Floats]:
    slow = given.needed > given.window_s
    if distances is None:
        distances = usual_distance(stretches, references, given.marks, slow)
    return compared(stretches, references, given.marks, slow, distances), distances


def _finished(
    given: _Given,
    method: Method,
    stretches: Sums,
    total: Sums,
    differences: Differences,
    distances: Floats,
    block_s: int,
) -> Calibration:
    usual, excess, of_family = usual_of(differences)
    count = len(excess)
    rank = rank_of(given.alpha, count)
    falling = np.sort(excess)[::-1]
    few, many = (binomial_quantile(tail, count, given.alpha) for tail in (0.025, 0.975))
    widest = int(np.argmax(excess))
    # Draws are not exchangeable with the windows that come: their count says nothing of those.
    is_held = method == "stretches"
    begins = given.reference.time_us[-count * given.window_s :: given.window_s]
    return Calibration(
        method=method,
        alpha=given.alpha,
        tickers=given.reference.tickers,
        columns=given.reference.columns,
        end_us=int(given.reference.time_us[-1]),
        window_s=given.window_s,
        stretches=count,
        block_s=block_s,
        blocks=given.needed,
        threshold=float(falling[rank - 1]),
        threshold_low=float(falling[min(many, count - 1)]),
        threshold_high=float(falling[few - 1]) if few else float("inf"),
        level=rank / (count + 1) if is_held else None,
        level_low=beta_quantile(0.025, rank, count + 1 - rank) if is_held else None,
        level_high=beta_quantile(0.975, rank, count + 1 - rank) if is_held else None,
        widest=Widest(
            int(begins[widest]) if is_held else None,
            FAMILIES[int(of_family[widest])],
            float(excess[widest]),
        ),
        marks=given.marks,
        reference=total,
        present_min=stretches.present.min(axis=0) * given.window_s / stretches.seconds[0],
        usual=usual,
        distances=distances,
    )

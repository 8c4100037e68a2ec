"""The stated test for a fall: two differences of macro-F1, each by its 95 % interval.

promise   the model's figure in the window less the one in its manifest: two sets of rows, so the
          interval of the difference is put together from both (`rules.difference`).
baseline  the model's figure less that of the plain baseline that is best on the same rows: drawn
          by the same blocks.

Blocks are as long as what the window's figures are made of remembers (`memory`). The manifest's
interval was drawn by shorter ones, and is widened by as much as the window's own interval is wider
by its blocks than by those.

A window has fallen if either interval lies wholly below 0. The intervals are made of those of
95 %, and wider: each of the two may be wrong in `SHARE` of windows in which nothing has changed,
and the best of k baselines is one of k that chance may have put first, so each of them in a k-th
part. There is one such pair a window, of all tickers together; figures by ticker, by version and
of shadows are described and alarm nobody.
"""

import math
from collections.abc import Sequence
from statistics import NormalDist
from typing import Final

import msgspec

from services.models.manifest import Estimate
from services.models.rules import difference

METRIC: Final = "macro_f1"
PROMISE: Final = "promise"
BASELINE: Final = "baseline"
SHARE: Final = 0.0125
"""Both together: half of the 5 % that a window may be wrong in, since how long its rows remember is
only known about, and macro-F1 is lower of itself where few memories fit (docs/performance.md has
how much that is)."""
BLOCKS_MIN: Final = 20
"""In a window that is tested. Of ten, which are enough for an interval, 6 % of unchanged windows
alarmed: in short ones macro-F1 is lower of itself."""
_NORMAL: Final = NormalDist()
_GIVEN_SHARE: Final = 0.025
"""Above an interval of 95 %."""


class FallTest(msgspec.Struct, frozen=True):
    """One of the two differences."""

    name: str
    against: str
    """The manifest's promise, or the baseline's name."""
    expected: float
    """Macro-F1 that the model is held against."""
    margin: Estimate
    """The model's less that, with the interval that decides."""
    share: float
    """Of windows without a change that are above the interval, by design."""

    @property
    def is_fallen(self) -> bool:
        """Whether all of the interval is below 0."""
        return self.margin.high < 0

    @property
    def ratio(self) -> float:
        """How far below, against how far is usual: above 1 exactly if it has fallen.

        A margin without any spread is a whole distance below, or none.
        """
        usual = self.margin.high - self.margin.value
        if usual > 0:
            return max(-self.margin.value / usual, 0.0)
        return 2.0 if self.is_fallen else 0.0


def against_promise(
    found: Estimate, promised: Estimate, blocks: int, wider: float = 1.0
) -> FallTest:
    """The window's figure, of so many blocks, against the manifest's.

    Args:
        found: the window's.
        promised: the manifest's.
        blocks: of the window.
        wider: the window's interval by its own blocks through that by the manifest's.
    """
    promise = _stretched(widened(promised, None, SHARE), max(wider, 1.0))
    margin = difference(widened(found, blocks, SHARE), promise)
    return FallTest(PROMISE, "its manifest", promised.value, margin, SHARE)


def against_baseline(
    name: str, theirs: float, margin: Estimate, blocks: int, baselines: int
) -> FallTest:
    """The paired difference from the best of so many, on the same rows."""
    share = SHARE / baselines
    return FallTest(BASELINE, name, theirs, widened(margin, blocks, share), share)


def worst(tests: Sequence[FallTest]) -> FallTest:
    """The one with the greatest ratio."""
    return max(tests, key=lambda test: test.ratio)


def widened(estimate: Estimate, blocks: int | None, share: float) -> Estimate:
    """An interval of 95 % as one that leaves another share on each side, of so few blocks.

    Draws of n blocks vary by (n - 1)/n of what such windows do, and the spread itself is uncertain:
    Student's quantile, by its series in 1/(n - 1) (Abramowitz and Stegun 26.7.5). None: so many
    blocks that it does not matter.
    """
    z = _NORMAL.inv_cdf(1 - share)
    student = z
    if blocks is not None:
        assert blocks > 1, f"{blocks} blocks have no spread"
        freedom = blocks - 1
        student += (z**3 + z) / (4 * freedom) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
        student *= math.sqrt(blocks / freedom)
    by = student / _NORMAL.inv_cdf(1 - _GIVEN_SHARE)
    return _stretched(estimate, by)


def _stretched(estimate: Estimate, by: float) -> Estimate:
    value = estimate.value
    return Estimate(
        value, value - by * (value - estimate.low), value + by * (estimate.high - value)
    )

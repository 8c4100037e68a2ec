"""The stated test for a fall: two differences of macro-F1, each by its 95 % interval.

promise   the model's figure in the window less the one in its manifest: two sets of rows, so the
          interval of the difference is put together from both (`rules.difference`).
baseline  the model's figure less that of the plain baseline that is best on the same rows: drawn
          by the same blocks.

A window has fallen if either interval lies wholly below 0. Where nothing has changed each does so
in about 2.5 % of windows, so both together in at most 5 %. There is one such pair a window, of all
tickers together; figures by ticker, by version and of shadows are described and alarm nobody.
"""

import math
from collections.abc import Sequence
from typing import Final

import msgspec

from services.models.manifest import Estimate
from services.models.rules import difference

METRIC: Final = "macro_f1"
PROMISE: Final = "promise"
BASELINE: Final = "baseline"
_NORMAL: Final = 1.959964
"""The normal distribution's 97.5 % quantile."""


class FallTest(msgspec.Struct, frozen=True):
    """One of the two differences."""

    name: str
    against: str
    """The manifest's promise, or the baseline's name."""
    expected: float
    """Macro-F1 that the model is held against."""
    margin: Estimate
    """The model's less that, with the interval that decides."""

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


def against_promise(found: Estimate, promised: Estimate, blocks: int) -> FallTest:
    """The window's figure, of so many blocks, against the manifest's."""
    margin = difference(widened(found, blocks), promised)
    return FallTest(PROMISE, "its manifest", promised.value, margin)


def against_baseline(name: str, theirs: float, margin: Estimate, blocks: int) -> FallTest:
    """The paired difference on the same rows."""
    return FallTest(BASELINE, name, theirs, widened(margin, blocks))


def worst(tests: Sequence[FallTest]) -> FallTest:
    """The one with the greatest ratio."""
    return max(tests, key=lambda test: test.ratio)


def widened(estimate: Estimate, blocks: int) -> Estimate:
    """An interval that owns up to how few blocks its spread was learned from.

    Draws of n blocks vary by (n - 1)/n of what such windows do, and the spread itself is uncertain:
    Student's quantile, by its series in 1/(n - 1) (Abramowitz and Stegun 26.7.5).
    """
    assert blocks > 1, f"{blocks} blocks have no spread"
    z, freedom = _NORMAL, blocks - 1
    student = z + (z**3 + z) / (4 * freedom) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
    by = student / z * math.sqrt(blocks / freedom)
    value = estimate.value
    return Estimate(
        value, value - by * (value - estimate.low), value + by * (estimate.high - value)
    )

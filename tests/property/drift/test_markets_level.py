"""False alarms on the markets that are promised: stationary, with columns that keep 0.9 and more.

`outcry drift calibrate` does the same in windows twice as long, with more columns; its figures are
in docs/benchmarks.md.
"""

from typing import Final

import pytest

from services.drift.core.calibration import ALPHA
from services.tools.drift.markets import MARKETS
from services.tools.drift.rivals import EVIDENTLY_SHORT
from services.tools.drift.trials import OURS, Order, try_market

ORDER: Final = Order(
    references=40, windows=8, tickers=2, features=3, window_s=3_600, reference_windows=27,
    shift_references=0, evidently_references=1, draws=0, alpha=ALPHA, seed=1,
)  # fmt: skip

pytestmark = [pytest.mark.long, pytest.mark.timeout(1_800)]


@pytest.mark.parametrize("market", ["ar-0.9", "ar-0.95", "ar-0.99"])
def test_one_window_in_twenty_alarms_at_most_where_evidently_flags_half_the_columns(
    market: str,
) -> None:
    found = try_market(market, MARKETS[market], ORDER, lambda _done, _all: None)
    ways = {quiet.way: quiet for quiet in found.quiet}
    ours = ways[OURS].rate
    said = f"{ours.alarms} of {ours.windows}, {ours.share:.1%} ({ours.low:.1%} to {ours.high:.1%})"
    assert found.unjudged == 0
    assert ours.windows == 320
    assert ours.share <= ALPHA, said
    assert ways[EVIDENTLY_SHORT.name].columns_flagged > 0.5

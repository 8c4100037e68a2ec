"""Features of recorded order flow: by the fold, by whole columns, and in plain fractions."""

from functools import cache

import pytest

from services.featuresets import TRADE_SETS
from services.featuresets.ticks import Tick
from services.tools.market.lobster_files import EXECUTION, read_session
from services.tools.vectorfold.columns import trade_columns
from services.tools.vectorfold.fold import fold_columns
from tests.support.feature_checks import difference_to_plain, folded
from tests.support.optional import require_lobster

AAPL = "AAPL_2012-06-21_34200000_37800000_{}_30.csv.gz"
AMZN = "AMZN_2012-06-21_34200000_57600000_{}_5.csv.gz"


@cache
def _ticks(name: str) -> list[Tick]:
    paths = require_lobster(name.format("message")), require_lobster(name.format("orderbook"))
    ticks = []
    for row, (message, book) in enumerate(read_session(*paths, 1)):
        if message.kind == EXECUTION and book is not None:
            bid, ask = (side[0] if side else (0, 0) for side in (book.bids, book.asks))
            ticks.append(
                Tick(row, message.time_us, message.price, message.size, -message.side, *bid, *ask)
            )
    return ticks


@pytest.mark.parametrize("name, trades, rows", [(AAPL, 4_067, 3_598), (AMZN, 8_974, 23_399)])
def test_a_whole_session_by_columns_is_the_folds(name: str, trades: int, rows: int) -> None:
    ticks = _ticks(name)
    assert len(ticks) == trades
    for feature_set in TRADE_SETS.values():
        by_columns = list(fold_columns(feature_set, trade_columns(ticks)).rows())
        assert by_columns == folded(feature_set, ticks)
        assert len(by_columns) == rows


@pytest.mark.parametrize("name", sorted(TRADE_SETS))
def test_the_first_minutes_of_a_session_are_the_plain_references(name: str) -> None:
    assert difference_to_plain(TRADE_SETS[name], _ticks(AAPL)[:500]) is None

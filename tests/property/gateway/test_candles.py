"""Candles against a plain recomputation from all trades, interval by interval."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.core.candles import INTERVALS_US, Candle, Candles

KEPT = 4
TRADE = st.tuples(
    st.sampled_from([0, 1, 999_999, 1_000_000, 59_999_999, 60_000_000, 86_400_000_000]),
    st.integers(1, 10),
    st.integers(1, 1_000),
)
"""Microseconds since the trade before, price, quantity."""


def recompute(trades: list[tuple[int, int, int]], length_us: int) -> list[Candle]:
    """Every candle of trades of (time, price, quantity), from scratch."""
    found = []
    for place in sorted({time_us // length_us for time_us, _, _ in trades}):
        own = [trade for trade in trades if trade[0] // length_us == place]
        prices = [price for _, price, _ in own]
        volume = sum(quantity for _, _, quantity in own)
        found.append(
            Candle(place * length_us, prices[0], max(prices), min(prices), prices[-1], volume,
                   len(own), is_partial=False)
        )  # fmt: skip
    return found


def fold(trades: list[tuple[int, int, int]], first: int = 1) -> Candles:
    candles = Candles(KEPT)
    for number, trade in enumerate(trades, first):
        candles.note("AAPL", number, *trade)
    return candles


@given(st.lists(TRADE, max_size=40), st.integers(1, KEPT))
def test_candles_are_those_of_a_plain_recomputation(
    steps: list[tuple[int, int, int]], limit: int
) -> None:
    trades, now_us = [], 1_790_000_000_000_000
    for step_us, price, quantity in steps:
        now_us += step_us
        trades.append((now_us, price, quantity))
    candles = fold(trades)
    for interval, length_us in INTERVALS_US.items():
        wanted = recompute(trades, length_us)
        assert candles.of("AAPL", interval, KEPT) == wanted[-KEPT:]
        assert candles.of("AAPL", interval, limit) == wanted[-limit:]
    assert candles.sequence_of("AAPL") == (len(trades) or None)
    assert candles.of("TSLA", "1s", 1) == []


@pytest.mark.parametrize("interval", INTERVALS_US)
def test_only_the_first_candle_lacks_what_was_before_the_first_trade_read(interval: str) -> None:
    length_us = INTERVALS_US[interval]
    candles = fold([(length_us * 5 + 7, 1, 1), (length_us * 6, 2, 1)], first=2)
    assert [candle.is_partial for candle in candles.of("AAPL", interval, 2)] == [True, False]


def test_a_trade_from_before_the_one_before_it_changes_nothing() -> None:
    candles = fold([(5_000_000, 3, 1)])
    candles.note("AAPL", 2, 4_999_999, 9, 9)
    assert candles.sequence_of("AAPL") == 1
    assert [(c.open_time_us, c.high) for c in candles.of("AAPL", "1s", KEPT)] == [(5_000_000, 3)]

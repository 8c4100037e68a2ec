"""Trades for tests of folds: drawn by Hypothesis, or from a seed; empty sides and silences too."""

from random import Random

from hypothesis import strategies as st

from services.featuresets.ticks import Tick

SECOND_US = 1_000_000
_GAPS_US = (
    0, 0, 1, 250_000, 600_000, 999_999, SECOND_US, 1_000_001, 3_700_000, 5 * SECOND_US,
    29 * SECOND_US, 60 * SECOND_US, 61 * SECOND_US,
)  # fmt: skip
_SILENCES_US = tuple(s * SECOND_US for s in (119, 120, 121, 122, 300, 301, 86_400))
_START_US = 1_789_999_999 * SECOND_US


@st.composite
def drawn_ticks(draw: st.DrawFn, ticks_max: int = 14) -> list[Tick]:
    """One ticker's trades in order; offsets have gaps, as transactions leave them."""
    gaps = st.one_of(
        st.sampled_from(_GAPS_US),
        st.integers(0, 70 * SECOND_US),
        st.sampled_from(_SILENCES_US),
    )
    count = draw(st.integers(1, ticks_max))
    offset, time_us, ticks = draw(st.integers(0, 5)), _START_US, []
    for _ in range(count):
        time_us += draw(gaps)
        bid = draw(st.one_of(st.just(0), st.integers(1, 12)))
        ask = draw(st.one_of(st.just(0), st.integers(bid + 1, bid + 9)))
        ticks.append(
            Tick(
                offset, time_us, draw(st.integers(1, 30)), draw(st.integers(1, 9)),
                draw(st.sampled_from((1, -1, 0))),
                bid, draw(st.integers(1, 9)) if bid else 0,
                ask, draw(st.integers(1, 9)) if ask else 0,
            )
        )  # fmt: skip
        offset += draw(st.integers(1, 3))
    return ticks


def seeded_ticks(seed: int, count: int, mean_gap_us: int = 400_000) -> list[Tick]:
    """A random walk in cents with its book; now and then a silence, or an empty side."""
    rng = Random(seed)
    offset, time_us, price, ticks = 0, _START_US + rng.randrange(SECOND_US), 1_000_000, []
    for _ in range(count):
        draw = rng.random()
        if draw < 0.02:
            time_us += rng.choice(_SILENCES_US[:5])
        elif draw < 0.1:  # Exactly on the grid.
            time_us = (time_us // SECOND_US + rng.randint(0, 2) + 1) * SECOND_US
        elif draw < 0.9:
            time_us += round(rng.expovariate(1 / mean_gap_us))
        price = max(10_000, price + 100 * rng.randint(-3, 3))
        bid = 0 if rng.random() < 0.05 else price - 100 * rng.randint(0, 2)
        ask = (
            0
            if rng.random() < (0.5 if bid == 0 else 0.02)
            else max(price, bid + 100) + 100 * rng.randint(0, 2)
        )
        ticks.append(
            Tick(
                offset, time_us, price, 100 * rng.randint(1, 20), rng.choice((1, -1)),
                bid, 100 * rng.randint(1, 50) if bid else 0,
                ask, 100 * rng.randint(1, 50) if ask else 0,
            )
        )  # fmt: skip
        offset += rng.randint(1, 3)
    return ticks

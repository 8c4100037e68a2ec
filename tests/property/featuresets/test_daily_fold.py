"""The fold of bars against a slow second implementation, a float one, and itself, rewound."""

from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.featuresets import BAR_SETS
from services.featuresets.bars import Bar
from services.featuresets.definitions import FeatureSet
from tests.support.feature_checks import folded
from tests.support.plain_daily import plain_days
from tests.support.planted_fold import planted_sets

DAILY = BAR_SETS["daily_v1"]


def seeded_bars(seed: int, count: int) -> list[Bar]:
    """Ten splits and dividends in a thousand bars, weekends and holidays left out."""
    rng = Random(seed)
    day, close, bars = 17_000, 1_000_000, []
    for _ in range(count):
        day += rng.choice((1, 1, 1, 1, 3, 4))
        split = rng.choice(((4, 1), (3, 2), (1, 10))) if rng.random() < 0.01 else (1, 1)
        close = max(10_000, close * split[1] // split[0])
        opening = max(10_000, close + rng.randint(-20_000, 20_000))
        close = max(10_000, opening + rng.randint(-20_000, 20_000))
        high = max(opening, close) + rng.randint(0, 9_000)
        low = max(1, min(opening, close) - rng.randint(0, 9_000))
        volume = rng.randint(10**5, 10**8)
        dividend = rng.randint(1, 9_000) if rng.random() < 0.01 else 0
        bars.append(Bar(day, opening, high, low, close, volume, *split, dividend))
    return bars


@st.composite
def drawn_bars(draw: st.DrawFn) -> list[Bar]:
    """Small prices, so that ties, equal closes and equal volumes come up."""
    day, bars = draw(st.integers(0, 20_000)), []
    for _ in range(draw(st.integers(1, 30))):
        day += draw(st.integers(1, 4))
        low = draw(st.integers(1, 5))
        high = low + draw(st.integers(0, 3))
        inside = st.integers(low, high)
        split = draw(st.sampled_from(((1, 1), (1, 1), (1, 1), (2, 1), (3, 2), (1, 7))))
        dividend = draw(st.sampled_from((0, 0, 0, 1)))
        volume = draw(st.integers(0, 3))
        bars.append(Bar(day, draw(inside), high, low, draw(inside), volume, *split, dividend))
    return bars


def difference(feature_set: FeatureSet[Bar], bars: list[Bar]) -> str | None:
    ours = [(row.grid_time_us, row.rewind_offset, row.values) for row in folded(feature_set, bars)]
    for own, other in zip(ours, plain_days(bars), strict=True):
        if own != other:
            return f"{own}, plainly {other}"
    return None


@settings(max_examples=60, deadline=None)
@given(bars=drawn_bars())
def test_every_value_is_that_of_the_plain_reference(bars: list[Bar]) -> None:
    assert difference(DAILY, bars) is None


def test_more_than_a_year_of_bars_equals_the_plain_reference() -> None:
    assert difference(DAILY, seeded_bars(3, 320)) is None


@pytest.mark.parametrize("place", [0, 13, 14, 15, 20, 249, 250, 251, 252, 400, 599])
def test_a_fold_that_begins_at_the_rewind_day_is_the_same_in_every_byte(place: int) -> None:
    bars = seeded_bars(4, 600)
    whole, again = DAILY.new_fold(), DAILY.new_fold()
    for bar in bars[:place]:
        whole.step(bar)
    (row,) = whole.step(bars[place])
    rows = [
        other
        for bar in bars[: place + 1]
        if bar.day >= row.rewind_offset
        for other in again.step(bar)
    ]
    assert rows[-1] == row
    assert again.state() == whole.state()


def test_smoothed_averages_are_wilders_to_the_sixth_digit_after_years() -> None:
    bars = [bar for bar in seeded_bars(5, 900) if bar.split_numerator == bar.split_denominator]
    closes = [bar.close / 10_000 for bar in bars]
    gain = loss = true_range = 0.0
    for i in range(1, len(bars)):
        change = closes[i] - closes[i - 1] + bars[i].dividend / 10_000
        old = closes[i] - change
        reach = max(bars[i].high / 10_000, old) - min(bars[i].low / 10_000, old)
        weight = 1 / i if i <= 14 else 1 / 14
        gain += weight * (max(change, 0.0) - gain)
        loss += weight * (max(-change, 0.0) - loss)
        true_range += weight * (reach - true_range)
    values = dict(zip(DAILY.features, folded(DAILY, bars)[-1].values, strict=True))
    real = {feature.name: feature.real(value) for feature, value in values.items()}
    assert real["rsi_14"] == pytest.approx(100 * gain / (gain + loss), rel=1e-6)
    assert real["atr_14"] == pytest.approx(true_range, rel=1e-6)


BUGS = {
    "smoothing of 14 in the place of 13": (
        "gain = divide(gain * (_WILDER - 1) + up, _WILDER)",
        "gain = divide(gain * _WILDER + up, _WILDER + 1)",
    ),
    "a dividend left out": (
        "level * (bar.close + bar.dividend) * bar",
        "level * bar.close * bar",
    ),
    "a range without the close before": (
        "reach = max(bar.high * _SMOOTHING_SCALE, old) - min(bar.low * _SMOOTHING_SCALE, old)",
        "reach = (bar.high - bar.low) * _SMOOTHING_SCALE",
    ),
    "volumes in old shares": ("numerator *= bar.split_numerator", "numerator *= 1"),
    "a shorter smoothing": ("SMOOTHING_BARS: Final = 250", "SMOOTHING_BARS: Final = 249"),
}


@pytest.mark.parametrize("bug", BUGS)
def test_a_planted_bug_is_found_by_the_plain_reference(bug: str, tmp_path: Path) -> None:
    planted = planted_sets(tmp_path, "daily_v1", *BUGS[bug])["daily_v1"]
    assert difference(planted, seeded_bars(3, 320)) is not None

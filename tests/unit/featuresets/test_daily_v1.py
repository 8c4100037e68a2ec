import pytest

from services.featuresets import BAR_SETS
from services.featuresets.bars import Bar

DAILY = BAR_SETS["daily_v1"]

# A textbook's closes, in cents: gains of 3.34 and losses of 1.40 dollars over 14 changes.
CLOSES = (
    4434, 4409, 4415, 4361, 4433, 4483, 4510, 4542, 4584, 4608, 4589, 4603, 4561, 4628, 4628,
)  # fmt: skip


def _flat(day: int, close: int, volume: int = 100, **corporate: int) -> Bar:
    return Bar(day, close, close, close, close, volume, **corporate)


def _named(bars: list[Bar]) -> dict[str, int | None]:
    fold = DAILY.new_fold()
    (row,) = [fold.step(bar) for bar in bars][-1]
    return dict(zip(DAILY.columns, row.values, strict=True))


def test_the_index_of_relative_strength_is_a_textbooks() -> None:
    values = _named([_flat(day, 100 * close) for day, close in enumerate(CLOSES)])
    # The averages are rounded to 1e-8 dollar: 0.23857143 and 0.1.
    assert values["rsi_14"] == round(100 * 10**6 * 23_857_143 / (23_857_143 + 10_000_000))
    assert values["rsi_14"] == pytest.approx(70.4641 * 10**6, rel=1e-6)
    assert values["atr_14"] == round((334 + 140) * 10**6 / 14)


def test_rows_are_not_defined_before_there_are_bars_enough() -> None:
    bars = [_flat(day, 10_000 + 100 * day % 700, 100 + day) for day in range(21)]
    defined = {
        name: next(n for n in range(1, 22) if _named(bars[:n])[name] is not None)
        for name in DAILY.columns
    }
    assert defined == {
        "return_1d": 2, "return_5d": 6, "return_20d": 21, "volatility_20d": 21,
        "volume_zscore_20d": 20, "rsi_14": 15, "atr_14": 15,
    }  # fmt: skip


def test_a_split_and_a_dividend_are_no_change_of_worth() -> None:
    bars = [
        _flat(1, 4_000_000, 100),
        _flat(2, 1_000_000, 400, split_numerator=4),
        _flat(3, 990_000, 400, dividend=10_000),
    ]
    assert _named(bars[:2])["return_1d"] == 0
    assert _named(bars)["return_1d"] == 0


def test_a_row_is_known_at_the_midnight_after_its_day() -> None:
    (row,) = DAILY.new_fold().step(_flat(19_000, 1_000_000))
    assert row.grid_time_us == 19_001 * 86_400 * 1_000_000
    assert row.rewind_offset == 19_000


def test_bars_that_go_back_or_cost_nothing_stop_the_fold() -> None:
    fold = DAILY.new_fold()
    fold.step(_flat(5, 1_000_000))
    with pytest.raises(AssertionError, match="day 5 after 5"):
        fold.step(_flat(5, 1_000_000))
    with pytest.raises(AssertionError, match="a price of 6"):
        fold.step(_flat(6, 0))

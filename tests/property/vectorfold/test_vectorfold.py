"""Rows from whole columns are the fold's rows, integer for integer."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.featuresets import TRADE_SETS
from services.featuresets.integers import divide as divide_one
from services.featuresets.integers import square_root as root_of_one
from services.featuresets.ticks import Tick
from services.tools.vectorfold.columns import RowColumns, trade_columns
from services.tools.vectorfold.fold import fold_columns, fold_steps
from services.tools.vectorfold.integers import BILLION_STEPS, divide, divide_scaled, square_root
from services.tools.vectorfold.measures import MAKERS, Measures, TooLargeError
from tests.support.drawn_ticks import SECOND_US, drawn_ticks, seeded_ticks
from tests.support.feature_checks import folded

every_set = pytest.mark.parametrize("name", sorted(TRADE_SETS))


def test_every_set_of_trades_has_its_columns() -> None:
    assert set(MAKERS) == set(TRADE_SETS)


@every_set
@settings(max_examples=60, deadline=None)
@given(ticks=drawn_ticks(16))
def test_columns_give_the_rows_of_the_fold(name: str, ticks: list[Tick]) -> None:
    feature_set, trades = TRADE_SETS[name], trade_columns(ticks)
    assert list(fold_columns(feature_set, trades).rows()) == folded(feature_set, ticks)
    _same(fold_columns(feature_set, trades), fold_steps(feature_set, trades))


@every_set
@pytest.mark.parametrize("seed, mean_gap_us", [(1, 3_000), (2, 200_000), (3, 3_000_000)])
def test_columns_of_a_long_market_give_the_rows_of_the_fold(
    name: str, seed: int, mean_gap_us: int
) -> None:
    ticks = seeded_ticks(seed, 3_000, mean_gap_us)
    rows = fold_columns(TRADE_SETS[name], trade_columns(ticks))
    assert list(rows.rows()) == folded(TRADE_SETS[name], ticks)
    Measures(trade_columns(ticks))  # It was not the fold that answered: these sizes fit.


@every_set
def test_a_part_of_a_history_begins_at_the_rewind_offset_of_the_row_before(name: str) -> None:
    ticks = seeded_ticks(4, 2_000)
    whole = list(fold_columns(TRADE_SETS[name], trade_columns(ticks)).rows())
    known = whole[len(whole) // 2]
    rest = [tick for tick in ticks if tick.offset >= known.rewind_offset]
    again = fold_columns(TRADE_SETS[name], trade_columns(rest)).rows()
    later = [row for row in again if row.grid_time_us > known.grid_time_us]
    assert later == whole[len(whole) // 2 + 1 :]


HUGE = [
    Tick(1, SECOND_US, 10**9, 10**9, 1, 10**9, 10**9, 10**9 + 100, 1),
    Tick(2, 100 * SECOND_US, 10**9, 10**9, 1, 10**9, 10**9, 2 * 10**9, 1),
    Tick(3, 101 * SECOND_US, 3, 10**9, -1, 3, 10**9, 2 * 10**9, 1),
    *(Tick(i, (98 + i) * SECOND_US, 10**9, 10**9, 1, 3, 1, 4, 1) for i in range(4, 12)),
]


@every_set
def test_numbers_beyond_64_bits_go_through_the_fold(name: str) -> None:
    with pytest.raises(TooLargeError):
        MAKERS[name](Measures(trade_columns(HUGE)))
    rows = list(fold_columns(TRADE_SETS[name], trade_columns(HUGE)).rows())
    assert rows == folded(TRADE_SETS[name], HUGE)
    assert rows


@every_set
def test_no_trades_have_no_rows(name: str) -> None:
    rows = fold_columns(TRADE_SETS[name], trade_columns([]))
    assert list(rows.rows()) == []
    assert len(rows.features) == len(TRADE_SETS[name].features)


def test_trades_out_of_order_are_refused() -> None:
    feature_set, ticks = TRADE_SETS["microstructure_v1"], seeded_ticks(1, 10)
    with pytest.raises(AssertionError, match="an offset does not rise"):
        fold_columns(feature_set, trade_columns([*ticks, ticks[0]]))


def test_reals_are_what_each_feature_says_they_are() -> None:
    feature_set = TRADE_SETS["microstructure_v1"]
    rows = fold_columns(feature_set, trade_columns(seeded_ticks(1, 800)))
    reals = rows.reals(feature_set)
    singly = [
        tuple(f.real(value) for f, value in zip(feature_set.features, row.values, strict=True))
        for row in rows.rows()
    ]
    wholly = [
        tuple(None if np.isnan(value) else float(value) for value in row)
        for row in zip(*reals, strict=True)
    ]
    assert wholly == singly


@given(pairs=st.lists(st.tuples(st.integers(-(2**62), 2**62), st.integers(1, 2**62)), min_size=1))
def test_division_is_the_folds(pairs: list[tuple[int, int]]) -> None:
    numerators, denominators = np.array(pairs, dtype=np.int64).T
    quotients = divide(numerators, denominators).tolist()
    assert quotients == [divide_one(a, b) for a, b in pairs]


@given(pairs=st.lists(st.tuples(st.integers(-(10**9), 10**9), st.integers(1, 2**53)), min_size=1))
def test_division_in_steps_is_the_folds(pairs: list[tuple[int, int]]) -> None:
    numerators, denominators = np.array(pairs, dtype=np.int64).T
    quotients = divide_scaled(numerators, BILLION_STEPS, denominators).tolist()
    assert quotients == [round(Fraction(a * 10**9, b)) for a, b in pairs]


@given(
    values=st.lists(
        st.one_of(
            st.integers(0, 2**60),
            # Around the squares of halves, where a float's root is wrong.
            st.integers(1, 2**30 - 2).flatmap(lambda n: st.integers(n * n + n - 1, n * n + n + 1)),
        ),
        min_size=1,
    )
)
def test_the_root_is_the_folds(values: list[int]) -> None:
    roots = square_root(np.array(values, dtype=np.int64)).tolist()
    assert roots == [root_of_one(value) for value in values]


def _same(one: RowColumns, other: RowColumns) -> None:
    assert one.grid_time_us.tolist() == other.grid_time_us.tolist()
    assert one.rewind_offset.tolist() == other.rewind_offset.tolist()
    assert one.closing.tolist() == other.closing.tolist()

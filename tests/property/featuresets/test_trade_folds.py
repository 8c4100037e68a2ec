"""The folds of trades against a slow second implementation, and against themselves, rewound."""

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.featuresets import TRADE_SETS
from services.featuresets.ticks import Tick
from tests.support.drawn_ticks import SECOND_US, drawn_ticks, seeded_ticks
from tests.support.feature_checks import difference_after_rewind, difference_to_plain, folded
from tests.support.planted_fold import planted_sets

every_set = pytest.mark.parametrize("name", sorted(TRADE_SETS))
few = settings(max_examples=40, deadline=None)


@every_set
@few
@given(ticks=drawn_ticks())
def test_every_value_is_that_of_the_plain_reference(name: str, ticks: list[Tick]) -> None:
    assert difference_to_plain(TRADE_SETS[name], ticks) is None


@every_set
@pytest.mark.parametrize("mean_gap_us", [40_000, 2_500_000])
def test_a_market_of_many_trades_equals_the_plain_reference(name: str, mean_gap_us: int) -> None:
    assert difference_to_plain(TRADE_SETS[name], seeded_ticks(5, 500, mean_gap_us)) is None


@every_set
@few
@given(ticks=drawn_ticks())
def test_a_fold_that_begins_at_the_rewind_offset_is_the_same_in_every_byte(
    name: str, ticks: list[Tick]
) -> None:
    assert difference_after_rewind(TRADE_SETS[name], ticks) is None


@every_set
def test_a_fold_long_enough_to_drop_old_tiles_still_rewinds_to_the_same_bytes(name: str) -> None:
    feature_set, ticks = TRADE_SETS[name], seeded_ticks(6, 2_500, 900_000)
    whole, again = feature_set.new_fold(), feature_set.new_fold()
    rows = [(tick, row) for tick in ticks for row in whole.step(tick)]
    closing, row = rows[-1]
    for tick in ticks:
        if row.rewind_offset <= tick.offset:
            again.step(tick)
    assert closing.offset - row.rewind_offset < ticks[-1].offset // 2
    assert again.state() == whole.state()


@every_set
@few
@given(ticks=drawn_ticks(), data=st.data())
def test_any_split_into_batches_gives_the_same_rows(
    name: str, ticks: list[Tick], data: st.DataObject
) -> None:
    whole = folded(TRADE_SETS[name], ticks)
    split = data.draw(st.integers(0, len(ticks)))
    fold = TRADE_SETS[name].new_fold()
    rows = [row for tick in ticks[:split] for row in fold.step(tick)]
    fold.state()  # Asking for it changes nothing.
    rows += [row for tick in ticks[split:] for row in fold.step(tick)]
    assert rows == whole


@every_set
@few
@given(ticks=drawn_ticks(), data=st.data())
def test_a_trade_at_or_after_a_grid_time_never_changes_its_row(
    name: str, ticks: list[Tick], data: st.DataObject
) -> None:
    rows = folded(TRADE_SETS[name], ticks)
    later_us = data.draw(st.sampled_from([t.time_us for t in ticks]))
    known = [tick for tick in ticks if tick.time_us < later_us]
    other = Tick(10**6, later_us, 77, 5, -1, 50, 60, 99, 3)
    before = [row for row in rows if row.grid_time_us <= later_us]
    # Another trade in the place of all at or after that time closes the same rows.
    assert folded(TRADE_SETS[name], [*known, other])[: len(before)] == before


@every_set
@few
@given(ticks=drawn_ticks())
def test_rows_lie_on_whole_seconds_and_a_silence_has_a_bounded_number(
    name: str, ticks: list[Tick]
) -> None:
    rows = folded(TRADE_SETS[name], ticks)
    assert all(row.grid_time_us % SECOND_US == 0 for row in rows)
    assert all(a.grid_time_us < b.grid_time_us for a, b in pairwise(rows))
    fold = TRADE_SETS[name].new_fold()
    assert max(len(fold.step(tick)) for tick in ticks) <= 121


BUGS = {
    "a window one second short": (
        "tiles",
        "place = self._place_before(second - window_s)",
        "place = self._place_before(second - window_s + 1)",
    ),
    "a grid closed on the right": (
        "tiles",
        "second = tick.time_us // SECOND_US",
        "second = (tick.time_us - 1) // SECOND_US",
    ),
    "float division": (
        "integers",
        "quotient, rest = divmod(numerator, denominator)",
        "return round(numerator / denominator)\n    quotient, rest = 0, 0",
    ),
    "division that rounds down": (
        "integers",
        "if twice > denominator or (twice == denominator and quotient & 1):",
        "if False:",
    ),
    "halves rounded up": (
        "integers",
        "(twice == denominator and quotient & 1)",
        "twice == denominator",
    ),
    "a longer silence": ("grid", "SILENCE_MAX_S: Final = 120", "SILENCE_MAX_S: Final = 121"),
    "the last point of a silence lost": (
        "grid",
        "return chain(range(previous_s + 1, last_s + 1), (closing_s,))",
        "return range(previous_s + 1, last_s + 1)",
    ),
    "an empty ask taken for the best": (
        "tiles",
        "if before.ask == 0 or 0 < tick.ask < before.ask:",
        "if tick.ask < before.ask:",
    ),
    "a closing trade that its own row knows": (
        "tiles",
        "rows = [self._row(second) for",
        "tile.trades += 1\n        rows = [self._row(second) for",
    ),
    "a flow between books that are not there": (
        "measures",
        "or not (before.bid or before.ask)",
        "",
    ),
    "a rewind one tile late": (
        "tiles",
        "place = self._place_before(second - self._longest_s)",
        "place = self._place_before(second - self._longest_s + 1)",
    ),
}  # fmt: skip


_OLDER = 999_999_003
# The change of price from _OLDER by so much is half of 1e-9 less 1 / (2 * _OLDER).
_ALMOST_HALF = pow(10**9, -1, _OLDER) * (_OLDER // 2) % _OLDER

ROUNDINGS = [
    Tick(place, 3 * place * SECOND_US, price, 1, 1, 10, 1, 13, 3)
    for place, price in enumerate(
        # Halves of 1e-9, which are exact as floats, and then what is so near to a half that a
        # float can't tell.
        (
            *(10**9, 2 * 10**9, 2 * 10**9 + 1, 2 * 10**9, 2 * 10**9 + 3),
            *(_OLDER, _OLDER + _ALMOST_HALF, _OLDER, 2 * _OLDER - _ALMOST_HALF, _OLDER),
        )
    )
]


@pytest.mark.parametrize("bug", BUGS)
def test_a_planted_bug_is_found_by_the_plain_reference(bug: str, tmp_path: Path) -> None:
    planted = planted_sets(tmp_path, *BUGS[bug])["microstructure_v1"]
    cases = [ROUNDINGS, seeded_ticks(5, 300)]
    assert all(difference_to_plain(TRADE_SETS[planted.name], ticks) is None for ticks in cases)
    found = [difference_to_plain(planted, ticks) for ticks in cases]
    assert any(found), "nobody noticed"


FORGOTTEN = {
    "state that counts from the fold's own beginning": (
        "tiles",
        "trades=tile.trades - start.trades,",
        "trades=tile.trades,",
    ),
    "a rewind that leaves out the trade before the window": (
        "tiles",
        "rewind_offset = tiles[place].offset if",
        "rewind_offset = tiles[place].offset + 1 if",
    ),
    "a return that remembers the first trade": (
        "tiles",
        "before = self._tiles[-1].price\n",
        "before = self._tiles[0].price\n",
    ),
}


@pytest.mark.parametrize("bug", FORGOTTEN)
def test_a_memory_beyond_the_longest_window_is_found_by_a_rewind(bug: str, tmp_path: Path) -> None:
    planted = planted_sets(tmp_path, *FORGOTTEN[bug])["microstructure_v1"]
    ticks = seeded_ticks(8, 120, 1_500_000)
    assert difference_after_rewind(TRADE_SETS["microstructure_v1"], ticks) is None
    assert difference_after_rewind(planted, ticks) is not None

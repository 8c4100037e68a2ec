"""Labels against their definition, row by row, and what must not reach into one."""

from random import Random
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.scoring import labels as labels_module
from services.scoring.labels import REASONS, RowLabels
from tests.support.made_datasets import SECOND_US, planted_bug

FIRST_S = 1_790_000_000


class Row(NamedTuple):
    ticker: int
    second: int
    mid: int | None


mids = st.one_of(st.none(), st.integers(1, 6))
keys = st.tuples(st.integers(0, 2), st.integers(0, 12))
markets = st.dictionaries(keys, mids, min_size=1, max_size=30).map(
    lambda found: [Row(*key, mid) for key, mid in found.items()]
)
horizons = st.integers(1, 6)
thresholds = st.integers(0, 3)


def labelled(rows: list[Row], horizon_s: int, threshold: int) -> RowLabels:
    return labels_module.label_rows(
        np.array([row.ticker for row in rows], dtype=np.int16),
        np.array([(FIRST_S + row.second) * SECOND_US for row in rows], dtype=np.int64),
        np.array([row.mid or 0 for row in rows], dtype=np.int64),
        np.array([row.mid is not None for row in rows]),
        horizon_s,
        threshold,
    )


def plainly(rows: list[Row], row: Row, horizon_s: int, threshold: int) -> tuple[str, int, int]:
    """By the definition: reason, class, move."""
    there = {(other.ticker, other.second): other.mid for other in rows}
    then = row.second + horizon_s
    if row.mid is None:
        return "no_mid", 0, 0
    if then > max(other.second for other in rows if other.ticker == row.ticker):
        return "horizon_not_passed", 0, 0
    if (row.ticker, then) not in there:
        return "silent_at_horizon", 0, 0
    later = there[row.ticker, then]
    if later is None:
        return "no_mid_at_horizon", 0, 0
    move = later - row.mid
    return "labelled", (2 if move > threshold else 0 if move < -threshold else 1), move


def difference(rows: list[Row], horizon_s: int, threshold: int) -> str | None:
    """The first row whose label is not the plain one."""
    found = labelled(rows, horizon_s, threshold)
    for place, row in enumerate(rows):
        reason = REASONS[found.reason[place]]
        said = (reason, int(found.label[place]), int(found.move[place]))
        expected = plainly(rows, row, horizon_s, threshold)
        if said[0] != expected[0] or (reason == "labelled" and said != expected):
            return f"{row}: {said} is not {expected}"
    return None


@given(markets, horizons, thresholds)
def test_each_label_is_the_move_of_the_mid_to_exactly_one_horizon_later(
    rows: list[Row], horizon_s: int, threshold: int
) -> None:
    assert difference(rows, horizon_s, threshold) is None


@given(markets, horizons, thresholds, st.data())
def test_no_row_but_the_own_mid_and_the_one_at_the_horizon_decides_a_label(
    rows: list[Row], horizon_s: int, threshold: int, data: st.DataObject
) -> None:
    place = data.draw(st.integers(0, len(rows) - 1))
    own = rows[place]
    before = labelled(rows, horizon_s, threshold)
    decide = {(own.ticker, own.second), (own.ticker, own.second + horizon_s)}
    shifted = [
        row if (row.ticker, row.second) in decide else row._replace(mid=data.draw(mids))
        for row in rows
    ]
    after = labelled(shifted, horizon_s, threshold)
    assert after.reason[place] == before.reason[place]
    assert after.label[place] == before.label[place] or before.reason[place] != 0
    assert after.move[place] == before.move[place] or before.reason[place] != 0


@given(markets, horizons, thresholds, st.randoms())
def test_the_order_of_rows_does_not_matter(
    rows: list[Row], horizon_s: int, threshold: int, random: Random
) -> None:
    order = random.sample(range(len(rows)), len(rows))
    straight = labelled(rows, horizon_s, threshold)
    shuffled = labelled([rows[n] for n in order], horizon_s, threshold)
    assert np.array_equal(straight.reason[order], shuffled.reason)
    is_labelled = shuffled.reason == 0
    assert np.array_equal(straight.label[order][is_labelled], shuffled.label[is_labelled])


TELLING = [Row(t, s, 1 + (s * s + t) % 5) for t in range(2) for s in range(12) if s != 7]
TELLING += [Row(0, 12, None), Row(1, 14, 3)]


@pytest.mark.parametrize(
    "was,planted",
    [
        ("np.searchsorted(ordered, key + horizon_s)", "np.searchsorted(ordered, key)"),
        ("is_there = ordered[place] == key + horizon_s", "is_there = ordered[place] > key"),
        ("span = int(second.max()) - first + horizon_s + 1", "span = 1"),
        ("second + horizon_s > newest[ticker]", "second >= newest[ticker]"),
        ("move > threshold]", "move >= threshold]"),
        ("~has_mid[later]", "~has_mid"),
        ("move = mid[later] - mid", "move = mid - mid[later]"),
    ],
)
def test_a_planted_bug_in_the_labels_is_found(was: str, planted: str) -> None:
    assert difference(TELLING, 3, 1) is None
    with planted_bug(labels_module, was, planted):
        found = difference(TELLING, 3, 1)
    assert found is not None
    assert difference(TELLING, 3, 1) is None

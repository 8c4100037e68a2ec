"""What holds of a walk-forward split, wherever rows stand."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.scoring.arrays import Ints
from services.scoring.errors import TooLittleDataError
from services.trainer import splits as splits_module
from services.trainer.dataset import Dataset, DatasetPlan
from services.trainer.splits import SEGMENT_ROWS_MIN, Fold
from tests.support.made_datasets import SECOND_US, bare_dataset, planted_bug

STEPS_S = ((0, 1, 1, 2), (1,), (0, 1, 1, 1, 1, 1, 1, 1, 1, 119), (0, 0, 0, 0, 86_400))
times = st.builds(
    lambda seed, rows, steps_s: np.cumsum(np.random.default_rng(seed).choice(steps_s, rows)),
    st.integers(0, 999),
    st.integers(1, 900),
    st.sampled_from(STEPS_S),
)
"""Seconds at which rows stand."""


def dataset_of(seconds: Ints, horizon_s: int, window_s: int) -> Dataset:
    grid_time_us = (1_790_000_000 + seconds.astype(np.int64)) * SECOND_US
    return bare_dataset(grid_time_us, DatasetPlan("any", horizon_s), window_s)


def broken_promise(dataset: Dataset, folds: list[Fold]) -> str | None:
    """What a split promises, checked without regard to how it is made."""
    time = dataset.grid_time_us
    tested: set[int] = set()
    for fold in folds:
        segments = [fold.train, fold.validation, fold.test]
        segments = [rows for rows in segments if len(rows)]
        for rows in segments:
            if len(rows) < SEGMENT_ROWS_MIN:
                return "a segment is too small"
            if not np.array_equal(rows, np.arange(rows[0], rows[-1] + 1)):
                return "a segment has holes"
        for earlier, later in pairwise(segments):
            if time[later].min() - time[earlier].max() < dataset.gap_us:
                return "a gap is too short"
            between = np.arange(earlier[-1] + 1, later[0])
            if len(between) and time[between].min() + dataset.gap_us <= time[later].min():
                return "a row is left out that no gap needs"
        if tested & set(fold.test.tolist()):
            return "a row is tested twice"
        tested |= set(fold.test.tolist())
        if fold.train[0] != 0:
            return "the window does not expand"
    if any(one.test[-1] + 1 != two.test[0] for one, two in pairwise(folds)):
        return "tests do not follow each other"
    if folds[-1].test[-1] != len(time) - 1:
        return "the newest rows are not tested"
    return None


@given(times, st.integers(1, 5), st.integers(1, 40), st.integers(0, 60))
def test_gaps_hold_for_any_folds_or_the_split_is_refused(
    seconds: Ints, folds: int, horizon_s: int, window_s: int
) -> None:
    dataset = dataset_of(seconds, horizon_s, window_s)
    try:
        made = splits_module.walk_forward(dataset, folds)
    except TooLittleDataError:
        return
    assert len(made) == folds
    assert broken_promise(dataset, made) is None


@given(times, st.integers(1, 5), st.integers(1, 40), st.integers(0, 60))
def test_the_served_model_trains_on_all_but_the_last_validation(
    seconds: Ints, folds: int, horizon_s: int, window_s: int
) -> None:
    dataset = dataset_of(seconds, horizon_s, window_s)
    try:
        last = splits_module.walk_forward(dataset, folds)[-1]
    except TooLittleDataError:
        return
    final = splits_module.final_split(dataset, folds)
    assert np.array_equal(final.validation, last.test)
    assert len(final.test) == 0
    between = dataset.grid_time_us[final.validation[0]] - dataset.grid_time_us[final.train[-1]]
    assert between >= dataset.gap_us


@pytest.mark.parametrize(
    "was,planted",
    [
        ("grid_time_us[end] - gap_us", "grid_time_us[end]"),
        ('gap_us, side="right")', "gap_us)"),
        ("starts, number + 1, number + 2, gap)", "starts, 0, number + 2, gap)"),
        ("starts, 0, number + 1, gap)", "starts, number, number + 1, gap)"),
        (
            "np.arange(starts[number + 2], starts[number + 3]",
            "np.arange(starts[number + 2], starts[-1]",
        ),
    ],
)
def test_a_planted_bug_in_the_splits_is_found(was: str, planted: str) -> None:
    dataset = dataset_of(np.arange(1_000), 10, 20)
    assert broken_promise(dataset, splits_module.walk_forward(dataset, 3)) is None
    with planted_bug(splits_module, was, planted):
        found = broken_promise(dataset, splits_module.walk_forward(dataset, 3))
    assert found is not None

"""Intervals that hold what they should hold as often as they say."""

import numpy as np
import pytest

from services.models.classes import CLASSES
from services.scoring.arrays import Floats
from services.scoring.errors import TooLittleDataError
from services.scoring.intervals import Resampled, blocks_of, resample
from services.scoring.metrics import Truth, sums_by_time

BLOCK_TIMES = 20


def sticky(seed: int, times: int, length: int) -> Floats:
    """Sums of a coin that stays as it is for `length` seconds, with a profit of 1 or -1."""
    chance = np.random.default_rng(seed)
    side = np.repeat(chance.integers(0, 2, size=-(-times // length)) * 2 - 1, length)[:times]
    move = side.astype(np.int64)
    truth = Truth(np.arange(times) * 1_000_000, (move + 1).astype(np.int8), move, move * 0)
    return sums_by_time(truth, np.tile(np.eye(CLASSES)[2], (times, 1)))


def drawn_from(
    sums: dict[str, Floats], block_times: int, seed: int, repeats: int = 200
) -> Resampled:
    blocks = blocks_of(len(next(iter(sums.values()))), block_times)
    grouped = [(name, blocks.grouped(of_name)) for name, of_name in sums.items()]
    return resample(grouped, blocks, seed, repeats)


def test_the_same_seed_draws_the_same_intervals_and_another_others() -> None:
    sums = sticky(1, 500, 10)
    again = [
        drawn_from({"model": sums}, BLOCK_TIMES, seed, 50).interval("model", "pnl_per_row")
        for seed in (3, 3, 4)
    ]
    assert again[0] == again[1] != again[2]


@pytest.mark.parametrize("block_times,fewest,most", [(20, 33, 40), (1, 0, 27)])
def test_blocks_hold_the_truth_where_single_seconds_do_not(
    block_times: int, fewest: int, most: int
) -> None:
    # The true profit is 0, and each second is like the ten beside it.
    held = 0
    for seed in range(40):
        drawn = drawn_from({"m": sticky(seed, 1_000, 10)}, block_times, seed)
        interval = drawn.interval("m", "pnl_per_row")
        held += interval.low <= 0 <= interval.high
    assert fewest <= held <= most


def test_a_difference_on_the_same_rows_is_surer_than_either_score() -> None:
    chance = np.random.default_rng(5)
    label = chance.integers(0, CLASSES, size=2_000).astype(np.int8)
    said = np.where(chance.random(2_000) < 0.5, label, 0)
    better = np.where(chance.random(2_000) < 0.02, label, said)
    times = np.arange(2_000) * 1_000_000
    truth = Truth(times, label, label.astype(np.int64), label.astype(np.int64))
    both = {
        name: sums_by_time(truth, np.eye(CLASSES)[classes])
        for name, classes in (("better", better), ("worse", said))
    }
    drawn = drawn_from(both, BLOCK_TIMES, seed=1)
    difference = drawn.difference("better", "worse", "macro_f1")
    alone = drawn.interval("better", "macro_f1")
    assert 0 < difference.low < difference.value < difference.high
    assert difference.high - difference.low < (alone.high - alone.low) / 2
    assert alone.low < drawn.interval("worse", "macro_f1").value


def test_too_few_seconds_for_ten_blocks_are_refused() -> None:
    with pytest.raises(TooLittleDataError, match=r"199 distinct seconds.*10 blocks of 20 s"):
        blocks_of(199, BLOCK_TIMES)


@pytest.mark.parametrize("block_times,times", [(70, 705), (20, 200), (7, 71), (1, 10)])
def test_blocks_are_as_long_as_asked_and_no_sum_is_lost(block_times: int, times: int) -> None:
    blocks = blocks_of(times, block_times)
    assert blocks.unit_times * blocks.block_units >= block_times
    assert blocks.unit_times * (blocks.block_units - 1) < block_times
    sums = np.arange(2.0 * times).reshape(times, 2)
    grouped = blocks.grouped(sums)
    assert len(grouped) == -(-times // blocks.unit_times)
    assert grouped.sum(axis=0).tolist() == sums.sum(axis=0).tolist()

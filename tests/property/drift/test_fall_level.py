"""How often the test for a fall is wrong where markets remember for longer than a gap is long."""

import numpy as np
import pytest

from services.drift.core import memory
from services.drift.core.intervals import binomial_quantile
from services.drift.core.memory import memory_seconds
from services.drift.core.standing import Performance, Standing
from tests.support.fall_market import HOUR_S, Case, counted, trial
from tests.support.made_datasets import planted_bug

PROMISED = 0.05
WINDOWS = {30: 10, 70: 10, 300: 20, 900: 20}
"""Of each memory, seconds."""


def case_of(memory_s: int) -> Case:
    return Case("small", 2 * HOUR_S, memory_s=float(memory_s), tickers=1, tested_s=2 * HOUR_S)


def fallen(memories: list[int]) -> int:
    return sum(counted(case_of(one), WINDOWS[one]).fallen for one in memories)


def most_by_chance(memories: list[int]) -> int:
    """So many alarms, or fewer, come in 97.5 of 100 such tests if 5 % of windows alarm."""
    return binomial_quantile(0.975, sum(WINDOWS[one] for one in memories), PROMISED)


def test_few_windows_alarm_for_nothing_however_long_a_market_remembers() -> None:
    memories = list(WINDOWS)
    assert fallen(memories) <= most_by_chance(memories)


@pytest.mark.long
def test_blocks_that_do_not_follow_the_memory_cry_wolf_on_long_ones() -> None:
    long = [300, 900]
    with planted_bug(memory, "BLOCK_MEMORIES: Final = 1.5", "BLOCK_MEMORIES: Final = 0.0"):
        assert fallen(long) > most_by_chance(long)


def test_a_window_of_few_memories_is_refused_by_name_and_says_what_it_would_take() -> None:
    found = [trial(seed, case_of(900)) for seed in range(4)]
    refused = [one for one in found if one.standing is Standing.TOO_FEW_BLOCKS]
    assert len(refused) >= 3
    assert all(one.tests == () and one.ratio is None for one in refused)
    assert all("remember" in one.detail for one in refused)


@pytest.mark.parametrize("memory_s,seconds", [(30, HOUR_S), (300, 6 * HOUR_S)])
def test_a_lost_skill_is_found_in_windows_that_are_long_enough(memory_s: int, seconds: int) -> None:
    lost = Case("lost", seconds, skill=0.8, now=0.0, memory_s=float(memory_s), tickers=2)
    found: list[Performance] = [trial(seed, lost) for seed in range(5)]
    tested = [one for one in found if one.tests]
    assert len(tested) >= 2
    assert [one.standing for one in tested] == [Standing.FALLEN] * len(tested)


@pytest.mark.parametrize("memory_s", [30, 300])
def test_a_memory_is_found_from_short_series_as_from_long_ones(memory_s: int) -> None:
    """Of an autoregressive series: (1 + r) / (1 - r), about twice the time to a share of 1/e."""
    chance = np.random.default_rng(3)
    keeps = np.exp(-1 / memory_s)
    found = []
    for seconds in (20 * memory_s,) * 40 + (1_000 * memory_s,):
        series = [chance.normal()]
        for fresh in chance.normal(size=seconds) * np.sqrt(1 - keeps**2):
            series.append(keeps * series[-1] + fresh)
        said = np.digitize(series, (-0.4, 0.4)).astype(np.int64)
        found.append(memory_seconds(np.arange(len(said)), [said], 10))
    *short, long = found
    assert long is not None
    # Three classes of a series remember a little less than it does.
    assert long == pytest.approx(1.7 * memory_s, rel=0.2)
    known = sorted(one if one is not None else 10**9 for one in short)
    assert known[len(known) // 2] == pytest.approx(long, rel=0.5)


def test_rows_of_one_class_remember_nothing_and_too_few_rows_show_nothing() -> None:
    always = np.ones(400, dtype=np.int64)
    assert memory_seconds(np.arange(400), [always], 10) == 14
    assert memory_seconds(np.arange(400), [np.repeat([0, 2], 200)], 10) is None
    assert memory_seconds(np.arange(19), [always[:19]], 10) is None

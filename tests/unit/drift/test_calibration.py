import numpy as np
import pytest

from services.drift.core.calibration import (
    OFFSETS,
    UNITS_MAX,
    Calibration,
    calibrate,
    rank_of,
)
from services.drift.core.intervals import beta_quantile, binomial_quantile, share_interval
from services.drift.core.outcomes import Family
from services.drift.core.slowness import BLOCK_TIMES, block_seconds
from services.drift.core.sums import Sums, marks_of, sums_by
from services.models.classes import CLASS_NAMES
from services.tools.drift.markets import ar_market
from tests.support.drift_panels import (
    WINDOW_S,
    calibrated,
    changed,
    market,
    reference_of,
    with_class,
)


@pytest.mark.parametrize("keeps", [0.5, 0.9, 0.95])
def test_a_block_is_ten_times_what_a_column_remembers(keeps: float) -> None:
    panel = ar_market(keeps)(1, 40_000, 1, 2)
    found = block_seconds(panel, marks_of(panel), 2_000)
    asked = BLOCK_TIMES * (1 + keeps) / (1 - keeps)
    assert np.all(np.abs(found / asked - 1) < 0.35), (found, asked)


def test_clusters_of_volatility_make_a_block_long_where_values_forget_at_once() -> None:
    panel = ar_market(0.98)(1, 40_000, 1, 2)
    signs = np.where(np.random.default_rng(1).random(panel.values.shape) < 0.5, -1.0, 1.0)
    storms = changed(panel, signs * np.exp(panel.values / 2))
    assert np.all(block_seconds(storms, marks_of(storms), 4_000) > 200)
    calm = changed(panel, signs)
    assert np.all(block_seconds(calm, marks_of(calm), 4_000) < 20)


def test_sums_of_short_stretches_add_up_to_those_of_a_long_one() -> None:
    panel = reference_of(market(1))
    panel.values[5:50, 0, 1] = np.nan
    panel.values[60:70, 1, 0] = panel.values[60, 1, 0]
    marks = marks_of(panel)
    short, whole = sums_by(panel, marks, WINDOW_S), sums_by(panel, marks, len(panel))
    total = short.total()
    for name in Sums._fields:
        assert np.allclose(getattr(total, name), getattr(whole, name)), name
    assert whole.present[0, 0, 1] == len(panel) - 45
    assert whole.repeated[0, 1, 0] == 9
    assert np.all(whole.histogram.sum(axis=3) == whole.present)


def test_a_reference_of_fewer_windows_is_drawn_from_in_blocks() -> None:
    panel = market(1)
    known = [
        calibrate(panel.part(0, pieces * WINDOW_S), WINDOW_S, draws=99) for pieces in (39, 19, 15)
    ]
    assert [made.method for made in known if isinstance(made, Calibration)] == [
        "stretches",
        "stretches",
        "blocks",
    ]
    drawn = known[-1]
    assert isinstance(drawn, Calibration)
    assert drawn.stretches == 99
    # Whole blocks fill a window, and none is shorter than the columns need.
    assert drawn.block_s >= drawn.blocks.max() - 4
    assert WINDOW_S // drawn.block_s * drawn.block_s >= WINDOW_S - 12


def test_columns_that_forget_at_once_are_not_cut_into_seconds() -> None:
    panel = ar_market(0.1)(1, 40_000, 1, 2)
    drawn = calibrate(panel, 4_000, method="blocks", draws=50)
    assert isinstance(drawn, Calibration)
    assert drawn.blocks.max() < 20
    assert drawn.block_s >= len(panel) * OFFSETS // UNITS_MAX


def test_the_threshold_is_the_quantile_that_the_level_promises() -> None:
    known = calibrated(market(1))
    assert known.stretches == 39
    assert known.level == pytest.approx(0.05)
    assert known.threshold <= known.widest.excess
    assert known.threshold_low <= known.threshold <= known.threshold_high
    assert known.level_unknown == ""
    assert known.level is not None
    assert known.level_low is not None
    assert known.level_high is not None
    assert known.level_low < known.level < known.level_high


def test_the_reference_s_oddest_stretch_is_named() -> None:
    panel = market(1)
    values = panel.values.copy()
    values[20 * WINDOW_S : 21 * WINDOW_S : 4, 0, 0] = np.nan
    known = calibrated(changed(panel, values))
    assert known.widest.begin_us == panel.time_us[20 * WINDOW_S]
    assert known.widest.family is Family.MISSING
    # One odd stretch of 39 does not set the threshold: the second greatest does.
    assert known.threshold < known.widest.excess / 2


@pytest.mark.parametrize("stretches,rank", [(18, 0), (19, 1), (38, 1), (39, 2), (999, 50)])
def test_a_rank_keeps_the_level(stretches: int, rank: int) -> None:
    assert rank_of(0.05, stretches) == rank


def test_exact_intervals_are_those_of_the_tables() -> None:
    # Clopper and Pearson's for 0, 1 and 10 of 10, and 5 of 100.
    assert share_interval(0, 10) == pytest.approx((0.0, 0.30850), abs=1e-5)
    assert share_interval(1, 10) == pytest.approx((0.002529, 0.445016), abs=1e-5)
    assert share_interval(10, 10) == pytest.approx((0.69150, 1.0), abs=1e-5)
    assert share_interval(5, 100) == pytest.approx((0.016432, 0.112835), abs=1e-5)
    assert beta_quantile(0.5, 1, 1) == pytest.approx(0.5)
    assert binomial_quantile(0.5, 2, 0.5) == 1
    assert binomial_quantile(0.975, 20, 0.05) == 3


def test_classes_that_remember_for_a_good_part_of_the_reference_are_not_judged() -> None:
    panel = reference_of(market(1))
    seconds = len(panel)
    noise = np.random.default_rng(4).standard_normal((seconds, 2))
    wave = np.sin(2 * np.pi * np.arange(seconds) / seconds)[:, None]
    for share, is_slow in ((0.0, False), (0.5, True)):
        codes = np.digitize(share * wave + noise, (-0.43, 0.43)).astype(np.float64)
        found = calibrate(with_class(panel, CLASS_NAMES, codes), WINDOW_S)
        assert isinstance(found, Calibration), found
        assert found.is_slow[:, -3:].all() == found.is_slow[:, -3:].any() == is_slow
        assert not found.is_slow[:, :-3].any(), "numbers are judged on"

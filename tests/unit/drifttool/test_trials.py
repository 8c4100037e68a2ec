import re
from io import StringIO

import msgspec
import numpy as np
import pytest
from rich.console import Console

from services.drift.core.calibration import BLOCKS_SHARES
from services.drift.core.outcomes import Outcome
from services.drift.core.slowness import BLOCK_TIMES
from services.tools.drift.errors import NotCalibratedError
from services.tools.drift.markets import (
    MARKETS,
    ar_market,
    autoregressive,
    class_market,
    fold_market,
)
from services.tools.drift.own import OwnFigures, figures_of
from services.tools.drift.report import own_table
from services.tools.drift.rivals import EVIDENTLY, PSI, SHORT_ROWS, EvidentlyReference, PsiReference
from services.tools.drift.shifts import CLASS_SHIFTS, SHIFTS, shifted
from services.tools.drift.trials import Order, rate_of, try_market
from tests.support.drift_panels import WINDOW_S, market, reference_of, window_of
from tests.tidy.tree import ROOT

ORDER = Order(
    references=2, windows=2, tickers=2, features=3, window_s=WINDOW_S, reference_windows=20,
    shift_references=1, evidently_references=0, draws=50, alpha=0.05, seed=1,
)  # fmt: skip


def test_a_trial_counts_alarms_of_every_way_and_says_the_same_again() -> None:
    once, again = (
        try_market("ar-0.8", ar_market(0.8), ORDER, lambda _done, _all: None) for _ in range(2)
    )
    assert msgspec.json.encode(once) == msgspec.json.encode(again)
    assert {quiet.way for quiet in once.quiet} == {"stretches", "blocks (bootstrap)", PSI.name}
    assert all(quiet.rate.windows == 4 for quiet in once.quiet)
    ours = {found.shift: found for found in once.found if found.way == "stretches"}
    assert set(ours) == set(SHIFTS)
    assert ours["two tickers swapped"].rate.share == 1.0
    assert ours["two tickers swapped"].delay_windows == 1
    assert ours["stale for a quarter"].within_two.share == 1.0


def test_a_market_whose_columns_remember_too_long_is_refused() -> None:
    with pytest.raises(NotCalibratedError, match="window_shorter_than_block"):
        try_market("ar-0.999", ar_market(0.999), ORDER, lambda _done, _all: None)


def test_windows_that_share_a_reference_count_for_less_where_they_are_alike() -> None:
    alike = rate_of([[True] * 10] * 2 + [[False] * 10] * 18)
    apart = rate_of([[True] + [False] * 9] * 20)
    assert alike.share == apart.share == 0.1
    assert alike.low is not None
    assert alike.high is not None
    assert apart.low is not None
    assert apart.high is not None
    assert (alike.high - alike.low) > 2 * (apart.high - apart.low)


def test_windows_that_all_share_one_reference_have_no_interval() -> None:
    one = rate_of([[True, False] * 4])
    assert (one.share, one.low, one.high) == (0.5, None, None)
    assert rate_of([[True]]).low == pytest.approx(0.025)
    assert rate_of([[True], [False]]).low is not None


@pytest.mark.parametrize("name", sorted(MARKETS))
def test_every_market_is_the_same_for_the_same_seed_and_remembers(name: str) -> None:
    made = [MARKETS[name](seed, 2_000, 2, 4) for seed in (1, 1, 2)]
    values = [panel.values for panel in made]
    assert values[0].shape == (2_000, 2, 4)
    assert np.array_equal(values[0], values[1], equal_nan=True)
    assert not np.array_equal(values[0], values[2], equal_nan=True)
    series = values[0][:, 0, 3]
    assert np.corrcoef(series[1:], series[:-1])[0, 1] > 0.8


def test_classes_are_tried_with_changes_of_classes() -> None:
    order = msgspec.structs.replace(ORDER, features=2, window_s=4 * WINDOW_S)
    figures = try_market("classes", class_market(20.0), order, lambda _done, _all: None)
    ours = {found.shift: found for found in figures.found if found.way == "stretches"}
    assert set(ours) == set(CLASS_SHIFTS)
    assert ours["5 % missing"].within_two.share == 1.0
    assert figures.unjudged == 0
    window = class_market(20.0)(1, 100, 2, 2)
    changed = shifted(
        window, CLASS_SHIFTS["the last class in each 5th row"], np.zeros(0), np.zeros(0)
    ).values
    assert (changed[::5, 0, 0] == 2).all()
    assert (changed != window.values).sum() == (window.values[::5, 0, 0] != 2).sum() > 0


def test_a_column_keeps_the_share_it_is_said_to_and_the_variance_of_one() -> None:
    drawn = np.random.default_rng(1).standard_normal((50_000, 2))
    made = autoregressive(drawn, 0.9)
    by_step = drawn[0]
    for second in range(1, 600):
        by_step = 0.9 * by_step + np.sqrt(1 - 0.81) * drawn[second]
    assert np.allclose(by_step, made[599])
    assert np.allclose(made.std(axis=0), 1.0, atol=0.05)


def test_the_fold_market_has_the_fold_s_names_and_no_price() -> None:
    panel = fold_market(1, 500, 2, 20)
    names = [column.name for column in panel.columns]
    assert "mid" not in names
    assert "return_300s" in names
    assert not np.isnan(panel.values[:, 0, names.index("return_300s")]).all()


@pytest.mark.parametrize("name", sorted(SHIFTS))
def test_a_shift_changes_a_copy_and_nothing_but_what_it_says(name: str) -> None:
    window = window_of(market(1))
    before = window.values.copy()
    mean, spread = window.values.mean(axis=0), window.values.std(axis=0)
    after = shifted(window, SHIFTS[name], mean, spread).values
    assert np.array_equal(window.values, before)
    is_changed = (after != before) & ~(np.isnan(after) & np.isnan(before))
    columns = int(is_changed.any(axis=0).sum())
    everywhere = {"mean by 0.5 sd, every ticker": 2, "two tickers swapped": 6}
    wanted = 6 if name.startswith("regime") else everywhere.get(name, 1)
    assert columns == wanted


def test_psi_flags_the_column_that_moved_and_no_other() -> None:
    panel = market(1)
    reference = PsiReference(reference_of(panel))
    window = window_of(panel)
    values = np.tile(reference_of(panel).values[::39], (1, 1, 1))
    values[:, 0, 1] += 3.0
    flags = reference.flags(type(window)(window.tickers, window.columns, window.time_us, values))
    assert np.argwhere(flags).tolist() == [[0, 1]]


def page_of(found: OwnFigures) -> str:
    page = StringIO()
    Console(file=page, width=250).print(own_table(found))
    return page.getvalue()


def test_own_figures_say_what_a_reference_is_worth() -> None:
    panel = reference_of(market(1))
    found = figures_of(panel, WINDOW_S, 0.05, 1)
    assert found.method == "stretches"
    assert found.stretches == 39
    assert found.level_low is not None
    assert found.level is not None
    assert found.level_high is not None
    assert found.level_low < found.level < found.level_high
    assert (found.level_unknown, found.level_measured) == ("", None)
    assert "5.0% on average" in page_of(found)
    planted = {one.shift: one for one in found.found}
    assert planted["two tickers swapped"].alarms == planted["two tickers swapped"].windows == 4
    with pytest.raises(NotCalibratedError, match=Outcome.NOT_ENOUGH_ROWS):
        figures_of(panel.part(0, BLOCK_TIMES), WINDOW_S, 0.05, 1)


def test_a_short_reference_that_blocks_calibrate_states_no_level() -> None:
    panel = reference_of(market(1))
    found = figures_of(panel.part(0, 12 * WINDOW_S), WINDOW_S, 0.05, 1)
    assert found.method == "blocks"
    assert (found.level, found.level_low, found.level_high) == (None, None, None)
    assert (found.level_unknown, found.level_measured) == ("not_held_by_blocks", BLOCKS_SHARES)
    said = page_of(found)
    assert "unknown (not_held_by_blocks)" in said
    assert "3.8% to 26.2%" in said
    benchmarks = (ROOT / "docs" / "benchmarks.md").read_text("utf-8")
    (row,) = [line for line in benchmarks.splitlines() if line.startswith("| moving-block")]
    shares = [float(share) / 100 for share in re.findall(r"([\d.]+) \(", row)]
    assert (min(shares), max(shares)) == pytest.approx(BLOCKS_SHARES)


def test_evidently_s_own_defaults_flag_a_stationary_market_that_remembers() -> None:
    assert EVIDENTLY.alarm_share == 0.5
    panel = ar_market(0.99)(1, 3_000, 2, 4)
    asked = EvidentlyReference(panel.part(0, 2_000), SHORT_ROWS)
    assert asked.flags(panel.part(2_000, 3_000)).mean() > 0.5

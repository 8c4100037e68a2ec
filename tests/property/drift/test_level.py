"""As many false alarms as promised where nothing changes, and what is planted is found."""

from dataclasses import replace

import numpy as np

from services.drift.core.calibration import Calibration
from services.drift.core.judge import judge
from services.drift.core.outcomes import Family, Outcome
from tests.support.drift_panels import calibrated, changed, market, window_of

WINDOWS = 3


def false_alarms(first_seed: int, references: int, plant: str = "") -> float:
    """Share of windows after so many references, of which none has changed."""
    alarms = []
    for seed in range(first_seed, first_seed + references):
        panel = market(seed, WINDOWS)
        if plant == "independent draws":
            known = calibrated(panel, "blocks", block_s=1, draws=99)
        elif plant == "a threshold a column":
            known = each_column_alone(calibrated(panel))
        else:
            known = calibrated(panel)
        verdicts = [judge(known, window_of(panel, number)) for number in range(WINDOWS)]
        assert {v.outcome for v in verdicts} <= {Outcome.OK, Outcome.DRIFT}
        alarms += [verdict.is_alarm for verdict in verdicts]
    return float(np.mean(alarms))


def each_column_alone(known: Calibration) -> Calibration:
    """The planted bug: every column may alarm in 5 % of windows, however many there are."""
    alone = {family: replace(usual, typical=1.0) for family, usual in known.usual.items()}
    return replace(known, usual=alone, threshold=1.96)


def test_one_window_in_twenty_alarms_where_nothing_changes() -> None:
    # 5 % of 180 windows are 9; 18 or more would come once in 200 if they were independent.
    assert false_alarms(1, 60) < 0.1


def test_drawing_seconds_one_by_one_cries_wolf() -> None:
    assert false_alarms(1, 2, "independent draws") > 0.5


def test_a_threshold_for_each_column_cries_wolf() -> None:
    assert false_alarms(1, 15, "a threshold a column") > 0.5


def test_a_shift_of_two_deviations_in_one_column_is_found_and_named() -> None:
    for seed in range(1, 6):
        panel = market(seed)
        known, window = calibrated(panel), window_of(panel)
        values = window.values.copy()
        values[:, 1, 2] += 2.0
        verdict = judge(known, changed(window, values))
        (check,) = [
            check
            for check in verdict.checks
            if (check.ticker, check.column, check.family) == ("T1", "f2", Family.LOCATION)
        ]
        assert verdict.outcome is Outcome.DRIFT
        assert check.outcome is Outcome.DRIFT
        assert check.effect is not None
        # In the column's own unit: 2, and what the window's mean is off by chance.
        assert 1.0 < check.effect < 3.0


def test_thresholds_do_not_depend_on_the_unit_of_a_column() -> None:
    panel = market(3)
    other = changed(panel, panel.values * 1_024.0 + 65_536.0)
    here, there = (judge(calibrated(p), window_of(p)) for p in (panel, other))
    assert here.ratio is not None
    assert there.ratio is not None
    assert abs(here.ratio - there.ratio) < 1e-6

"""Better is what the rules say, and each of their conditions can fail alone."""

import math

import pytest
from msgspec.structs import replace

from services.models.manifest import Comparison, Estimate, Fresh, LabelRule
from services.models.rules import beats_baselines, beats_champion, difference
from tests.support.model_kit import baseline, estimate, manifest, metrics


def test_a_model_ahead_in_both_figures_beats_its_baselines() -> None:
    verdict = beats_baselines(metrics(0.45, 0.95), [baseline(), baseline("last move", 0.35)])
    assert verdict.holds
    assert "last move" in verdict.why


@pytest.mark.parametrize(
    "others,cause",
    [
        ([], "no baseline"),
        ([baseline(margin=0.005)], "majority"),  # the interval reaches below 0
        ([baseline(log_loss=0.94)], "log-loss 0.9500, baseline majority's 0.9400"),
        # Any that states probabilities counts for the log-loss, not the best alone.
        ([baseline("rule", 0.4, log_loss=None), baseline(log_loss=0.94)], "majority's 0.9400"),
        # The best one counts for macro-F1, however far behind the others are.
        ([baseline("rule", 0.4, 0.0, log_loss=None), baseline()], "rule"),
    ],
)
def test_each_condition_against_baselines_can_fail_alone(
    others: list[Comparison], cause: str
) -> None:
    verdict = beats_baselines(metrics(0.45, 0.95), others)
    assert not verdict.holds
    assert cause in verdict.why


def test_baselines_without_probabilities_leave_the_score_to_decide() -> None:
    assert beats_baselines(metrics(), [baseline(log_loss=None)]).holds


def test_a_model_without_probabilities_does_not_beat_one_with_them() -> None:
    verdict = beats_baselines(metrics(0.45, None), [baseline()])
    assert not verdict.holds
    assert "states no probabilities" in verdict.why


def test_a_champion_on_its_own_rows_is_beaten_by_more_than_both_intervals() -> None:
    champion = manifest(metrics=metrics(0.45, 0.95))
    assert beats_champion(manifest(metrics=metrics(0.47, 0.94)), champion).holds
    # 0.01 ahead, with two half-widths of 0.01: 0.0141 together.
    assert not beats_champion(manifest(metrics=metrics(0.46, 0.94)), champion).holds
    assert not beats_champion(manifest(metrics=metrics(0.47, 0.95)), champion).holds
    assert not beats_champion(champion, champion).holds


def test_a_champion_on_rows_that_are_new_to_it_is_beaten_by_the_paired_interval() -> None:
    champion = manifest(metrics=metrics(0.99, 0.01), files={"model.json": "a" * 64})
    fresh = Fresh(1, 500, metrics(0.46, 0.95))
    paired = Comparison("champion", metrics(0.44, 0.96), estimate(0.02), "a" * 64, fresh)
    better = manifest(metrics=metrics(0.40, 0.97), champion=paired)
    verdict = beats_champion(better, champion)
    assert verdict.holds
    assert "on 500 test rows that are new to it" in verdict.why
    assert "log-loss 0.9500, the champion's 0.9600" in verdict.why
    # On rows that the champion was trained on, the comparison counts for nothing.
    seen = manifest(metrics=metrics(0.40, 0.97), champion=replace(paired, fresh=None))
    assert not beats_champion(seen, champion).holds
    # A comparison with another model than the present champion counts for nothing.
    other = manifest(metrics=metrics(0.99, 0.01), files={"model.json": "b" * 64})
    assert not beats_champion(better, other).holds


def test_models_of_different_labels_are_not_compared() -> None:
    verdict = beats_champion(
        manifest(metrics=metrics(0.9, 0.1), label=LabelRule(10, 5)), manifest()
    )
    assert not verdict.holds
    assert "past 5/20000 dollar" in verdict.why


def test_the_interval_of_a_difference_is_that_of_independent_figures() -> None:
    found = difference(Estimate(0.5, 0.47, 0.54), Estimate(0.4, 0.36, 0.44))
    assert found.value == pytest.approx(0.1)
    assert found.low == pytest.approx(0.1 - math.hypot(0.03, 0.04))
    assert found.high == pytest.approx(0.1 + math.hypot(0.04, 0.04))


@pytest.mark.parametrize("figures", [(math.nan, 0, 1), (0, -math.inf, 1), (0.5, 0.6, 0.4)])
def test_a_figure_that_is_none_is_refused(figures: tuple[float, float, float]) -> None:
    with pytest.raises(ValueError, match="must"):
        Estimate(*figures)

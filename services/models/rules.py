"""When a model is better than another: the only place that says it.

A model beats its best baseline when both hold:
1. the baseline with the greatest macro-F1 is behind it, by more than chance: the lower end of the
   paired 95 % interval of (the model's macro-F1 less the baseline's) is above 0;
2. its log-loss is below that of every baseline that states probabilities.

It beats the present champion when both have the same label rule, and both hold:
1. the lower end of the 95 % interval of (its macro-F1 less the champion's) is above 0. Paired, if
   the training compared them on test rows that the champion had not been trained on; else from the
   two intervals of the two walk-forward tests, put together as those of independent figures
   (MOVER: Zou and Donner, 2008), which is wider where the tests share days;
2. its log-loss is below the champion's, on the same rows as in 1.
"""

import math
from collections.abc import Sequence

import msgspec

from services.models.manifest import Comparison, Estimate, Metrics, ModelManifest


class Verdict(msgspec.Struct, frozen=True):
    """Whether a rule holds, and the figures that say so."""

    holds: bool
    why: str


def beats_baselines(metrics: Metrics, baselines: Sequence[Comparison]) -> Verdict:
    """Against the best of them. Without any there is nothing to beat, and so nothing beaten."""
    if not baselines:
        return Verdict(holds=False, why="it was compared with no baseline")
    best = max(baselines, key=lambda baseline: baseline.metrics.macro_f1.value)
    by_score = _is_ahead(best.macro_f1_margin, f"baseline {best.name}")
    stated = [
        (baseline.metrics.log_loss.value, f"baseline {baseline.name}'s")
        for baseline in baselines
        if baseline.metrics.log_loss is not None
    ]
    return _both(by_score, _is_lower(metrics, *min(stated)) if stated else None)


def beats_champion(challenger: ModelManifest, champion: ModelManifest) -> Verdict:
    """Against the model that serves now."""
    if challenger.label != champion.label:
        return Verdict(
            holds=False,
            why=f"its labels are {_label(challenger)} and the champion's {_label(champion)}:"
            " their figures can't be compared",
        )
    ours, theirs = challenger.metrics, champion.metrics
    paired = challenger.champion
    fresh = None if paired is None else paired.fresh
    if paired and fresh and paired.model_sha256 == champion.model_sha256:
        ours, theirs = fresh.own, paired.metrics
        where = f"the champion on {fresh.rows:,} test rows that are new to it"
        by_score = _is_ahead(paired.macro_f1_margin, where)
    else:
        margin = difference(ours.macro_f1, theirs.macro_f1)
        by_score = _is_ahead(margin, "the champion in its own walk-forward tests")
    if theirs.log_loss is None:
        return by_score
    return _both(by_score, _is_lower(ours, theirs.log_loss.value, "the champion's"))


def difference(one: Estimate, other: Estimate) -> Estimate:
    """Of two independent figures, with its interval."""
    value = one.value - other.value
    low = value - math.hypot(one.value - one.low, other.high - other.value)
    high = value + math.hypot(one.high - one.value, other.value - other.low)
    return Estimate(value, low, high)


def _is_ahead(margin: Estimate, of: str) -> Verdict:
    figures = f"{margin.value:+.4f} [{margin.low:+.4f}, {margin.high:+.4f}]"
    return Verdict(margin.low > 0, f"macro-F1 less that of {of}: {figures}")


def _is_lower(metrics: Metrics, theirs: float, whose: str) -> Verdict:
    if metrics.log_loss is None:
        return Verdict(holds=False, why="it states no probabilities")
    ours = metrics.log_loss.value
    return Verdict(ours < theirs, f"log-loss {ours:.4f}, {whose} {theirs:.4f}")


def _both(one: Verdict, other: Verdict | None) -> Verdict:
    if other is None:
        return one
    return Verdict(one.holds and other.holds, f"{one.why}; {other.why}")


def _label(manifest: ModelManifest) -> str:
    rule = manifest.label
    return f"of {rule.horizon_s} s past {rule.threshold}/20000 dollar"

"""A model in a window: what is said of it, by which name, and that nothing is green by default."""

import random
from collections.abc import Mapping

import msgspec
import numpy as np
import pytest

from services.drift.core import performance
from services.drift.core.performance import Rival
from services.drift.core.predicted import Predictions
from services.drift.core.standing import ALARMS, Performance, Standing, gravest
from services.models.manifest import LabelRule, ModelManifest
from services.scoring.metrics import scores
from tests.support.made_datasets import planted_bug
from tests.support.spoken import (
    CERTAIN,
    MODEL,
    Row,
    Said,
    file_of,
    market,
    model,
    predictions,
    window,
)

SECONDS = 400
HORIZON_S = 2
RULE = LabelRule(HORIZON_S)
KNOWN = {1: model(1, label=RULE), 2: model(2, label=RULE)}


def mid(ticker: int, second: int) -> int:
    """Runs up and down by chance, the same each time."""
    return 1_000 + sum(random.Random(s * 3 + ticker).choice((-2, 0, 2)) for s in range(second))


ROWS = [Row(t, s, mid(t, s)) for t in range(2) for s in range(SECONDS + HORIZON_S)]
MOVE = {
    (row.ticker, row.second): mid(row.ticker, row.second + HORIZON_S) - (row.mid or 0)
    for row in ROWS
    if row.second < SECONDS
}


def label(ticker: int, second: int) -> int:
    move = MOVE[ticker, second]
    return 2 if move > 0 else 0 if move < 0 else 1


def log(
    version: int = 1, right: float = 0.6, *, seed: int = 1, is_shadow: bool = False
) -> list[Said]:
    """One record a second and ticker; so great a share is right, the others say what they like."""
    chance = random.Random(seed)
    return [
        Said(
            t,
            s,
            label(t, s) if chance.random() < right else chance.randrange(3),
            version,
            is_shadow,
        )
        for t in range(2)
        for s in range(SECONDS)
    ]


def rival(right: float = 0.0, seed: int = 9) -> Rival:
    """Of the market's rows; says flat where it does not know."""
    chance = random.Random(seed)
    said = [
        label(row.ticker, row.second) if row.second < SECONDS and chance.random() < right else 1
        for row in ROWS
    ]
    return Rival(np.array(CERTAIN)[said], states_probabilities=False)


def tracked(
    records: list[Said] | Predictions,
    rows: list[Row] = ROWS,
    *,
    manifests: Mapping[int, ModelManifest] = KNOWN,
    version: int = 1,
    rivals: Mapping[str, Rival] | None = None,
    end: int = SECONDS,
) -> Performance:
    if rivals is None:
        rivals = {"plain": rival()}
    given = predictions(records) if isinstance(records, list) else records
    found, _ = performance.track(
        MODEL, version, manifests, window(0, end), given, market(rows), rivals
    )
    return found


def promising(macro_f1: float) -> dict[int, ModelManifest]:
    return {1: model(1, macro_f1, label=RULE), 2: model(2, label=RULE)}


def test_a_model_that_keeps_its_promise_and_beats_plain_rules_is_ok() -> None:
    found = tracked(log())
    assert (found.standing, found.detail, found.is_final) == (Standing.OK, "", True)
    assert not found.is_alarm
    assert found.ratio is not None
    assert found.ratio < 1
    assert [test.name for test in found.tests] == ["promise", "baseline"]
    assert {name: count for name, count in found.counts.items() if count} == {"judged": 800}


def test_figures_are_those_of_all_rows_together() -> None:
    records = log()
    found = tracked(records)
    truth = np.array([label(one.ticker, one.second) for one in records])
    move = np.array([MOVE[one.ticker, one.second] for one in records])
    stated = np.array([CERTAIN[one.said] for one in records])
    expected = msgspec.structs.asdict(scores(truth, stated, move, np.full(len(records), 50)))
    assert found.figures is not None
    assert found.figures.scores == pytest.approx(expected)
    assert found.figures.metrics is not None
    held = found.figures.metrics.macro_f1
    assert held.low < held.value < held.high
    assert sum(part.rows for part in found.calibration) == 800


def test_a_model_below_its_promise_has_fallen() -> None:
    found = tracked(log(), manifests=promising(0.95))
    assert found.standing is Standing.FALLEN
    assert found.is_alarm
    assert found.detail.startswith("fallen: macro-F1 less that of its manifest: -0.")
    assert found.ratio is not None
    assert found.ratio > 1


def test_a_model_behind_the_best_plain_rule_has_fallen() -> None:
    rivals = {"plain": rival(), "better": rival(0.95)}
    found = tracked(log(), manifests=promising(0.4), rivals=rivals)
    assert found.standing is Standing.FALLEN
    assert "less that of better" in found.detail
    assert not found.tests[0].is_fallen
    margins = {part.name: part.margin for part in found.rivals}
    assert margins["plain"] is not None
    assert margins["plain"].low > 0


def test_a_shadow_stands_beside_the_champion_and_in_none_of_its_figures() -> None:
    alone = tracked(log())
    beside = tracked([*log(), *log(2, 0.9, seed=2, is_shadow=True)])
    assert beside.standing is Standing.OK
    assert beside.figures == alone.figures
    assert beside.counts == alone.counts
    (part,) = beside.versions
    assert (part.version, part.role, part.statements) == (2, "shadow", 800)
    assert part.standing == "described"
    assert part.beside == alone.figures
    assert part.margin is not None
    assert part.margin.low > 0


def shadow_counts_for_the_champion() -> bool:
    half = [one for one in log() if one.second % 2]
    with_shadow = [*half, *(one for one in log(right=0.0, is_shadow=True) if one.second % 2 == 0)]
    return tracked(with_shadow).figures != tracked(half).figures


def test_a_shadow_that_is_mixed_into_the_champion_is_found() -> None:
    assert not shadow_counts_for_the_champion()
    with planted_bug(performance, "self._served: Bools = is_own & statements.is_served",
                     "self._served: Bools = is_own"):  # fmt: skip
        assert shadow_counts_for_the_champion()


def test_a_shadow_of_another_label_rule_has_no_figures() -> None:
    manifests = {1: model(1, label=RULE), 2: model(2, label=LabelRule(HORIZON_S, 7))}
    found = tracked([*log(), *log(2, is_shadow=True)], manifests=manifests)
    assert [(part.standing, part.figures) for part in found.versions] == [
        ("other_label_rule", None)
    ]
    assert found.standing is Standing.OK


def test_a_version_that_took_over_leaves_each_to_be_judged_on_its_own_rows() -> None:
    records = [one for one in log() if one.second < 250]
    records += [one for one in log(2, 0.1) if one.second >= 250]
    first, second = (tracked(records, version=version) for version in (1, 2))
    assert first.standing is Standing.TWO_MODELS
    assert first.counts["judged"] == 500
    assert first.versions[0].beside is None
    assert second.counts["judged"] == 300
    assert second.standing is Standing.TOO_FEW_BLOCKS
    assert second.detail.endswith("two_models: served too: version 1")
    fallen = tracked(records, manifests=promising(0.95))
    assert fallen.standing is Standing.FALLEN
    assert fallen.detail.endswith("two_models: served too: version 2")


def test_answers_of_a_file_that_the_registry_has_not_are_named() -> None:
    strange = [one._replace(sha="e" * 64) for one in log() if one.second < 50]
    found = tracked([*(one for one in log() if one.second >= 50), *strange])
    assert found.standing is Standing.UNKNOWN_VERSION
    assert found.is_alarm
    assert found.counts["judged"] == 700
    assert found.versions[0].standing is Standing.UNKNOWN_VERSION


def test_a_version_that_is_not_registered_has_no_figures() -> None:
    found = tracked(log(3), version=3)
    assert (found.standing, found.figures, found.is_final) == (
        Standing.UNKNOWN_VERSION,
        None,
        False,
    )


@pytest.mark.parametrize("missing", [1, 2])
def test_a_window_whose_last_horizon_has_not_passed_waits(missing: int) -> None:
    rows = [row for row in ROWS if row.second < SECONDS + HORIZON_S - missing]
    found = tracked(log(), rows)
    assert (found.standing, found.is_final) == (Standing.NO_LABELS_YET, False)
    assert found.counts["horizon_not_passed"] == 2 * missing


def test_a_ticker_that_is_behind_holds_the_window_back() -> None:
    rows = [row for row in ROWS if row.ticker == 0 or row.second < 100]
    found = tracked(log(), rows)
    assert (found.standing, found.is_final) == (Standing.NO_LABELS_YET, False)
    assert "of tickers that are behind" in found.detail


def without(rows: list[Row], share: float) -> list[Row]:
    return [row._replace(is_defined=row.second >= share * SECONDS) for row in rows]


def test_each_reason_for_no_judgement_has_its_name() -> None:
    shadows = [one._replace(is_shadow=True) for one in log()]
    short = [one for one in log() if one.second < 199]
    said = {
        "only a shadow": tracked(shadows),
        "nothing": tracked([]),
        "no row has its inputs": tracked(log(), without(ROWS, 2.0)),
        "few rows have their inputs": tracked(log(), without(ROWS, 0.51)),
        "half has": tracked(log(), without(ROWS, 0.5)),
        "199 s of 20 blocks of 10 s": tracked(short),
        "no plain rule": tracked(log(), rivals={}),
        "log begins later": tracked(predictions(log(), is_cut=True)),
        "one undecodable": tracked(predictions(log(), undecodable=1)),
        "one damaged": tracked([*log(), Said(0, 3, 0, probabilities=(0.9, 0.9, 0.0))]),
        "one conflicting": tracked(
            [*log(), log()[3]._replace(probabilities=(0.4, 0.3, 0.3), said=0)]
        ),
        "no lake": tracked(log(), []),
    }
    assert {name: found.standing.value for name, found in said.items()} == {
        "only a shadow": "no_predictions",
        "nothing": "no_predictions",
        "no row has its inputs": "no_labels",
        "few rows have their inputs": "few_labels",
        "half has": "ok",
        "199 s of 20 blocks of 10 s": "too_few_blocks",
        "no plain rule": "no_baseline",
        "log begins later": "log_cut",
        "one undecodable": "damaged_predictions",
        "one damaged": "damaged_predictions",
        "one conflicting": "conflicting_predictions",
        "no lake": "no_labels_yet",
    }


def test_a_fall_is_told_whatever_else_is_wrong() -> None:
    given = predictions(log(), undecodable=1, is_cut=True)
    found = tracked(given, manifests=promising(0.95), rivals={})
    assert found.standing is Standing.FALLEN
    names = [part.partition(":")[0] for part in found.detail.split("; ")]
    assert names == ["fallen", "damaged_predictions", "log_cut", "no_baseline"]


def test_repetitions_change_nothing_but_their_count() -> None:
    once, twice = tracked(log()), tracked([*log(), *log()])
    assert twice.counts["repeated"] == 800
    assert msgspec.structs.replace(twice, counts=once.counts) == once


def test_the_order_of_the_log_does_not_matter_to_a_single_byte() -> None:
    records = [*log(), *log(2, is_shadow=True)]
    mixed = random.Random(5).sample(records, len(records))
    one, other = (msgspec.json.encode(tracked(given)) for given in (records, mixed))
    assert one == other


def test_tickers_are_described_and_alarm_nobody() -> None:
    records = [one if one.ticker == 0 else one._replace(said=1) for one in log(right=0.8)]
    found = tracked(records)
    assert [(part.ticker, part.figures.rows) for part in found.tickers] == [
        ("AAPL", 400),
        ("MSFT", 400),
    ]
    good, bad = (part.figures.scores["macro_f1"] for part in found.tickers)
    assert bad < 0.3 < good
    assert found.tickers[1].baselines["plain"] == pytest.approx(bad)


def test_a_model_that_states_no_probabilities_has_no_figures_of_them() -> None:
    manifests = {1: model(1, kind="rule", label=RULE)}
    found = tracked(log(), manifests=manifests)
    assert found.figures is not None
    assert set(found.figures.scores) == {"macro_f1", "mcc", "pnl_per_row"}
    assert found.figures.metrics is not None
    assert found.figures.metrics.log_loss is None


def test_only_one_name_is_green_and_of_several_the_gravest_counts() -> None:
    assert [one for one in Standing if one not in ALARMS][-1] is Standing.OK
    findings = [(standing, "so") for standing in reversed(Standing)]
    assert gravest(findings)[0] is Standing.FALLEN
    with pytest.raises(AssertionError):
        gravest([])


def test_another_name_of_a_model_is_none_of_this_ones() -> None:
    others = [one._replace(model="direction_30s", sha=file_of(1)) for one in log()]
    found = tracked([*log(), *others])
    assert found.counts["other_model"] == 800
    assert msgspec.structs.replace(found, counts={}) == msgspec.structs.replace(
        tracked(log()), counts={}
    )

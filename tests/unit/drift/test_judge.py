"""Every outcome, and nothing that could not be judged is green."""

from collections.abc import Callable
from functools import cache

import msgspec
import numpy as np
import pytest

from services.drift.core.arrays import Floats
from services.drift.core.calibration import Calibration, calibrate
from services.drift.core.judge import judge
from services.drift.core.outcomes import Family, Outcome, Refusal, Verdict, verdict_of
from services.drift.core.panel import Panel
from tests.support.drift_panels import (
    PIECES,
    WINDOW_S,
    calibrated,
    changed,
    later,
    market,
    reference_of,
    window_of,
    with_class,
)
from tests.support.page_examples import example


@cache
def panel() -> Panel:
    return market(1)


@cache
def known() -> Calibration:
    return calibrated(panel())


def judged(change: Callable[[Floats], None]) -> Verdict:
    """A window in which nothing else has changed."""
    window = window_of(panel())
    values = window.values.copy()
    change(values)
    return judge(known(), changed(window, values))


def outcomes(verdict: Verdict, family: Family, column: str = "f0") -> set[Outcome]:
    return {
        check.outcome
        for check in verdict.checks
        if (check.ticker, check.family) == ("T0", family) and check.column in {column, ""}
    }


def test_a_window_without_a_change_is_ok_in_all_its_checks() -> None:
    verdict = judged(lambda _: None)
    assert verdict.outcome is Outcome.OK
    assert {check.outcome for check in verdict.checks} == {Outcome.OK}
    # Three features and two tickers: five checks a column, then one pair and one swap a ticker.
    assert len(verdict.checks) == 2 * 3 * 5 + 2 + 2
    assert verdict.ratio == max(check.ratio or 0.0 for check in verdict.checks)


def freeze(values: Floats) -> None:
    values[100:, 0, 0] = values[100, 0, 0]


def gap(values: Floats) -> None:
    values[:60, 0, 0] = np.nan


def swap(values: Floats) -> None:
    values[:] = values[:, ::-1].copy()


def wide(values: Floats) -> None:
    values[:, 0, 0] *= 4.0


def turn(values: Floats) -> None:
    values[:, 0, 2] = -values[:, 0, 1]


@pytest.mark.parametrize(
    "change,family",
    [
        (freeze, Family.STALE),
        (gap, Family.MISSING),
        (swap, Family.SWAP),
        (wide, Family.SCALE),
        (wide, Family.SHAPE),
    ],
)
def test_a_change_is_found_by_the_family_made_for_it(
    change: Callable[[Floats], None], family: Family
) -> None:
    verdict = judged(change)
    assert verdict.outcome is Outcome.DRIFT
    assert outcomes(verdict, family) == {Outcome.DRIFT}


def test_a_pair_that_goes_another_way_is_named() -> None:
    (check,) = [
        check
        for check in judged(turn).checks
        if (check.ticker, check.family) == ("T0", Family.CORRELATION)
    ]
    assert check.outcome is Outcome.DRIFT
    assert check.column == "f1 x f2"
    assert check.effect is not None
    assert check.effect < -0.5


def test_a_column_that_is_gone_is_missing_and_its_values_are_not_judged() -> None:
    def lose(values: Floats) -> None:
        values[:, 0, 0] = np.nan

    verdict = judged(lose)
    assert verdict.outcome is Outcome.DRIFT
    assert outcomes(verdict, Family.MISSING) == {Outcome.DRIFT}
    assert outcomes(verdict, Family.LOCATION) == {Outcome.ALL_MISSING}


def test_few_values_are_missing_and_not_judged() -> None:
    def thin(values: Floats) -> None:
        values[40:, 0, 0] = np.nan

    verdict = judged(thin)
    assert outcomes(verdict, Family.MISSING) == {Outcome.DRIFT}
    assert outcomes(verdict, Family.LOCATION) == {Outcome.NOT_ENOUGH_ROWS}


@pytest.mark.parametrize(
    "window,outcome",
    [
        (Refusal(Outcome.EMPTY_WINDOW, "no rows"), Outcome.EMPTY_WINDOW),
        (window_of(market(1)).part(0, 0), Outcome.EMPTY_WINDOW),
        (Refusal(Outcome.CLOCK_JUMP, ""), Outcome.CLOCK_JUMP),
        (Refusal(Outcome.TWO_MODELS, ""), Outcome.TWO_MODELS),
        (window_of(market(1)).part(0, 50), Outcome.WINDOW_SHORTER_THAN_BLOCK),
        (market(1, 2).part(WINDOW_S * PIECES, WINDOW_S * (PIECES + 2)),
         Outcome.WINDOW_OF_OTHER_LENGTH),
        (later(window_of(market(1)), -1), Outcome.WINDOW_IN_REFERENCE),
        (window_of(market(1, features=2)), Outcome.COLUMNS_DIFFER),
    ],
)  # fmt: skip
def test_a_window_that_can_not_be_judged_says_why(
    window: Panel | Refusal, outcome: Outcome
) -> None:
    verdict = judge(known(), window)
    assert verdict.outcome is outcome
    assert not verdict.is_alarm
    assert verdict.outcome is not Outcome.OK


def slow(reference: Panel) -> Panel:
    return changed(reference, np.cumsum(reference.values, axis=0))


@pytest.mark.parametrize(
    "reference,outcome",
    [
        (None, Outcome.REFERENCE_GONE),
        (Refusal(Outcome.EMPTY_WINDOW, "no rows"), Outcome.REFERENCE_GONE),
        (Refusal(Outcome.CLOCK_JUMP, ""), Outcome.CLOCK_JUMP),
        (market(1).part(0, 500), Outcome.NOT_ENOUGH_ROWS),
        (market(1).part(0, 900), Outcome.NOT_ENOUGH_ROWS),
        (slow(reference_of(market(1))), Outcome.WINDOW_SHORTER_THAN_BLOCK),
    ],
)
def test_a_reference_that_says_too_little_says_why(
    reference: Panel | Refusal | None, outcome: Outcome
) -> None:
    answer = calibrate(reference, WINDOW_S)
    assert isinstance(answer, Refusal)
    assert answer.outcome is outcome
    assert judge(answer, window_of(panel())).outcome is outcome


def edited(change: Callable[[Floats], None]) -> Panel:
    values = panel().values.copy()
    change(values)
    return changed(panel(), values)


def constant(values: Floats) -> None:
    values[:, 0, 0] = 2.5


def constant_before(values: Floats) -> None:
    values[: WINDOW_S * PIECES, 0, 0] = 2.5


def never(values: Floats) -> None:
    values[:, 0, 0] = np.nan


def wander(values: Floats) -> None:
    values[:, 0, 0] = np.cumsum(values[:, 0, 0])


@pytest.mark.parametrize(
    "change,outcome",
    [
        (constant, Outcome.CONSTANT_COLUMN),
        (constant_before, Outcome.CONSTANT_CHANGED),
        (never, Outcome.ALL_MISSING),
        (wander, Outcome.WINDOW_SHORTER_THAN_BLOCK),
    ],
)
def test_one_column_that_can_not_be_judged_leaves_the_others_and_is_not_green(
    change: Callable[[Floats], None], outcome: Outcome
) -> None:
    whole = edited(change)
    verdict = judge(calibrated(whole), window_of(whole))
    assert verdict.outcome is outcome
    assert outcomes(verdict, Family.LOCATION) == {outcome}
    assert outcomes(verdict, Family.LOCATION, "f1") == {Outcome.OK}


def test_no_check_at_all_is_not_green() -> None:
    assert verdict_of(()).outcome is Outcome.NOT_ENOUGH_ROWS


def said(seed: int, share: float = 0.5) -> Panel:
    """A class that stays for a while, as a model's answers do."""
    whole = market(seed)
    bound = np.quantile(whole.values[:, :, 2] - whole.values[:, :, 2].mean(axis=0), share)
    codes = (whole.values[:, :, 2] - whole.values[:, :, 2].mean(axis=0) > bound).astype(np.float64)
    return with_class(whole, ("down", "flat", "up"), codes)


def test_shares_of_classes_are_judged_and_a_class_that_never_was_is_new() -> None:
    whole = said(1)
    calm = judge(calibrated(whole), window_of(whole))
    places = {check.column: check.outcome for check in calm.checks if check.ticker == "T0"}
    assert places["said=down"] is Outcome.OK
    assert places["said=up"] is Outcome.CONSTANT_COLUMN
    window = window_of(whole)
    for code, name in ((2.0, "said=up"), (7.0, "7"), (0.5, "0.5")):
        values = window.values.copy()
        values[50:60, 0, -1] = code
        verdict = judge(calibrated(whole), changed(window, values))
        (new,) = [c for c in verdict.checks if c.outcome is Outcome.NEW_CATEGORY]
        assert verdict.is_alarm
        assert (new.ticker, new.column, new.detail) == ("T0", "said", name)


def test_answers_that_turn_to_one_class_are_found() -> None:
    whole = said(1)
    window = window_of(whole)
    values = window.values.copy()
    values[:, 0, -1] = 0.0
    verdict = judge(calibrated(whole), changed(window, values))
    assert outcomes(verdict, Family.LOCATION, "said=down") == {Outcome.DRIFT}


def test_the_same_rows_and_seed_give_the_same_bytes_and_another_seed_draws_others() -> None:
    once, again = (
        judge(calibrated(panel(), "blocks", seed=1), window_of(panel())) for _ in range(2)
    )
    assert msgspec.json.encode(once) == msgspec.json.encode(again)
    other = judge(calibrated(panel(), "blocks", seed=2), window_of(panel()))
    assert other.ratio != once.ratio


def test_the_order_of_tickers_changes_their_places_only() -> None:
    turned = Panel(("T1", "T0"), panel().columns, panel().time_us, panel().values[:, ::-1])
    here, there = (judge(calibrated(p), window_of(p)) for p in (panel(), turned))
    ratios = [
        sorted((c.ticker, c.family, c.column, round(c.ratio or 0.0, 9)) for c in verdict.checks)
        for verdict in (here, there)
    ]
    assert ratios[0] == ratios[1]


def test_the_example_of_the_page_judges_a_window_like_those_before_ok() -> None:
    rng = np.random.default_rng(1)
    rows = 20 * 7_200

    def drawn(count: int, begin_s: int) -> dict[str, object]:
        columns = rng.normal(size=count), rng.integers(0, 3, count).astype(float)
        time_us = (begin_s + np.arange(count)) * 1_000_000
        return {"ticker": np.zeros(count, int), "time_us": time_us, "values": np.stack(columns, 1)}

    now = drawn(7_200, rows)
    names = drawn(rows, 0) | {"tickers": ["AAPL"], "versions": [1]}
    names |= {"ticker_now": now["ticker"], "time_now_us": now["time_us"]}
    names["values_now"] = now["values"]
    exec(example("docs/drift.md", "From Python", "python"), names)  # noqa: S102 - our own page
    verdict = names["verdict"]
    assert isinstance(verdict, Verdict)
    assert verdict.outcome is Outcome.OK

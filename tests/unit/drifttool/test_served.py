"""Which windows are a version's own, and what a page of its performance shows."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from services.drift.core.predicted import Predictions
from services.drift.core.windows import SECOND_US, Window
from services.drift.pictures import draw
from services.tools.drift.jobs import windows
from services.tools.drift.jobs.served import served_windows
from services.tools.drift.jobs.told import EXIT_UNJUDGED, exit_code
from tests.support.drift_world import MODEL, TICKERS, WINDOW_S, DriftWorld, said_of, window

DUE = [window(n) for n in range(4)]
PERIOD_S = 10
"""From one prediction to the next."""


@pytest.fixture
def world(tmp_path: Path) -> DriftWorld:
    return DriftWorld.copied(tmp_path / "home")


def spoken(*stretches: tuple[int, float, float], is_shadow: bool = False) -> Predictions:
    """A version from one time to another, in windows after the training."""
    times, versions = [], []
    for version, begin, end in stretches:
        first, last = (window(0).begin_us + int(at * WINDOW_S) * SECOND_US for at in (begin, end))
        times.append(np.arange(first, last, PERIOD_S * SECOND_US))
        versions.append(np.full(len(times[-1]), version))
    time_us = np.concatenate(times)
    nothing = np.zeros(len(time_us), dtype=np.int64)
    return Predictions(
        ("AAPL",), (MODEL,), ("a" * 64,), nothing, nothing, nothing, time_us,
        np.concatenate(versions), np.full(len(time_us), is_shadow), nothing,
        np.tile((0.8, 0.1, 0.1), (len(time_us), 1)), time_us,
    )  # fmt: skip


def reader(said: Predictions) -> Callable[[int, int], Predictions]:
    return lambda _begin_us, _end_us: said


def numbers(windows: list[Window]) -> list[int]:
    return [DUE.index(one) for one in windows]


@pytest.mark.parametrize(
    "said,since,own,partly",
    [
        # Nothing of it is recorded: it began to serve somewhere.
        (spoken((1, 0, 4)), None, [0, 1, 2, 3], []),
        (spoken((1, 1.5, 4)), None, [2, 3], [1]),
        (spoken((2, 0, 1.5), (1, 1.5, 4)), None, [2, 3], [1]),
        (spoken((1, 3.5, 4)), None, [], [3]),
        # It has served: a second or a whole window without a word is its own, too.
        (spoken((1, 1.5, 4)), -1, [0, 1, 2, 3], []),
        (spoken((1, 0.01, 1), (1, 2, 4)), -1, [0, 1, 2, 3], []),
        # Another served instead, and it came back.
        (spoken((2, 0, 2.5), (1, 2.5, 4)), -1, [2, 3], []),
        (spoken((2, 0, 4)), -1, [3], []),
        # A shadow's word is no answer.
        (spoken((2, 0, 4), is_shadow=True), -1, [0, 1, 2, 3], []),
        (spoken((1, 0, 4), is_shadow=True), None, [3], []),
    ],
)
def test_windows_are_a_versions_own_once_it_serves(
    said: Predictions, since: int | None, own: list[int], partly: list[int]
) -> None:
    since_us = None if since is None else window(since).begin_us
    found = served_windows(reader(said), DUE, MODEL, 1, since_us)
    assert (numbers(found.windows), numbers(found.partly)) == (own, partly)


def test_a_window_that_began_before_the_first_answer_is_named_and_not_recorded(
    world: DriftWorld,
) -> None:
    world.said = without(said_of(world), window(0).begin_us, window(1).begin_us + SECOND_US)
    for kind in ("predictions", "performance"):
        told = world.run(kind)
        assert [(one.window, one.recorded) for one in told] == [
            (window(1), "none"), (window(2), "new"),
        ]  # fmt: skip
        assert told[0].outcome == "partly_served"
        assert exit_code(told) == EXIT_UNJUDGED


@pytest.mark.parametrize("kind,nothing", [
    ("predictions", "empty_window"), ("performance", "no_predictions"),
])  # fmt: skip
def test_a_version_that_has_served_is_judged_in_windows_that_lack_a_second_or_all(
    world: DriftWorld, kind: str, nothing: str
) -> None:
    said = said_of(world)
    world.run(kind, window=window(0))
    whole_us = window(1).begin_us, window(1).end_us
    world.said = without(without(said, *whole_us), window(2).begin_us, whole_us[1] + SECOND_US)
    told = world.run(kind)
    assert [(one.window, one.recorded) for one in told] == [
        (window(1), "new"), (window(2), "new"),
    ]  # fmt: skip
    assert told[0].outcome == nothing
    assert told[1].outcome not in {nothing, "partly_served"}
    assert exit_code(told) != 0


def without(said: Predictions, begin_us: int, end_us: int) -> Predictions:
    """All but what was said in a stretch."""
    is_kept = (said.grid_time_us < begin_us) | (said.grid_time_us >= end_us)
    fields = ("ticker", "model", "sha", "grid_time_us", "version", "is_shadow", "said",
              "probabilities", "served_at_us")  # fmt: skip
    return replace(said, **{name: getattr(said, name)[is_kept] for name in fields})


def both(one: Predictions, other: Predictions) -> Predictions:
    """What two versions said."""
    shas = one.shas + other.shas
    other = replace(other, sha=other.sha + len(one.shas))
    names = ("ticker", "model", "sha", "grid_time_us", "version", "is_shadow", "said",
             "probabilities", "served_at_us")  # fmt: skip
    joined: dict[str, Any] = {
        name: np.concatenate([getattr(one, name), getattr(other, name)]) for name in names
    }
    return replace(one, shas=shas, **joined)


def test_windows_that_roll_begin_at_their_step_and_are_taken_once(world: DriftWorld) -> None:
    told = world.run("performance", step_s=WINDOW_S // 2)
    begins = [(one.window.begin_us - window(0).begin_us) // SECOND_US for one in told if one.window]
    assert begins == [0, 300, 600, 900, 1_200]
    assert {one.recorded for one in told} == {"new"}
    again = world.run("performance", step_s=WINDOW_S // 2)
    assert [(one.window, one.recorded) for one in again] == [(window(2), "kept")]


@pytest.mark.parametrize("is_recorded", [True, False])
def test_a_version_that_serves_again_is_judged_though_another_served_for_long(
    world: DriftWorld, monkeypatch: pytest.MonkeyPatch, *, is_recorded: bool
) -> None:
    """More windows than a run takes are another's; the room may have been down meanwhile."""
    kind, step_s = "performance", WINDOW_S // 2
    first = said_of(world)
    world.run(kind, window=window(0))
    back_us = window(2).begin_us + WINDOW_S // 2 * SECOND_US
    world.register(seed=2)
    world.said = both(
        without(first, window(0).end_us, back_us),
        without(without(said_of(world, 2), 0, window(0).end_us), back_us, window(9).end_us),
    )
    if is_recorded:
        assert [one.version for one in world.run(kind, window=window(1))] == [2]
    world.registry.rollback("a test")
    monkeypatch.setattr(windows, "WINDOWS_A_RUN_MAX", 1)
    told = [one for _ in range(2) for one in world.run(kind, step_s=step_s)]
    assert {(one.version, one.recorded) for one in told} == {(1, "new")}
    begins = [(one.window.begin_us - window(0).begin_us) // SECOND_US for one in told if one.window]
    assert begins == [300, 1_200]


# --- the page ------------------------------------------------------------------------------------


def test_a_window_of_performance_has_a_page_of_what_was_said_and_what_came(
    world: DriftWorld,
) -> None:
    (told,) = world.run("performance", window=window(1), draws=True)
    assert (told.recorded, told.report) == ("new", "made")
    (drawn,) = world.drawn_scores
    assert told.counts["judged"] == len(drawn.scored) > 0
    assert drawn.title == f"performance: {told.outcome}"
    assert "decide nothing" in drawn.lines[-1]
    kept = world.ledger.find(told.job_id)
    assert kept is not None
    assert kept.job.report_path == told.report_path
    (again,) = world.run("performance", window=window(1), draws=True)
    assert (again.recorded, again.report) == ("same", "there")
    figures = json.loads(kept.report)["figures"]
    assert told.scores[""] == figures["scores"]
    assert set(told.scores) == {"", *TICKERS}
    right = float(np.mean(drawn.scored.label == drawn.scored.said))
    assert figures["rows"] == len(drawn.scored)
    assert 0.0 < right < 1.0


def test_a_window_without_labels_has_no_page(world: DriftWorld) -> None:
    world.said = replace(said_of(world), models=("another",))
    (told,) = world.run("performance", window=window(1), draws=True)
    assert (told.outcome, told.report, told.report_path) == ("no_predictions", "", "")


@pytest.mark.long
@pytest.mark.parametrize("has_each_class", [True, False])
def test_evidently_draws_the_page_also_of_a_class_that_never_came(
    world: DriftWorld, tmp_path: Path, *, has_each_class: bool
) -> None:
    world.run("performance", window=window(1), draws=True)
    (order,) = world.drawn_scores
    if not has_each_class:
        scored = order.scored
        order = replace(order, scored=replace(scored, label=np.minimum(scored.label, 1)))
    page = tmp_path / "performance.html"
    assert draw(order, page) == "made"
    assert order.title in page.read_text("utf-8")
    metrics = json.loads(page.with_suffix(".json").read_bytes())["metrics"]
    found = {one["metric_name"].partition("(")[0]: one["value"] for one in metrics}
    right = float(np.mean(order.scored.label == order.scored.said))
    assert found["Accuracy"] == pytest.approx(right)

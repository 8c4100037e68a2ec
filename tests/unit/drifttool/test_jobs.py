"""Jobs on a made-up deployment: what is due, what it comes to, and what is kept of it."""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import msgspec
import numpy as np
import pytest

from services.drift.core.arrays import Bools, Floats, Ints
from services.drift.core.predicted import Predictions
from services.drift.core.windows import SECOND_US, Window
from services.drift.ledger import MemoryLedger, Result
from services.drift.predictions_source import TooManyPredictionsError
from services.runtime.errors import RetriableError
from services.tools.drift.errors import NotAskedWellError
from services.tools.drift.jobs.told import EXIT_ALARM, EXIT_OK, EXIT_UNJUDGED, Told, exit_code
from services.tools.features.parity import Tally
from services.tools.features.served_parity import ServedParity
from tests.support.drift_world import (
    WINDOW_S,
    Change,
    DriftWorld,
    changed,
    said_of,
    window,
)


@pytest.fixture
def world(tmp_path: Path) -> DriftWorld:
    return DriftWorld.copied(tmp_path / "home")


def every_fifth_missing(values: Floats, second: Ints) -> Floats:
    return np.where(second % 5 == 0, np.nan, values)


def rising(values: Floats, second: Ints) -> Floats:
    """A cent a second on top of what it does."""
    return np.rint((values + second * 0.01) * 20_000) / 20_000


def outcomes(told: Sequence[Told]) -> dict[str, str]:
    return {one.kind: one.outcome for one in told}


def test_a_run_takes_each_window_that_is_over_and_the_next_run_tells_the_newest(
    world: DriftWorld,
) -> None:
    told = world.run("predictions", "labels", "data")
    assert [one.window for one in told if one.kind == "labels"] == [window(n) for n in range(3)]
    assert {one.recorded for one in told} == {"new"}
    assert not any(one.is_alarm for one in told), told
    again = world.run("predictions", "labels", "data")
    assert {(one.kind, one.window, one.recorded) for one in again} == {
        (kind, window(2), "kept") for kind in ("data", "quality", "predictions", "labels")
    }
    assert outcomes(again) == outcomes(told)


def test_a_window_that_is_asked_for_is_judged_again_and_found_the_same(world: DriftWorld) -> None:
    (new,) = world.run("labels", window=window(1))
    (same,) = world.run("labels", window=window(1))
    assert (new.recorded, same.recorded) == ("new", "same")
    assert msgspec.structs.replace(same, recorded="new") == new


def test_a_lake_that_was_changed_since_is_told_and_the_first_result_stays(
    world: DriftWorld,
) -> None:
    (first_one,) = world.run("labels", window=window(1))
    world.put(changed("mid", lambda values, _: values[0] + 0 * values, begin=1))
    (told,) = world.run("labels", window=window(1))
    assert (told.recorded, told.job_id) == ("differs", first_one.job_id)
    assert "The first result stays" in told.detail


def test_a_run_that_failed_half_way_goes_on_where_the_ledger_ends(world: DriftWorld) -> None:
    class Away(MemoryLedger):
        def record(self, result: Result) -> bool:
            if self.history("labels", 10):
                raise RetriableError("PostgreSQL is away")
            return super().record(result)

    away = Away()
    world.ledger = away
    with pytest.raises(RetriableError):
        world.run("labels")
    world.ledger = MemoryLedger()
    world.ledger._results = away._results
    told = world.run("labels")
    assert [(one.window, one.recorded) for one in told] == [(window(1), "new"), (window(2), "new")]


def test_each_result_is_told_once_it_is_recorded_and_before_its_report_is_drawn(
    world: DriftWorld,
) -> None:
    heard: list[tuple[str, str, str]] = []

    class Listening(MemoryLedger):
        def record(self, result: Result) -> bool:
            heard.append((result.job.kind, "recorded", ""))
            return super().record(result)

    def dies(_order: object, _page: Path) -> str:
        raise MemoryError

    world.ledger = Listening()
    world.draw = dies
    world.found = lambda one: heard.append((one.kind, one.recorded, one.report))
    with pytest.raises(MemoryError):
        world.run("data", draws=True)
    assert heard == [
        ("quality", "recorded", ""), ("quality", "new", ""),
        ("data", "recorded", ""), ("data", "new", ""),
    ]  # fmt: skip


def test_a_window_whose_quality_alone_was_recorded_is_judged_again(world: DriftWorld) -> None:
    class Away(MemoryLedger):
        def record(self, result: Result) -> bool:
            if result.job.kind == "data":
                raise RetriableError("PostgreSQL is away")
            return super().record(result)

    away = Away()
    world.ledger = away
    with pytest.raises(RetriableError):
        world.run("data")
    world.ledger = MemoryLedger()
    world.ledger._results = away._results
    told = world.run("data")
    assert [(one.kind, one.window, one.recorded) for one in told[:2]] == [
        ("data", window(0), "new"), ("quality", window(0), "same"),
    ]  # fmt: skip


def test_what_was_calibrated_is_kept_and_gives_the_same_bytes(world: DriftWorld) -> None:
    (with_rows,) = world.run("labels", window=window(0))
    (kept,) = (world.home / "drift" / "calibrations").glob("*.bin")
    before = kept.read_bytes()
    world.ledger = MemoryLedger()
    world.forget_rows_before(window(0))
    (from_file,) = world.run("labels", window=window(0))
    assert from_file == with_rows
    kept.write_bytes(before[: len(before) // 2])
    (gone,) = world.run("labels", window=window(0))
    assert gone.outcome == "reference_gone"


@pytest.mark.parametrize("windows,method", [(1, "stretches"), (2, "blocks")])
def test_a_reference_too_short_for_the_promised_share_says_so_in_report_and_page(
    world: DriftWorld, windows: int, method: str
) -> None:
    (told,) = world.run(
        "labels", window=window(0, windows), window_s=windows * WINDOW_S, draws=True
    )
    found = world.ledger.find(told.job_id)
    assert found is not None
    calibrated = msgspec.json.decode(found.report)["calibrated"]
    is_unknown = method == "blocks"
    assert calibrated["method"] == method
    assert (calibrated["level"] is None) == is_unknown
    assert calibrated["level_unknown"] == ("not_held_by_blocks" if is_unknown else "")
    assert calibrated["level_measured"] == ([0.038, 0.262] if is_unknown else None)
    said = [line for line in world.drawn[0].lines if "is unknown" in line]
    assert bool(said) == is_unknown


@pytest.mark.parametrize(
    "change,kind,outcome",
    [
        (changed("signed_volume_5s", lambda v, _: v + 3_000), "data", "drift"),
        (
            changed("signed_volume_5s", lambda v, s: np.where(s % 5 == 0, np.nan, v)),
            "quality",
            "drift",
        ),
        (changed("signed_volume_5s", lambda v, _: 0 * v + v[0]), "quality", "drift"),
        (changed("spread", lambda v, _: 2 * v), "data", "constant_changed"),
        (changed("mid", rising), "labels", "drift"),
    ],
)
def test_a_change_is_found_by_the_job_that_looks_for_it(
    world: DriftWorld, change: Change, kind: str, outcome: str
) -> None:
    world.put(change)
    told = world.run("data", "labels", window=window(1))
    (found,) = [one for one in told if one.kind == kind]
    assert (found.outcome, found.is_alarm) == (outcome, True), told
    assert exit_code(told) == EXIT_ALARM


def test_a_window_without_rows_is_no_green_light(world: DriftWorld) -> None:
    world.put(keep=lambda times: (times < window(1).begin_us) | (times >= window(1).end_us))
    told = world.run("data", "labels", window=window(1))
    assert outcomes(told) == {
        "data": "empty_window", "quality": "empty_window", "labels": "empty_window",
    }  # fmt: skip
    assert {one.recorded for one in told} == {"new"}
    assert exit_code(told) == EXIT_UNJUDGED


def test_a_window_that_is_not_over_is_judged_and_not_recorded(world: DriftWorld) -> None:
    told = world.run("data", "labels", window=window(3))
    assert {one.recorded for one in told} == {"waits"}
    assert list(world.ledger.history("data", 10)) == []


def test_a_window_shorter_than_the_block_is_named(world: DriftWorld) -> None:
    begin_us = window(1).begin_us
    short = Window(begin_us, begin_us + 60 * SECOND_US)
    told = world.run("labels", window=short, window_s=60)
    assert outcomes(told) == {"labels": "window_shorter_than_block"}
    assert exit_code(told) == EXIT_UNJUDGED
    (other,) = world.run("labels", window=short, window_s=WINDOW_S)
    assert other.outcome in {"window_of_other_length", "window_shorter_than_block"}


def test_a_reference_that_is_gone_is_named_and_judged_once_it_is_back(world: DriftWorld) -> None:
    lake = world.lake.root
    world.forget_rows_before(window(0))
    (gone,) = world.run("labels", window=window(1))
    assert gone.outcome == "reference_gone"
    shutil.rmtree(lake)
    world.put()
    (back,) = world.run("labels", window=window(1))
    assert (back.outcome, back.recorded) == ("ok", "new")


def test_rows_of_the_training_that_were_changed_are_no_reference(world: DriftWorld) -> None:
    world.put(changed("signed_volume_5s", lambda values, _: values + 1, begin=-3))
    (told,) = world.run("labels", window=window(1))
    assert told.outcome == "reference_gone"
    assert "hash to" in told.detail


def test_a_damaged_file_is_an_alarm_of_quality_and_no_judgement_of_anything_else(
    world: DriftWorld,
) -> None:
    world.run("data", window=window(0))
    newest = world.lake.files("features/microstructure_v1")[-1]
    newest.write_bytes(newest.read_bytes()[:-100])
    for asked in ({"window": window(0)}, {}):
        told = world.run("data", **asked)
        assert outcomes(told) == {"data": "damaged_rows", "quality": "damaged_rows"}
        assert [one.is_alarm for one in told] == [False, True]


def test_a_row_of_another_year_is_named_and_ends_no_window_before_its_time(
    world: DriftWorld,
) -> None:
    world.now = datetime.fromtimestamp(window(2).begin_us / SECOND_US - 7_200, UTC)
    told = world.run("data")
    assert outcomes(told) == {"data": "no_window_yet", "quality": "clock_jump"}
    assert "ahead of this machine's clock" in told[-1].detail
    assert exit_code(told) == EXIT_UNJUDGED
    assert list(world.ledger.history("data", 10)) == []


def test_a_second_that_is_told_twice_and_differently_is_damage(world: DriftWorld) -> None:
    world.put(changed("signed_volume_5s", lambda values, _: values + 1), beside=True)
    told = world.run("data", window=window(1))
    assert outcomes(told) == {"data": "damaged_rows", "quality": "damaged_rows"}
    assert "two rows of this time differ" in told[0].detail


def test_what_a_column_can_not_be_judged_for_is_in_its_checks(world: DriftWorld) -> None:
    world.put(changed("signed_volume_5s", lambda values, _: values * np.nan))
    data, quality = world.run("data", window=window(1))
    assert (quality.outcome, quality.is_alarm) == ("drift", True)
    found = world.ledger.find(data.job_id)
    assert found is not None
    named = {(check.column, check.outcome) for check in found.checks}
    assert ("signed_volume_5s", "all_missing") in named
    assert ("spread", "constant_column") in named


def test_without_a_champion_every_job_says_so(world: DriftWorld, tmp_path: Path) -> None:
    world.registry = world.empty_registry(tmp_path / "other")
    told = world.run()
    assert {one.outcome for one in told} == {"no_model"}
    assert exit_code(told) == EXIT_UNJUDGED


def test_a_ticker_that_the_model_does_not_know_is_refused_and_one_that_it_knows_is_enough(
    world: DriftWorld,
) -> None:
    with pytest.raises(NotAskedWellError, match="was not trained on NVDA; its tickers are AAPL"):
        world.run("labels", tickers=("NVDA",))
    (told,) = world.run("labels", tickers=("MSFT",), window=window(1))
    assert list(told.ratios) == ["MSFT"]


def test_a_report_is_drawn_again_where_it_is_gone(world: DriftWorld) -> None:
    world.put(changed("signed_volume_5s", lambda values, _: values + 3_000))
    reports = []
    for _ in range(2):
        (told, quality) = world.run("data", window=window(1), draws=True)
        reports.append(told.report)
    page = world.home / told.report_path
    assert page.read_text() == "data: drift"
    page.unlink()
    (told, quality) = world.run("data", window=window(1), draws=True)
    assert [*reports, told.report] == ["made", "there", "made"]
    assert (quality.report, quality.report_path) == ("", "")
    worst_ticker, worst_column = world.drawn[0].drawn[0]
    assert world.drawn[0].window.columns[worst_column].name == "signed_volume_5s"
    assert worst_ticker in range(2)
    assert "decide nothing" in world.drawn[0].lines[-1]


def test_an_alarm_of_quality_has_a_page_of_its_own_worst_column(world: DriftWorld) -> None:
    world.put(changed("signed_volume_5s", every_fifth_missing))
    (data, quality) = world.run("data", window=window(1), draws=True)
    assert (quality.outcome, quality.report) == ("drift", "made")
    assert quality.report_path != data.report_path
    assert (world.home / quality.report_path).read_text() == "quality: drift"
    (of_quality,) = [order for order in world.drawn if order.title == "quality: drift"]
    _, worst_column = of_quality.drawn[0]
    assert of_quality.window.columns[worst_column].name == "signed_volume_5s"


# --- predictions ---------------------------------------------------------------------------------


def with_version(said: Predictions, version: int, begin_us: int) -> Predictions:
    late = said.grid_time_us >= begin_us
    return replace(said, version=np.where(late, version, said.version))


def test_two_versions_in_a_window_are_named(world: DriftWorld) -> None:
    middle_us = window(1).begin_us + 300 * SECOND_US
    world.said = with_version(said_of(world), 7, middle_us)
    (told,) = world.run("predictions", window=window(1))
    assert told.outcome == "two_models"
    (performance,) = world.run("performance", window=window(1))
    assert performance.outcome == "unknown_version"


def test_a_class_that_nobody_knows_is_a_new_category(world: DriftWorld) -> None:
    said = said_of(world)
    strange = said.said.copy()
    strange[int(np.flatnonzero(said.grid_time_us >= window(1).begin_us)[5])] = 7
    world.said = replace(said, said=strange)
    (told,) = world.run("predictions", window=window(1))
    assert (told.outcome, told.is_alarm) == ("new_category", True)


def test_a_model_that_says_one_thing_only_has_drifted(world: DriftWorld) -> None:
    said = said_of(world)
    late = said.grid_time_us >= window(1).begin_us
    up = np.where(late[:, None], (0.1, 0.1, 0.8), said.probabilities)
    world.said = replace(said, said=np.where(late, 2, said.said), probabilities=up)
    (told,) = world.run("predictions", window=window(1))
    assert (told.outcome, told.is_alarm) == ("drift", True)


def fits(world: DriftWorld, windows: int) -> list[Window]:
    """Let so many windows be read at once; what was read."""
    said, read = said_of(world), list[Window]()

    def some(begin_us: int, end_us: int) -> Predictions:
        if end_us - begin_us > windows * WINDOW_S * SECOND_US:
            raise TooManyPredictionsError("too many")
        read.append(Window(begin_us, end_us))
        return said

    world.asked_said = some
    return read


@pytest.mark.parametrize("kind", ["predictions", "performance"])
def test_windows_that_are_too_many_to_be_read_at_once_are_made_up_for_run_by_run(
    world: DriftWorld, kind: str
) -> None:
    read = fits(world, 1)
    for n in range(3):
        told = world.run(kind)
        assert [(one.window, one.recorded) for one in told] == [(window(n), "new")]
    assert read == [window(0), window(1), window(2)]
    assert [one.recorded for one in world.run(kind)] == ["kept"]


def test_the_first_answer_is_looked_for_window_by_window(world: DriftWorld) -> None:
    fits(world, 1)
    world.asked_said = partial(only_from, window(1).begin_us + SECOND_US, world.asked_said)
    told = world.run("predictions")
    assert [(one.window, one.outcome) for one in told] == [
        (window(1), "partly_served"), (window(2), "ok"),
    ]  # fmt: skip


def test_one_window_that_can_not_be_read_says_so(world: DriftWorld) -> None:
    fits(world, 0)
    with pytest.raises(TooManyPredictionsError):
        world.run("predictions")


def only_from(
    first_us: int, asked: Callable[[int, int], Predictions], begin_us: int, end_us: int
) -> Predictions:
    """What was asked for, of a version that serves since then."""
    said = asked(begin_us, end_us)
    is_kept = (said.grid_time_us >= max(first_us, begin_us)) & (said.grid_time_us < end_us)
    return chosen(said, is_kept)


def chosen(said: Predictions, is_kept: Bools) -> Predictions:
    fields = ("ticker", "model", "sha", "grid_time_us", "version", "is_shadow", "said",
              "probabilities", "served_at_us")  # fmt: skip
    return replace(said, **{name: getattr(said, name)[is_kept] for name in fields})


def test_a_log_that_is_cut_is_no_green_light(world: DriftWorld) -> None:
    world.said = replace(said_of(world), is_cut=True)
    (told,) = world.run("predictions")
    assert (told.outcome, told.recorded) == ("log_cut", "none")
    performance = world.run("performance")
    assert outcomes(performance) == {"performance": "log_cut"}


def test_predictions_without_labels_wait_and_those_of_nobody_are_named(world: DriftWorld) -> None:
    (told,) = world.run("performance", window=window(3))
    assert (told.outcome, told.recorded) == ("no_labels_yet", "waits")
    world.said = replace(said_of(world), models=("another",))
    (nobody,) = world.run("performance", window=window(1))
    assert nobody.outcome == "no_predictions"


# --- parity --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "tally,outcome,code",
    [
        (Tally("served", "microstructure_v1", matched=9), "ok", EXIT_OK),
        (Tally("served", "microstructure_v1", matched=9, mismatched=1), "mismatch", EXIT_ALARM),
        (Tally("served", "microstructure_v1", unprovable=9), "nothing_compared", EXIT_UNJUDGED),
    ],
)
def test_what_was_served_is_compared_with_the_trades(
    world: DriftWorld, tally: Tally, outcome: str, code: int
) -> None:
    world.parity = ServedParity([tally], ends={0: 10})
    told = world.run("parity")
    assert outcomes(told) == {"parity": outcome}
    assert exit_code(told) == code
    assert world.run("parity")[0].recorded == "same"


@pytest.mark.parametrize(
    "found,outcome",
    [
        (ServedParity([Tally("served", "a", matched=9, foreign=1_000_000)]), "partly_compared"),
        (ServedParity([Tally("served", "a", matched=89, unprovable=11)]), "partly_compared"),
        (ServedParity([Tally("served", "a", matched=89)], unreadable=11), "partly_compared"),
        (ServedParity([Tally("served", "a", matched=89)], passed_over=11), "partly_compared"),
        (
            ServedParity([Tally("served", "a", matched=91, foreign=4, unprovable=4)], unreadable=4),
            "partly_compared",
        ),
        (
            ServedParity([Tally("served", "a", matched=90, foreign=4, unprovable=4)], unreadable=2),
            "ok",
        ),
        (ServedParity([Tally("served", "a", matched=9, repeated=1_000)]), "ok"),
        (ServedParity([Tally("served", "a", matched=9, foreign=99, extra=1)]), "mismatch"),
    ],
)
def test_parity_is_green_only_where_most_of_what_was_served_was_compared(
    world: DriftWorld, found: ServedParity, outcome: str
) -> None:
    world.parity = found
    (told,) = world.run("parity")
    assert told.outcome == outcome
    assert (exit_code([told]) == EXIT_OK) == (outcome == "ok")
    if outcome == "partly_compared":
        assert "not compared: " in told.detail


def test_a_run_that_judged_nothing_is_no_green_light() -> None:
    assert exit_code([]) == EXIT_UNJUDGED

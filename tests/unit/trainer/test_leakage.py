"""Each leak check says what is so of data sets that leak and that don't; with a bug it does not."""

from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import pytest

from services.lake.places import Lake
from services.trainer import leakage, stumps, truncation
from services.trainer.errors import LeakError
from services.trainer.leakage import LeakCheck, check_leaks, require_no_leak
from services.trainer.splits import walk_forward
from tests.support.leak_trials import Trial, all_trials, of_table, wrong_verdicts
from tests.support.made_datasets import planted_bug
from tests.support.markets import leaky_market, null_market

CHECKS = ("gaps", "truncation", "single_column", "timestamps")


@pytest.fixture(scope="module")
def trials(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Trial]]:
    return all_trials(tmp_path_factory.mktemp("lakes"))


@pytest.mark.parametrize("check", CHECKS)
def test_each_check_says_what_is_so(trials: dict[str, list[Trial]], check: str) -> None:
    assert list(wrong_verdicts(trials[check])) == []


@pytest.mark.parametrize(
    "check,module,was,planted",
    [
        ("gaps", leakage, "if gap_us < needed_us:", "if gap_us < horizon_us:"),
        ("gaps", leakage, "needed_us = horizon_us +", "needed_us = 1 + horizon_us +"),
        ("gaps", leakage, "    if twice:", "    if twice < 0:"),
        ("gaps", leakage, '"gaps", "not checkable"', '"gaps", "passed"'),
        ("truncation", truncation, "if stored[name] != expected[name]:", "if False:"),
        ("truncation", truncation, "if closing_us != int(", "if closing_us == -int("),
        ("truncation", truncation, "(times, begin_us)) - 1", "(times, begin_us))"),
        ("truncation", truncation, "end = int(np", "end = -1 + int(np"),
        ("truncation", truncation, "stored[MID] = int", "stored[MID] = expected[MID] or int"),
        ("truncation", truncation, "rows = rows[is_covered]", "rows = rows[:0]"),
        ("truncation", leakage, '"truncation", "not checkable"', '"truncation", "passed"'),
        ("single_column", leakage, "value > SINGLE_COLUMN_MAX", "value > 1"),
        ("single_column", leakage, "MAX: Final = 0.8", "MAX: Final = 0.5"),
        ("single_column", leakage, '"single_column", "not checkable"', '"single_column", "passed"'),
        ("single_column", stumps, "groups += _by_ticker(dataset, everything)", "pass"),
        ("single_column", stumps, "BINS: Final = 64", "BINS: Final = 1"),
        ("single_column", stumps, "np.argmax(weight", "np.argmin(weight"),
        ("timestamps", leakage, "created_us < dataset", "created_us <= dataset"),
        ("timestamps", leakage, "    if len(early):", "    if len(early) > 1:"),
        ("timestamps", leakage, "label_us.max()) > last_us", "label_us.min()) > last_us"),
        ("timestamps", leakage, "label_us <= dataset", "label_us < dataset"),
    ],
)  # fmt: skip
def test_a_planted_bug_in_a_check_is_found(
    trials: dict[str, list[Trial]], check: str, module: ModuleType, was: str, planted: str
) -> None:
    with planted_bug(module, was, planted), pytest.MonkeyPatch.context() as patch:
        # What `leakage` imported is the code of before.
        patch.setattr(leakage, "truncated_rows", truncation.truncated_rows)
        assert next(wrong_verdicts(trials[check]), None) is not None


def test_what_could_not_be_checked_is_counted(trials: dict[str, list[Trial]]) -> None:
    by_name = {trial.name: trial.run() for trial in trials["truncation"]}
    one = by_name["trades of one ticker alone"]
    whole = by_name["rows of these trades"]
    assert whole.rows_not_checkable == 0
    assert one.rows_not_checkable > 1_000
    assert f"{one.rows_not_checkable:,} rows are not in the lake" in one.detail
    assert by_name["trades from the middle on"].rows_not_checkable > 0
    assert by_name["no trades"].rows == 0
    assert "a fold that knows what closes it" in by_name
    assert "signed_volume_60s" in by_name["a fold that knows what closes it"].detail


def test_a_leak_stops_what_would_train_on_it(tmp_path: Path) -> None:
    made = of_table(leaky_market(6_000))
    checks = check_leaks(made, walk_forward(made), Lake(tmp_path))
    assert [check.name for check in checks] == list(CHECKS)
    assert outcomes(checks) == ["passed", "not checkable", "failed", "passed"]
    with pytest.raises(LeakError, match="signed_volume_5s alone tells the label") as caught:
        require_no_leak(checks)
    assert "dataset describe" in str(caught.value)


def test_a_market_without_a_leak_may_be_trained_on(tmp_path: Path) -> None:
    made = of_table(null_market(6_000))
    checks = check_leaks(made, walk_forward(made), Lake(tmp_path))
    require_no_leak(checks)
    assert outcomes(checks) == ["passed", "not checkable", "passed", "passed"]


def outcomes(checks: Sequence[LeakCheck]) -> list[str]:
    return [check.outcome for check in checks]

"""Which records are rows to keep: every cause of passing one over, and nothing noted meanwhile."""

import msgspec
import pytest

from services.domain.features import FeatureRow
from services.domain.origin import MATCHING, Origin
from services.featuresets import SETS
from services.featuresets.definitions import EXACT_MAX
from services.lake.places import is_ticker
from services.materializer import core
from services.materializer.core import Intake, KeptRow, Passed, Seen
from tests.support.row_log import KNOWN, SECOND_US, START_US, V1, V2, feature_row, origin_of

ROW = feature_row()
WIDTH = len(ROW.values)


def intake() -> Intake:
    return Intake(KNOWN, {}, is_ticker)


def take(
    into: Intake, row: FeatureRow, origin: Origin | None = None, processed_us: int = START_US
) -> KeptRow | Passed:
    return into.take(3, 17, processed_us, origin or origin_of(row), row)


def test_a_row_is_kept_with_its_reals_and_where_it_stands() -> None:
    values = (1, None, *range(2, WIDTH))
    kept = take(intake(), feature_row(values=values), processed_us=START_US + 77_000)
    assert isinstance(kept, KeptRow)
    assert (kept.partition, kept.offset, kept.trade_offset) == (3, 17, 100)
    assert (kept.grid_time_us, kept.created_us) == (START_US, START_US + 1_000)
    assert kept.processed_us == START_US + 77_000
    features = SETS[V1].features
    assert kept.values == (
        1 / features[0].scale,
        None,
        *(value / features[value].scale for value in range(2, WIDTH)),
    )


@pytest.mark.parametrize(
    "row,cause",
    [
        (feature_row(feature_set="microstructure_v9", fingerprint="f"), Passed.UNKNOWN_SET),
        (feature_row(fingerprint="0" * 64), Passed.FOREIGN_FINGERPRINT),
        (feature_row(fingerprint=""), Passed.FOREIGN_FINGERPRINT),
        (feature_row(fingerprint=KNOWN[V2].fingerprint), Passed.FOREIGN_FINGERPRINT),
        (feature_row(values=(1,) * (WIDTH - 1)), Passed.MALFORMED),
        (feature_row(values=(1,) * (WIDTH + 1)), Passed.MALFORMED),
        (feature_row(values=(EXACT_MAX,) * WIDTH), Passed.MALFORMED),
        (feature_row(values=(-EXACT_MAX,) * WIDTH), Passed.MALFORMED),
        (feature_row(ticker=""), Passed.MALFORMED),
        (feature_row(ticker="../../etc"), Passed.MALFORMED),
        (feature_row(ticker="aapl"), Passed.MALFORMED),
        (feature_row(START_US + 1), Passed.MALFORMED),
        (feature_row(-SECOND_US), Passed.MALFORMED),
        (feature_row(2**53 // SECOND_US * SECOND_US + SECOND_US * 10**9), Passed.MALFORMED),
    ],
)
def test_what_is_no_row_to_keep_is_passed_over_and_changes_nothing(
    row: FeatureRow, cause: Passed
) -> None:
    into = intake()
    assert take(into, row, origin_of(ROW)) is cause
    assert isinstance(take(into, ROW), KeptRow)


@pytest.mark.parametrize(
    "origin,processed_us",
    [
        (msgspec.structs.replace(origin_of(ROW), topic=MATCHING), START_US),
        (msgspec.structs.replace(origin_of(ROW), time_us=-1), START_US),
        (msgspec.structs.replace(origin_of(ROW), time_us=2**62), START_US),
        (origin_of(ROW), -1_000),  # Kafka's -1 ms: no time stamp
        (origin_of(ROW), (2**63 - 1) * 1_000),
    ],
)
def test_a_source_or_times_that_cannot_be_are_passed_over(
    origin: Origin, processed_us: int
) -> None:
    into = intake()
    assert take(into, ROW, origin, processed_us) is Passed.MALFORMED
    assert isinstance(take(into, ROW), KeptRow)


def test_a_row_written_again_is_a_repetition() -> None:
    into = intake()
    assert isinstance(take(into, feature_row(START_US + SECOND_US)), KeptRow)
    assert take(into, feature_row(START_US + SECOND_US)) is Passed.REPEATED
    assert isinstance(take(into, feature_row(START_US + 2 * SECOND_US)), KeptRow)


def test_each_ticker_and_each_set_has_a_newest_row_of_its_own() -> None:
    into = intake()
    assert isinstance(take(into, feature_row()), KeptRow)
    assert isinstance(take(into, feature_row(ticker="MSFT")), KeptRow)
    assert isinstance(take(into, feature_row(feature_set=V2)), KeptRow)


def test_what_the_lake_holds_already_is_a_repetition() -> None:
    into = Intake(KNOWN, {(V1, "AAPL"): Seen([START_US])}, is_ticker)
    assert take(into, ROW) is Passed.REPEATED
    assert isinstance(take(into, feature_row(ticker="MSFT")), KeptRow)


def test_a_row_that_a_failing_broker_left_out_is_kept_when_it_comes_late() -> None:
    into = intake()
    assert isinstance(take(into, feature_row(START_US)), KeptRow)
    assert isinstance(take(into, feature_row(START_US + 2 * SECOND_US)), KeptRow)
    assert isinstance(take(into, feature_row(START_US + SECOND_US)), KeptRow)
    assert take(into, feature_row(START_US + SECOND_US)) is Passed.REPEATED
    assert take(into, feature_row(START_US + 2 * SECOND_US)) is Passed.REPEATED


def test_what_is_remembered_is_bounded_and_what_is_older_is_told_apart(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(core, "SEEN_MAX", 3)
    into = intake()
    for second in range(1, 8):
        assert isinstance(take(into, feature_row(START_US + second * SECOND_US)), KeptRow)
    assert take(into, feature_row(START_US)) is Passed.TOO_LATE
    assert take(into, feature_row(START_US + 7 * SECOND_US)) is Passed.REPEATED

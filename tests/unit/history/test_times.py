"""Times become instants, exactly, and a file whose times are of two zones is known."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.tools.history.errors import HistoryError
from services.tools.history.times import Clock

NEW_YORK = "America/New_York"


def read(clock: Clock, *texts: str) -> list[int | None]:
    found: list[int | None] = clock.read(
        pa.array(texts), pa.array(range(2, 2 + len(texts)), pa.int64())
    ).time_us.to_pylist()
    return found


def us(text: str) -> int:
    moment = datetime.fromisoformat(text)
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


@pytest.mark.parametrize(
    "text",
    [
        "2024-01-02T14:30:00.000001Z",
        "2024-01-02 14:30:00.000001+00:00",
        "2024-01-02 09:30:00.000001-0500",
        "2024-01-02 14:30:00,000001 UTC",
        "1704205800000001",
    ],
)
def test_one_instant_is_read_from_each_of_its_spellings(text: str) -> None:
    assert read(Clock(None), text) == [us("2024-01-02T14:30:00.000001+00:00")]


def test_numbers_since_the_epoch_are_told_apart_by_their_size() -> None:
    moment = us("2024-01-02T14:30:00+00:00")
    seconds = moment // 1_000_000
    clock = Clock(None)
    texts = [str(seconds * 10**power) for power in (0, 3, 6, 9)]
    assert read(clock, *texts) == [moment] * 4
    assert clock.find_mixture() is None


def test_digits_beyond_the_microsecond_are_cut_and_told() -> None:
    texts = pa.array(["2024-01-02T14:30:00.123456789Z", "1704205800123456789", "2024-01-02"])
    times = Clock(None).read(texts, pa.array([2, 3, 4], pa.int64()))
    assert times.time_us.to_pylist()[:2] == [us("2024-01-02T14:30:00.123456+00:00")] * 2
    assert times.is_cut.to_pylist() == [True, True, False]


@pytest.mark.parametrize(
    "text",
    ["", "soon", "2024-02-30", "2024-13-01", "2024-01-02 25:00:00", "2024-01-02 10:61:00",
     "01/02/2024", "2024-01-02 10:00:60Z", "2024-01-02T10"],
)  # fmt: skip
def test_what_is_no_time_is_none(text: str) -> None:
    assert read(Clock("UTC"), text) == [None]


def test_a_zone_places_times_without_an_offset_winter_and_summer() -> None:
    found = read(Clock(NEW_YORK), "2024-01-02 09:30:00", "2024-07-02 09:30:00", "1969-07-02 09:30")
    assert found == [
        us("2024-01-02T14:30:00+00:00"),
        us("2024-07-02T13:30:00+00:00"),
        us("1969-07-02T13:30:00+00:00"),
    ]


def test_an_hour_that_the_clock_skips_or_shows_twice_is_none() -> None:
    skipped, twice = "2024-03-10 02:30:00", "2024-11-03 01:30:00"
    assert read(Clock(NEW_YORK), skipped, twice, f"{twice}-05:00") == [
        None,
        None,
        us("2024-11-03T06:30:00+00:00"),
    ]


@given(st.datetimes(datetime(1990, 1, 1), datetime(2030, 1, 1)))  # noqa: DTZ001 - a clock's face
def test_any_time_of_a_zone_is_where_the_library_puts_it(shown: datetime) -> None:
    local = shown.replace(tzinfo=ZoneInfo(NEW_YORK))
    is_sure = local.utcoffset() == local.replace(fold=1).utcoffset()
    wanted = (local - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    assert read(Clock(NEW_YORK), shown.isoformat(" ", "microseconds")) == [
        wanted if is_sure else None
    ]


def test_times_with_and_without_an_offset_are_a_mixture_with_its_rows() -> None:
    clock = Clock(None)
    read(clock, "2024-01-02 09:30:00Z", "2024-01-02 09:31:00", "2024-01-02 09:32:00")
    found = clock.find_mixture()
    assert found is not None
    assert "without offset: 2 rows, the first 3, 4" in found
    assert "Z: 1 rows, the first 2" in found


def test_two_offsets_are_a_mixture_unless_a_zone_has_both() -> None:
    texts = ("2024-01-02 09:30:00-05:00", "2024-07-02 09:30:00-04:00")
    bare, zoned, wrong = Clock(None), Clock(NEW_YORK), Clock("Europe/Berlin")
    for clock in (bare, zoned, wrong):
        read(clock, *texts)
    assert "more than one zone (-05:00: 1 rows, the first 2; -04:00" in str(bare.find_mixture())
    assert zoned.find_mixture() is None
    assert "Europe/Berlin never has then (2 rows, the first 2, 3)" in str(wrong.find_mixture())


def test_times_without_an_offset_need_a_zone() -> None:
    bare, zoned = Clock(None), Clock("UTC")
    for clock in (bare, zoned):
        read(clock, "2024-01-02 09:30:00")
    assert (bare.lacks_zone, zoned.lacks_zone) == (True, False)


def test_an_unknown_zone_is_refused() -> None:
    with pytest.raises(HistoryError, match="'Mars/Olympus' is none"):
        Clock("Mars/Olympus")

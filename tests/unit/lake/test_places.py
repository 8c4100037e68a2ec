from datetime import date
from pathlib import Path

import pytest

from services.lake.errors import LakeError
from services.lake.places import (
    Lake,
    backfill_file,
    day_bounds_us,
    day_of,
    is_ticker,
    parse_feature_file,
    stream_file,
)

DAY = date(2012, 6, 21)


def test_each_dataset_has_its_place_under_the_home(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    places = [
        lake.trades("AAPL", DAY),
        lake.orders("AAPL", DAY),
        lake.bars("1d", "AAPL", 2012),
        lake.features("microstructure_v1", "AAPL", DAY),
        lake.quality("bars"),
        lake.lock("history"),
    ]
    assert [str(place.relative_to(tmp_path)) for place in places] == [
        "lake/trades/ticker=AAPL/date=2012-06-21/trades.parquet",
        "lake/orders/ticker=AAPL/date=2012-06-21/orders.parquet",
        "lake/bars/1d/ticker=AAPL/year=2012/bars.parquet",
        "lake/features/microstructure_v1/ticker=AAPL/date=2012-06-21",
        "lake/quality/bars",
        "lake/locks/history.lock",
    ]


@pytest.mark.parametrize("ticker", ["", "aapl", "../x", "A B", ".A", "ABCDEFGHIJKLM", "A/B", "A-B"])
def test_a_ticker_that_is_no_safe_folder_is_refused(tmp_path: Path, ticker: str) -> None:
    assert not is_ticker(ticker)
    with pytest.raises(LakeError, match="no ticker of the lake"):
        Lake(tmp_path).trades(ticker, DAY)


@pytest.mark.parametrize("name", ["..", "A", "a/b", ""])
def test_a_feature_set_that_is_no_safe_folder_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(LakeError, match="can't name a folder"):
        Lake(tmp_path).feature_set(name)


def test_names_of_feature_files_are_read_back_and_sort_as_numbers() -> None:
    files = [stream_file(3, 9, 11), stream_file(3, 100, 2**62), backfill_file(0, 5)]
    assert [parse_feature_file(Path(file.name)) for file in files] == files
    assert files[0].name < files[1].name


@pytest.mark.parametrize("name", ["part-0.parquet", "stream-1-2-3.parquet", "stream-.parquet"])
def test_a_file_of_a_foreign_name_is_refused(tmp_path: Path, name: str) -> None:
    lake = Lake(tmp_path)
    folder = lake.features("daily_v1", "AAPL", DAY)
    folder.mkdir(parents=True)
    (folder / name).write_bytes(b"")
    with pytest.raises(LakeError, match="none of the lake's files by its name"):
        list(lake.feature_files("daily_v1"))


def test_the_streams_position_is_the_greatest_offset_of_its_partition(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    assert lake.last_streamed_offset("daily_v1", 0) == -1
    for day, name in (
        (date(2024, 1, 2), stream_file(0, 0, 10).name),
        (date(2024, 1, 1), stream_file(0, 11, 30).name),
        (DAY, stream_file(1, 0, 99).name),
        (DAY, backfill_file(0, 500).name),
        (DAY, f".{stream_file(0, 31, 60).name}.partial"),
    ):
        folder = lake.features("daily_v1", "AAPL", day)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")
    assert [lake.last_streamed_offset("daily_v1", partition) for partition in (0, 1, 2)] == [
        30,
        99,
        -1,
    ]


def test_tickers_and_days_are_those_of_the_folders(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    for ticker, day in (("MSFT", DAY), ("AAPL", date(2013, 1, 1)), ("AAPL", DAY)):
        lake.trades(ticker, day).parent.mkdir(parents=True)
    assert lake.tickers("trades") == ["AAPL", "MSFT"]
    assert lake.days("trades", "AAPL") == [DAY, date(2013, 1, 1)]
    (lake.root / "trades" / "ticker=AAPL" / "date=never").mkdir()
    with pytest.raises(LakeError, match="folder of no day"):
        lake.days("trades", "AAPL")


def test_a_day_is_that_of_utc_and_its_bounds_hold_it() -> None:
    start, end = day_bounds_us(DAY)
    assert (day_of(start), day_of(end - 1), day_of(end)) == (DAY, DAY, date(2012, 6, 22))
    assert day_of(-1) == date(1969, 12, 31)

"""Bars: every rule has its planted fault; ten years of daily bars go in exactly, twice as once."""

from collections.abc import Sequence
from decimal import Decimal
from importlib.util import find_spec
from pathlib import Path

import pytest

from services.lake.places import Lake
from services.lake.reading import read_bars
from services.tools.history.ingest import ingest_file
from services.tools.history.report import Report
from services.tools.history.source import Asked

HEADER = "Date,Open,High,Low,Close,Volume,Symbol"
GOOD = "2024-01-02,10,12,9,11,1000,AAPL"


def written(folder: Path, lines: Sequence[str], header: str = HEADER) -> Path:
    path = folder / "bars.csv"
    path.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    return path


def ingested(home: Path, path: Path, **asked: object) -> Report:
    report = ingest_file(Lake(home), path, "bars", Asked(**asked))  # type: ignore[arg-type]  # by name
    assert report.error or report.rows_read == report.kept + report.refused + report.dropped
    return report


def counts(report: Report) -> dict[str, int]:
    return {name: finding.count for name, finding in report.findings.items()}


def closes(home: Path, interval: str = "1d", ticker: str = "AAPL") -> list[int]:
    found: list[int] = read_bars(Lake(home), interval, ticker)["close"].to_pylist()
    return found


@pytest.mark.parametrize(
    "rule,faulty",
    [
        ("high_below_low", "2024-01-03,10,9,12,10,1000,AAPL"),
        ("open_outside_range", "2024-01-03,13,12,9,11,1000,AAPL"),
        ("close_outside_range", "2024-01-03,10,12,9,8.9999,1000,AAPL"),
        ("negative_volume", "2024-01-03,10,12,9,11,-1,AAPL"),
        ("bad_volume", "2024-01-03,10,12,9,11,lots,AAPL"),
        ("price_not_positive", "2024-01-03,10,12,-9,11,1000,AAPL"),
        ("price_not_positive", "2024-01-03,0,12,9,11,1000,AAPL"),
        ("bad_price", "2024-01-03,10,12,,11,1000,AAPL"),
        ("bad_time", "2024-01-32,10,12,9,11,1000,AAPL"),
        ("bad_ticker", "2024-01-03,10,12,9,11,1000,"),
        ("columns", "2024-01-03,10,12"),
    ],
)
def test_a_planted_fault_is_refused_by_its_rule_with_its_line(
    tmp_path: Path, rule: str, faulty: str
) -> None:
    report = ingested(tmp_path, written(tmp_path, [GOOD, faulty]))
    assert counts(report) == {rule: 1}
    assert [example.row for example in report.findings[rule].examples] == [3]
    assert (report.kept, closes(tmp_path)) == (1, [110_000])


def test_a_day_twice_is_a_repetition_or_a_conflict_of_which_none_is_kept(tmp_path: Path) -> None:
    other = GOOD.replace(",11,", ",10.5,")
    report = ingested(tmp_path / "same", written(tmp_path, [GOOD, GOOD]))
    assert (counts(report), report.kept) == ({"repetition": 1}, 1)
    report = ingested(tmp_path / "torn", written(tmp_path, [GOOD, other, "2024-01-03" + GOOD[10:]]))
    assert counts(report) == {"conflict_in_file": 2}
    assert [example.row for example in report.findings["conflict_in_file"].examples] == [2, 3]
    assert closes(tmp_path / "torn") == [110_000]


def test_a_bar_that_contradicts_the_lake_is_refused_unless_it_replaces_it(tmp_path: Path) -> None:
    ingested(tmp_path, written(tmp_path, [GOOD]))
    other = written(tmp_path, [GOOD.replace(",11,", ",10.5,")])
    assert counts(ingested(tmp_path, other)) == {"conflict_with_lake": 1}
    assert closes(tmp_path) == [110_000]
    assert ingested(tmp_path, other, replace=True).kept == 1
    assert closes(tmp_path) == [105_000]


def test_an_adjusted_close_that_was_adjusted_again_is_no_conflict(tmp_path: Path) -> None:
    header = HEADER.replace("Volume", "Volume,Adj Close")
    first, later = (GOOD.replace("1000", f"1000,{adjusted}") for adjusted in ("5.5", "5.4"))
    ingested(tmp_path, written(tmp_path, [first], header))
    report = ingested(tmp_path, written(tmp_path, [later], header))
    assert (report.known, counts(report)) == (1, {})
    kept = read_bars(Lake(tmp_path), "1d", "AAPL")["adjusted_close"].to_pylist()
    assert kept == [Decimal("5.5")]


def test_splits_and_dividends_are_kept_as_given(tmp_path: Path) -> None:
    header = f"{HEADER},Dividends,Stock Splits"
    lines = [f"{GOOD},0.22,0.0", f"2024-01-03{GOOD[10:]},,2:1", f"2024-01-04{GOOD[10:]},x,"]
    report = ingested(tmp_path, written(tmp_path, lines, header))
    assert counts(report) == {"bad_given": 1}
    kept = read_bars(Lake(tmp_path), "1d", "AAPL")
    assert kept["dividend"].to_pylist() == [Decimal("0.22"), None]
    splits = [kept[f"split_{part}"].to_pylist() for part in ("to", "from")]
    assert splits == [[None, 2], [None, 1]]


def test_prices_finer_than_the_lakes_are_rounded_half_to_even_and_counted(tmp_path: Path) -> None:
    report = ingested(tmp_path, written(tmp_path, ["2024-01-02,10,12,9,11.00005,1000,AAPL"]))
    assert counts(report) == {"price_rounded": 1}
    assert closes(tmp_path) == [110_000]


@pytest.mark.parametrize(
    "header",
    [
        "date,open,high,low,close,volume,ticker",
        "timestamp,o,h,l,c,v,sym",
        "Datetime;Open;High;Low;Close;Vol;Symbol",
        "day\topen_price\thigh_price\tlow_price\tclose_price\tVOLUME\tTICKER",
    ],
)
def test_the_usual_spellings_and_separators_are_understood(tmp_path: Path, header: str) -> None:
    sign = next(sign for sign in ",;\t" if sign in header)
    assert ingested(tmp_path, written(tmp_path, [GOOD.replace(",", sign)], header)).kept == 1


def test_a_daily_bar_is_of_the_date_as_written_whatever_its_offset(tmp_path: Path) -> None:
    lines = [
        f"2024-01-02 00:00:00-05:00{GOOD[10:]}",
        f"2024-07-02 00:00:00-04:00{GOOD[10:]}",
    ]
    report = ingested(tmp_path, written(tmp_path, lines))
    assert (report.interval, report.kept) == ("1d", 2)
    times = read_bars(Lake(tmp_path), "1d", "AAPL")["time"].to_pylist()
    assert [time.isoformat() for time in times] == [
        "2024-01-02T00:00:00+00:00",
        "2024-07-02T00:00:00+00:00",
    ]


def test_minute_bars_have_a_zone_a_grid_and_gaps(tmp_path: Path) -> None:
    minutes = ["09:30:00", "09:31:00", "09:34:00", "09:35:30"]
    lines = [f"2024-01-02 {minute}{GOOD[10:]}" for minute in minutes]
    path = written(tmp_path, lines)
    assert "--time-zone" in ingested(tmp_path, path).error
    report = ingested(tmp_path, path, time_zone="America/New_York")
    assert (report.interval, report.kept) == ("1m", 3)
    assert counts(report) == {"off_grid": 1, "missing_minute": 2}
    assert report.findings["missing_minute"].examples[0].shown == "AAPL 2024-01-02: 2 minutes"
    other = [line.replace("AAPL", "MSFT") for line in lines[:2]]
    both = ingested(tmp_path, written(tmp_path, lines + other), time_zone="America/New_York")
    assert counts(both) == {"off_grid": 1}


def test_ten_years_of_daily_bars_go_in_exactly_and_twice_is_once(tmp_path: Path) -> None:
    spec = find_spec("bokeh_sampledata")
    assert spec is not None
    assert spec.origin is not None
    path = Path(spec.origin).parent / "_data" / "stocks.csv.gz"
    asked = {"renames": {"GOOG": "GOOGL"}}
    first = ingested(tmp_path, path, **asked)
    assert (first.rows_read, first.kept, first.new, counts(first)) == (12_154, 12_154, 12_154, {})
    assert first.tickers == {"AAPL": 3_270, "FB": 196, "GOOGL": 2_148, "IBM": 3_270, "MSFT": 3_270}
    files = Lake(tmp_path).files("bars/1d")
    before = {path: path.read_bytes() for path in files}
    again = ingested(tmp_path, path, **asked)
    assert (again.new, again.known, again.files_written) == (0, 12_154, 0)
    assert {path: path.read_bytes() for path in Lake(tmp_path).files("bars/1d")} == before
    bars = read_bars(Lake(tmp_path), "1d", "AAPL")
    assert bars.num_rows == 3_270
    row = bars.slice(0, 1).to_pylist()[0]
    assert (row["open"], row["close"], row["volume"]) == (1_185_600, 1_303_100, 9_616_100)
    assert row["adjusted_close"] == Decimal("4.186662803811")
    assert bars["time"].to_pylist() == sorted(bars["time"].to_pylist())

"""Trade files: every rule has its planted fault, and nothing is ever doubled."""

import gzip
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.lake.errors import LakeError
from services.lake.files import read_file
from services.lake.places import Lake
from services.lake.reading import read_trades
from services.tools.history import source as source_module
from services.tools.history.ingest import ingest_file
from services.tools.history.report import Report
from services.tools.history.source import Asked

HEADER = "symbol,timestamp,price,size"
DAY = date(2024, 1, 2)
GOOD = "AAPL,2024-01-02T14:30:00Z,187.25,100"


def written(folder: Path, lines: Sequence[str], header: str = HEADER, name: str = "t.csv") -> Path:
    path = folder / name
    path.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    return path


def ingested(home: Path, path: Path, **asked: object) -> Report:
    report = ingest_file(Lake(home), path, "trades", Asked(**asked))  # type: ignore[arg-type]  # by name
    assert report.error or report.rows_read == report.kept + report.refused + report.dropped
    return report


def tuples(home: Path, ticker: str = "AAPL") -> list[tuple[object, ...]]:
    batches = list(read_trades(Lake(home), ticker))
    rows = [row for batch in batches for row in batch.to_pylist()]
    return [(row["price"], row["quantity"], row["aggressor_side"]) for row in rows]


def counts(report: Report) -> dict[str, int]:
    return {name: finding.count for name, finding in report.findings.items()}


@pytest.mark.parametrize(
    "rule,header,faulty",
    [
        ("columns", HEADER, "AAPL,2024-01-02T14:30:01Z,187.25"),
        ("columns", HEADER, "AAPL,2024-01-02T14:30:01Z,187.25,100,7"),
        ("bad_ticker", HEADER, "A/B,2024-01-02T14:30:01Z,187.25,100"),
        ("bad_ticker", HEADER, ",2024-01-02T14:30:01Z,187.25,100"),
        ("bad_time", HEADER, "AAPL,2024-02-30T14:30:01Z,187.25,100"),
        ("bad_price", HEADER, "AAPL,2024-01-02T14:30:01Z,dear,100"),
        ("bad_price", HEADER, "AAPL,2024-01-02T14:30:01Z,,100"),
        ("price_not_positive", HEADER, "AAPL,2024-01-02T14:30:01Z,0,100"),
        ("price_not_positive", HEADER, "AAPL,2024-01-02T14:30:01Z,-187.25,100"),
        ("price_too_fine", HEADER, "AAPL,2024-01-02T14:30:01Z,187.25001,100"),
        ("bad_quantity", HEADER, "AAPL,2024-01-02T14:30:01Z,187.25,0"),
        ("bad_quantity", HEADER, "AAPL,2024-01-02T14:30:01Z,187.25,-3"),
        ("bad_quantity", HEADER, "AAPL,2024-01-02T14:30:01Z,187.25,1.5"),
        ("bad_side", f"{HEADER},side", "AAPL,2024-01-02T14:30:01Z,187.25,100,up"),
        ("bad_sequence", f"{HEADER},seq", "AAPL,2024-01-02T14:30:01Z,187.25,100,first"),
    ],
)
def test_a_planted_fault_is_refused_by_its_rule_with_its_line(
    tmp_path: Path, rule: str, header: str, faulty: str
) -> None:
    good = GOOD + "," * (header.count(",") - HEADER.count(","))
    report = ingested(tmp_path, written(tmp_path, [good, faulty], header))
    assert counts(report) == {rule: 1}
    assert [example.row for example in report.findings[rule].examples] == [3]
    assert (report.rows_read, report.kept, report.new, report.refused) == (2, 1, 1, 1)
    assert tuples(tmp_path) == [(1_872_500, 100, 0)]


def test_only_the_first_fault_of_a_row_counts(tmp_path: Path) -> None:
    report = ingested(tmp_path, written(tmp_path, [GOOD, "A/B,never,dear,none"]))
    assert counts(report) == {"bad_ticker": 1}


@pytest.mark.parametrize(
    "quotes,kept",
    [
        ("187.24,3,187.26,4", (1_872_400, 3, 1_872_600, 4)),
        ("187.24,,187.26,", (1_872_400, None, 1_872_600, None)),
        (",,,", (None, None, None, None)),
        ("187.26,3,187.26,4", (None, None, None, None)),
        ("187.27,3,187.26,4", (None, None, None, None)),
        ("-1,3,187.26,4", (None, None, None, None)),
        ("187.24,3,x,4", (None, None, None, None)),
        ("187.24,1.5,187.26,4", (None, None, None, None)),
        ("0,0,187.26,4", (0, 0, 1_872_600, 4)),
    ],
)
def test_quotes_that_can_not_be_are_dropped_and_the_trade_stays(
    tmp_path: Path, quotes: str, kept: tuple[int | None, ...]
) -> None:
    path = written(tmp_path, [f"{GOOD},{quotes}"], f"{HEADER},bid,bid size,ask,ask_size")
    report = ingested(tmp_path, path)
    (row,) = read_file(Lake(tmp_path).trades("AAPL", DAY), "trades").to_pylist()
    assert (row["bid"], row["bid_quantity"], row["ask"], row["ask_quantity"]) == kept
    is_dropped = quotes != ",,," and set(kept) == {None}
    assert counts(report) == ({"quote_dropped": 1} if is_dropped else {})


def test_prices_are_rounded_only_when_asked(tmp_path: Path) -> None:
    path = written(tmp_path, ["AAPL,2024-01-02T14:30:00Z,187.25005,1"])
    assert counts(ingested(tmp_path, path)) == {"price_too_fine": 1}
    assert counts(ingested(tmp_path, path, round_prices=True)) == {"price_rounded": 1}
    assert tuples(tmp_path) == [(1_872_500, 1, 0)]


def test_a_repetition_is_dropped_unless_equal_rows_are_trades_of_their_own(tmp_path: Path) -> None:
    path = written(tmp_path, [GOOD, GOOD, GOOD])
    report = ingested(tmp_path / "once", path)
    assert (report.kept, counts(report)) == (1, {"repetition": 2})
    assert [example.row for example in report.findings["repetition"].examples] == [3, 4]
    for _ in range(2):
        report = ingested(tmp_path / "all", path, keep_equal=True)
        assert (report.kept, counts(report)) == (3, {})
    assert len(tuples(tmp_path / "all")) == 3


def test_ids_tell_trades_apart_and_a_torn_id_is_refused(tmp_path: Path) -> None:
    lines = [f"{GOOD},a", f"{GOOD},b", f"{GOOD},a", f"{GOOD},c", f"{GOOD[:-3]}200,c"]
    report = ingested(tmp_path, written(tmp_path, lines, f"{HEADER},trade_id"))
    assert counts(report) == {"repetition": 1, "id_conflict": 2}
    assert (report.kept, len(tuples(tmp_path))) == (2, 2)
    torn = written(tmp_path, [f"{GOOD[:-3]}300,a"], f"{HEADER},trade_id", "torn.csv")
    assert counts(ingested(tmp_path, torn)) == {"id_conflict": 1}
    assert tuples(tmp_path) == [(1_872_500, 100, 0)] * 2


def test_rows_out_of_order_are_sorted_and_counted(tmp_path: Path) -> None:
    lines = [
        "AAPL,2024-01-02T14:30:02Z,3,1",
        "MSFT,2024-01-02T14:30:01Z,9,1",
        "AAPL,2024-01-02T14:30:01Z,2,1",
        "AAPL,2024-01-02T14:30:00Z,1,1",
    ]
    report = ingested(tmp_path, written(tmp_path, lines))
    assert counts(report) == {"out_of_order": 2}
    assert tuples(tmp_path) == [(10_000, 1, 0), (20_000, 1, 0), (30_000, 1, 0)]


def test_trades_of_one_instant_stay_in_the_files_order_or_that_of_their_sequence(
    tmp_path: Path,
) -> None:
    lines = [f"AAPL,2024-01-02T14:30:00Z,{price},1" for price in (3, 1, 2)]
    ingested(tmp_path / "file", written(tmp_path, lines))
    assert [price for price, *_ in tuples(tmp_path / "file")] == [30_000, 10_000, 20_000]
    numbered = [f"{line},{9 - at}" for at, line in enumerate(lines)]
    ingested(tmp_path / "told", written(tmp_path, numbered, f"{HEADER},seq"))
    assert [price for price, *_ in tuples(tmp_path / "told")] == [20_000, 10_000, 30_000]


def test_the_same_file_a_renamed_copy_and_an_overlap_double_nothing(tmp_path: Path) -> None:
    lines = [f"AAPL,2024-01-02T14:30:{second:02}Z,187.25,{second + 1}" for second in range(40)]
    first = ingested(tmp_path, written(tmp_path, lines[:30]))
    path = Lake(tmp_path).trades("AAPL", DAY)
    before = path.read_bytes()
    again = ingested(tmp_path, written(tmp_path, lines[:30]))
    copy = ingested(tmp_path, written(tmp_path, lines[:30], name="copy.csv"))
    assert path.read_bytes() == before
    assert (first.new, again.new, copy.new) == (30, 0, 0)
    assert (again.known, again.files_written, copy.known) == (30, 0, 30)
    overlap = ingested(tmp_path, written(tmp_path, lines[20:], name="later.csv"))
    assert (overlap.new, overlap.known) == (10, 10)
    assert [quantity for _, quantity, _ in tuples(tmp_path)] == list(range(1, 41))


@settings(max_examples=4, deadline=None)
@given(st.sets(st.tuples(st.integers(0, 3), st.integers(1, 3)), min_size=2, max_size=12))
def test_whichever_way_rows_are_cut_into_files_the_lake_is_the_same(
    tmp_path_factory: pytest.TempPathFactory, rows: set[tuple[int, int]]
) -> None:
    lines = [f"AAPL,2024-01-02T14:30:0{s}Z,187.25,{q}" for s, q in sorted(rows)]
    parts = [lines[: len(lines) // 2], lines[len(lines) // 3 :], lines]
    found = set()
    for order in ((0, 1), (1, 0), (2, 1)):
        home = tmp_path_factory.mktemp("lake")
        for at in order:
            ingested(home, written(home, parts[at]))
        kept = read_file(Lake(home).trades("AAPL", DAY), "trades").to_pylist()
        found.add(tuple(sorted((row["time"], row["quantity"]) for row in kept)))
    assert len(found) == 1
    assert len(found.pop()) == len(rows)


def test_times_of_two_kinds_refuse_the_file_with_row_numbers_and_change_nothing(
    tmp_path: Path,
) -> None:
    lines = [GOOD, "AAPL,2024-01-02T14:31:00,187.25,100", "AAPL,2024-01-02T14:32:00,187.25,100"]
    report = ingested(tmp_path, written(tmp_path, lines))
    assert "without offset: 2 rows, the first 3, 4" in report.error
    assert "split it by zone" in report.error
    assert (report.kept, Lake(tmp_path).files("trades")) == (0, [])


def test_times_without_an_offset_ask_for_a_zone(tmp_path: Path) -> None:
    path = written(tmp_path, ["AAPL,2024-01-02 09:30:00,187.25,100"])
    assert "--time-zone" in ingested(tmp_path, path).error
    assert ingested(tmp_path, path, time_zone="America/New_York").kept == 1
    (row,) = read_file(Lake(tmp_path).trades("AAPL", DAY), "trades").to_pylist()
    assert row["time"].isoformat() == "2024-01-02T14:30:00+00:00"


def test_a_date_and_a_time_of_day_may_stand_in_two_columns(tmp_path: Path) -> None:
    path = written(tmp_path, ["AAPL,20240102,14:30:00,187.25,100"], "Ticker,Date,Time,Px,Qty")
    assert ingested(tmp_path, path, time_zone="UTC").kept == 1


def test_parquet_is_read_with_its_types_and_numbered_from_one(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    table = pa.table(
        {
            "sym": pa.array(["AAPL", "AAPL", "MSFT"]).dictionary_encode(),
            "ts": pa.array([1_704_205_800_000_000_000 + i for i in range(3)],
                           pa.timestamp("ns", "America/New_York")),
            "price": pa.array([187.25, 0.1, 187.250001], pa.float64()),
            "qty": pa.array([1, 2, 3], pa.int32()),
        }
    )  # fmt: skip
    pq.write_table(table, path)
    report = ingested(tmp_path, path)
    assert counts(report) == {"time_cut": 1, "price_too_fine": 1}
    assert report.findings["price_too_fine"].examples[0].row == 3
    assert tuples(tmp_path) == [(1_872_500, 1, 0), (1_000, 2, 0)]


@pytest.mark.parametrize("cut", [0, 4, 300, -4])
def test_a_half_written_parquet_is_refused_as_a_whole(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"symbol": ["AAPL"], "time": ["2024-01-02T14:30:00Z"],
                             "price": ["1"], "size": ["1"]}), path)  # fmt: skip
    path.write_bytes(path.read_bytes()[:cut])
    report = ingested(tmp_path, path)
    assert "half-written" in report.error or "is empty" in report.error
    assert (report.kept, Lake(tmp_path).files("trades")) == (0, [])


def test_a_torn_gzip_and_bytes_that_are_no_text_are_refused_as_a_whole(tmp_path: Path) -> None:
    whole = gzip.compress("\n".join([HEADER, *[GOOD] * 20_000]).encode(), mtime=0)
    torn, odd = tmp_path / "torn.csv.gz", tmp_path / "odd.csv"
    torn.write_bytes(whole[: len(whole) // 2])
    odd.write_bytes(f"{HEADER}\nAAPL,2024-01-02T14:30:00Z,1,".encode() + b"\xff\n")
    for path in (torn, odd, tmp_path / "none.csv"):
        report = ingested(tmp_path, path)
        assert report.error, path
        assert (report.kept, Lake(tmp_path).files("trades")) == (0, [])


def test_a_file_of_foreign_columns_is_refused_and_told_what_to_do(tmp_path: Path) -> None:
    path = written(tmp_path, ["AAPL,2024-01-02T14:30:00Z,1,1"], "who,when,dollars,shares")
    assert "no column for price, time, ticker" in ingested(tmp_path, path).error
    named = {"ticker": "who", "time": "when", "price": "dollars"}
    assert ingested(tmp_path, path, columns=named).kept == 1
    assert "no such header" in ingested(tmp_path, path, columns={"price": "euro"}).error
    twice = written(tmp_path, ["AAPL,2024-01-02T14:30:00Z,1,2,1"], "symbol,time,price,px,size")
    assert "both mean price" in ingested(tmp_path, twice).error


def test_a_header_in_quotes_may_hold_the_separator(tmp_path: Path) -> None:
    header = '"symbol","time","price","size","note, free"'
    path = written(tmp_path, ['"AAPL","2024-01-02T14:30:00Z","1.25","1","a, b"'], header)
    assert ingested(tmp_path, path).kept == 1


def test_a_disk_that_refuses_is_told_in_one_line(tmp_path: Path) -> None:
    path = written(tmp_path, [GOOD])
    (tmp_path / "lake").write_bytes(b"")  # where the lake's folder would be
    with pytest.raises(LakeError, match="can't be made"):
        ingested(tmp_path, path)


def test_a_renamed_ticker_and_one_given_apart_are_those_of_the_lake(tmp_path: Path) -> None:
    renamed = written(tmp_path, ["goog,2024-01-02T14:30:00Z,1,1"])
    given_apart = written(tmp_path, ["2024-01-02T14:30:00Z,1,1"], "time,price,size", "u.csv")
    assert ingested(tmp_path, renamed, renames={"GOOG": "GOOGL"}).tickers == {"GOOGL": 1}
    assert ingested(tmp_path, given_apart, ticker="zzz").tickers == {"ZZZ": 1}
    assert Lake(tmp_path).tickers("trades") == ["GOOGL", "ZZZ"]


def test_rows_are_numbered_past_blank_and_broken_lines_and_across_chunks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source_module, "CHUNK_BYTES", 4_096)
    lines = [f"AAPL,2024-01-02T14:30:00.{at:06}Z,1,1" for at in range(1_000)]
    lines[10] = ""
    lines[20] = "AAPL"
    lines[900] = "AAPL,2024-01-02T14:30:00Z,dear,1"
    report = ingested(tmp_path, written(tmp_path, lines))
    assert [example.row for example in report.findings["columns"].examples] == [22]
    assert [example.row for example in report.findings["bad_price"].examples] == [902]
    assert (report.rows_read, report.kept) == (999, 997)


def test_days_without_trades_are_reported(tmp_path: Path) -> None:
    days = ["2024-01-02", "2024-01-05", "2024-01-08"]  # Tuesday, Friday, Monday
    alone = [f"AAPL,{day}T14:30:00Z,1,1" for day in days]
    report = ingested(tmp_path / "one", written(tmp_path, alone))
    assert counts(report) == {"missing_day": 2}
    both = [*alone, *(f"MSFT,{day}T14:30:00Z,1,1" for day in ("2024-01-03", *days))]
    report = ingested(tmp_path / "two", written(tmp_path, both))
    assert [e.shown for e in report.findings["missing_day"].examples] == ["AAPL 2024-01-03"]


def test_a_damaged_file_of_the_lake_stops_the_ingestion_and_names_itself(tmp_path: Path) -> None:
    path = written(tmp_path, [GOOD])
    ingested(tmp_path, path)
    kept = Lake(tmp_path).trades("AAPL", DAY)
    kept.write_bytes(kept.read_bytes()[:-9])
    with pytest.raises(LakeError, match=r"trades\.parquet is half-written or damaged"):
        ingested(tmp_path, path)


def test_a_file_of_nothing_but_faults_keeps_nothing(tmp_path: Path) -> None:
    report = ingested(tmp_path, written(tmp_path, ["AAPL,never,1,1"]))
    assert (report.kept, report.refused, report.error) == (0, 1, "")
    assert ingested(tmp_path, written(tmp_path, [])).kept == 0
    assert not list((tmp_path / "lake").rglob("*.parquet"))

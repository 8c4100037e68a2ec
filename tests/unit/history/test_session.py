"""A LOBSTER session in the lake: the flow, and the trades that the matcher makes of it."""

from datetime import date
from pathlib import Path

import pytest

from services.lake.files import read_file
from services.lake.places import Lake
from services.tools.history.errors import HistoryError
from services.tools.history.ingest import ingest_file
from services.tools.history.report import Report
from services.tools.history.session import SessionAsked, ingest_session, pair_files
from services.tools.history.source import Asked
from services.tools.market.sample import Session, make_session, write_session
from tests.support.lobster_fold import fold_session

DAY = date(2026, 1, 2)
ROWS = 400


def session_files(folder: Path, seed: int = 3, rows: int = ROWS) -> tuple[Path, Path]:
    folder.mkdir(exist_ok=True)
    return write_session(make_session(seed, rows, 5), folder, "AAPL")


def ingested(home: Path, message: Path, book: Path | None, *, replace: bool = False) -> Report:
    return ingest_session(Lake(home), message, book, SessionAsked(replace=replace))


def test_flow_and_trades_are_those_of_a_replay_of_the_same_session(tmp_path: Path) -> None:
    message, book = session_files(tmp_path / "in")
    report = ingested(tmp_path, message, book)
    session: Session = make_session(3, ROWS, 5)
    findings = fold_session(zip(session.messages, session.rows, strict=True), 5)
    assert (report.rows_read, report.commands) == (ROWS, findings.commands_folded)
    assert report.kept + report.refused == ROWS
    trades = read_file(Lake(tmp_path).trades("AAPL", DAY), "trades").to_pylist()
    orders = read_file(Lake(tmp_path).orders("AAPL", DAY), "orders").to_pylist()
    assert (len(trades), len(orders)) == (report.trades, report.commands)
    assert report.trades >= findings.executions > 20
    assert [trade["sequence"] for trade in trades] == list(range(len(trades)))
    assert all(trade["bid"] < trade["ask"] for trade in trades if trade["bid"] and trade["ask"])


def test_twice_is_once_and_a_renamed_copy_is_the_same_session(tmp_path: Path) -> None:
    message, book = session_files(tmp_path / "in")
    ingested(tmp_path, message, book)
    before = {path: path.read_bytes() for path in (tmp_path / "lake").rglob("*.parquet")}
    copies = [path.rename(path.with_name(f"AAPL_2026-01-02_copy{path.name[15:]}"))
              for path in (message, book)]  # fmt: skip
    again = ingested(tmp_path, *copies)
    assert (again.new, again.known, again.files_written) == (0, again.kept, 0)
    assert {p: p.read_bytes() for p in (tmp_path / "lake").rglob("*.parquet")} == before


def test_another_session_of_the_day_is_refused_unless_it_replaces_the_first(
    tmp_path: Path,
) -> None:
    ingested(tmp_path, *session_files(tmp_path / "a"))
    other = session_files(tmp_path / "b", seed=4)
    refused = ingested(tmp_path, *other)
    assert "a day has one session" in refused.error
    assert refused.kept == 0
    assert ingested(tmp_path, *other, replace=True).new > 0
    assert ingested(tmp_path, *other).known > 0


def test_trades_of_files_do_not_enter_a_day_that_a_session_has_and_vice_versa(
    tmp_path: Path,
) -> None:
    message, book = session_files(tmp_path / "in")
    path = tmp_path / "t.csv"
    path.write_text(f"symbol,time,price,size\nAAPL,{DAY}T15:00:00Z,1,1\n", encoding="utf-8")
    ingested(tmp_path / "one", message, book)
    report = ingest_file(Lake(tmp_path / "one"), path, "trades", Asked())
    assert report.findings["day_has_session"].count == report.refused == 1
    ingest_file(Lake(tmp_path / "two"), path, "trades", Asked())
    assert (
        "a day has one session, or trades of files"
        in ingested(tmp_path / "two", message, book).error
    )


@pytest.mark.parametrize(
    "tamper,cause",
    [
        (lambda rows: [*rows[:9], "34200.4,9,1,1,1,1\n", *rows[10:]], "row 10: type 9"),
        (lambda rows: [*rows[:9], "34200.4,1\n"], "row 10: 2 columns"),
        (lambda rows: [*rows[:9], "1.0" + rows[9][rows[9].index(","):]], "row 10 is earlier"),
        (lambda rows: rows[:0], "is empty"),
    ],
)  # fmt: skip
def test_a_faulty_session_is_refused_as_a_whole_with_its_row(
    tmp_path: Path, tamper: "object", cause: str
) -> None:
    import gzip

    message, _ = session_files(tmp_path / "in", rows=60)
    rows = gzip.decompress(message.read_bytes()).decode().splitlines(keepends=True)
    plain = tmp_path / "AAPL_2026-01-02_x_message_5.csv"
    assert callable(tamper)
    plain.write_text("".join(tamper(rows)), encoding="ascii")
    report = ingested(tmp_path, plain, None)
    assert cause in report.error
    assert (report.kept, list((tmp_path / "lake").rglob("*.parquet"))) == (0, [])


def test_what_shows_nothing_of_the_book_is_refused_by_its_rule_with_its_row(
    tmp_path: Path,
) -> None:
    rows = [
        "34200.0,1,11,100,1000000,1",
        "34200.1,5,0,10,1000000,1",
        "34200.2,6,-1,10,1000000,1",
        "34200.3,7,0,0,-1,-1",
        "34200.4,3,99,10,1000000,1",
        "34200.5,4,11,40,1000000,1",
    ]
    path = tmp_path / "AAPL_2026-01-02_x_message_0.csv"
    path.write_text("\n".join(rows) + "\n", encoding="ascii")
    report = ingested(tmp_path, path, None)
    found = {name: [e.row for e in f.examples] for name, f in report.findings.items()}
    assert found == {
        "hidden_execution": [2],
        "cross_trade": [3],
        "halt_message": [4],
        "outside_window": [5],
    }
    assert (report.rows_read, report.kept, report.trades) == (6, 2, 1)


def test_an_orderbook_beside_its_messages_is_found_and_one_alone_is_refused(
    tmp_path: Path,
) -> None:
    message, book = session_files(tmp_path / "in", rows=10)
    assert pair_files([message]) == pair_files([book, message]) == [(message, book)]
    with pytest.raises(HistoryError, match="has no message file"):
        pair_files([book])
    book.unlink()
    assert pair_files([message]) == [(message, None)]


def test_a_file_whose_name_tells_no_ticker_asks_for_one(tmp_path: Path) -> None:
    message, _ = session_files(tmp_path / "in", rows=10)
    plain = message.rename(message.with_name("messages.csv.gz"))
    assert "give --ticker" in ingested(tmp_path, plain, None).error
    asked = SessionAsked(ticker="aapl", day=DAY)
    assert ingest_session(Lake(tmp_path), plain, None, asked).kept > 0
    assert Lake(tmp_path).days("trades", "AAPL") == [DAY]

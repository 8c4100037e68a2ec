import gzip
from datetime import date
from pathlib import Path

import pytest

from services.domain.codes import BUY, SELL
from services.tools.market.lobster_files import (
    BookRow,
    LobsterFileError,
    LobsterMessage,
    count_levels,
    count_rows,
    read_book_rows,
    read_messages,
    read_session,
    session_midnight_us,
)

MESSAGES = "34200.004241176,1,16113575,18,5853300,1\n34200.5,4,16113575,8,5853300,1\n"
BOOKS = (
    "5859400,200,5853300,18,9999999999,0,-9999999999,0\n"
    "5859400,200,5853300,10,9999999999,0,-9999999999,0\n"
)


def write(folder: Path, name: str, text: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_a_message_is_read_with_its_time_in_whole_microseconds(tmp_path: Path) -> None:
    assert list(read_messages(write(tmp_path, "m.csv", MESSAGES))) == [
        LobsterMessage(34_200_004_241, 1, 16113575, 18, 5853300, BUY),
        LobsterMessage(34_200_500_000, 4, 16113575, 8, 5853300, BUY),
    ]


def test_a_file_is_read_alike_plain_and_gzipped_whatever_its_name(tmp_path: Path) -> None:
    plain = write(tmp_path, "m.csv", MESSAGES)
    zipped = write(tmp_path, "n.csv", gzip.compress(MESSAGES.encode()))
    assert list(read_messages(plain)) == list(read_messages(zipped))
    assert count_rows(plain) == count_rows(zipped) == 2


def test_windows_line_ends_and_a_participant_column_are_no_fault(tmp_path: Path) -> None:
    path = write(tmp_path, "m.csv", "34200.5,2,7,8,5853300,-1,null\r\n")
    assert list(read_messages(path)) == [LobsterMessage(34_200_500_000, 2, 7, 8, 5853300, SELL)]


def test_empty_levels_and_levels_beyond_those_asked_for_are_left_out(tmp_path: Path) -> None:
    path = write(tmp_path, "b.csv", BOOKS)
    whole = BookRow(((5853300, 18),), ((5859400, 200),))
    assert next(iter(read_book_rows(path, 2))) == whole
    assert next(iter(read_book_rows(path, 1))) == whole


def test_a_message_file_in_the_place_of_the_book_is_asked_about(tmp_path: Path) -> None:
    path = write(tmp_path, "m.csv", MESSAGES)
    with pytest.raises(LobsterFileError, match=r"m\.csv row 1: 6 .* is it the orderbook file\?"):
        count_levels(path)


def test_stub_quotes_above_the_highest_price_are_left_out(tmp_path: Path) -> None:
    path = write(tmp_path, "b.csv", "5859400,200,5853300,18,1999999900,5,100,7\n")
    assert list(read_book_rows(path, 2)) == [BookRow(((5853300, 18), (100, 7)), ((5859400, 200),))]


@pytest.mark.parametrize(
    "text,complaint",
    [
        ("34200.5,1,7,8,5853300\n", "row 1: 5 columns"),
        (MESSAGES + "5859400,200,5853300,18,1,1,1,1\n", "row 3: 8 columns"),
        ("34200.5,one,7,8,5853300,1\n", "row 1: invalid literal"),
        ("34200.5,9,7,8,5853300,1\n", "row 1: type 9"),
        ("34200.5,1,7,0,5853300,1\n", "row 1: size 0"),
        ("34200.5,1,7,8,-1,1\n", "price -1"),
        ("34200.5,1,7,8,5853300,0\n", "direction 0"),
        ("", "is empty"),
        (b"\x1f\x8b\x08\x00cut off", "is damaged"),
        (b"34200.5,1,7,8,\xff,1\n", "is damaged"),
    ],
)
def test_a_message_file_at_fault_is_named_with_its_row(
    tmp_path: Path, text: str | bytes, complaint: str
) -> None:
    with pytest.raises(LobsterFileError, match=complaint) as caught:
        list(read_messages(write(tmp_path, "m.csv", text)))
    assert "m.csv" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(LobsterFileError, match=r"no file .*absent\.csv"):
        list(read_messages(tmp_path / "absent.csv"))


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(LobsterFileError, match="can't be opened"):
        list(read_messages(tmp_path))


def test_more_levels_than_the_file_has_are_refused_with_the_number_there_is(
    tmp_path: Path,
) -> None:
    with pytest.raises(LobsterFileError, match="has 2 levels; ask for at most --levels 2"):
        list(read_book_rows(write(tmp_path, "b.csv", BOOKS), 3))


def test_a_book_row_of_another_width_is_named(tmp_path: Path) -> None:
    with pytest.raises(LobsterFileError, match="row 3: 4 columns"):
        list(read_book_rows(write(tmp_path, "b.csv", BOOKS + "1,1,1,1\n"), 2))


def test_a_message_file_given_as_orderbook_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LobsterFileError, match="row 1: 6 columns"):
        list(read_book_rows(write(tmp_path, "b.csv", MESSAGES), 1))


def test_files_of_different_length_are_refused_and_the_shorter_one_named(tmp_path: Path) -> None:
    messages = write(tmp_path, "m.csv", MESSAGES + MESSAGES)
    books = write(tmp_path, "b.csv", BOOKS)
    with pytest.raises(LobsterFileError, match=r"b\.csv ends after 2 rows and m\.csv goes on"):
        list(read_session(messages, books, 1))
    short = write(tmp_path, "s.csv", MESSAGES.splitlines(keepends=True)[0])
    with pytest.raises(LobsterFileError, match=r"s\.csv ends after 1 rows and b\.csv goes on"):
        list(read_session(short, books, 1))


def test_midnight_is_new_yorks_of_the_day_in_the_files_name() -> None:
    summer = Path("AAPL_2012-06-21_34200000_37800000_message_30.csv.gz")
    assert session_midnight_us(summer) == 1_340_251_200_000_000
    assert session_midnight_us(Path("x.csv"), date(2012, 12, 21)) == 1_356_066_000_000_000


def test_a_name_without_a_day_gives_the_day_after_the_epoch() -> None:
    assert session_midnight_us(Path("x.csv")) == 86_400_000_000 + 5 * 3_600_000_000


def test_a_day_that_is_none_is_refused() -> None:
    with pytest.raises(LobsterFileError, match="--date"):
        session_midnight_us(Path("AAPL_2012-99-21_x.csv"))

from pathlib import Path

import pytest

from services.tools.market.lobster_files import read_session
from services.tools.market.sample import make_session, write_session
from tests.support.lobster_fold import fold_session


def test_the_same_seed_gives_the_same_session_and_another_seed_another() -> None:
    assert make_session(1, 200, 5) == make_session(1, 200, 5)
    assert make_session(1, 200, 5) != make_session(2, 200, 5)


def test_every_kind_of_message_that_shows_a_book_is_in_it() -> None:
    assert {message.kind for message in make_session(1, 500, 5).messages} == {1, 2, 3, 4, 5}


def test_a_session_written_as_files_reads_back_as_it_was(tmp_path: Path) -> None:
    session = make_session(3, 300, 4)
    message_path, book_path = write_session(session, tmp_path, "AAPL")
    assert message_path.name == "AAPL_2026-01-02_34200000_37800000_message_4.csv.gz"
    assert list(read_session(message_path, book_path, 4)) == list(
        zip(session.messages, session.rows, strict=True)
    )


def test_writing_a_session_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    session = make_session(3, 100, 4)
    first = [path.read_bytes() for path in write_session(session, tmp_path, "AAPL")]
    assert first == [path.read_bytes() for path in write_session(session, tmp_path, "AAPL")]


def test_sides_that_run_short_are_written_as_empty_levels(tmp_path: Path) -> None:
    session = make_session(3, 50, 40)  # more levels than the book has
    paths = write_session(session, tmp_path, "AAPL")
    assert [row for _, row in read_session(*paths, 40)] == list(session.rows)


@pytest.mark.parametrize("levels", [1, 2, 5, 10])
def test_the_oracle_agrees_with_a_sample_in_every_row(levels: int) -> None:
    session = make_session(5, 600, levels)
    findings = fold_session(zip(session.messages, session.rows, strict=True), levels)
    assert findings.rows_equal == findings.rows_checked == 600
    assert findings.holds

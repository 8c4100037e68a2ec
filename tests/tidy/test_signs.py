from pathlib import PurePosixPath

import pytest

from services.wire.topics import TOPICS
from tests.tidy.signs import crooked_signs, read_sign, rooms_of
from tests.tidy.tree import ROOT, Source, sources_with

STRAIGHT = '''"""matcher: the books.

Reads: matching
Writes: accounts, trades, book,
  PostgreSQL
Owns: the order books
Never: knows money limits
"""
'''


def sign(text: str) -> Source:
    return Source(PurePosixPath("services/matcher/__init__.py"), text)


def test_every_sign_says_what_the_table_of_topics_says() -> None:
    findings = [found for source in sources_with(".py") for found in crooked_signs(source)]
    assert not findings, "\n" + "\n".join(findings)


@pytest.mark.parametrize("room", rooms_of(TOPICS))
def test_every_room_in_the_table_of_topics_is_there_and_has_a_sign(room: str) -> None:
    assert (ROOT / "services" / room / "__init__.py").is_file()


def test_a_straight_sign_has_no_finding() -> None:
    assert not list(crooked_signs(sign(STRAIGHT)))


@pytest.mark.parametrize(
    "was,planted,complaint",
    [
        ("Reads: matching", "Reads: matching, orders", "Reads: orders, which the table"),
        ("Reads: matching", "Reads: nothing", "Reads: the table of topics says matching too"),
        ("accounts, trades", "trades", "Writes: the table of topics says accounts too"),
        ("accounts, trades", "accounts, trade", "Writes: no topic is named trade"),
        ("Owns: the order books\n", "", "has no line 'Owns:'"),
        ("Never: knows money limits\n", "Never:\n", "has no line 'Never:'"),
    ],
)
def test_a_planted_crooked_sign_is_found(was: str, planted: str, complaint: str) -> None:
    assert was in STRAIGHT
    findings = list(crooked_signs(sign(STRAIGHT.replace(was, planted))))
    assert any(complaint in finding for finding in findings), findings


def test_a_table_that_changes_makes_a_straight_sign_crooked() -> None:
    fewer = [topic for topic in TOPICS if topic.name != "book"]
    assert "Writes: book, which the table" in "".join(crooked_signs(sign(STRAIGHT), fewer))


def test_a_line_of_a_sign_may_go_on_in_the_next() -> None:
    assert read_sign("a: b\n\nReads: one,\n  two\nOwns: three")["Reads"] == "one, two"

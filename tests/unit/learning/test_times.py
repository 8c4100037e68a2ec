"""A day means all of it, and a second that second, midnight like any other."""

import pytest
import typer

from services.tools.learning.times import Span, bounds_us, parse_span

MIDNIGHT_US = 1_790_035_200 * 1_000_000
"""2026-09-22T00:00:00 UTC."""


@pytest.mark.parametrize(
    "text,begin_us,end_us",
    [
        ("2026-09-22", MIDNIGHT_US, MIDNIGHT_US + 86_400_000_000 - 1),
        ("2026-09-22T00:00:00", MIDNIGHT_US, MIDNIGHT_US),
        ("2026-09-22T00:00:07", MIDNIGHT_US + 7_000_000, MIDNIGHT_US + 7_000_000),
    ],
)
def test_a_day_is_all_of_it_and_a_second_is_itself(text: str, begin_us: int, end_us: int) -> None:
    given = parse_span(text)
    assert given == Span(begin_us, end_us)
    assert bounds_us(given, given) == (begin_us, end_us)


def test_nothing_given_is_no_bound() -> None:
    assert bounds_us(None, None) == (None, None)


@pytest.mark.parametrize(
    "text", ["", "today", "2026-13-01", "2026-W39-2", "2026-09-22T24:00:00", "2026-09-22 00:00"]
)
def test_what_is_neither_is_refused_with_both_forms(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="type 2026-09-21 or 2026-09-21T14:20:00"):
        parse_span(text)

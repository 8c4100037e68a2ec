"""Windows that stand where they stand, whoever asks and when."""

import pytest

from services.drift.core import windows
from services.drift.core.windows import SECOND_US, Window
from tests.support.made_datasets import planted_bug


def seconds(first: int, last: int, length: int, step: int) -> list[tuple[int, int]]:
    made = windows.windows_of(first * SECOND_US, last * SECOND_US, length, step)
    return [(one.begin_us // SECOND_US, one.end_us // SECOND_US) for one in made]


@pytest.mark.parametrize(
    "first,last,expected",
    [
        (0, 9, [(0, 10)]),
        (0, 8, []),
        (1, 20, [(5, 15), (10, 20)]),
        (5, 18, [(5, 15)]),
        (5, 19, [(5, 15), (10, 20)]),
    ],
)
def test_a_window_lies_wholly_between_the_rows_and_begins_at_a_step(
    first: int, last: int, expected: list[tuple[int, int]]
) -> None:
    assert seconds(first, last, 10, 5) == expected


def test_later_rows_add_windows_and_move_none() -> None:
    early, late = seconds(3, 50, 10, 5), seconds(3, 70, 10, 5)
    assert late[: len(early)] == early
    assert len(late) == len(early) + 4


@pytest.mark.parametrize(
    "was,planted",
    [
        ("last_us + SECOND_US - length_us", "last_us - length_us"),
        ("last_us + SECOND_US - length_us", "last_us + 2 * SECOND_US - length_us"),
        ("-(-first_us // step_us) * step_us", "first_us // step_us * step_us"),
        ("-(-first_us // step_us) * step_us", "first_us"),
    ],
)
def test_a_window_that_is_off_by_one_is_found(was: str, planted: str) -> None:
    cases = [(0, 9), (0, 8), (1, 20), (5, 18), (5, 19)]
    right = [seconds(first, last, 10, 5) for first, last in cases]
    with planted_bug(windows, was, planted):
        assert [seconds(first, last, 10, 5) for first, last in cases] != right


@pytest.mark.parametrize("begin_us,end_us", [(5, 10), (0, 0), (SECOND_US, 0), (0, SECOND_US + 1)])
def test_a_window_that_is_none_is_refused(begin_us: int, end_us: int) -> None:
    with pytest.raises(ValueError, match="whole seconds"):
        Window(begin_us, end_us)


def test_too_many_windows_and_no_length_are_refused() -> None:
    with pytest.raises(ValueError, match="take a longer step"):
        windows.windows_of(0, 200_000 * SECOND_US, 1, 1)
    with pytest.raises(ValueError, match="at least 1 s"):
        windows.windows_of(0, SECOND_US, 0, 1)

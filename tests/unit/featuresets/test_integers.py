from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.featuresets.integers import divide, square_root


@pytest.mark.parametrize(
    "numerator, denominator, quotient",
    [(1, 2, 0), (3, 2, 2), (5, 2, 2), (-1, 2, 0), (-3, 2, -2), (2, 3, 1), (-2, 3, -1), (7, 1, 7)],
)
def test_a_quotient_is_the_nearest_integer_and_a_half_goes_to_the_even_one(
    numerator: int, denominator: int, quotient: int
) -> None:
    assert divide(numerator, denominator) == quotient


@given(numerator=st.integers(-(10**30), 10**30), denominator=st.integers(1, 10**30))
def test_division_rounds_as_a_fraction_does(numerator: int, denominator: int) -> None:
    assert divide(numerator, denominator) == round(Fraction(numerator, denominator))


@given(numerator=st.integers(0, 10**40), denominator=st.integers(1, 10**12))
def test_a_root_is_the_nearest_integer_for_any_size(numerator: int, denominator: int) -> None:
    root, value = square_root(numerator, denominator), Fraction(numerator, denominator)
    assert max(2 * root - 1, 0) ** 2 <= 4 * value < (2 * root + 1) ** 2


def test_nothing_is_divided_by_less_than_one_and_nothing_negative_has_a_root() -> None:
    with pytest.raises(AssertionError, match="divided by 0"):
        divide(1, 0)
    with pytest.raises(AssertionError, match="divided by -1"):
        square_root(1, -1)
    with pytest.raises(AssertionError, match="the root of -1"):
        square_root(-1)

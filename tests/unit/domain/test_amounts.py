"""Prices as decimal strings and as integers, without floats in between."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.domain.amounts import PRICE_MAX, format_price, parse_price


@given(st.integers(-PRICE_MAX, PRICE_MAX))
def test_a_price_survives_its_spelling(price: int) -> None:
    assert parse_price(format_price(price)) == price


@pytest.mark.parametrize(
    "text,price",
    [("187.25", 1_872_500), ("1", 10_000), ("0.0001", 1), ("-3.5", -35_000), ("007", 70_000)],
)
def test_decimal_strings_are_read_exactly(text: str, price: int) -> None:
    assert parse_price(text) == price


@pytest.mark.parametrize(
    "text",
    ["", ".5", "1.", "1,5", "1e3", "NaN", "inf", " 1", "1\n", "+1", "1.00000", "\u0661", "--1"],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="decimal price"):
        parse_price(text)

"""Text becomes exact integers; what can't be represented is told, never guessed."""

from decimal import ROUND_HALF_EVEN, Decimal

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.tools.history.values import (
    as_text,
    parse_given,
    parse_integers,
    parse_prices,
    parse_sides,
    parse_split,
)


def price_of(text: str, units_per_dollar: int = 1) -> tuple[int | None, bool]:
    found = parse_prices(pa.array([text]), units_per_dollar)
    return found.values[0].as_py(), found.finer[0].as_py()


@pytest.mark.parametrize(
    "text,price,finer",
    [
        ("187.25", 1_872_500, False),
        (" 187.25 ", 1_872_500, False),
        ("$187.25", 1_872_500, False),
        ("0.0001", 1, False),
        ("187.250000000", 1_872_500, False),
        ("-1.5", -15_000, False),
        ("187", 1_870_000, False),
        ("1e2", 1_000_000, False),
        ("1.5E-3", 15, False),
        ("0.00005", 0, True),
        ("0.00015", 2, True),
        ("0.00005000001", 1, True),
        ("118.55999755859375", 1_185_600, True),
        ("", None, False),
        ("x", None, False),
        ("nan", None, False),
        ("inf", None, False),
        ("1,000.00", None, False),
        ("1.2.3", None, False),
        ("--1", None, False),
        ("1234567890123", None, False),
        ("1e99", None, False),
    ],
)
def test_a_price_is_read_exactly_or_not_at_all(text: str, price: int | None, finer: bool) -> None:  # noqa: FBT001 - a parameter of the test
    assert price_of(text) == (price, finer)


def test_prices_that_are_integers_already_are_taken_as_they_are() -> None:
    assert price_of("1872500", 10_000) == (1_872_500, False)
    assert price_of("1872500.5", 10_000) == (1_872_500, True)
    assert price_of("1872501.5", 10_000) == (1_872_502, True)


@given(st.lists(st.decimals(-(10**9), 10**9, allow_nan=False, places=9), min_size=1, max_size=20))
def test_prices_are_rounded_as_decimal_rounds_them(numbers: list[Decimal]) -> None:
    found = parse_prices(pa.array([format(number, "f") for number in numbers]), 1)
    wanted = [int((n * 10_000).to_integral_value(ROUND_HALF_EVEN)) for n in numbers]
    assert found.values.to_pylist() == wanted
    assert found.finer.to_pylist() == [
        n * 10_000 != w for n, w in zip(numbers, wanted, strict=True)
    ]


@given(st.lists(st.integers(1, 10**9), min_size=1, max_size=20))
def test_a_price_that_went_through_a_float_column_comes_back(prices: list[int]) -> None:
    floats = pa.array([price / 10_000 for price in prices], pa.float64())
    assert parse_prices(as_text(floats), 1).values.to_pylist() == prices


@pytest.mark.parametrize(
    "text,number",
    [("100", 100), ("100.0", 100), ("1e3", 1_000), ("-5", -5), ("0.5", None), ("", None),
     ("ten", None)],
)  # fmt: skip
def test_a_quantity_is_a_whole_number(text: str, number: int | None) -> None:
    assert parse_integers(pa.array([text])).to_pylist() == [number]


def test_decimals_are_kept_as_they_were_given() -> None:
    texts = ["4.186662803811", None, "", "0.1234567890123456785", "x", "1e-3"]
    values, faulty = parse_given(pa.array(texts))
    assert values.to_pylist() == [
        Decimal("4.186662803811000000"),
        None,
        None,
        Decimal("0.123456789012345678"),
        None,
        Decimal("0.001000000000000000"),
    ]
    assert faulty.to_pylist() == [False, False, False, False, True, False]


def test_sides_are_known_by_their_usual_words() -> None:
    words = pa.array(["buy", "S", "-1", "BID", "", None, "left"])
    assert parse_sides(words).to_pylist() == [1, -1, -1, 1, 0, 0, None]


@pytest.mark.parametrize(
    "text,split",
    [("2:1", (2, 1)), ("3/2", (3, 2)), ("2.0", (2, 1)), ("0.125", (1, 8)), ("0", (1, 1)),
     ("0.0", (1, 1)), ("", (1, 1)), (None, (1, 1)), ("2:0", None), ("x", None)],
)  # fmt: skip
def test_a_split_is_a_ratio_of_whole_numbers(
    text: str | None, split: tuple[int, int] | None
) -> None:
    assert parse_split(text) == split

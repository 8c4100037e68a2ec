"""Text to exact values, column-wise: prices, quantities, decimals, sides. No binary float is asked.

A column of floats is spelled first, as the shortest decimal that gives the same float; then the
same rules hold as for text.
"""

import re
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import Final

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from services.domain.codes import BUY, SELL

PLACES: Final = 4
"""Of a price in dollars: 1/10000 dollar."""

GIVEN_PLACES: Final = 18
"""Of a decimal that is kept as it was given."""

SPLIT_MAX: Final = 1_000_000

_PLAIN: Final = (
    r"^[[:space:]]*(?P<sign>[+-]?)\$?(?P<whole>[0-9]{1,12})(?:\.(?P<fraction>[0-9]*))?[[:space:]]*$"
)
_SCIENTIFIC: Final = re.compile(r"\s*[+-]?\d{1,40}(\.\d{0,40})?[eE][+-]?\d{1,2}\s*")
_SPLIT: Final = re.compile(r"\s*(\d{1,9}(?:\.\d{1,9})?)\s*(?:[:/]\s*(\d{1,9}(?:\.\d{1,9})?))?\s*")
_SIDES: Final = {
    "buy": BUY, "b": BUY, "1": BUY, "+1": BUY, "bid": BUY,
    "sell": SELL, "s": SELL, "-1": SELL, "ask": SELL,
    "": 0, "0": 0, "unknown": 0, "none": 0, "u": 0,
}  # fmt: skip


class Prices(msgspec.Struct, frozen=True):
    """A column of prices, 1/10000 dollar; null where the text is no price."""

    values: "pa.Array"
    finer: "pa.Array"
    """Whether the text had more than 4 places that count; then it is rounded half to even."""


def as_text(column: "pa.Array") -> "pa.Array":
    """Any column as text; nothing is rounded."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    return column.cast(pa.string())


def parse_prices(text: "pa.Array", units_per_dollar: int) -> Prices:
    """Dollars (or, with 10000 units per dollar, integers of that unit) to 1/10000 dollar."""
    parts = pc.extract_regex(_spelled_out(text), pattern=_PLAIN)
    is_number = parts.is_valid()
    whole = pc.cast(_filled(parts.field("whole"), "0"), pa.int64())
    fraction = pc.utf8_rpad(parts.field("fraction"), PLACES, "0")
    head = pc.cast(_filled(pc.utf8_slice_codeunits(fraction, 0, PLACES), "0"), pa.int64())
    rest = pc.utf8_rtrim(pc.utf8_slice_codeunits(fraction, PLACES), "0")
    if units_per_dollar == 1:
        value = pc.add(pc.multiply(whole, 10**PLACES), head)
        finer = pc.not_equal(rest, "")
    else:
        value, finer = whole, pc.not_equal(pc.utf8_rtrim(fraction, "0"), "")
        rest = pc.utf8_rtrim(fraction, "0")
    is_over = pc.greater(rest, "5")  # as text: 5, then anything, or 6 to 9
    is_half_of_odd = pc.and_(pc.equal(rest, "5"), pc.equal(pc.bit_wise_and(value, 1), 1))
    value = pc.add(value, pc.cast(pc.or_(is_over, is_half_of_odd), pa.int64()))
    signed = pc.if_else(pc.equal(parts.field("sign"), "-"), pc.negate(value), value)
    return Prices(
        pc.if_else(is_number, signed, pa.scalar(None, pa.int64())),
        pc.and_(is_number, pc.fill_null(finer, False)),
    )


def parse_integers(text: "pa.Array") -> "pa.Array":
    """Whole numbers (`100`, `100.0`, `1e2`); null where the text is none."""
    parts = pc.extract_regex(_spelled_out(text), pattern=_PLAIN)
    zeroes = pc.equal(pc.utf8_rtrim(_filled(parts.field("fraction"), ""), "0"), "")
    whole = pc.cast(_filled(parts.field("whole"), "0"), pa.int64())
    signed = pc.if_else(pc.equal(parts.field("sign"), "-"), pc.negate(whole), whole)
    return pc.if_else(pc.and_(parts.is_valid(), zeroes), signed, pa.scalar(None, pa.int64()))


def parse_given(text: "pa.Array") -> "tuple[pa.Array, pa.Array]":
    """Decimals as they were given, and which texts are none (a missing one is no fault).

    Places beyond the eighteenth are rounded half to even.
    """
    kind = pa.decimal128(38, GIVEN_PLACES)
    clean = pc.utf8_trim_whitespace(text)
    clean = pc.if_else(pc.equal(clean, ""), pa.scalar(None, pa.string()), clean)
    plain = pc.match_substring_regex(clean, r"^[+-]?[0-9]{1,18}(\.[0-9]{1,18})?$")
    values = pc.if_else(plain, clean, pa.scalar(None, pa.string())).cast(kind)
    odd = pc.and_(clean.is_valid(), pc.invert(pc.fill_null(plain, False)))
    if not pc.any(odd).as_py():
        return values, odd
    listed, faults = values.to_pylist(), odd.to_pylist()
    for at in pc.indices_nonzero(odd).to_pylist():
        number = _decimal(clean[at].as_py())
        if number is not None and abs(number) < 10**18:
            listed[at] = number.quantize(Decimal(1).scaleb(-GIVEN_PLACES))
            faults[at] = False
    return pa.array(listed, kind), pa.array(faults, pa.bool_())


def parse_sides(text: "pa.Array") -> "pa.Array":
    """The aggressor's side: 1 buy, -1 sell, 0 not told; null where the text is none of these."""
    words = pc.utf8_lower(pc.utf8_trim_whitespace(_filled(text, ""))).dictionary_encode()
    codes = pa.array([_SIDES.get(word) for word in words.dictionary.to_pylist()], pa.int8())
    return codes.take(words.indices)


def parse_split(text: str | None) -> tuple[int, int] | None:
    """`2:1`, `3/2`, `2.0` or `0.125` as (to, from); (1, 1) for none; None if it is no split."""
    if text is None or not text.strip():
        return 1, 1
    found = _SPLIT.fullmatch(text)
    if found is None or (found[2] is not None and Fraction(found[2]) == 0):
        return None
    ratio = Fraction(found[1]) / Fraction(found[2] or 1)
    if ratio == 0:  # as some sources spell "no split"
        return 1, 1
    if ratio.numerator > SPLIT_MAX or ratio.denominator > SPLIT_MAX:
        return None
    return ratio.numerator, ratio.denominator


def _filled(column: "pa.Array", value: str) -> "pa.Array":
    return pc.if_else(
        pc.and_(column.is_valid(), pc.not_equal(column, "")), column, pa.scalar(value)
    ).fill_null(value)


def _spelled_out(text: "pa.Array") -> "pa.Array":
    """Scientific notation as plain decimals; what is neither stays as it is."""
    marked = pc.fill_null(pc.match_substring(text, "e", ignore_case=True), False)
    if not pc.any(marked).as_py():
        return text
    listed = text.to_pylist()
    for at in pc.indices_nonzero(marked).to_pylist():
        if _SCIENTIFIC.fullmatch(listed[at]) and (number := _decimal(listed[at])) is not None:
            listed[at] = format(number, "f")
    return pa.array(listed, pa.string())


def _decimal(text: str) -> Decimal | None:
    try:
        number = Decimal(text.strip())
    except InvalidOperation:
        return None
    return number if number.is_finite() else None

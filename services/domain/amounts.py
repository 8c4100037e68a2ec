"""Prices, quantities and rates as integers, and their decimal spelling at the edges."""

import re
from typing import Final

PRICE_SCALE: Final = 10_000
"""One dollar, in price units of 1/10000 dollar (as ITCH and LOBSTER)."""

PRICE_MAX: Final = 100_000 * PRICE_SCALE
"""Highest price any order may state: $100,000, in 1/10000 dollar."""

QUANTITY_MAX: Final = 1_000_000_000
"""Highest quantity any order or deposit may state, in shares."""

BPS: Final = 10_000
"""Basis points in one."""

_DECIMAL: Final = re.compile(r"-?[0-9]{1,12}(\.[0-9]{1,4})?")


def parse_price(text: str) -> int:
    """Read a decimal string of dollars ("187.25") as 1/10000 dollar, exactly.

    Raises:
        ValueError: not a plain decimal with at most 4 places (no exponent, no NaN, no spaces).
    """
    if not _DECIMAL.fullmatch(text):
        msg = f"{text[:40]!r} is not a decimal price like '187.25' (at most 4 places)"
        raise ValueError(msg)
    whole, _, fraction = text.lstrip("-").partition(".")
    value = int(whole) * PRICE_SCALE + int(fraction.ljust(4, "0"))
    return -value if text.startswith("-") else value


def format_price(price: int) -> str:
    """Spell a price in dollars with 2 places, or 4 where the price needs them."""
    sign, value = ("-", -price) if price < 0 else ("", price)
    whole, fraction = divmod(value, PRICE_SCALE)
    digits = f"{fraction:04d}"
    return f"{sign}{whole}.{digits[:2] if digits.endswith('00') else digits}"

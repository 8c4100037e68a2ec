"""Identifiers are functions of the input: the same submission has the same id at any door."""

import re
from hashlib import sha1
from typing import Final
from uuid import UUID

# Fixed for ever: every order id ever issued depends on it.
_NAMESPACE: Final = UUID("6f9d5c0e-93a4-5b0b-9a7e-0c72a1d3e5f1")

_VARIANT_DIGITS: Final = "89ab"

ID_LENGTH_MAX: Final = 64
"""Longest account, client order id or client command id, in characters."""

TICKER_LENGTH_MAX: Final = 12

_ORDER_ID: Final = re.compile(
    f"[!-~]{{1,{TICKER_LENGTH_MAX}}}-[0-9a-f]{{8}}-[0-9a-f]{{4}}-5[0-9a-f]{{3}}"
    f"-[{_VARIANT_DIGITS}][0-9a-f]{{3}}-[0-9a-f]{{12}}"
)


def make_order_id(account: str, client_order_id: str, ticker: str) -> str:
    """`<TICKER>-<uuid5(account, client_order_id)>`: the id says by itself which book it is in.

    NUL separates the two names, and no valid name contains it, so two pairs never collide.
    """
    name = f"{account}\0{client_order_id}".encode()
    # UUID version 5 (RFC 9562) by hand, since the library's takes five times as long: 4 bits say
    # the version, 2 the variant.
    digits = sha1(_NAMESPACE.bytes + name, usedforsecurity=False).hexdigest()
    variant = _VARIANT_DIGITS[int(digits[16], 16) & 3]
    return (
        f"{ticker}-{digits[:8]}-{digits[8:12]}-5{digits[13:16]}"
        f"-{variant}{digits[17:20]}-{digits[20:32]}"
    )


def is_order_id(text: str) -> bool:
    """Whether `make_order_id` could have made it, of some account's order in some ticker."""
    return _ORDER_ID.fullmatch(text) is not None


def ticker_of(order_id: str) -> str:
    """The ticker an order id routes to; an id without a dash yields itself (an unknown ticker)."""
    return order_id.partition("-")[0]


def make_trade_id(ticker: str, matching_offset: int, fill_number: int) -> str:
    """`<TICKER>-<offset of the aggressing command in matching>-<fill number, from 0>`."""
    return f"{ticker}-{matching_offset}-{fill_number}"


def is_valid_id(text: str) -> bool:
    """Whether text may be an account, client order id or client command id.

    1 to 64 printable ASCII characters without spaces: safe in logs, URLs, CSV and SQL output.
    """
    return (
        0 < len(text) <= ID_LENGTH_MAX
        and text.isascii()
        and text.isprintable()
        and (" " not in text)
    )

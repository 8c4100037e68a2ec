"""Ids and places that follow from names."""

from hashlib import sha1
from typing import Final
from zlib import crc32

_ORDER_SPACE: Final = bytes.fromhex("6f9d5c0e93a45b0b9a7e0c72a1d3e5f1")
"""The namespace of order ids."""
_VARIANT: Final = {digit: "89ab"[int(digit, 16) & 3] for digit in "0123456789abcdef"}


def order_id_of(account: str, client_order_id: str, ticker: str) -> str:
    """`<TICKER>-<uuid5 of account NUL client order id>` (RFC 9562, 5.5)."""
    named = _ORDER_SPACE + f"{account}\0{client_order_id}".encode()
    h = sha1(named, usedforsecurity=False).hexdigest()
    return f"{ticker}-{h[:8]}-{h[8:12]}-5{h[13:16]}-{_VARIANT[h[16]]}{h[17:20]}-{h[20:32]}"


def partition_of(account: str, partitions: int) -> int:
    """CRC-32 of the account modulo the partitions."""
    return crc32(account.encode()) % partitions

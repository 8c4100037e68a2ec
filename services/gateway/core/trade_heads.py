"""What candles need of a trade, read without decoding the rest; see heads.py for why and how."""

from collections.abc import Callable
from typing import Final

from services.domain.events import Trade
from services.gateway.core.heads import (
    ORIGIN_FIELDS,
    TopicHeads,
    begins_with,
    skip_longs,
    take_long,
)
from services.wire.codec import HEADER_BYTES
from services.wire.topics import TRADES

type TradeHead = tuple[int, int, int, int]
"""Sequence in its ticker, log time in microseconds, price in 1/10000 dollar, shares."""

_LAYOUT: Final = (
    ("origin", "record"),
    ("trade_id", "string"),
    ("ticker", "string"),
    ("price", "long"),
    ("quantity", "long"),
)
_BEFORE_SEQUENCE: Final = 4
"""Numbers of the origin before its sequence; time and event time follow it."""
_STRINGS: Final = 2


class TradeHeadReader(TopicHeads[TradeHead]):
    """Of `trades`."""

    def _choose(self, value: bytes) -> Callable[[bytes], TradeHead]:
        cls, schema = self._codec.writer_of(TRADES.name, value)
        is_known = cls is Trade and begins_with(schema, _LAYOUT)
        return _parse if is_known else self._decode

    def _decode(self, value: bytes) -> TradeHead:
        decoded = self._codec.decode(TRADES.name, value)
        trade, origin = decoded.payload, decoded.origin
        assert origin is not None
        return origin.sequence, origin.time_us, trade.price, trade.quantity


def _parse(value: bytes) -> TradeHead:
    sequence, at = take_long(value, skip_longs(value, HEADER_BYTES, _BEFORE_SEQUENCE))
    time_us, at = take_long(value, at)
    at = skip_longs(value, at, ORIGIN_FIELDS - _BEFORE_SEQUENCE - 2)
    for _ in range(_STRINGS):
        length, at = take_long(value, at)
        if length < 0:
            raise IndexError(length)
        at += length
    price, at = take_long(value, at)
    quantity, _ = take_long(value, at)
    return sequence, time_us, price, quantity

"""Seeded trades of a ticker as the matcher says them, and feature sets as the room runs them."""

import random
from typing import Final

from services.domain.events import Trade
from services.domain.origin import MATCHING, Origin
from services.features.core import LiveSet
from services.featuresets import TRADE_SETS
from services.featuresets.fingerprint import fingerprint

TICKERS: Final = ("AAPL", "MSFT", "GOOGL", "TSLA", "NVDA")
NOW_US: Final = 1_790_000_000_000_000
V1: Final = "microstructure_v1"
V2: Final = "microstructure_v2"


def live_sets(*names: str) -> tuple[LiveSet, ...]:
    """Sets by name, as the room runs them."""
    return tuple(LiveSet(TRADE_SETS[name], fingerprint(TRADE_SETS[name])) for name in names)


class TradeTape:
    """Seeded trades of one ticker as the matcher would say them: sequences without gaps."""

    def __init__(self, partition: int, seed: int) -> None:
        self._random = random.Random(seed * 1_000 + partition)
        self._ticker = TICKERS[partition]
        self._partition = partition
        self._time_us = NOW_US + self._random.randrange(1_000_000)
        self._price = 1_870_000
        self._sequence = 0
        self._offset = 0

    def mark(self) -> tuple[int, ...]:
        """Where the tape is, for `rewind`."""
        return (self._time_us, self._price, self._sequence, self._offset)

    def rewind(self, mark: tuple[int, ...]) -> None:
        """After an abort the matcher goes back too."""
        self._time_us, self._price, self._sequence, self._offset = mark

    def next(self, step_us: int | None = None) -> tuple[Origin, Trade]:
        """The next trade; about three a second of event time, and now and then a long silence."""
        draw = self._random
        silence_us = 200_000_000 if draw.random() < 0.002 else 0
        self._time_us += silence_us + draw.randrange(700_000) if step_us is None else step_us
        self._price = max(10_000, self._price + draw.randrange(-3, 4) * 100)
        self._sequence += 1
        self._offset += draw.randrange(1, 4)
        half = draw.randrange(1, 3) * 100
        has_bid, has_ask = draw.random() > 0.02, draw.random() > 0.02
        origin = Origin(
            MATCHING, self._partition, self._offset, 0, self._sequence, self._time_us, 0
        )
        trade = Trade(
            trade_id=f"{self._ticker}-{self._offset}-0",
            ticker=self._ticker,
            price=self._price,
            quantity=draw.randrange(1, 500),
            aggressor_side=draw.choice((1, -1)),
            maker_order_id=f"{self._ticker}-m",
            taker_order_id=f"{self._ticker}-t",
            maker_account="maker",
            taker_account="taker",
            bid=self._price - half if has_bid else 0,
            bid_quantity=draw.randrange(1, 900) if has_bid else 0,
            ask=self._price + half if has_ask else 0,
            ask_quantity=draw.randrange(1, 900) if has_ask else 0,
        )
        return origin, trade

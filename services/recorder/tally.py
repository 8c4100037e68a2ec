"""What the recorded messages come to in numbers: orders, trades, refusals, delays, and holes.

The recorder reads every order, execution and trade exactly once and stands on no order's way, so
this is the place where they cost nobody anything.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Final

import msgspec

from services.domain.codes import (
    EXEC_CANCEL_REJECTED,
    EXEC_COMMAND_REJECTED,
    EXEC_REJECTED,
    EXEC_REPLACE_REJECTED,
)
from services.domain.commands import PlaceOrder
from services.domain.events import ExecutionReport, Trade
from services.domain.genesis import TICKERS
from services.domain.origin import Origin

OTHER: Final = "other"
"""The label of a ticker that is none of the usual ones: anybody may invent one in an order."""

REFUSALS: Final = frozenset(
    {EXEC_REJECTED, EXEC_CANCEL_REJECTED, EXEC_REPLACE_REJECTED, EXEC_COMMAND_REJECTED}
)
DELAY_S_MAX: Final = 3_600.0
"""A delay above this is none: the deployment's time is that of the events it replays."""


class Tally(msgspec.Struct):
    """The numbers of one batch."""

    orders: Counter[str] = msgspec.field(default_factory=Counter)
    """By ticker."""
    executions: Counter[int] = msgspec.field(default_factory=Counter)
    """By execution type."""
    refusals: Counter[int] = msgspec.field(default_factory=Counter)
    """By reason."""
    trades: Counter[str] = msgspec.field(default_factory=Counter)
    """By ticker."""
    shares: Counter[str] = msgspec.field(default_factory=Counter)
    """By ticker."""
    missing: Counter[str] = msgspec.field(default_factory=Counter)
    """Numbers that a writer's gapless sequence lacks, by topic."""
    delays_s: dict[str, list[float]] = msgspec.field(default_factory=dict)
    """From a command's log time until what it caused was written, by the topic of that."""


class Teller:
    """Tallies batch by batch, and remembers each writer's sequence from one to the next."""

    def __init__(self) -> None:
        self._sequences: dict[tuple[str, int, int], int] = {}
        self._tally = Tally()

    def note(
        self, place: tuple[str, int], timestamp_ms: int, origin: Origin, payload: object
    ) -> None:
        """One message, read at this topic and partition; `timestamp_ms` is the record's own."""
        tally, (topic, partition) = self._tally, place
        delay_s = (timestamp_ms * 1_000 - origin.time_us) / 1_000_000
        if delay_s <= DELAY_S_MAX:
            # The broker's clock and a writer's may differ a little: never less than nothing.
            tally.delays_s.setdefault(topic, []).append(max(0.0, delay_s))
        if origin.sequence:
            source = (topic, partition, origin.partition)
            expected = self._sequences.get(source, origin.sequence - 1) + 1
            tally.missing[topic] += max(0, origin.sequence - expected)
            self._sequences[source] = origin.sequence
        if isinstance(payload, ExecutionReport):
            tally.executions[payload.exec_type] += 1
            if payload.exec_type in REFUSALS:
                tally.refusals[payload.reason] += 1
        elif isinstance(payload, Trade):
            ticker = known_ticker(payload.ticker)
            tally.trades[ticker] += 1
            tally.shares[ticker] += payload.quantity
        elif isinstance(payload, PlaceOrder):
            tally.orders[known_ticker(payload.ticker)] += 1

    def take(self) -> Tally:
        """What was noted since the last call."""
        tally, self._tally = self._tally, Tally()
        return tally


_KNOWN: Final[Mapping[str, str]] = {ticker: ticker for ticker in TICKERS}


def known_ticker(ticker: str) -> str:
    """The ticker, or `other`."""
    return _KNOWN.get(ticker, OTHER)

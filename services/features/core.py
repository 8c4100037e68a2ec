"""The fold of one partition of `trades`: each trade in, the feature rows that it closes out."""

from collections.abc import Collection, Sequence
from typing import Final

import msgspec

from services.domain.events import Trade
from services.domain.features import FeatureRow
from services.domain.origin import Origin
from services.featuresets.definitions import FeatureSet
from services.featuresets.ticks import Tick
from services.wire import topics
from services.wire.codec import Decoded
from services.wire.messages import Message

_SOURCE: Final = topics.ORIGIN_NUMBERS[topics.TRADES.name]


class LiveSet(msgspec.Struct, frozen=True):
    """A feature set as the room runs it."""

    definition: FeatureSet[Tick]
    fingerprint: str


class PartitionFold:
    """The state of one partition, which holds one ticker.

    Args:
        partition: of `trades`, and so of `features`.
        sets: which feature sets to fold, in the order of their rows.
        cold: names of sets for which there were trades before the first one that is folded here.
            Their rows are held back as long as they might depend on those.
    """

    def __init__(self, partition: int, sets: Sequence[LiveSet], cold: Collection[str] = ()) -> None:
        self._partition = partition
        self._folds = [(live, live.definition.new_fold()) for live in sets]
        self._cold = cold
        self._first_offset = -1
        self._ticker = ""
        self._sequence = 0
        self.next_offset = 0
        """Trades below it are in the state."""

    def handle(self, offset: int, trade: Decoded[Trade]) -> list[Message]:
        """Fold a trade; the rows that it closes, in the order of sets and grid times.

        A trade that was folded before is passed over: the reader may deliver it again.

        Raises:
            AssertionError: trades are missing, of two tickers, or their time falls.
        """
        if offset < self.next_offset:
            return []
        origin, payload = trade.origin, trade.payload
        assert origin is not None, f"{self._at(offset)} has no origin"
        self._hold(offset, origin, payload.ticker)
        tick = _tick(offset, origin, payload)
        rows: list[Message] = []
        for live, fold in self._folds:
            held_up_to = self._first_offset if live.definition.name in self._cold else -1
            rows += [
                Message(
                    topics.FEATURES.name,
                    self._partition,
                    payload.ticker,
                    Origin(
                        _SOURCE, self._partition, offset, index, 0,
                        origin.time_us, origin.event_time_us,
                    ),
                    FeatureRow(
                        live.definition.name, live.fingerprint, payload.ticker,
                        row.grid_time_us, row.rewind_offset, row.values,
                    ),
                )
                for index, row in enumerate(fold.step(tick))
                if row.rewind_offset > held_up_to
            ]  # fmt: skip
        self.next_offset = offset + 1
        return rows

    def _hold(self, offset: int, origin: Origin, ticker: str) -> None:
        """What the writer of `trades` promises. A break would make the rows wrong in silence."""
        assert ticker == (self._ticker or ticker), (
            f"{self._at(offset)} is of {ticker}, and the partition is {self._ticker}'s"
        )
        assert not (origin.sequence and self._sequence) or origin.sequence == self._sequence + 1, (
            f"{self._at(offset)} has sequence {origin.sequence} after {self._sequence}: trades are"
            " missing in between; start again from the log"
        )
        if not self._ticker:
            self._ticker = ticker
            self._first_offset = offset
        self._sequence = origin.sequence

    def states(self) -> list[bytes]:
        """Of each set's fold, canonical."""
        return [fold.state() for _, fold in self._folds]

    def _at(self, offset: int) -> str:
        return f"the trade at {topics.TRADES.name}/{self._partition} offset {offset}"


def _tick(offset: int, origin: Origin, trade: Trade) -> Tick:
    return Tick(
        offset, origin.time_us, trade.price, trade.quantity, trade.aggressor_side,
        trade.bid, trade.bid_quantity, trade.ask, trade.ask_quantity,
    )  # fmt: skip

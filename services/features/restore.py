"""Where a partition's fold begins: its state is folded again from the log, no table is kept.

Two things say what is done. The group's committed offset: every row closed by a trade below it is
on `features`, since a trade is acknowledged only after its rows are. And each row on `features`:
its rewind offset says from which trade on a new fold comes to the same state. So:

1. Take the last row of each set among those closed below the committed offset.
2. Fold the trades from its rewind offset up to the committed offset, and drop the rows.
3. Go on from the committed offset, and write every row.

What a crash left half-written above the committed offset is written again, with the same bytes. The
last row on the topic would not do as the mark: when the broker fails, a later row can be durable
without the one before it.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import msgspec

from services.domain.events import Trade
from services.domain.features import FeatureRow
from services.features.core import LiveSet, PartitionFold
from services.featuresets.grid import SECOND_US
from services.runtime.errors import ConfigurationError, HistoryLostError
from services.runtime.ports import LogReader, Record, TopicPartition
from services.wire.codec import Codec, Decoded, UndecodableError
from services.wire.topics import FEATURES, TRADES

SCAN_OFFSETS: Final = 2_000
"""Some minutes of rows. Where all of them are too new, twice as much is read, and so on."""


class Newest(msgspec.Struct, frozen=True):
    """The newest row of a set before the next trade, as it stands on `features`."""

    ticker: str
    feature_set: str
    grid_time_us: int
    written_s: float
    """When it came to Kafka, seconds since the epoch."""


class Restored(msgspec.Struct, frozen=True):
    """A partition's fold, and where to read on."""

    fold: PartitionFold
    start: int
    """Offset in `trades`: the first whose rows may be missing."""
    rewound: int
    """How many trades were folded again."""
    cold_sets: tuple[str, ...]
    """Sets without a row to go on from, and with trades before those that they begin with: their
    rows come once they depend on none of these."""
    newest: tuple[Newest, ...] = ()
    """Of each set that has rows: how old the features are that readers have now."""


type Written = tuple[float, FeatureRow]
"""When a row came to Kafka (seconds since the epoch), and the row."""


class RestoreStoppedError(Exception):
    """Whoever asked for a restore does not want it any more."""


class Restorer:
    """Makes the folds of partitions anew. Its methods block; called from one thread at a time.

    Args:
        scan_offsets: how much of `features` is read at first, from its end.
    """

    def __init__(
        self,
        reader: LogReader,
        codec: Codec,
        sets: Sequence[LiveSet],
        scan_offsets: int = SCAN_OFFSETS,
    ) -> None:
        self._reader = reader
        self._codec = codec
        self._sets = sets
        self._scan_offsets = scan_offsets
        self._is_unwanted: Callable[[], bool] = lambda: False

    def restore(
        self,
        partition: int,
        committed: int | None,
        is_unwanted: Callable[[], bool] = lambda: False,
    ) -> Restored:
        """The fold of everything below the committed offset; None: nothing is committed.

        Raises:
            RestoreStoppedError: `is_unwanted`, which is asked now and then, said so.
            HistoryLostError: trades that the next rows depend on are gone.
            ConfigurationError: the offset is beyond the log's end.
            RetriableError: the broker does not answer.
            AssertionError: the log breaks a promise of its writer.
        """
        self._is_unwanted = is_unwanted
        at = TopicPartition(TRADES.name, partition)
        first, end = self._reader.bounds(at)
        start = first if committed is None else committed
        if start > end:
            raise ConfigurationError(
                f"{at.topic}/{partition} ends at {end}, and {start} is the next trade to fold: the"
                " topic was made again. Use another OUTCRY_TOPIC_PREFIX"
            )
        if start < first:
            raise HistoryLostError(_lost(at, start, first))
        written = self._rows_before(partition, start) if start > first else []
        begin, cold = self._plan(at, first, [row for _, row in written])
        fold = PartitionFold(partition, self._sets, cold)
        rewound = 0
        for offset, trade in self.trades(at, begin, start):
            fold.handle(offset, trade)
            rewound += 1
        return Restored(fold, start, rewound, cold, self._newest(written))

    def _newest(self, written: Sequence[Written]) -> tuple[Newest, ...]:
        """The newest row of each set. Written again, it became durable the first time."""
        names = {live.definition.name for live in self._sets}
        found: dict[str, Newest] = {}
        for written_s, row in written:
            known = found.get(row.feature_set)
            if row.feature_set in names and (
                known is None or known.grid_time_us < row.grid_time_us
            ):
                found[row.feature_set] = Newest(
                    row.ticker, row.feature_set, row.grid_time_us, written_s
                )
        return tuple(found.values())

    def _plan(
        self, at: TopicPartition, first: int, rows: Sequence[FeatureRow]
    ) -> tuple[int, tuple[str, ...]]:
        """The trade to begin with, and the sets that cannot go on from a row of theirs."""
        known = sorted(rows, key=lambda row: row.grid_time_us)
        last = {row.feature_set: row for row in known}
        begins: list[int] = []
        new: list[str] = []
        for live in self._sets:
            name = live.definition.name
            if name not in last:
                new.append(name)
                begins.append(_warm_begin(live, known, first))
            elif last[name].rewind_offset < first:
                raise HistoryLostError(_lost(at, last[name].rewind_offset, first))
            else:
                begins.append(last[name].rewind_offset)
        begin = min(begins)
        return begin, tuple(new) if begin > 0 else ()

    def _rows_before(self, partition: int, start: int) -> list[Written]:
        """Rows that trades below `start` closed: those near the end of `features`."""
        at = TopicPartition(FEATURES.name, partition)
        first, end = self._reader.bounds(at)
        span = self._scan_offsets
        while True:
            low = max(first, end - span)
            found: list[Written] = [
                (record.timestamp_ms / 1_000, row.payload)
                for record, row in self._records(at, low, end)
                if row.origin is not None and row.origin.offset < start
            ]
            if found or low == first:
                return found
            span *= 2

    def trades(
        self, at: TopicPartition, begin: int, end: int
    ) -> Iterator[tuple[int, Decoded[Trade]]]:
        """Trades of a range by offset. What is no trade is passed over, as it is live."""
        for record, decoded in self._records(at, begin, end):
            yield record.offset, decoded

    def _records(
        self, at: TopicPartition, begin: int, end: int
    ) -> Iterator[tuple[Record, Decoded[Any]]]:
        for chunk in self._reader.read(at, begin, end):
            if self._is_unwanted():
                raise RestoreStoppedError
            for record in chunk:
                try:
                    yield record, self._codec.decode(at.topic, record.value)
                except UndecodableError:
                    continue


def _warm_begin(live: LiveSet, known: Sequence[FeatureRow], first: int) -> int:
    """Where a set without rows begins: twice its window before the newest row of any other.

    So its own rows depend on nothing before when they begin. Without others: with the first trade.
    """
    newest_us = known[-1].grid_time_us if known else 0
    since_us = newest_us - 2 * live.definition.longest_window_s * SECOND_US
    recent = (row.rewind_offset for row in known if row.grid_time_us >= since_us)
    return min((offset for offset in recent if offset >= first), default=first)


def _lost(at: TopicPartition, needed: int, first: int) -> str:
    return (
        f"{at.topic}/{at.partition} begins at offset {first}, and {needed} is needed to go on:"
        " retention has passed. If a gap in the rows is accepted, go on with what there is, with"
        " this room stopped: `outcry kafka consumer-groups --reset-offsets --to-earliest"
        f" --execute --group features --topic {at.topic}:{at.partition}` (each name behind its"
        " OUTCRY_TOPIC_PREFIX)"
    )

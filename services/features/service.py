"""The feature room at work: batches of trades in, rows out, and only then the acknowledgement.

Knows nothing of Faust: `app.py` hands it what arrives.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Final, Protocol

from services.domain.features import FeatureRow
from services.features.core import PartitionFold
from services.features.metrics import EVENT_AGE, REFOLDED, ROW_AGE, ROWS, WRITE_SECONDS
from services.features.restore import Restored
from services.runtime.ports import Outgoing, Record
from services.runtime.telemetry import (
    BATCH_RECORDS,
    COMMITTED_OFFSET,
    FOLD_SECONDS,
    LAG_OFFSETS,
    RECORDS_CONSUMED,
    RECORDS_PRODUCED,
    RECORDS_UNDECODABLE,
    RESTORE_SECONDS,
    RESTORES,
    Telemetry,
)
from services.runtime.traces import RoomTraces
from services.wire.codec import Codec, UndecodableError
from services.wire.messages import Message
from services.wire.topics import FEATURES, TRADES

UNDECODABLE_LOGGED_MAX: Final = 10
"""Most lines about undecodable records of one batch."""


class Arrival(Protocol):
    """One record of `trades`, as it was delivered."""

    @property
    def partition(self) -> int: ...
    @property
    def offset(self) -> int: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def traceparent(self) -> bytes | None:
        """The header of its trace; asked for only where somebody wants traces."""

    def is_current(self) -> bool:
        """Whether its partition is still ours, and was not placed anew since."""

    def acknowledge(self) -> None:
        """Its rows are durable."""


type Write = Callable[[Sequence[Outgoing]], Awaitable[None]]
"""Writes rows, in this order within a partition, and returns once all of them are durable."""


class FeatureRoom:
    """The folds of the partitions that are ours, and what they do with a batch.

    Args:
        write: see `Write`.
        now_s: the system's clock, seconds since the epoch.
        traces: None: no row has a trace.
    """

    def __init__(
        self,
        codec: Codec,
        write: Write,
        telemetry: Telemetry,
        now_s: Callable[[], float],
        traces: RoomTraces | None = None,
    ) -> None:
        self._codec = codec
        self._write = write
        self._telemetry = telemetry
        telemetry.expect([TRADES.name], [FEATURES.name])
        self._now_s = now_s
        self._traces = traces
        self._folds: dict[int, PartitionFold] = {}
        self._newest: dict[tuple[int, str, str], tuple[int, float]] = {}

    def begin(self, restored: Mapping[int, Restored], seconds: float) -> None:
        """These partitions are ours now, in these states, and no others."""
        lost = self._folds.keys() - restored.keys()
        self._folds = {partition: found.fold for partition, found in restored.items()}
        self._begin_ages(restored)
        for partition in lost:
            # What is shown of it now is for its new owner to show: here it would stand still.
            self._telemetry.forget(LAG_OFFSETS, topic=TRADES.name, partition=str(partition))
            self._telemetry.forget(COMMITTED_OFFSET, topic=TRADES.name, partition=str(partition))
        for partition, found in restored.items():
            place = {"partition": str(partition)}
            self._telemetry.count(RESTORES, source="log" if found.rewound else "nothing")
            self._telemetry.set(RESTORE_SECONDS, seconds, topic=TRADES.name, **place)
            self._telemetry.count(REFOLDED, found.rewound, **place)
            self._telemetry.log.info(
                "restored",
                partition=partition,
                offset=found.start,
                refolded=found.rewound,
                cold_sets=found.cold_sets,
            )

    def _begin_ages(self, restored: Mapping[int, Restored]) -> None:
        """Ages go on from the rows on the log: a ticker may be silent for long from here on."""
        before = self._newest
        self._newest = {
            (partition, row.ticker, row.feature_set): (row.grid_time_us, row.written_s)
            for partition, found in restored.items()
            for row in found.newest
        }
        for _, ticker, feature_set in before.keys() - self._newest.keys():
            for metric in (EVENT_AGE, ROW_AGE):
                self._telemetry.forget(metric, ticker=ticker, feature_set=feature_set)

    async def take(self, arrivals: Sequence[Arrival]) -> None:
        """Fold a batch, write its rows, acknowledge its trades: in this order.

        A batch that arrived before its partition was taken away is passed over, in whole or part.

        Raises:
            AssertionError: the log breaks a promise of its writer.
        """
        began_s = self._now_s()
        # 1. Fold. Nothing is awaited here, so what is ours stays ours meanwhile.
        ours = [arrival for arrival in arrivals if arrival.is_current()]
        if self._traces is not None:
            self._traces.begin()
        closed, rows = self._fold(ours)
        folded_s = self._now_s()
        # 2. Write, and wait until all of it is durable.
        if rows:
            await self._write(rows)
            self._telemetry.observe(WRITE_SECONDS, self._now_s() - folded_s)
        if self._traces is not None:
            self._traces.committed()
        # 3. Acknowledge, but for partitions that were taken away in the meantime.
        for arrival in ours:
            if arrival.is_current():
                arrival.acknowledge()
        self._report(len(ours), closed, folded_s - began_s, self._now_s())

    def _fold(self, arrivals: Iterable[Arrival]) -> tuple[list[Message], list[Outgoing]]:
        """The rows that these trades close, and the same as they are written."""
        closed: list[Message] = []
        rows: list[Outgoing] = []
        undecodable = 0
        for arrival in arrivals:
            try:
                trade = self._codec.decode(TRADES.name, arrival.value)
            except UndecodableError as error:
                undecodable += 1
                self._pass_over(arrival, error, is_logged=undecodable <= UNDECODABLE_LOGGED_MAX)
                continue
            said = self._folds[arrival.partition].handle(arrival.offset, trade)
            if said:
                closed += said
                rows += self._carry(arrival, [self._encode(message) for message in said])
        return closed, rows

    def _carry(self, arrival: Arrival, rows: Sequence[Outgoing]) -> Sequence[Outgoing]:
        """The rows that a trade closed, with its trace."""
        if self._traces is None or arrival.traceparent is None:
            return rows
        trade = Record(
            TRADES.name, arrival.partition, arrival.offset, 0, None, None, arrival.traceparent
        )
        return self._traces.carry(trade, rows)

    def _pass_over(self, arrival: Arrival, error: UndecodableError, *, is_logged: bool) -> None:
        """`trades` has one writer, so this is a stranger's: no row depends on it."""
        self._telemetry.count(RECORDS_UNDECODABLE, topic=TRADES.name)
        if is_logged:
            self._telemetry.log.warning(
                "undecodable_record",
                topic=TRADES.name,
                partition=arrival.partition,
                offset=arrival.offset,
                cause=error.cause,
                detail=error.detail,
            )

    def _encode(self, message: Message) -> Outgoing:
        value = self._codec.encode(message.topic, message.origin, message.payload)
        return Outgoing(message.topic, message.partition, message.key.encode(), value)

    def _report(self, trades: int, closed: Iterable[Message], fold_s: float, now_s: float) -> None:
        telemetry = self._telemetry
        telemetry.count(RECORDS_CONSUMED, trades, topic=TRADES.name)
        telemetry.observe(BATCH_RECORDS, trades)
        telemetry.observe(FOLD_SECONDS, fold_s)
        counts: dict[tuple[str, str], int] = {}
        for message in closed:
            row = message.payload
            assert isinstance(row, FeatureRow)
            of_row = (row.ticker, row.feature_set)
            counts[of_row] = counts.get(of_row, 0) + 1
            if message.partition in self._folds:  # else it was taken away during the write
                self._newest[message.partition, *of_row] = (row.grid_time_us, now_s)
        for (ticker, feature_set), count in counts.items():
            telemetry.count(ROWS, count, ticker=ticker, feature_set=feature_set)
        telemetry.count(RECORDS_PRODUCED, sum(counts.values()), topic=FEATURES.name)

    def report_ages(self) -> None:
        """Called every second: a silent ticker's features grow older, which no trade would say."""
        now_s = self._now_s()
        for (_, ticker, feature_set), (grid_time_us, written_s) in self._newest.items():
            of_row = {"ticker": ticker, "feature_set": feature_set}
            self._telemetry.set(EVENT_AGE, now_s - grid_time_us / 1_000_000, **of_row)
            self._telemetry.set(ROW_AGE, now_s - written_s, **of_row)

    def report_progress(self, done: Mapping[int, int], ends: Mapping[int, int]) -> None:
        """Called every second: up to where each partition is done, and where its log ends."""
        for partition, offset in done.items():
            place = str(partition)
            self._telemetry.set(COMMITTED_OFFSET, offset, topic=TRADES.name, partition=place)
            lag = max(0, ends.get(partition, offset) - offset)
            self._telemetry.set(LAG_OFFSETS, lag, topic=TRADES.name, partition=place)

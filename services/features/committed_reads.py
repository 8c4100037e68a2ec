"""Faust's consumer, mended for a transactional topic and for a state that is restored from the log.

Four facts about Faust 0.15.3. Each has a test that takes the mending out and sees the harm: the
first three on a real broker (test_faust_on_transactions.py), the fourth, which is a race there, on
a thread that loses it each time (test_committed_reads.py).

1. It reads uncommitted records unless it writes in transactions itself. Here: committed ones alone.
2. It commits up to the first gap in the offsets, and transactions leave gaps. Here: `Progress`.
3. A partition without a committed offset is left where the reader happens to be. Here: it begins
   where the restore says, and an offset that the log does not have is an error, not a jump.
4. What was fetched before a partition's new beginning is handed on after it, and makes the reader
   take the records there for old ones and drop them. Here: each fetch and each message knows which
   beginning it followed, what followed an earlier one is dropped, and nothing else is.

It needs one agent, with one task, that acknowledges in order. It is written against Faust's inside,
which pyproject.toml therefore pins to one minor version.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any, ClassVar, Final

from aiokafka.errors import ConsumerStoppedError
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from mode import ServiceT

from services.features.progress import Progress

type RecordMap = dict[TP, list[Any]]

FETCH_WAIT_S: Final = 1.0
_YIELD_EVERY: Final = 100
_BEGINNING: Final = "_beginning"
"""Attribute of a message: see fact 4."""


class Fetch(dict[TP, list[Any]]):
    """The records of one fetch, and what was true in the consumer's own thread as it ended."""

    beginning: int
    """How often the partitions had been placed."""
    positions: Mapping[TP, int]
    """Where the next fetch of each partition begins: behind the markers of transactions too."""
    ends: Mapping[TP, int]
    """Up to where each partition's records are decided."""


class CommittedReadsThread(driver.AIOKafkaConsumerThread):
    """The thread that aiokafka's consumer lives in."""

    beginning: int = 0

    def _create_worker_consumer(self, transport: driver.Transport) -> Any:  # noqa: ANN401 - aiokafka's
        consumer = super()._create_worker_consumer(transport)
        # Handed to the fetcher when the consumer starts, which comes next.
        consumer._isolation_level = "read_committed"  # noqa: SLF001 - Faust offers no way to say it
        return consumer

    async def place(self, offsets: Mapping[TP, int]) -> int:
        """Read on from these offsets; returns the number of this beginning."""
        number: int = await self.call_thread(self._place, offsets)
        return number

    async def _place(self, offsets: Mapping[TP, int]) -> int:
        consumer = self._ensure_consumer()
        # No other task of this thread runs between here and the return.
        self.beginning += 1
        for partition, offset in offsets.items():
            consumer.seek(partition, offset)
        return self.beginning

    async def committed(self, partition: TP) -> int | None:
        """The group's committed offset; None: none."""
        offset: int | None = await self.call_thread(self._ensure_consumer().committed, partition)
        return offset

    async def _fetch_records(
        self,
        consumer: Any,  # noqa: ANN401 - aiokafka's
        active_partitions: set[TP],
        timeout: float | None = None,  # noqa: ASYNC109 - Faust's signature
        max_records: int | None = None,
    ) -> RecordMap:
        found = Fetch(
            await super()._fetch_records(consumer, active_partitions, timeout, max_records)
        )
        # aiokafka moves its positions and returns in one step, so the two belong together.
        found.beginning = self.beginning
        states = _partition_states(consumer)
        found.positions = {at: state.position for at, state in states.items()}
        found.ends = {at: state.lso for at, state in states.items() if state.lso is not None}
        return found


def _partition_states(consumer: Any) -> dict[TP, Any]:  # noqa: ANN401 - aiokafka's
    """The books of aiokafka itself; its methods for the same would wait."""
    subscription = consumer._subscription.subscription  # noqa: SLF001 - (same)
    assignment = None if subscription is None else subscription.assignment
    if assignment is None:
        return {}
    states = {TP(*at): assignment.state_value(at) for at in assignment.tps}
    return {at: state for at, state in states.items() if state and state.has_valid_position}


class CommittedReadsConsumer(driver.Consumer):
    """The consumer as the app sees it, in the app's own thread."""

    _thread: CommittedReadsThread

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - Faust's
        super().__init__(*args, **kwargs)
        self.starts: dict[TP, int] = {}
        """Where each assigned partition is to begin. Set by whoever restored their state, when a
        rebalance is complete and before Faust asks for the positions."""
        self.ends: dict[TP, int] = {}
        """Where the committed part of each partition ended at the last fetch."""
        self._beginning = 0
        self._progress: dict[TP, Progress] = {}

    def _new_consumer_thread(self) -> CommittedReadsThread:
        return CommittedReadsThread(self, loop=self.loop, beacon=self.beacon)

    def is_current(self, message: Any) -> bool:  # noqa: ANN401 - Faust's
        """Whether a message followed the last beginning, and its partition is still ours."""
        beginning: int = getattr(message, _BEGINNING, -1)
        return beginning == self._beginning and self.flow_active

    def done(self) -> dict[TP, int]:
        """Below which offset each partition is done."""
        return {at: progress.committable() for at, progress in self._progress.items()}

    async def committed(self, partitions: set[TP]) -> dict[TP, int | None]:
        """The group's committed offsets; None: none."""
        return {at: await self._thread.committed(at) for at in partitions}

    async def perform_seek(self) -> None:
        """Called by Faust with the flow stopped, as the last step before it goes on."""
        assigned = self.assignment()
        starts = {at: offset for at, offset in self.starts.items() if at in assigned}
        self._beginning = await self._thread.place(starts)
        self._progress = {at: Progress(offset) for at, offset in starts.items()}
        self._acked.clear()
        self._acked_index.clear()
        for at, offset in starts.items():
            self._committed_offset[at] = offset
            self._acked[at] = []

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, Any]]:  # noqa: ASYNC109 - Faust's
        """What one fetch brought, unless the partitions have begun anew since."""
        found, _ = await self._wait_next_records(timeout)
        if not isinstance(found, Fetch) or found.beginning != self._beginning or self.should_stop:
            return
        self.ends.update(found.ends)
        for at, position in found.positions.items():
            if (progress := self._progress.get(at)) is not None:
                records = found.get(at)
                progress.fetched(records[-1].offset if records else None, position)
        for at, record in self.scheduler.iterate(found):
            if not self.flow_active or found.beginning != self._beginning:
                return
            message = self._to_message(at, record)
            setattr(message, _BEGINNING, found.beginning)
            yield at, message

    async def _drain_messages(self, fetcher: ServiceT) -> None:
        """Hand messages to the streams, as long as the fetcher runs.

        Faust's own also notes each offset and drops lower ones, which is how it loses trades, and
        makes four tasks a message, which is most of what a trade costs.
        """
        handed = 0
        try:
            while not self.should_stop and not fetcher.should_stop:
                async for _, message in self.getmany(FETCH_WAIT_S):
                    await self.callback(message)
                    handed += 1
                    if handed % _YIELD_EVERY == 0:
                        await asyncio.sleep(0)
                # A fetch that brings nothing may never have waited.
                await asyncio.sleep(0)
        except (ConsumerStoppedError, asyncio.CancelledError):
            if not self.app.should_stop:
                raise

    def _new_offset(self, tp: TP) -> int | None:
        """What to commit; called by Faust for each partition, at each commit."""
        progress = self._progress.get(tp)
        if progress is None:
            return None
        for offset in self._acked[tp]:
            progress.acknowledged(offset)
        self._acked[tp].clear()
        self._acked_index[tp].clear()
        return progress.committable()


class CommittedReads(driver.Transport):
    """The transport to give to an app."""

    Consumer: ClassVar[type[CommittedReadsConsumer]] = CommittedReadsConsumer

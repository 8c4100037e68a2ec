"""The Faust app: reads `trades`, runs the room, writes `features`; and its whole life in a process.

One agent with one task takes batches without acknowledging them. A dead agent ends the process, and
the supervisor of the stack starts it again.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import faust
from faust.streams import Stream
from faust.types import TP, EventT, StreamT, TopicT
from mode.supervisors import CrashingSupervisor

from services.features.committed_reads import CommittedReads, CommittedReadsConsumer
from services.features.restore import Restored, Restorer, RestoreStoppedError
from services.features.service import FeatureRoom, Write
from services.features.settings import FeaturesSettings
from services.runtime.ports import Outgoing
from services.runtime.telemetry import Telemetry
from services.runtime.traces import HEADER, header_of
from services.wire.topics import FEATURES, TICKER_PARTITIONS, TRADES

REPORT_INTERVAL_S: Final = 1.0
STOP_TIMEOUT_S: Final = 10.0
"""Less than the supervisor of the stack waits."""
_STOP_POLL_S: Final = 0.05
_HEARTBEATS_A_SESSION: Final = 4
_REJOIN_S_MAX: Final = 30.0
"""However long a session may be; Faust's own is 60 s."""
_BUFFER_RECORDS: Final = 8_192
_FETCH_RECORDS: Final = 2_000


class Delivery:
    """`service.Arrival` of Faust."""

    def __init__(self, event: EventT[Any], consumer: CommittedReadsConsumer) -> None:
        self._event = event
        self._consumer = consumer
        self.partition: int = event.message.partition
        self.offset: int = event.message.offset
        self.value: bytes | None = event.message.value

    @property
    def traceparent(self) -> bytes | None:
        headers = self._event.message.headers or ()
        return header_of(headers.items() if isinstance(headers, Mapping) else headers)

    def is_current(self) -> bool:
        return self._consumer.is_current(self._event.message)

    def acknowledge(self) -> None:
        self._event.ack()


class FeaturesApp(faust.App):
    """An app whose consumer is the mended one, and that keeps no files."""

    def _new_transport(self) -> CommittedReads:
        return CommittedReads(self.conf.broker_consumer, self)

    def _create_directories(self) -> None:
        """Faust would leave an empty folder for tables in whatever directory it runs in."""

    @property
    def reads(self) -> CommittedReadsConsumer:
        consumer = self.consumer
        assert isinstance(consumer, CommittedReadsConsumer)
        return consumer


def make_app(settings: FeaturesSettings) -> FeaturesApp:
    """An app without agents, told everything here: Faust would read its environment otherwise."""
    session_s = settings.session_timeout_ms / 1_000
    return FeaturesApp(
        f"{settings.topic_prefix}features",
        broker=[f"kafka://{address}" for address in settings.kafka_bootstrap.split(",")],
        # A static member: a restart of this instance within the session moves no partition.
        consumer_group_instance_id=f"{settings.topic_prefix}features-{settings.instance}",
        # An offset that is gone is for a person to decide on, not for a default.
        consumer_auto_offset_reset="none",
        broker_session_timeout=session_s,
        broker_heartbeat_interval=session_s / _HEARTBEATS_A_SESSION,
        # How long the group waits for a member to join again, and tickers are without rows.
        # Joining takes no work here: states are made after it.
        broker_rebalance_timeout=min(session_s, _REJOIN_S_MAX),
        broker_request_timeout=30.0,
        broker_commit_interval=settings.commit_interval_ms / 1_000,
        # By time alone: this counter would commit within the reading of a fetch.
        broker_commit_every=10**9,
        broker_max_poll_records=_FETCH_RECORDS,
        stream_buffer_maxsize=_BUFFER_RECORDS,
        # A rebalance does not wait for what is in flight: that is not acknowledged any more.
        stream_wait_empty=False,
        stream_publish_on_commit=False,
        producer_acks=-1,
        producer_linger=0.0,
        producer_request_timeout=30.0,
        agent_supervisor=CrashingSupervisor,
        topic_allow_declare=False,
        topic_disable_leader=True,
        topic_partitions=TICKER_PARTITIONS,
        web_enabled=False,
        store="memory://",
        datadir=None,
        autodiscover=False,
    )


class FeaturesProcess:
    """The app and the room, tied together.

    Args:
        make_room: given how rows are written, the room.
        stopping: whether the process was asked to stop.
    """

    def __init__(
        self,
        settings: FeaturesSettings,
        make_room: Callable[[Write], FeatureRoom],
        restorer: Restorer,
        telemetry: Telemetry,
        stopping: Callable[[], bool],
    ) -> None:
        self._settings = settings
        self._telemetry = telemetry
        self._stopping = stopping
        self._restorer = restorer
        self._app = make_app(settings)
        self._trades = self._topic(TRADES.name)
        self._features = self._topic(FEATURES.name)
        self._room = make_room(self._write)
        self._app.agent(self._trades, name="fold", concurrency=1)(self._fold)
        on = self._app
        on.on_rebalance_complete.connect(self._restore)  # type: ignore[arg-type]  # takes any names
        on.on_partitions_revoked.connect(self._give_up)  # type: ignore[arg-type]  # (same)

    def _topic(self, name: str) -> TopicT:
        return self._app.topic(
            self._settings.topic_prefix + name,
            key_type=bytes,
            value_type=bytes,
            key_serializer="raw",
            value_serializer="raw",
        )

    def run(self) -> None:
        """Work until asked to stop; called in the main thread.

        Raises:
            OperatingError: a person has to act, or the supervisor to start this again.
            AssertionError: a broken invariant.
        """
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        app = self._app
        starting = asyncio.create_task(app.start())
        reported_s = 0.0
        while not self._stopping() and not app.should_stop and not _has_failed(starting):
            await asyncio.sleep(_STOP_POLL_S)
            if time.monotonic() - reported_s >= REPORT_INTERVAL_S:
                reported_s = time.monotonic()
                self._report()
        self._telemetry.ready.clear()
        reason = app.crash_reason or (starting.exception() if _has_failed(starting) else None)
        try:
            await asyncio.wait_for(app.stop(), STOP_TIMEOUT_S)
        except TimeoutError:
            self._telemetry.log.warning("stop_timed_out", after_s=STOP_TIMEOUT_S)
        starting.cancel()
        if reason is not None and not isinstance(reason, RestoreStoppedError):
            raise reason

    # --- what Faust calls ------------------------------------------------------------------

    async def _fold(self, stream: StreamT[bytes]) -> None:
        """The agent. What it raises ends the process."""
        reads = self._app.reads
        assert isinstance(stream, Stream)
        batches = stream.noack_take(
            self._settings.batch_records_max, within=self._settings.gather_ms / 1_000
        )
        async for events in batches:
            await self._room.take([Delivery(event, reads) for event in events])

    async def _write(self, rows: Sequence[Outgoing]) -> None:
        sent = [
            await self._features.send(
                key=row.key,
                value=row.value,
                partition=row.partition,
                headers=None if row.traceparent is None else {HEADER: row.traceparent},
            )
            for row in rows
        ]
        await asyncio.gather(*sent)

    async def _give_up(self, _app: object, revoked: set[TP], **_: object) -> None:
        """Partitions are taken away, all of them as always, before others are given."""
        if revoked:
            self._telemetry.ready.clear()
            partitions = sorted(at.partition for at in revoked)
            self._telemetry.log.info("revoked", partitions=partitions)

    async def _restore(self, _app: object, **_: object) -> None:
        """A rebalance is complete: make the folds, and say where to read on. Before the flow."""
        app, reads = self._app, self._app.reads
        # With it running, what is fetched in between would get past the new beginning.
        reads.stop_flow()
        generation = app.consumer_generation_id
        assigned = {at for at in reads.assignment() if at.topic == self._trades.get_topic_name()}
        began_s = time.monotonic()
        try:
            committed = await reads.committed(assigned)
            restored = await asyncio.to_thread(self._restore_all, committed, generation)
        except RestoreStoppedError:
            if app.consumer_generation_id == generation:
                raise  # told to stop: with the old folds Faust must not go on
            return
        if app.consumer_generation_id != generation:
            return  # Faust sees it too, and calls again
        reads.starts = {at: restored[at.partition].start for at in assigned}
        self._room.begin(restored, time.monotonic() - began_s)
        self._telemetry.ready.set()

    def _restore_all(
        self, committed: Mapping[TP, int | None], generation: int
    ) -> dict[int, Restored]:
        def is_unwanted() -> bool:
            return self._stopping() or self._app.consumer_generation_id != generation

        return {
            at.partition: self._restorer.restore(at.partition, offset, is_unwanted)
            for at, offset in sorted(committed.items())
        }

    def _report(self) -> None:
        self._room.report_ages()
        if self._telemetry.ready.is_set():
            reads = self._app.reads
            done = {at.partition: offset for at, offset in reads.done().items()}
            ends = {at.partition: offset for at, offset in reads.ends.items()}
            self._room.report_progress(done, ends)


def _has_failed(task: asyncio.Task[None]) -> bool:
    return task.done() and not task.cancelled() and task.exception() is not None

"""Reads the feeds from Kafka into the read model.

No consumer group: every gateway reads everything, from the start of `book` (compacted) and of
`controls`, and from some way before the end of `trades` and `predictions`. `executions` is read on
from what PostgreSQL has of it; where that can't be had, from where the topic begins. A thread
fetches, since librdkafka waits best in one; the event loop folds, since all that it touches is the
loop's.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from threading import Event, Thread
from typing import Final

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from services.gateway import metrics
from services.gateway.beginning import Bounds, ReportsBefore, find_beginning
from services.gateway.core.read_model import FEEDS, ReadModel
from services.gateway.core.recorded import Beginning, Recorded
from services.runtime.errors import HistoryLostError, OperatingError, RetriableError
from services.runtime.kafka_admin import connect_admin, describe_topics
from services.runtime.telemetry import RECORD_AGE_SECONDS, RECORDS_UNDECODABLE, Telemetry
from services.wire.codec import UndecodableError
from services.wire.topics import BY_NAME, EXECUTIONS, PREDICTIONS, TRADES

BATCH_RECORDS_MAX: Final = 500
"""Folded in one go; some 2 ms of the event loop's time."""
_POLL_S: Final = 0.5
_PAUSE_S: Final = 0.005
"""Between batches: lets records gather, which costs less than waking up for each."""
_REQUEST_S: Final = 10.0
_WARN_INTERVAL_S: Final = 60.0

PREDICTIONS_TAIL: Final = 2_000
"""Records of each partition of `predictions` read at the start: minutes of all models."""


class KafkaFeeds:
    """Feeds the model until closed. Made, used and closed on one event loop.

    Args:
        prefix: the deployment's topic prefix.
        trades_tail: how many records of each partition of `trades` to read from before the start.
        on_failure: called on the event loop when reading can't go on; the process should end.
        before: says what came before some offset of `executions`; None: nobody does.
    """

    def __init__(
        self,
        bootstrap: str,
        prefix: str,
        model: ReadModel,
        trades_tail: int,
        telemetry: Telemetry,
        on_failure: Callable[[BaseException], None],
        before: ReportsBefore | None = None,
    ) -> None:
        self._bootstrap = bootstrap
        self._before = before
        self._prefix = prefix
        self._model = model
        self._tails = {TRADES.name: trades_tail, PREDICTIONS.name: PREDICTIONS_TAIL}
        self._telemetry = telemetry
        self._on_failure = on_failure
        self._loop = asyncio.get_running_loop()
        self._stopping = Event()
        self._warned_at = -_WARN_INTERVAL_S
        self._reading: set[tuple[str, int]] = set()
        """Partitions not yet read to where they ended."""
        self._ends: dict[tuple[str, int], int] = {}
        """Where they ended at the start."""
        self._consumer = Consumer(
            {
                "bootstrap.servers": bootstrap,
                # librdkafka insists on a name; nothing is joined and nothing committed.
                "group.id": f"{prefix}gateway-without-a-group",
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
                "isolation.level": "read_committed",
                "auto.offset.reset": "error",
                "enable.partition.eof": True,
                "fetch.wait.max.ms": 100,
                "queued.max.messages.kbytes": 16_384,
                "reconnect.backoff.max.ms": 1_000,
                "log_level": 2,
            }
        )
        self._thread = Thread(target=self._serve, name="feeds", daemon=True)

    def start(self) -> None:
        """Find where to begin, and begin. Blocks while a database is asked, else some seconds.

        The model is nobody else's meanwhile.

        Raises:
            RetriableError: the broker does not answer.
        """
        try:
            starts = self._starts()
            beginning, recorded = self._move_reports(starts)
            self._consumer.assign(starts)
        except KafkaException as error:
            cause = error.args[0].str()
            raise RetriableError(f"the feeds can't be read ({cause}); is Kafka up?") from error
        self._telemetry.log.info(
            "reports_begin", source=beginning.source, is_whole=beginning.is_whole,
            reason=beginning.reason, offsets=dict(recorded.starts),
        )  # fmt: skip
        self._model.begin(beginning, recorded)
        self._thread.start()

    def close(self) -> None:
        """Stop reading and give up the connection. Blocks for half a second at most."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()
        self._consumer.close()

    def _starts(self) -> list[TopicPartition]:
        starts = []
        for feed in FEEDS:
            for partition in range(feed.partitions):
                place = TopicPartition(self._prefix + feed.name, partition)
                low, high = self._consumer.get_watermark_offsets(place, timeout=_REQUEST_S)
                tail = self._tails.get(feed.name)
                place.offset = low if tail is None else max(low, high - tail)
                starts.append(place)
                self._ends[feed.name, partition] = high
                self._reading.add((feed.name, partition))
        return starts

    def _move_reports(self, starts: list[TopicPartition]) -> tuple[Beginning, Recorded]:
        """Have `executions` begin where what came before is known."""
        topic = self._prefix + EXECUTIONS.name
        places = {place.partition: place for place in starts if place.topic == topic}
        found = find_beginning(
            {
                partition: Bounds(place.offset, self._ends[EXECUTIONS.name, partition])
                for partition, place in places.items()
            },
            self._before,
            lambda: self._topic_id(topic),
        )
        for partition, place in places.items():
            place.offset = found[1].starts[partition]
        return found

    def _topic_id(self, topic: str) -> str:
        found = describe_topics(connect_admin(self._bootstrap), self._bootstrap, [topic])
        return str(found[topic].topic_id)

    # --- on the thread

    def _serve(self) -> None:
        try:
            while not self._stopping.is_set():
                first = self._consumer.poll(_POLL_S)
                if first is None:
                    continue
                rest = self._consumer.consume(BATCH_RECORDS_MAX - 1, 0)
                self._hand_over([first, *rest])
                self._stopping.wait(_PAUSE_S)
        except BaseException as error:  # noqa: BLE001 - passed on, and the process ends
            self._loop.call_soon_threadsafe(self._on_failure, error)

    def _hand_over(self, messages: Sequence[Message]) -> None:
        """Have the event loop fold them, and wait for it: so a busy loop slows the fetching."""
        done: Future[None] = Future()

        def fold() -> None:
            try:
                self._fold(messages)
            except BaseException as error:  # noqa: BLE001 - raised again by the thread
                done.set_exception(error)
            else:
                done.set_result(None)

        self._loop.call_soon_threadsafe(fold)
        while not self._stopping.is_set():
            try:
                done.result(timeout=_POLL_S)
            except TimeoutError:
                continue
            return

    # --- on the event loop

    def _fold(self, messages: Sequence[Message]) -> None:
        counts: dict[str, int] = {}
        oldest_ms: dict[str, int] = {}
        cut = len(self._prefix)
        for message in messages:
            topic = (message.topic() or "")[cut:]
            error = message.error()
            if error is not None:
                self._hear_error(topic, message.partition() or 0, error)
                continue
            if topic not in counts:
                counts[topic] = 0
                oldest_ms[topic] = message.timestamp()[1]
            counts[topic] += 1
            try:
                self._model.fold(topic, message.key(), message.value())
            except UndecodableError as junk:
                self._warn(topic, message, junk)
        for topic, count in counts.items():
            self._telemetry.count(metrics.FEED_RECORDS, count, topic=topic)
            self._telemetry.observe_age(RECORD_AGE_SECONDS, oldest_ms[topic], topic=topic)
        self._telemetry.set(metrics.ENDED_ORDERS, self._model.orders.ended_count)

    def _hear_error(self, topic: str, partition: int, error: KafkaError) -> None:
        if error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001
            if (topic, partition) in self._reading:
                self._reading.discard((topic, partition))
                if not any(name == topic for name, _ in self._reading):
                    self._model.note_caught_up(topic)
            return
        if error.code() == KafkaError._AUTO_OFFSET_RESET:  # noqa: SLF001
            raise HistoryLostError(
                f"{topic} no longer holds what was to be read next; start the gateway again"
            )
        if error.fatal() or topic in BY_NAME:
            raise OperatingError(f"{topic or 'the feeds'}: {error.str()}; is Kafka up?")
        # Of no topic: a broker is away for now, and librdkafka comes back to it by itself.
        self._telemetry.log.warning("feeds_interrupted", cause=error.str())

    def _warn(self, topic: str, message: Message, junk: UndecodableError) -> None:
        """One line a minute: a stranger who writes junk must not fill the disk too."""
        self._telemetry.count(RECORDS_UNDECODABLE, topic=topic)
        now = time.monotonic()
        if now - self._warned_at >= _WARN_INTERVAL_S:
            self._warned_at = now
            self._telemetry.log.warning(
                "undecodable_record",
                topic=topic,
                partition=message.partition(),
                offset=message.offset(),
                cause=str(junk),
            )

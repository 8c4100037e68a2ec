"""The `orders` topic through librdkafka: an idempotent producer that confirms every record."""

import asyncio
from collections import deque
from collections.abc import Callable
from threading import Event, Thread, get_ident
from typing import Final

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from services.gateway.ports import LogUnavailableError, OutcomeUnknownError
from services.runtime.errors import FatalError, OperatingError, RetriableError
from services.runtime.telemetry import Telemetry
from services.runtime.traces import HEADER

# Codes after which the broker holds nothing of the record; of all others it may.
_NOTHING_WRITTEN: Final = frozenset(
    {
        KafkaError._PURGE_QUEUE,  # noqa: SLF001 - librdkafka's own codes have such names
        KafkaError._UNKNOWN_PARTITION,  # noqa: SLF001
        KafkaError._UNKNOWN_TOPIC,  # noqa: SLF001
        KafkaError.MSG_SIZE_TOO_LARGE,
        KafkaError.INVALID_RECORD,
        KafkaError.NOT_ENOUGH_REPLICAS,
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.UNKNOWN_TOPIC_OR_PART,
    }
)
_GRACE_S: Final = 1.0
"""How long after librdkafka's own limit its verdict is waited for."""
_POLL_S: Final = 0.001
"""How often confirmations are asked for while any is awaited. A thread that waited for them would
wake up for nearly each, and take the interpreter's lock from the loop twice."""
_LINGER_MS: Final = 2
_REQUESTS_UNDER_WAY_MAX: Final = 2
"""To one broker. A request has one partition's records, and costs the broker and librdkafka much
the same however many they are: whatever comes while this many are under way goes in the next one
together. One request would be cheaper still, and each partition would wait for all others."""
_IDLE_POLL_S: Final = 0.2
_PROBE_S: Final = 1.0


class KafkaCommandLog:
    """`ports.CommandLog` on Kafka. Made, used and closed on one event loop.

    While records are on their way the loop asks for their confirmations by a timer. A thread of its
    own hears of brokers that are lost in between, and asks for the topic once a second while none
    answers, so that `available` tells the truth without costing anything in good times.

    Args:
        topic: the full name, prefix included.
        on_fatal: called on the event loop when this producer can't go on; the process should end.
    """

    def __init__(
        self,
        bootstrap: str,
        topic: str,
        append_timeout_ms: int,
        telemetry: Telemetry,
        on_fatal: Callable[[OperatingError], None],
    ) -> None:
        self._bootstrap = bootstrap
        self._topic = topic
        self._timeout_ms = append_timeout_ms
        self._telemetry = telemetry
        self._on_fatal = on_fatal
        self._loop = asyncio.get_running_loop()
        self._loop_thread = get_ident()
        self._awaited = 0
        self._due: deque[tuple[float, asyncio.Future[None]]] = deque()
        """Records on their way, and until when (loop time) librdkafka's verdict is waited for. One
        look each poll costs less than a timer for each record."""
        self._timer: asyncio.TimerHandle | None = None
        self._suspect = Event()
        self._stopping = Event()
        self._available = False
        self._producer = Producer(
            {
                "bootstrap.servers": bootstrap,
                "enable.idempotence": True,
                "acks": "all",
                "message.timeout.ms": append_timeout_ms,
                "request.timeout.ms": append_timeout_ms,
                "socket.timeout.ms": append_timeout_ms,
                "linger.ms": _LINGER_MS,
                "max.in.flight": _REQUESTS_UNDER_WAY_MAX,
                "reconnect.backoff.ms": 50,
                "reconnect.backoff.max.ms": 1_000,
                "queue.buffering.max.messages": 100_000,
                "log_level": 2,
                "error_cb": self._hear_error,
            }
        )
        self._thread = Thread(target=self._serve, name="command-log", daemon=True)

    def start(self) -> None:
        """Ask for the topic once; blocks for some seconds at most.

        Raises:
            RetriableError: no broker answers.
        """
        if not self._answers():
            raise RetriableError(f"no Kafka broker answers at {self._bootstrap}; start it")
        self._available = True
        self._thread.start()

    @property
    def available(self) -> bool:
        return self._available

    async def append(
        self, partition: int, key: bytes, value: bytes, traceparent: bytes | None = None
    ) -> None:
        """Write one record; returns once all in-sync replicas have it."""
        if not self._available:
            raise LogUnavailableError("no Kafka broker answers")
        future: asyncio.Future[None] = self._loop.create_future()

        def on_delivery(error: KafkaError | None, _: Message) -> None:
            if get_ident() == self._loop_thread:
                self._settle(future, error)
            else:
                self._loop.call_soon_threadsafe(self._settle, future, error)

        try:
            if traceparent is None:
                self._producer.produce(self._topic, value, key, partition, on_delivery)
            else:
                headers: dict[str, str | bytes | None] = {HEADER: traceparent}
                self._producer.produce(
                    self._topic, value, key, partition, on_delivery, headers=headers
                )
        except BufferError as error:
            raise LogUnavailableError("too many commands wait for the log") from error
        except KafkaException as error:
            raise LogUnavailableError(error.args[0].str()) from error
        self._awaited += 1
        self._due.append((self._loop.time() + self._timeout_ms / 1_000 + _GRACE_S, future))
        if self._timer is None:
            self._timer = self._loop.call_later(_POLL_S, self._poll)
        await future

    def _poll(self) -> None:
        self._producer.poll(0)
        self._give_up()
        self._timer = self._loop.call_later(_POLL_S, self._poll) if self._awaited else None

    def _give_up(self) -> None:
        """Say of whatever was waited for too long that nobody knows."""
        now_s = self._loop.time()
        while self._due and (self._due[0][1].done() or self._due[0][0] <= now_s):
            _, future = self._due.popleft()
            if not future.done():
                future.set_exception(OutcomeUnknownError(f"no answer within {self._timeout_ms} ms"))

    def _settle(self, future: asyncio.Future[None], error: KafkaError | None) -> None:
        self._awaited -= 1
        if future.done():
            return  # waited for too long, and answered so
        if error is None:
            future.set_result(None)
        else:
            future.set_exception(_failure(error))

    def close(self) -> None:
        """Wait for what is under way, within the time limit, and give up the connection. Blocks."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    # --- on the thread

    def _serve(self) -> None:
        while not self._stopping.is_set():
            if self._awaited:
                self._stopping.wait(_IDLE_POLL_S)  # the loop polls
            else:
                self._producer.poll(_IDLE_POLL_S)
            if self._suspect.is_set():
                self._suspect.clear()
                self._probe()
        self._producer.flush(self._timeout_ms / 1_000)

    def _probe(self) -> None:
        answers = self._answers()
        if answers != self._available:
            self._available = answers
            self._telemetry.log.warning("log_back" if answers else "log_away")
        if not answers:
            self._suspect.set()

    def _answers(self) -> bool:
        try:
            metadata = self._producer.list_topics(self._topic, timeout=_PROBE_S)
        except KafkaException:
            return False
        return metadata.topics[self._topic].error is None

    def _hear_error(self, error: KafkaError) -> None:
        if error.fatal():
            cause = FatalError(f"the producer can't go on ({error.str()}); it is started again")
            self._loop.call_soon_threadsafe(self._on_fatal, cause)
        elif error.code() == KafkaError._ALL_BROKERS_DOWN:  # noqa: SLF001
            self._suspect.set()


def _failure(error: KafkaError) -> Exception:
    if error.code() in _NOTHING_WRITTEN:
        return LogUnavailableError(error.str())
    return OutcomeUnknownError(error.str())

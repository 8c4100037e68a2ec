"""The exchange as its clients see it: publish a record, watch what comes out.

A port (`Exchange`, `Watch`) and its Kafka adapter, which is a plain client: an idempotent producer
that waits for all replicas, and a consumer outside any group that sees committed records only.
"""

import time
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Final, Protocol, Self, cast

import msgspec
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer
from confluent_kafka import TopicPartition as Place

from services.runtime.ports import TopicPartition
from services.tools.operate.errors import OperateError, UnreachableError
from services.wire.codec import Codec, Decoded, UndecodableError
from services.wire.messages import Payload

_REQUEST_TIMEOUT_S: Final = 10.0
_POLL_RECORDS_MAX: Final = 500


class Published(msgspec.Struct, frozen=True):
    """Where a durable record stands."""

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.topic}-{self.partition}@{self.offset}"


class Seen(msgspec.Struct, frozen=True):
    """A decoded record that came out."""

    topic: str
    partition: int
    offset: int
    decoded: Decoded[Any]
    timestamp_ms: int = 0
    """What the log says, ms since the epoch; 0 where nobody asked."""


class Watch(Protocol):
    """What came out of some partitions since the watch began."""

    def poll(self, timeout_s: float) -> Sequence[Seen]:
        """What has come, in offset order within each partition; waits only for the first.

        Raises:
            UnreachableError: the broker can't be read.
        """

    def close(self) -> None:
        """Give up the connection."""


class Exchange(Protocol):
    """Where commands go in and answers come out."""

    def watch(self, partitions: Sequence[TopicPartition]) -> Watch:
        """Begin to watch from here on: all that is written after this call returns is seen.

        Raises:
            UnreachableError: no broker answers, or a topic is missing.
        """

    def publish(self, topic: str, partition: int, key: str, payload: Payload) -> Published:
        """Write a client's command or an operator's control; returns once it is durable.

        Raises:
            UnreachableError: it could not be made durable in time; it may be all the same.
        """

    def close(self) -> None:
        """Give up the connection."""


class KafkaWatch:
    """`Watch` on Kafka."""

    def __init__(
        self, bootstrap: str, prefix: str, codec: Codec, partitions: Sequence[TopicPartition]
    ) -> None:
        self._bootstrap = bootstrap
        self._prefix = prefix
        self._codec = codec
        self._consumer = Consumer(
            {
                "bootstrap.servers": bootstrap,
                "group.id": "outcry-cli",  # required by the library; nothing joins or commits
                "enable.auto.commit": False,
                "isolation.level": "read_committed",
                "auto.offset.reset": "error",
                "fetch.wait.max.ms": 20,
                "log_level": 2,
            }
        )
        try:
            self._consumer.assign([self._end_of(partition) for partition in partitions])
        except KafkaException as error:
            self._consumer.close()
            raise unreachable(bootstrap, error) from error

    def _end_of(self, partition: TopicPartition) -> Place:
        # The last stable offset: what stands beyond it belongs to transactions that are still
        # open, so it is seen too, and never answers what is yet to be published.
        place = Place(self._prefix + partition.topic, partition.partition)
        bounds = self._consumer.get_watermark_offsets(place, timeout=_REQUEST_TIMEOUT_S)
        return Place(place.topic, place.partition, bounds[1])

    def poll(self, timeout_s: float) -> Sequence[Seen]:
        """What has come; records that can't be decoded are none of ours."""
        found = []
        for message in self._consumer.consume(_POLL_RECORDS_MAX, 0) or self._first(timeout_s):
            error = message.error()
            if error is not None:
                raise unreachable(self._bootstrap, KafkaException(error))
            topic = cast("str", message.topic()).removeprefix(self._prefix)
            try:
                decoded = self._codec.decode(topic, cast("bytes | None", message.value()))
            except UndecodableError:
                continue
            place = cast("int", message.partition()), cast("int", message.offset())
            found.append(Seen(topic, *place, decoded, message.timestamp()[1]))
        return found

    def _first(self, timeout_s: float) -> list[Any]:
        message = self._consumer.poll(timeout_s)
        return [] if message is None else [message]

    def close(self) -> None:
        """Give up the connection."""
        self._consumer.close()


class KafkaExchange:
    """`Exchange` on Kafka. Use it in a `with`."""

    def __init__(self, bootstrap: str, prefix: str, codec: Codec) -> None:
        self._bootstrap = bootstrap
        self._prefix = prefix
        self.codec = codec
        self._producer = Producer(
            {
                "bootstrap.servers": bootstrap,
                "acks": "all",
                "enable.idempotence": True,
                "linger.ms": 0,
                "delivery.timeout.ms": int(_REQUEST_TIMEOUT_S * 1000),
                "log_level": 2,
            }
        )

    def watch(self, partitions: Sequence[TopicPartition]) -> KafkaWatch:
        """Begin to watch from here on."""
        return KafkaWatch(self._bootstrap, self._prefix, self.codec, partitions)

    def publish(self, topic: str, partition: int, key: str, payload: Payload) -> Published:
        """Write one record, durable when this returns."""
        value = self.codec.encode_command(topic, payload)
        outcome: list[tuple[KafkaError | None, int]] = []

        def delivered(error: KafkaError | None, message: Any) -> None:  # noqa: ANN401 - the library's
            outcome.append((error, message.offset()))

        self._producer.produce(
            self._prefix + topic, value, key or None, partition, on_delivery=delivered
        )
        give_up_at_s = time.monotonic() + 2 * _REQUEST_TIMEOUT_S
        while not outcome and time.monotonic() < give_up_at_s:
            self._producer.poll(0.1)
        if not outcome:
            raise UnreachableError(f"Kafka at {self._bootstrap} does not confirm the record")
        error, offset = outcome[0]
        if error is not None:
            raise unreachable(self._bootstrap, KafkaException(error))
        return Published(topic, partition, offset)

    def close(self) -> None:
        """Give up the connection; nothing is left in the queue."""
        self._producer.flush(0)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def unreachable(bootstrap: str, error: KafkaException) -> OperateError:
    """What a Kafka error means to somebody at a terminal."""
    fault = cast("KafkaError", error.args[0])
    if fault.code() in (KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_PARTITION):  # noqa: SLF001
        return UnreachableError(
            f"the topics are missing at {bootstrap} ({fault.str()}): "
            "make them with `outcry topics create`, or check OUTCRY_TOPIC_PREFIX"
        )
    return UnreachableError(
        f"Kafka at {bootstrap} does not answer ({fault.str()}): start it with `outcry up`, "
        "or set OUTCRY_PORT_BASE"
    )

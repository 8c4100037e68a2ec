"""The ports over Kafka: one consumer and one transactional writer, for the loop.

Exactly once as Kafka Streams' exactly_once_v2 does it: the batch's offsets are committed in the
batch's transaction, under the group metadata taken at the poll that fetched it.
"""

import struct
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, Final, cast

import msgspec
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer
from confluent_kafka import TopicPartition as KafkaPartition

from services.runtime.errors import (
    FencedError,
    RestoreNeededError,
    RetriableError,
    UnknownOutcomeError,
)
from services.runtime.kafka_admin import connect_admin
from services.runtime.kafka_decided import await_decided
from services.runtime.kafka_faults import error_of, read_fault, write_fault
from services.runtime.ports import Batch, Outgoing, Record, TopicPartition
from services.runtime.traces import HEADER, header_of

SESSION_TIMEOUT_MS: Final = 6_000
TRANSACTION_TIMEOUT_MS: Final = 3_000
"""Below the session's timeout: whoever takes over finds no transaction open for long."""
POLL_INTERVAL_MS_MAX: Final = 600_000
"""Longest restore or fold between two polls, before the group gives the partitions to others."""
_COMMIT_WAIT_MS: Final = 5_000
_ABORT_WAIT_MS: Final = 3_000
_INITIALISE_WAIT_MS: Final = 10_000
_COMMITTED_WAIT_MS: Final = 5_000
_QUEUE_FULL_PAUSE_S: Final = 0.005

ALTERNATING: Final = ("a", "b", "c")
"""The broker still writes the markers of one transaction while the next begins; under the same
transactional id librdkafka would wait 20 ms for that. Should their markers come in another order,
the group's offset is still the later one's: the broker goes by their order in its topic of offsets.
"""

type GroupMetadata = bytes


class KafkaConnection(msgspec.Struct, frozen=True):
    """Which cluster, and which deployment on it."""

    bootstrap: str
    prefix: str = ""
    """Put before every topic, group and transactional id."""
    on_client_error: Callable[[str], None] = lambda _: None
    """Told what librdkafka says about connections; it mends them itself."""
    has_traces: bool = False
    """Whether records are read with the headers of their traces."""

    def client_config(self) -> dict[str, Any]:
        """What every client is told."""
        return {
            "bootstrap.servers": self.bootstrap,
            "error_cb": lambda error: self.on_client_error(f"{error.str()} ({error.name()})"),
            # What matters of librdkafka's log comes by error_cb and by exceptions.
            "log_level": 0,
            "socket.nagle.disable": True,
            "socket.keepalive.enable": True,
            "reconnect.backoff.ms": 50,
            "reconnect.backoff.max.ms": 1_000,
            # librdkafka's default of 100 ms would be the time of a small transaction.
            "retry.backoff.ms": 1,
            "retry.backoff.max.ms": 5,
        }

    def reader_config(self) -> dict[str, Any]:
        """What everything that reads is told, beside that."""
        return self.client_config() | {
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "allow.auto.create.topics": False,
            # An offset that is gone is for a person to decide on, not for a default.
            "auto.offset.reset": "error",
            "fetch.wait.max.ms": 100,
            # Bounds the memory of what is fetched ahead, and the pause once it is full.
            "queued.min.messages": 10_000,
            "queued.max.messages.kbytes": 16_384,
            "fetch.queue.backoff.ms": 2,
            "fetch.error.backoff.ms": 100,
        }


class KafkaConsumer:
    """`ports.Consumer`: a static member of `<prefix><group>`."""

    def __init__(
        self,
        connection: KafkaConnection,
        group: str,
        instance: str,
        session_timeout_ms: int = SESSION_TIMEOUT_MS,
    ) -> None:
        self._prefix = connection.prefix
        self._consumer: Consumer = Consumer(
            connection.reader_config()
            | {
                "group.id": connection.prefix + group,
                "group.instance.id": f"{connection.prefix}{group}-{instance}",
                # Eager: a revoke means everything, so dropping all state is right and simple.
                "partition.assignment.strategy": "range",
                "session.timeout.ms": session_timeout_ms,
                "heartbeat.interval.ms": session_timeout_ms // 4,
                "max.poll.interval.ms": POLL_INTERVAL_MS_MAX,
            }
        )
        self._on_client_error = connection.on_client_error
        self._to_record = to_traced_record if connection.has_traces else to_record
        self._assignments = 0
        self._owned: list[TopicPartition] | None = None
        self._plain_names: dict[str, str] = {}
        self._closing = False

    def subscribe(
        self,
        topics: Sequence[str],
        on_assigned: Callable[[Sequence[TopicPartition]], Mapping[TopicPartition, int]],
        on_revoked: Callable[[Sequence[TopicPartition]], None],
    ) -> None:
        """Join in the background; callbacks run inside `poll`."""
        self._plain_names = {self._prefix + topic: topic for topic in topics}

        def assign(consumer: Consumer, partitions: list[KafkaPartition]) -> None:
            owned = sorted(self._plain(partition) for partition in partitions)
            starts = on_assigned(owned)
            self._assignments += 1
            self._owned = owned
            consumer.assign([self._full(at, starts[at]) for at in owned])

        def revoke(consumer: Consumer, _: list[KafkaPartition]) -> None:
            owned, self._owned = self._owned, None
            if owned is not None and not self._closing:
                on_revoked(owned)
            consumer.unassign()

        self._consumer.subscribe(
            list(self._plain_names), on_assign=assign, on_revoke=revoke, on_lost=revoke
        )

    def poll(self, records_max: int, timeout_ms: int) -> Batch[GroupMetadata]:
        """Wait for the first record, then take what else has arrived.

        `Consumer.consume` alone would wait its whole timeout for a full batch.
        """
        try:
            first = self._consumer.poll(timeout_ms / 1_000)
            if first is None:
                return Batch((), b"")
            assignment = self._assignments
            rest = self._consumer.consume(records_max - 1, 0) if records_max > 1 else []
        except KafkaException as error:
            raise read_fault(error_of(error), "reading") from error
        # Errors first, whoever owns the partitions now: librdkafka tells a fatal one once, and a
        # consumer that was fenced then reads nothing for ever.
        records = self._records([first, *rest])
        if self._owned is None:
            return Batch((), b"")  # revoked meanwhile: these records are another member's now
        if self._assignments != assignment:
            raise RestoreNeededError("partitions changed hands within one read; join again")
        return Batch(records, self._joined_metadata() if records else b"")

    def _records(self, messages: list[Message]) -> list[Record]:
        records = []
        passing: RetriableError | None = None
        for message in messages:
            error = message.error()
            if error is not None:
                fault = read_fault(error, "reading")
                if not isinstance(fault, RetriableError):
                    raise fault
                self._on_client_error(str(fault))
                passing = fault
                continue
            records.append(self._to_record(message, self._plain_names))
        if passing is not None and not records:
            raise passing
        return records

    def _joined_metadata(self) -> GroupMetadata:
        """The group metadata of now.

        Metadata of a consumer that is in no generation would make the broker skip its check.
        """
        try:
            metadata: GroupMetadata = self._consumer.consumer_group_metadata()
        except KafkaException as error:
            raise FencedError(f"no group metadata ({error_of(error).str()}); join again") from error
        generation, member_id = parse_group_metadata(metadata)
        if generation < 0 or not member_id:
            raise FencedError("this member lost its place in the group; join again")
        return metadata

    def committed(self, partitions: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
        """Asked with stable isolation, since this reads committed data only."""
        if not partitions:
            return {}
        wanted = [self._full(at) for at in partitions]
        try:
            found = self._consumer.committed(wanted, _COMMITTED_WAIT_MS / 1_000)
        except KafkaException as error:
            raise read_fault(error_of(error), "asking for committed offsets") from error
        for partition in found:
            if partition.error is not None:
                raise read_fault(partition.error, f"committed offset of {partition.topic}")
        return {self._plain(partition): max(partition.offset, -1) for partition in found}

    def ends(self) -> Mapping[TopicPartition, int]:
        """Of librdkafka's memory: what the last answers to fetches said."""
        return known_ends(self._consumer, {at: self._full(at) for at in self._owned or ()})

    def close(self) -> None:
        """Stop reading, and keep the place in the group until the session times out."""
        self._closing = True
        try:
            self._consumer.close()
        except (KafkaException, RuntimeError) as error:
            self._on_client_error(f"closing the consumer: {error}")

    def _plain(self, partition: KafkaPartition) -> TopicPartition:
        return TopicPartition(self._plain_names[partition.topic], partition.partition)

    def _full(self, at: TopicPartition, offset: int = -1001) -> KafkaPartition:
        return KafkaPartition(self._prefix + at.topic, at.partition, offset)


def known_ends(
    consumer: Consumer, partitions: Mapping[TopicPartition, KafkaPartition]
) -> dict[TopicPartition, int]:
    """Where each partition ended at its last fetch, those without one left out. Asks nobody."""
    ends = {}
    for at, full in partitions.items():
        with suppress(KafkaException):  # it is assigned no more, or not yet
            _, end = consumer.get_watermark_offsets(full, cached=True)
            if end >= 0:
                ends[at] = end
    return ends


def to_traced_record(message: Message, plain_names: Mapping[str, str]) -> Record:
    """As `to_record`, with the header of its trace, if it has one of that length."""
    record = to_record(message, plain_names)
    found = cast("list[tuple[str, bytes | None]] | None", message.headers())
    traceparent = header_of(found or ())
    return (
        record if traceparent is None else msgspec.structs.replace(record, traceparent=traceparent)
    )


def to_record(message: Message, plain_names: Mapping[str, str]) -> Record:
    """A message of librdkafka that carries no error, under its plain topic name."""
    topic, partition, offset = message.topic(), message.partition(), message.offset()
    assert topic is not None
    assert partition is not None
    assert offset is not None
    return Record(
        plain_names[topic],
        partition,
        offset,
        message.timestamp()[1],
        message.key(),
        message.value(),
    )


_METADATA_MAGIC: Final = b"CGMDv2:"
_GENERATION: Final = struct.Struct("=i")


def parse_group_metadata(metadata: GroupMetadata) -> tuple[int, str]:
    """Generation and member id in librdkafka's serialised group metadata.

    `CGMDv2:`, generation (int32, native), group id, member id, instance id, each ended by NUL.
    """
    assert metadata.startswith(_METADATA_MAGIC), f"group metadata begins {metadata[:8]!r}"
    (generation,) = _GENERATION.unpack_from(metadata, len(_METADATA_MAGIC))
    names = metadata[len(_METADATA_MAGIC) + _GENERATION.size :].split(b"\0")
    return generation, names[1].decode()


class KafkaProducer:
    """`ports.Producer`: transactional ids `<prefix><writer>-a`, `-b` and `-c`, used in turn.

    Args:
        outputs: where it writes; in these everything must be decided before it begins.
    """

    def __init__(
        self,
        connection: KafkaConnection,
        writer: str,
        transaction_timeout_ms: int = TRANSACTION_TIMEOUT_MS,
        alternating: Sequence[str] = ALTERNATING,
        outputs: Sequence[TopicPartition] = (),
    ) -> None:
        self._connection = connection
        self._outputs = outputs
        # Already now, so that it has connected by the time it is needed.
        self._admin = connect_admin(connection.bootstrap) if outputs else None
        self._ids = [f"{connection.prefix}{writer}-{letter}" for letter in alternating]
        self._transaction_timeout_ms = transaction_timeout_ms
        self._producers: list[Producer] = []
        self._turn = 0
        self._open: Producer | None = None
        self._refusal: KafkaError | None = None
        """Why a record of the open transaction was not delivered, the first one's cause."""
        self._full_names: dict[str, str] = {}

    def _note_refusal(self, error: KafkaError | None, _: Message) -> None:
        if self._refusal is None:
            self._refusal = error

    def initialise(self) -> None:
        """Make new producers: librdkafka initialises each once only.

        All ids at once: each waits for its coordinator, and a takeover waits for the last of them.
        """
        self.close()
        made = [Producer(self._config(name)) for name in self._ids]
        try:
            with ThreadPoolExecutor(len(made), "initialise") as threads:
                # The pool ends when all have, whatever the first one raises.
                list(threads.map(_initialise, made))
        except KafkaException as exception:
            _drop(made)
            fault = write_fault(error_of(exception), "initialising transactional ids")
            if isinstance(fault, RestoreNeededError):
                raise RetriableError(str(fault)) from exception
            raise fault from exception
        if self._outputs:
            self._admin = self._admin or connect_admin(self._connection.bootstrap)
            try:
                await_decided(self._admin, self._connection.prefix, self._outputs)
            except Exception:
                _drop(made)
                # It keeps the leaders it knows for minutes, and asks on under their epoch after a
                # broker that crashed leads under a later one (FENCED_LEADER_EPOCH).
                self._admin = None
                raise
        self._producers = made

    def _config(self, transactional_id: str) -> dict[str, Any]:
        return self._connection.client_config() | {
            "transactional.id": transactional_id,
            "transaction.timeout.ms": self._transaction_timeout_ms,
            "acks": "all",
            "max.in.flight.requests.per.connection": 5,
            "linger.ms": 1,
            "batch.num.messages": 10_000,
            "queue.buffering.max.messages": 200_000,
            "queue.buffering.max.kbytes": 65_536,
            # Success of each record is what the commit says; of a failure it says no cause.
            "delivery.report.only.error": True,
            "on_delivery": self._note_refusal,
        }

    def begin(self) -> None:
        """Local: the broker hears of a transaction with its first record or offset."""
        assert self._open is None, "a transaction is open already"
        assert self._producers, "initialise first"
        producer = self._producers[self._turn % len(self._producers)]
        self._turn += 1
        try:
            producer.begin_transaction()
        except KafkaException as error:
            raise write_fault(error_of(error), "opening a transaction") from error
        self._open = producer
        self._refusal = None

    def send(self, records: Sequence[Outgoing]) -> None:
        """Queue; a full queue is waited for, as long as a transaction may last."""
        producer = self._transaction()
        prefix = self._connection.prefix
        for record in records:
            topic = self._full_names.get(record.topic)
            if topic is None:
                topic = self._full_names[record.topic] = prefix + record.topic
            try:
                _produce(producer, topic, record)
            except BufferError:
                self._send_when_drained(producer, topic, record)
            except KafkaException as error:
                raise _refusal(error, topic, record) from error

    def _send_when_drained(self, producer: Producer, topic: str, record: Outgoing) -> None:
        give_up_at_s = time.monotonic() + self._transaction_timeout_ms / 1_000
        while time.monotonic() < give_up_at_s:
            producer.poll(_QUEUE_FULL_PAUSE_S)
            try:
                _produce(producer, topic, record)
            except BufferError:
                continue
            except KafkaException as error:
                raise _refusal(error, topic, record) from error
            return
        raise RestoreNeededError("the broker takes no records; restore from the committed offset")

    def send_offsets(self, offsets: Mapping[TopicPartition, int], token: GroupMetadata) -> None:
        """Waits for the group's coordinator."""
        producer = self._transaction()
        generation, member_id = parse_group_metadata(token) if token else (-1, "")
        if generation < 0 or not member_id:
            raise FencedError("these records were read by no member of a group; join again")
        prefix = self._connection.prefix
        wanted = [
            KafkaPartition(prefix + at.topic, at.partition, offset)
            for at, offset in offsets.items()
        ]
        give_up_at_s = time.monotonic() + _COMMIT_WAIT_MS / 1_000
        while True:
            left_s = give_up_at_s - time.monotonic()
            try:
                producer.send_offsets_to_transaction(wanted, token, max(left_s, 0.001))
            except KafkaException as exception:
                error = error_of(exception)
                if error.retriable() and left_s > 0:
                    continue
                raise write_fault(error, "adding offsets to the transaction") from exception
            return

    def commit(self) -> None:
        """Delivers what is queued, then waits for the coordinator."""
        producer = self._transaction()
        give_up_at_s = time.monotonic() + _COMMIT_WAIT_MS / 1_000
        while True:
            left_s = give_up_at_s - time.monotonic()
            try:
                producer.commit_transaction(max(left_s, 0.001))
            except KafkaException as exception:
                error = error_of(exception)
                if error.txn_requires_abort() or error.fatal():
                    raise write_fault(self._refusal or error, "committing") from exception
                if error.retriable() and left_s > 0:
                    continue
                msg = f"committing: {error.str()} ({error.name()}); the outcome is unknown"
                raise UnknownOutcomeError(msg) from exception
            self._open = None
            return

    def abort(self) -> None:
        """A producer that can't abort is dropped, and the broker aborts when its time is up."""
        producer, self._open = self._open, None
        if producer is None:
            return
        try:
            producer.abort_transaction(_ABORT_WAIT_MS / 1_000)
        except KafkaException as error:
            self._connection.on_client_error(f"aborting: {error_of(error).str()}")
            self.close()

    def close(self) -> None:
        """What is queued is purged: whatever was to be kept has been committed."""
        self._open = None
        _drop(self._producers)

    def _transaction(self) -> Producer:
        assert self._open is not None, "begin first"
        return self._open


def _produce(producer: Producer, topic: str, record: Outgoing) -> None:
    if record.traceparent is None:
        producer.produce(topic, record.value, record.key, record.partition)
        return
    headers: dict[str, str | bytes | None] = {HEADER: record.traceparent}
    producer.produce(topic, record.value, record.key, record.partition, headers=headers)


def _initialise(producer: Producer) -> None:
    producer.init_transactions(_INITIALISE_WAIT_MS / 1_000)


def _drop(producers: list[Producer]) -> None:
    """Let go of producers; whatever they still hold is not to be written.

    `Producer.close` would wait for the broker without limit; to be freed is enough.
    """
    while producers:
        producer = producers.pop()
        with suppress(KafkaException):
            producer.purge()
            producer.poll(0)


def _refusal(error: KafkaException, topic: str, record: Outgoing) -> Exception:
    doing = f"writing {len(record.value)} bytes to {topic}/{record.partition}"
    return write_fault(error_of(error), doing)

"""A log to try the ports on: in memory, or on the session's Kafka. One suite runs on both."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Protocol
from uuid import uuid4

from confluent_kafka import Producer as PlainProducer
from confluent_kafka import TopicPartition as KafkaPartition
from confluent_kafka.admin import NewTopic, OffsetSpec

from services.runtime.errors import RetriableError
from services.runtime.kafka import KafkaConnection, KafkaConsumer, KafkaProducer
from services.runtime.kafka_admin import connect_admin, describe_topics, is_led
from services.runtime.kafka_reader import KafkaReader
from services.runtime.memory import MemoryConsumer, MemoryProducer, MemoryReader
from services.runtime.memory_log import MemoryLog, TransactionState
from services.runtime.ports import (
    Batch,
    Consumer,
    LogReader,
    Outgoing,
    Producer,
    Record,
    TopicPartition,
)
from tests.support.waiting import wait_until

GROUP: Final = "room"
_PATIENCE_S: Final = 40.0


class World(Protocol):
    """A log, and clients of it. What it makes, it closes."""

    def topic(self, name: str, partitions: int = 1, *, log_append_time: bool = True) -> None:
        """Make a topic."""

    def drop_topic(self, name: str) -> None:
        """Delete a topic; it is gone on return."""

    def append(self, topic: str, values: Sequence[bytes], partition: int = 0) -> None:
        """Write outside any transaction."""

    def drop_records(self, at: TopicPartition, before: int) -> None:
        """Retention passes."""

    def consumer(self, instance: str = "0") -> Consumer[Any]: ...

    def producer(self, writer: str = "room-0") -> Producer[Any]: ...

    def reader(self) -> LogReader: ...

    def expire_transactions(self) -> None:
        """Let the transaction timeout pass."""

    def expire_session(self, instance: str) -> None:
        """Let the session of a member that went away time out."""

    def close(self) -> None: ...


class LateMarkersLog(MemoryLog):
    """Markers come as in Kafka: later than the commit is answered, and not to all places at once.

    Every few times that somebody asks how far committed data go, one more is there.
    """

    def __init__(self) -> None:
        super().__init__(defer_markers=True)
        self._asked = 0

    def stable_offset(self, partition: TopicPartition) -> int:
        self._let_time_pass()
        return super().stable_offset(partition)

    def unstable(self, group: str, partition: TopicPartition) -> bool:
        self._let_time_pass()
        return super().unstable(group, partition)

    def _let_time_pass(self) -> None:
        self._asked += 1
        if self._asked % 3:
            return
        for transaction in self.undecided():
            if transaction.state is TransactionState.OPEN:
                continue
            if transaction.unmarked:
                self.mark(transaction.transactional_id, transaction.unmarked[0])
            else:
                self.settle(transaction.transactional_id)
            return


class MemoryWorld:
    def __init__(self, *, late_markers: bool = False) -> None:
        self.log = LateMarkersLog() if late_markers else MemoryLog()

    def topic(self, name: str, partitions: int = 1, *, log_append_time: bool = True) -> None:
        self.log.create_topic(name, partitions, log_append_time=log_append_time)

    def drop_topic(self, name: str) -> None:
        self.log.delete_topic(name)

    def append(self, topic: str, values: Sequence[bytes], partition: int = 0) -> None:
        for value in values:
            self.log.append(Outgoing(topic, partition, None, value))

    def drop_records(self, at: TopicPartition, before: int) -> None:
        self.log.drop_records(at, before)

    def consumer(self, instance: str = "0") -> MemoryConsumer:
        return MemoryConsumer(self.log, GROUP, instance)

    def producer(self, writer: str = "room-0") -> MemoryProducer:
        return MemoryProducer(self.log, [f"{writer}-{letter}" for letter in "abc"])

    def reader(self) -> MemoryReader:
        return MemoryReader(self.log)

    def expire_transactions(self) -> None:
        self.log.expire_transactions(0)

    def expire_session(self, instance: str) -> None:
        self.log.group(GROUP).evict(instance)

    def close(self) -> None:
        pass


class KafkaWorld:
    """A prefix of its own on a shared broker."""

    def __init__(self, bootstrap: str) -> None:
        self._bootstrap = bootstrap
        self.prefix = f"contract-{uuid4().hex[:8]}."
        self._admin = connect_admin(bootstrap)
        self._plain = PlainProducer({"bootstrap.servers": bootstrap, "acks": "all"})
        self._made: list[KafkaConsumer | KafkaProducer | KafkaReader] = []
        self._topics: set[str] = set()
        self.client_errors: list[str] = []
        self.connection = KafkaConnection(
            bootstrap, self.prefix, self.client_errors.append, has_traces=True
        )

    def topic(self, name: str, partitions: int = 1, *, log_append_time: bool = True) -> None:
        kind = "LogAppendTime" if log_append_time else "CreateTime"
        # Records of a test are as old as it likes; retention by age would take them away.
        config = {"message.timestamp.type": kind, "retention.ms": "-1"}
        made = NewTopic(self.prefix + name, partitions, 1, config=config)
        self._admin.create_topics([made])[self.prefix + name].result()
        self._topics.add(name)
        # The controller has answered; on a busy machine the broker knows it only later.
        wait_until(lambda: self._has_leaders(self.prefix + name), f"{name} to be there")

    def _has_leaders(self, full: str) -> bool:
        found = describe_topics(self._admin, self.connection.bootstrap, [full])
        return full in found and is_led(self._admin, found[full])

    def drop_topic(self, name: str) -> None:
        self._admin.delete_topics([self.prefix + name])[self.prefix + name].result()
        self._topics.discard(name)
        deadline_s = time.monotonic() + _PATIENCE_S
        while self.prefix + name in self._admin.list_topics(timeout=10).topics:
            assert time.monotonic() < deadline_s, f"{name} does not go away"
            time.sleep(0.05)

    def append(self, topic: str, values: Sequence[bytes], partition: int = 0) -> None:
        for value in values:
            self._plain.produce(self.prefix + topic, value, partition=partition)
        assert self._plain.flush(_PATIENCE_S) == 0

    def drop_records(self, at: TopicPartition, before: int) -> None:
        place = KafkaPartition(self.prefix + at.topic, at.partition, before)
        for future in self._admin.delete_records([place]).values():
            future.result()

    def end_offset(self, topic: str, partition: int) -> int:
        """Where the log ends, whatever is open in it."""
        place = KafkaPartition(self.prefix + topic, partition)
        latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]  # the library's
        (future,) = self._admin.list_offsets({place: latest}).values()
        return int(future.result().offset)

    def consumer(self, instance: str = "0") -> KafkaConsumer:
        made = KafkaConsumer(self.connection, GROUP, instance)
        self._made.append(made)
        return made

    def producer(self, writer: str = "room-0") -> KafkaProducer:
        made = KafkaProducer(self.connection, writer)
        self._made.append(made)
        return made

    def reader(self) -> KafkaReader:
        made = KafkaReader(self.connection)
        self._made.append(made)
        return made

    def expire_transactions(self) -> None:
        # The transaction's 3 s, the broker's next look 5 s later at most, and a margin.
        time.sleep(9.0)

    def expire_session(self, instance: str) -> None:
        del instance
        time.sleep(6.5)

    def close(self) -> None:
        for made in self._made:
            made.close()
        if self._topics:
            names = [self.prefix + name for name in sorted(self._topics)]
            for future in self._admin.delete_topics(names).values():
                future.result()


class Member:
    """A consumer that keeps what it sees, starting each partition at its committed offset."""

    def __init__(
        self, world: World, topics: Sequence[str], instance: str = "0", start: int | None = None
    ) -> None:
        self.consumer = world.consumer(instance)
        self.owned: list[TopicPartition] | None = None
        self.happened: list[str] = []
        self.records: list[Record] = []
        self.batches: list[Batch[Any]] = []
        self._start = start
        self.consumer.subscribe(topics, self._assigned, self._revoked)

    def _assigned(self, partitions: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
        self.happened.append("assigned")
        self.owned = list(partitions)
        committed = self._committed(partitions)
        if self._start is not None:
            return dict.fromkeys(partitions, self._start)
        return {at: max(offset, 0) for at, offset in committed.items()}

    def _committed(self, partitions: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
        """As the loop does: asked again while a transaction may yet change them."""
        deadline_s = time.monotonic() + _PATIENCE_S
        while True:
            try:
                return self.consumer.committed(partitions)
            except RetriableError:
                assert time.monotonic() < deadline_s, "offsets that stay undecided"

    def _revoked(self, partitions: Sequence[TopicPartition]) -> None:
        assert list(partitions) == self.owned
        self.happened.append("revoked")
        self.owned = None

    def poll(self, records_max: int = 1_000, timeout_ms: int = 50) -> Batch[Any]:
        batch = self.consumer.poll(records_max, timeout_ms)
        self.records += batch.records
        if batch.records:
            self.batches.append(batch)
        return batch

    def values(self) -> list[bytes | None]:
        return [record.value for record in self.records]


def poll_until(
    holds: Callable[[], object], members: Sequence[Member], *, records_max: int = 1_000
) -> None:
    """Poll the members in turn until it holds; fail when that takes far too long."""
    deadline_s = time.monotonic() + _PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline_s, [(m.owned, m.happened) for m in members]
        for member in members:
            member.poll(records_max)


def owns(member: Member) -> Callable[[], bool]:
    return lambda: member.owned is not None


def ends_at(reader: LogReader, at: TopicPartition, end: int) -> bool:
    """Whether the last stable offset comes to be this: markers follow a commit a little later."""
    deadline_s = time.monotonic() + _PATIENCE_S
    while reader.bounds(at)[1] != end:
        if time.monotonic() > deadline_s:
            return False
        time.sleep(0.01)
    return True


def read_range(reader: LogReader, at: TopicPartition, start: int, end: int) -> list[Record]:
    return [record for chunk in reader.read(at, start, end) for record in chunk]


def outgoing(topic: str, *values: bytes, partition: int = 0) -> list[Outgoing]:
    return [Outgoing(topic, partition, None, value) for value in values]


def flush(producer: object) -> None:
    """Let what was sent reach the log: Kafka's producer sends it in the background."""
    for inner in getattr(producer, "_producers", ()):
        assert inner.flush(20) == 0

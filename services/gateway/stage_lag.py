"""How far the rooms are behind what they read, as Kafka knows it."""

import time
from collections.abc import Mapping
from concurrent.futures import Future
from typing import Any, Final, Protocol

import msgspec
from confluent_kafka import (
    ConsumerGroupTopicPartitions,
    IsolationLevel,
    KafkaException,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient, OffsetSpec

from services.runtime.errors import RetriableError
from services.wire.topics import (
    ACCOUNTS,
    BY_NAME,
    CONTROLS,
    EXECUTIONS,
    MATCHING,
    ORDERS,
    TRADES,
    Topic,
)

GROUPS: Final[Mapping[str, tuple[Topic, ...]]] = {
    "ingest": (ORDERS, CONTROLS),
    "risk": (ACCOUNTS,),
    "matcher": (MATCHING,),
    "features": (TRADES,),
}
"""The rooms that commit to Kafka how far they are, and of which topics."""
RECORDED: Final = (CONTROLS, ACCOUNTS, MATCHING, EXECUTIONS, TRADES)
"""What the recorder reads; how far it is stands in PostgreSQL."""
_READ: Final = (*GROUPS["ingest"], *RECORDED)
_MS_PER_S: Final = 1_000

type Place = tuple[str, int]
"""A topic, without the prefix, and a partition."""


class Reading(msgspec.Struct, frozen=True):
    """What Kafka said at one time."""

    ends: dict[Place, int]
    """The offset behind the last committed record, or behind the marker after it."""
    committed: dict[str, dict[Place, int]]
    """By room; a partition of which nothing is committed is absent."""


class StageReader(Protocol):
    """Called from one thread at a time."""

    def read(self) -> Reading:
        """Ask. Blocks for a bounded time.

        Raises:
            RetriableError: no answer.
        """


class KafkaStages:
    """`StageReader` by Kafka's admin protocol; the client is made at the first question."""

    def __init__(self, bootstrap: str, prefix: str, wait_ms: int) -> None:
        self._bootstrap = bootstrap
        self._prefix = prefix
        self._wait_s = wait_ms / _MS_PER_S
        self._admin: AdminClient | None = None

    def read(self) -> Reading:
        """Ask about everything at once, and wait for all answers as long as for one."""
        admin = self._admin = self._admin or AdminClient(
            {"bootstrap.servers": self._bootstrap, "log_level": 2}
        )
        give_up_at_s = time.monotonic() + self._wait_s
        latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]  # the library has no types here
        wanted = {
            TopicPartition(self._prefix + topic.name, partition): latest
            for topic in _READ
            for partition in range(topic.partitions)
        }
        try:
            ends = admin.list_offsets(
                wanted,
                isolation_level=IsolationLevel.READ_COMMITTED,
                request_timeout=self._wait_s,
            )
            groups = {room: self._ask_group(admin, room) for room in GROUPS}
            return Reading(
                {
                    self._place(at): int(_answer(future, give_up_at_s).offset)
                    for at, future in ends.items()
                },
                {
                    room: {
                        self._place(at): at.offset
                        for at in _answer(future, give_up_at_s).topic_partitions
                        if at.offset >= 0
                    }
                    for room, future in groups.items()
                },
            )
        except KafkaException as error:
            # It keeps the leaders it knows for minutes, and is refused once a broker that crashed
            # leads under a later epoch.
            self._admin = None
            raise RetriableError(f"Kafka: {error.args[0].str()}") from error
        except TimeoutError as error:
            raise RetriableError("Kafka: no answer in time") from error

    def _ask_group(self, admin: AdminClient, room: str) -> Future[Any]:
        group = self._prefix + room
        asked = admin.list_consumer_group_offsets(
            [ConsumerGroupTopicPartitions(group)], request_timeout=self._wait_s
        )
        return asked[group]

    def _place(self, at: TopicPartition) -> Place:
        return at.topic.removeprefix(self._prefix), at.partition


def behind(topic: Topic, ends: Mapping[Place, int], done: Mapping[Place, int]) -> int | None:
    """About how many records of a topic a stage has yet to read; None: it has not begun.

    What rooms write ends with the marker of its transaction, which takes an offset and is no
    record; other markers among what is waiting are counted.
    """
    places = [(topic.name, partition) for partition in range(topic.partitions)]
    if not any(place in done for place in places):
        return None if any(ends[place] for place in places) else 0
    marker = 1 if BY_NAME[topic.name].has_origin else 0
    return sum(max(0, ends[place] - done.get(place, 0) - marker) for place in places)


def _answer(future: Future[Any], give_up_at_s: float) -> Any:  # noqa: ANN401 - the library's
    return future.result(timeout=max(0.0, give_up_at_s - time.monotonic()))

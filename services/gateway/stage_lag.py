"""How far the rooms are behind what they read, as Kafka knows it."""

import time
from collections.abc import Mapping
from concurrent.futures import Future
from typing import Any, Final, Protocol

import msgspec
from confluent_kafka import IsolationLevel, KafkaException
from confluent_kafka import TopicPartition as KafkaPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from services.runtime.errors import OperatingError, RetriableError
from services.runtime.group_offsets import GroupOffsets
from services.runtime.kafka import KafkaConnection
from services.runtime.kafka_admin import connect_admin
from services.runtime.ports import TopicPartition
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
    """`StageReader` on Kafka; the clients are made at the first question."""

    def __init__(self, bootstrap: str, prefix: str, wait_ms: int) -> None:
        self._connection = KafkaConnection(bootstrap, prefix)
        self._wait_s = wait_ms / _MS_PER_S
        self._admin: AdminClient | None = None
        self._groups: dict[str, GroupOffsets] = {}

    def read(self) -> Reading:
        """Ask about everything, and wait for all answers as long as for one."""
        give_up_at_s = time.monotonic() + self._wait_s
        if not self._groups:
            # All at once, so that they connect meanwhile.
            self._groups = {room: GroupOffsets(self._connection, room) for room in GROUPS}
        try:
            ends = self._ask_ends()
            committed = {room: self._ask_group(room, give_up_at_s) for room in GROUPS}
            return Reading(
                {
                    self._place(at): int(future.result(_left_s(give_up_at_s)).offset)
                    for at, future in ends.items()
                },
                committed,
            )
        except KafkaException as error:
            # It keeps the leaders it knows for minutes, and is refused once a broker that crashed
            # leads under a later epoch.
            self._admin = None
            raise RetriableError(f"Kafka: {error.args[0].str()}") from error
        except OperatingError as error:
            raise RetriableError(f"Kafka: {error}") from error
        except TimeoutError as error:
            raise RetriableError("Kafka: no answer in time") from error

    def _ask_ends(self) -> dict[KafkaPartition, Future[Any]]:
        if self._admin is None:
            self._admin = connect_admin(self._connection.bootstrap)
        latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]  # the library has no types here
        wanted = {
            KafkaPartition(self._connection.prefix + topic.name, partition): latest
            for topic in _READ
            for partition in range(topic.partitions)
        }
        return self._admin.list_offsets(
            wanted, isolation_level=IsolationLevel.READ_COMMITTED, request_timeout=self._wait_s
        )

    def _ask_group(self, room: str, give_up_at_s: float) -> dict[Place, int]:
        places = [
            TopicPartition(topic.name, partition)
            for topic in GROUPS[room]
            for partition in range(topic.partitions)
        ]
        found = self._groups[room].committed(places, _left_s(give_up_at_s))
        return {(at.topic, at.partition): offset for at, offset in found.items() if offset >= 0}

    def _place(self, at: KafkaPartition) -> Place:
        return at.topic.removeprefix(self._connection.prefix), at.partition


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


def _left_s(give_up_at_s: float) -> float:
    return max(0.0, give_up_at_s - time.monotonic())

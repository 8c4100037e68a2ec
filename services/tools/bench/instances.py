"""`outcry bench instances`: what ingest, risk and the matcher take as their processes become more.

A crowd's commands pass the rooms once in memory, which gives the inbox of each. Each try is a fresh
deployment on the same broker with one room in so many processes, and no other. They have their
partitions in hand when the whole inbox is committed in one transaction, so that all of it is there
at once. The time runs from that commit until the room's group has committed the inbox's end.
"""

import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from itertools import islice
from pathlib import Path
from typing import Final

import msgspec
import orjson
import psutil
from confluent_kafka import KafkaError, Message, Producer
from rich.table import Table

from services.runtime.group_offsets import GroupOffsets
from services.runtime.kafka import KafkaConnection
from services.runtime.ports import Outgoing, TopicPartition
from services.runtime.registry import load_codec
from services.tools.bench.chain import Chain
from services.tools.bench.frame import Say
from services.tools.bench.servers import (
    Server,
    end_of,
    free_port,
    is_ok,
    process_cpu_s,
    room_environment,
    started,
    wait_until_ok,
)
from services.tools.bench.tries import Spread, cell_of, spread_of
from services.tools.market.publish import encode
from services.tools.market.simulator import Crowd
from services.tools.stack.deployment import create_topics, migrate_database, register_schemas
from services.tools.stack.portcheck import free_run_base
from services.tools.stack.settings import StackSettings
from services.tools.stack.stack import Stack, running_stack
from services.wire.codec import Codec
from services.wire.topics import ACCOUNTS, BY_NAME, MATCHING, ORDERS

INBOXES: Final = {"ingest": ORDERS.name, "risk": ACCOUNTS.name, "matcher": MATCHING.name}

_SETTLED_S: Final = 1.5
_SETTLE_S_MAX: Final = 60.0
_DRAIN_S_MAX: Final = 300.0
_LOOK_S: Final = 0.02
_ANSWER_S: Final = 10.0
_PRODUCER: Final = {
    "acks": "all",
    "linger.ms": 5,
    "queue.buffering.max.messages": 2_000_000,
    "transaction.timeout.ms": 10_000,
    "log_level": 2,
}


class InstancesOrder(msgspec.Struct, frozen=True):
    """What to run."""

    home: Path
    seed: int
    commands: int
    counts: tuple[int, ...]
    """Of processes."""
    repeats: int
    rooms: tuple[str, ...] = tuple(INBOXES)


class InstancesRow(msgspec.Struct, frozen=True):
    """One room in one number of processes, over the tries."""

    room: str
    processes: int
    partitions: int
    """Of the inbox that they share: more processes than that have nothing to do."""
    records: int
    """In the inbox, for `commands` of the crowd."""
    commands_per_s: Spread
    times_of_first: Spread
    """Of the speed of the first number in the same turn."""
    room_us: Spread
    """Processor time of all its processes together, a command."""
    kafka_us: Spread
    """The broker's, meanwhile."""


class _Try(msgspec.Struct, frozen=True):
    commands_per_s: float
    room_us: float
    kafka_us: float


def run_instances_bench(order: InstancesOrder, say: Say) -> list[InstancesRow]:
    """Start infrastructure under the order's home, and rooms for each try; blocks for minutes.

    Raises:
        StackError: the infrastructure does not start.
        TimeoutError: a room does not start, or never comes to its inbox's end.
        AssertionError: a process had no partitions, lost them, or died; there is no figure then.
        KafkaException: the inbox did not fit into a transaction of ten seconds; a machine this
            slow needs fewer commands.
    """
    settings = StackSettings(home=order.home / "stack", port_base=free_run_base(), topic_prefix="")
    found: dict[tuple[str, int], list[_Try]] = {}
    with running_stack(settings, rooms=()) as stack:
        register_schemas(stack.addresses, "")
        migrate_database(stack.addresses, "")
        say(f"{order.commands:,} commands through the rooms in memory")
        inboxes = make_inboxes(load_codec(stack.addresses.registry_url), order.seed, order.commands)
        for number in range(order.repeats):
            for room in order.rooms:
                for count in order.counts:
                    say(f"turn {number + 1} of {order.repeats}: {room}, processes: {count}")
                    tried = _Room(stack, order.home, f"i{number}-{count}-{room}.", room, count)
                    found.setdefault((room, count), []).append(
                        tried.measure(inboxes[room], order.commands)
                    )
    return [
        _row(room, count, tries, found[room, order.counts[0]], len(inboxes[room]))
        for (room, count), tries in found.items()
    ]


def make_inboxes(codec: Codec, seed: int, commands: int) -> Mapping[str, Sequence[Outgoing]]:
    """What the crowd's first commands put into each room's inbox, in the order of each partition.

    What lets the crowd in is a part of it, but for ingest's, which reads that from `controls`.
    """
    outbound = list(islice(Crowd(seed).commands(), commands))
    values = [encode(codec, one, 0) for one in outbound]
    chain = Chain(codec, seed)
    chain.enter_orders(values)
    found: dict[str, Sequence[Outgoing]] = {
        "ingest": [
            Outgoing(ORDERS.name, number % ORDERS.partitions, None, value)
            for number, value in enumerate(values)
        ]
    }
    for room, topic in (("risk", ACCOUNTS.name), ("matcher", MATCHING.name)):
        found[room] = [
            Outgoing(topic, at.partition, record.key, record.value or b"")
            for at, log in chain.logs.items()
            if at.topic == topic
            for record in log
        ]
    return found


class _Room:
    """One try: the processes of a room on a deployment of their own."""

    def __init__(self, stack: Stack, home: Path, prefix: str, room: str, count: int) -> None:
        self._stack, self._home, self._prefix = stack, home, prefix
        self._room, self._count = room, count
        create_topics(stack.addresses, prefix)

    def measure(self, inbox: Sequence[Outgoing], commands: int) -> _Try:
        bootstrap = self._stack.addresses.kafka_bootstrap
        offsets = GroupOffsets(KafkaConnection(bootstrap, self._prefix), self._room)
        with ExitStack() as running:
            running.callback(offsets.close)
            servers = [running.enter_context(self._process(i)) for i in range(self._count)]
            for instance, server in enumerate(servers):
                wait_until_ok(_ready_url(server), self._log_of(instance))
            self._await_settled(servers)
            shares = self._require_shared()
            producer = _producer(bootstrap, self._prefix)
            ends = _fill(producer, self._prefix, inbox)
            room_s, kafka_s = sum(one.cpu_s() for one in servers), self._kafka_s()
            began_s = time.monotonic()
            producer.commit_transaction(_ANSWER_S)
            self._drain(offsets, ends)
            took_s = time.monotonic() - began_s
            room_s = sum(one.cpu_s() for one in servers) - room_s
            kafka_s = self._kafka_s() - kafka_s
            self._require_all_stayed(servers, shares)
        return _Try(commands / took_s, room_s / commands * 1e6, kafka_s / commands * 1e6)

    @contextmanager
    def _process(self, instance: int) -> Iterator[Server]:
        port = free_port()
        addresses = self._stack.addresses
        environment = room_environment(self._home, addresses, self._prefix) | {
            "OUTCRY_PG_DSN": addresses.pg_dsn,
            "OUTCRY_INSTANCE": str(instance),
            "OUTCRY_METRICS_PORT": str(port),
        }
        command = [sys.executable, "-m", f"services.{self._room}"]
        with started(self._log_of(instance), command, environment) as pid:
            yield Server(port, pid)

    def _log_of(self, instance: int) -> Path:
        return self._home / f"{self._prefix}{instance}.log"

    def _await_settled(self, servers: Sequence[Server]) -> None:
        """All are ready and stay so: each that joins takes the others' partitions for a moment."""
        deadline_s = time.monotonic() + _SETTLE_S_MAX
        since_s = time.monotonic()
        while time.monotonic() - since_s < _SETTLED_S:
            if time.monotonic() > deadline_s:
                raise TimeoutError(f"{self._count} processes of {self._room} never all ready")
            if not all(is_ok(_ready_url(one)) for one in servers):
                since_s = time.monotonic()
            time.sleep(_LOOK_S)

    def _require_shared(self) -> list[list[int]]:
        """Each process has partitions, or the figure would be of fewer processes than it says."""
        found = self._shares()
        for instance, shares in enumerate(found):
            assert shares, f"process {instance} of {self._count} of {self._room} has no partition"
            assert shares[-1], f"process {instance} of {self._count} of {self._room} has none left"
        return found

    def _require_all_stayed(self, servers: Sequence[Server], shares: list[list[int]]) -> None:
        """None died or lost its partitions to others while the inbox was drained."""
        assert self._shares() == shares, f"{self._room}'s partitions moved meanwhile"
        for instance, server in enumerate(servers):
            assert is_ok(_ready_url(server)), f"process {instance} of {self._room} is not ready"

    def _shares(self) -> list[list[int]]:
        """How many partitions each process was given, each time."""
        found = []
        for instance in range(self._count):
            lines = self._log_of(instance).read_bytes().splitlines()
            said = [orjson.loads(line) for line in lines if b'"partitions_assigned"' in line]
            found.append([line["partitions"] for line in said])
        return found

    def _drain(self, offsets: GroupOffsets, ends: Mapping[TopicPartition, int]) -> None:
        """Wait until the group has committed all of it."""
        deadline_s = time.monotonic() + _DRAIN_S_MAX
        while True:
            done = offsets.committed(list(ends), _ANSWER_S)
            if all(done[at] >= end for at, end in ends.items()):
                return
            if time.monotonic() > deadline_s:
                raise TimeoutError(
                    f"{self._room} is not at its inbox's end after {_DRAIN_S_MAX:g} s: {done};"
                    f" the first process' log ends:\n{end_of(self._log_of(0))}"
                )
            time.sleep(_LOOK_S)

    def _kafka_s(self) -> float:
        status = self._stack.status()
        assert status is not None
        (kafka,) = (row.process for row in status.components if row.name == "kafka")
        assert kafka is not None
        return process_cpu_s(psutil.Process(kafka.pid))


def _ready_url(server: Server) -> str:
    return f"http://127.0.0.1:{server.port}/ready"


def _producer(bootstrap: str, prefix: str) -> Producer:
    producer = Producer(
        _PRODUCER | {"bootstrap.servers": bootstrap, "transactional.id": f"{prefix}inbox"}
    )
    producer.init_transactions(_ANSWER_S)
    return producer


def _fill(
    producer: Producer, prefix: str, inbox: Sequence[Outgoing]
) -> Mapping[TopicPartition, int]:
    """Write it all into a transaction that stays open; behind each partition's last record."""
    ends: dict[TopicPartition, int] = {}

    def note(error: KafkaError | None, message: Message) -> None:
        assert error is None, f"the inbox could not be written: {error}"
        topic, partition, offset = message.topic(), message.partition(), message.offset()
        assert topic is not None
        assert partition is not None
        assert offset is not None
        at = TopicPartition(topic.removeprefix(prefix), partition)
        ends[at] = max(ends.get(at, 0), offset + 1)

    producer.begin_transaction()
    for one in inbox:
        producer.produce(prefix + one.topic, one.value, one.key, one.partition, on_delivery=note)
        producer.poll(0)
    left = producer.flush(_ANSWER_S)
    assert left == 0, f"{left} records of the inbox did not get to the broker"
    return ends


def _row(
    room: str, count: int, tries: Sequence[_Try], of_first: Sequence[_Try], records: int
) -> InstancesRow:
    return InstancesRow(
        room,
        count,
        BY_NAME[INBOXES[room]].partitions,
        records,
        spread_of([one.commands_per_s for one in tries]),
        spread_of(
            [
                one.commands_per_s / of.commands_per_s
                for one, of in zip(tries, of_first, strict=True)
            ]
        ),
        spread_of([one.room_us for one in tries]),
        spread_of([one.kafka_us for one in tries]),
    )


def instances_table(rows: Sequence[InstancesRow]) -> Table:
    """For people."""
    table = Table(
        "room", "processes", "partitions", "records", "commands/s", "times the first",
        "room's us a command", "Kafka's us a command", title="bench instances",
        caption="median (least, most); a room alone with its broker",
    )  # fmt: skip
    for row in rows:
        table.add_row(
            row.room,
            f"{row.processes}",
            f"{row.partitions}",
            f"{row.records:,}",
            cell_of(row.commands_per_s, "", 0),
            cell_of(row.times_of_first, "", 2),
            cell_of(row.room_us, "", 0),
            cell_of(row.kafka_us, "", 0),
        )
    return table

"""How long a room takes to start: from the log alone, from PostgreSQL's archive, from a snapshot.

Each start is a process of its own that does what a room does at a takeover: it restores all of the
room's partitions with the runtime's own `Restorer`, from real Kafka or real PostgreSQL.
"""

import multiprocessing
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from pathlib import Path
from statistics import median
from typing import Final, Literal

import msgspec
import psutil
import psycopg
from confluent_kafka import Producer

from services.domain.genesis import default_genesis
from services.recorder.archive import ArchiveReader
from services.recorder.core import RowMaker
from services.recorder.postgres import Move, PostgresLedger
from services.runtime.kafka import KafkaConnection
from services.runtime.kafka_reader import KafkaReader
from services.runtime.log_lines import configure_logging
from services.runtime.ports import LogReader, Snapshot, TopicPartition
from services.runtime.restore import Restorer, hash_state
from services.runtime.room import ProcessPacer
from services.runtime.snapshots import PostgresSnapshots
from services.runtime.telemetry import Telemetry
from services.tools.bench.cold_start_log import STATEFUL, CommittedLog
from services.tools.bench.frame import Say
from services.tools.stack.deployment import create_topics, migrate_database
from services.tools.stack.plan import Addresses
from services.tools.stack.portcheck import free_run_base
from services.tools.stack.settings import StackSettings
from services.tools.stack.stack import running_stack
from services.wire.codec import local_codec

_PREFIX: Final = "cold."
_BATCH_RECORDS: Final = 5_000
_SESSION_TIMEOUT_S: Final = 120
_MIB: Final = 1024 * 1024
PROJECTED_COMMANDS: Final = (1_000_000, 10_000_000, 100_000_000)

type Source = Literal["log", "archive", "snapshot"]


class ColdStartOrder(msgspec.Struct, frozen=True):
    """What to run."""

    home: Path
    commands: int
    tail_commands: int
    """How many commands came since the newest snapshot."""
    rate_per_s: int
    seed: int
    repeats: int


class Start(msgspec.Struct, frozen=True):
    """One start of one room, all its partitions one after the other."""

    records: int
    seconds: float
    cpu_s: float
    grown_mib: float
    """Resident memory after it, less that before."""
    state_hashes: tuple[str, ...]


class StartFigures(msgspec.Struct, frozen=True):
    """Several starts of one room from one source."""

    room: str
    source: Source
    commands: int
    """In the log."""
    records: int
    """Folded at a start."""
    median_s: float
    min_s: float
    max_s: float
    cpu_s: float
    """Processor time, the median."""
    grown_mib: float


class ColdStartReport(msgspec.Struct, frozen=True):
    """All figures of one run."""

    commands: int
    starts: tuple[StartFigures, ...]
    snapshot_bytes: Mapping[str, int]
    """Of a room's newest snapshots together."""
    log_bytes: Mapping[str, int]
    """Of keys and values, by topic."""
    archive_bytes: int
    """Of the archive in PostgreSQL, its indexes included."""


class Projection(msgspec.Struct, frozen=True):
    """What the figures say of a larger log."""

    room: str
    source: Source
    commands: int
    seconds: float


class _Place(msgspec.Struct, frozen=True):
    """What a start needs to know; goes to its process."""

    addresses: Addresses
    room: str
    source: Source
    ends: dict[str, int]
    """By `topic/partition`: the committed offsets."""


def run_cold_start_bench(order: ColdStartOrder, say: Say) -> ColdStartReport:
    """Start infrastructure under `order.home`, make a log, start rooms from it. Blocks for minutes.

    Raises:
        StackError: the infrastructure does not start.
    """
    settings = StackSettings(home=order.home, port_base=free_run_base(), topic_prefix="")
    with running_stack(settings, rooms=()) as stack:
        addresses = stack.addresses
        create_topics(addresses, _PREFIX)
        migrate_database(addresses, _PREFIX)
        say(f"making a log of {order.commands:,} commands")
        log, marks = _make_log(order)
        half, cut, ends = marks
        say("writing it to Kafka and PostgreSQL")
        _publish(addresses, log)
        _record(addresses, log)
        say("taking snapshots")
        sizes = _take_snapshots(addresses, cut)
        commands, starts = order.commands, []
        runs: tuple[tuple[Source, int, dict[TopicPartition, int]], ...] = (
            ("log", commands // 2, half),
            ("log", commands, ends),
            ("archive", commands, ends),
            ("snapshot", commands, ends),
        )
        hashes: dict[tuple[str, int], tuple[str, ...]] = {}
        for source, reached, committed in runs:
            for room, _, _ in STATEFUL:
                say(f"{room} from the {source}, {reached:,} commands")
                place = _Place(addresses, room, source, _spelled(committed))
                found = [_start_apart(place) for _ in range(order.repeats)]
                for one in found:
                    known = hashes.setdefault((room, reached), one.state_hashes)
                    assert one.state_hashes == known, f"{room} from the {source} differs"
                starts.append(_figures(place, reached, found))
        return ColdStartReport(
            commands, tuple(starts), sizes, _log_bytes(log), _archive_bytes(addresses)
        )


def project(report: ColdStartReport, commands: int) -> list[Projection]:
    """A larger log, with a core for each room.

    Folding is bound by the processor and takes the same time a record from the first to the last,
    so a start without a snapshot takes the processor time of so many records; with one, it takes
    what it took, since neither the state nor the tail grows with the log.
    """
    return [
        Projection(
            one.room,
            one.source,
            commands,
            one.median_s if one.source == "snapshot" else one.cpu_s * commands / one.commands,
        )
        for one in report.starts
        if one.commands == report.commands
    ]


def _make_log(
    order: ColdStartOrder,
) -> tuple[CommittedLog, tuple[dict[TopicPartition, int], ...]]:
    """The log, and its ends at the half, at the snapshots, and at the end."""
    genesis = default_genesis("bench")
    first_ms = int(time.time() * 1_000) - order.commands * 1_000 // order.rate_per_s
    log = CommittedLog(local_codec(), genesis, order.seed, first_ms, order.rate_per_s)
    marks = []
    for commands in (order.commands // 2, order.commands - order.tail_commands, order.commands):
        for _ in log.grow(commands):
            pass
        marks.append(log.ends())
    return log, tuple(marks)


def _publish(addresses: Addresses, log: CommittedLog) -> None:
    producer = Producer(
        {"bootstrap.servers": addresses.kafka_bootstrap, "acks": "all", "linger.ms": 20}
    )
    for at, records in log.records.items():
        for record in records:
            while True:
                try:
                    producer.produce(
                        _PREFIX + at.topic, record.value, record.key, at.partition,
                        timestamp=record.timestamp_ms,
                    )  # fmt: skip
                except BufferError:
                    producer.poll(0.1)
                else:
                    break
    assert producer.flush(120) == 0, "Kafka did not take the log in two minutes"


def _record(addresses: Addresses, log: CommittedLog) -> None:
    """As the recorder would, only all at once."""
    reader = KafkaReader(KafkaConnection(addresses.kafka_bootstrap, _PREFIX))
    ledger = PostgresLedger(addresses.pg_dsn, _PREFIX, _SESSION_TIMEOUT_S)
    with closing(reader), closing(ledger):
        ledger.offsets({topic.name: topic.partitions for _, topic, _ in STATEFUL})
        for _, topic, _ in STATEFUL:
            ledger.remember_topic(topic.name, reader.topic_id(topic.name))
        maker = RowMaker(local_codec(), ledger.deployment_id())
        for at, records in log.records.items():
            for first in range(0, len(records), _BATCH_RECORDS):
                batch = records[first : first + _BATCH_RECORDS]
                ledger.append(maker.rows(batch), {at: Move(first, first + len(batch))})


def _take_snapshots(addresses: Addresses, cut: Mapping[TopicPartition, int]) -> dict[str, int]:
    """What each room would have kept at these offsets; their size by room."""
    store = PostgresSnapshots(addresses.pg_dsn, _PREFIX, kept=3)
    reader = KafkaReader(KafkaConnection(addresses.kafka_bootstrap, _PREFIX))
    sizes = {}
    with closing(reader):
        for room, topic, make_folds in STATEFUL:
            factory = make_folds(local_codec(), lambda _record, _error: None)
            sizes[room] = 0
            for partition in range(topic.partitions):
                at = TopicPartition(topic.name, partition)
                fold = factory.fresh(at)
                for chunk in reader.read(at, 0, cut[at]):
                    for record in chunk:
                        fold.handle(record)
                state = fold.dump()
                sizes[room] += len(state)
                place = (room, at.topic, at.partition, cut[at], reader.topic_id(at.topic))
                envelope = (factory.format_version, fold.genesis_hash(), state, hash_state(state))
                store.put(Snapshot(*place, *envelope))
    return sizes


def _start_apart(place: _Place) -> Start:
    """In a process of its own, which knows nothing yet."""
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn) as pool:
        return pool.submit(start_room, place).result()


def start_room(place: _Place) -> Start:
    """Restore every partition of a room, as at a takeover. Runs in the measured process."""
    configure_logging("ERROR")
    _, topic, make_folds = next(row for row in STATEFUL if row[0] == place.room)
    factory = make_folds(local_codec(), lambda _record, _error: None)
    dsn = place.addresses.pg_dsn
    reader: LogReader = (
        ArchiveReader(dsn, _PREFIX)
        if place.source == "archive"
        else KafkaReader(KafkaConnection(place.addresses.kafka_bootstrap, _PREFIX))
    )
    store = PostgresSnapshots(dsn, _PREFIX, kept=3) if place.source == "snapshot" else None
    restorer = Restorer(place.room, factory, reader, store, Telemetry(place.room), ProcessPacer())
    process = psutil.Process()
    before_bytes = process.memory_info().rss
    begun_s, begun_cpu_s = time.monotonic(), time.process_time()
    restored = [
        restorer.restore(
            TopicPartition(topic.name, partition), place.ends[f"{topic.name}/{partition}"]
        )
        for partition in range(topic.partitions)
    ]
    seconds, cpu_s = time.monotonic() - begun_s, time.process_time() - begun_cpu_s
    grown = process.memory_info().rss - before_bytes
    reader.close()
    return Start(
        sum(one.offset - max(one.snapshot_offset, 0) for one in restored),
        seconds,
        cpu_s,
        grown / _MIB,
        tuple(hash_state(one.fold.dump()) for one in restored),
    )


def _figures(place: _Place, commands: int, found: Sequence[Start]) -> StartFigures:
    seconds = [one.seconds for one in found]
    return StartFigures(
        place.room,
        place.source,
        commands,
        found[0].records,
        median(seconds),
        min(seconds),
        max(seconds),
        median(one.cpu_s for one in found),
        max(one.grown_mib for one in found),
    )


def _spelled(ends: Mapping[TopicPartition, int]) -> dict[str, int]:
    return {f"{at.topic}/{at.partition}": end for at, end in ends.items()}


def _log_bytes(log: CommittedLog) -> dict[str, int]:
    sizes: dict[str, int] = {}
    for at, records in log.records.items():
        size = sum(len(record.value or b"") + len(record.key or b"") for record in records)
        sizes[at.topic] = sizes.get(at.topic, 0) + size
    return sizes


def _archive_bytes(addresses: Addresses) -> int:
    with psycopg.connect(addresses.pg_dsn) as session:
        found = session.execute(
            "SELECT sum(pg_total_relation_size(relid)) FROM pg_partition_tree('outcry.archive')"
        ).fetchone()
    return int(found[0]) if found else 0

"""What all processes of one simulated exchange stand on, and the conditions of one seed."""

from functools import cache
from pathlib import Path
from random import Random
from traceback import extract_tb
from typing import Final, Never

import msgspec

from services.recorder.core import RECORDED
from services.runtime.memory_log import FIRST_TIME_MS, MemoryLog
from services.runtime.ports import Snapshot, TopicPartition
from services.tools.proof.vopr.ledger import Database, MendableSnapshots
from services.tools.proof.vopr.parts import FOLD_ROOMS, INPUTS, RECORDER, Parts
from services.tools.proof.vopr.quiet import RememberingCodec, SilentTelemetry
from services.wire.topics import TRADING

_CRASH_TEXT_MAX: Final = 300


class Finding(Exception):  # noqa: N818 - it is what the simulator looks for
    """Something is not as it must be."""

    def __init__(self, check: str, what: str) -> None:
        super().__init__(f"{check}: {what}")
        self.check = check
        self.what = what


def crash(error: Exception, where: str = "") -> Finding:
    """What an error is that nobody expected: a broken assertion of a core, or a plain bug.

    `where` says whose it is; left out, it is the line of code that raised it.
    """
    if not where:
        last = extract_tb(error.__traceback__)[-1]
        where = f"{Path(last.filename).name}:{last.lineno}"
    text = " ".join(str(error).split())[:_CRASH_TEXT_MAX]
    return Finding("crash", f"{where}: {type(error).__name__}: {text}")


class Conditions(msgspec.Struct, frozen=True):
    """What one seed is like; drawn first, so that seeds differ in kind and not only in order."""

    is_cold: bool
    """Nothing is in the log yet: the opening controls are written on the way."""
    tickers: int
    batch_records_max: int
    outputs_max: int
    snapshot_interval_s: float
    instances_max: int
    has_twins: bool
    """Two processes of one identity may be alive."""
    defer_markers: bool
    steps_between_strikes: int
    """Of processes, on average; 0: none is struck."""
    strikes: tuple[str, ...]
    busy_clients: float
    """How often clients write, against everything else."""
    has_database_faults: bool
    has_strangers: bool


def draw_conditions(random: Random) -> Conditions:
    """The conditions of a seed."""

    def pick[T](*choices: T) -> T:
        return choices[int(random.random() * len(choices))]

    strikes = ("kill", "nap", "freeze", "error")
    only = tuple(kind for kind in strikes if random.random() < 0.7)
    return Conditions(
        is_cold=random.random() < 0.12,
        tickers=pick(1, 1, 2, 3),
        batch_records_max=pick(1, 3, 10, 40),
        outputs_max=pick(4, 1_000, 1_000),
        snapshot_interval_s=pick(0.01, 0.1, 0.1, 0.6, 1e9),
        instances_max=pick(1, 2, 2, 3),
        has_twins=random.random() < 0.4,
        defer_markers=random.random() < 0.7,
        steps_between_strikes=pick(0, 20, 40, 80, 200),
        strikes=only or strikes,
        busy_clients=pick(0.6, 1.0, 1.6),
        has_database_faults=random.random() < 0.6,
        has_strangers=random.random() < 0.3,
    )


def calm_conditions() -> Conditions:
    """Nothing goes wrong, and nothing was there before."""
    return Conditions(
        is_cold=True,
        tickers=1,
        batch_records_max=100,
        outputs_max=1_000,
        snapshot_interval_s=1e9,
        instances_max=1,
        has_twins=False,
        defer_markers=False,
        steps_between_strikes=0,
        strikes=("nap",),
        busy_clients=1.0,
        has_database_faults=False,
        has_strangers=False,
    )


@cache
def shared_codec() -> RememberingCodec:
    """One a process: parsing the schemas takes longer than a seed."""
    return RememberingCodec()


@cache
def shared_telemetry() -> SilentTelemetry:
    """One a process."""
    return SilentTelemetry("vopr")


class Stage:
    """One exchange: log, database, time, chance."""

    def __init__(self, parts: Parts, random: Random, conditions: Conditions) -> None:
        self.parts = parts
        self.random = random
        self.conditions = conditions
        self.codec = shared_codec()
        self.telemetry = shared_telemetry()
        self.now_ms = FIRST_TIME_MS
        self.log = MemoryLog(self.clock_ms, defer_markers=conditions.defer_markers)
        for topic in TRADING:
            self.log.create_topic(
                topic.name, topic.partitions, log_append_time=topic.log_append_time
            )
        self.database = Database()
        self.snapshots = MendableSnapshots(self.database)
        self.folds = {room: parts.folds(room, self.codec) for room in FOLD_ROOMS}

    def clock_ms(self) -> int:
        """What the log's times are taken from."""
        return self.now_ms

    def go_on_from(self, log: MemoryLog, now_ms: int) -> None:
        """Begin with what this log holds, at this time."""
        self.now_ms = now_ms
        self.log = log.fork(self.clock_ms, defer_markers=self.conditions.defer_markers)

    def behind(self) -> str:
        """The first place whose committed records are not all consumed or recorded; or nothing."""
        for room, inputs in INPUTS.items():
            offsets = self.log.group(room).offsets
            for topic in inputs:
                for at in self.log.partitions_of(topic):
                    if self._reaches_beyond(at, offsets.get(at, 0)):
                        return f"{room} in {at.topic}/{at.partition}"
        for recorded in RECORDED:
            for at in self.log.partitions_of(recorded.name):
                if self._reaches_beyond(at, self.database.offsets.get(at, 0)):
                    return f"{RECORDER} in {at.topic}/{at.partition}"
        return ""

    def _reaches_beyond(self, at: TopicPartition, offset: int) -> bool:
        end = self.log.end_offset(at)
        return offset < end and any(True for _ in self.log.scan(at, offset, end))

    def fail(self, check: str, what: str) -> Never:
        """Something is not as it must be."""
        raise Finding(check, what)

    def check_snapshot(self, snapshot: Snapshot) -> None:
        """A snapshot is of a committed position, at the moment it is taken."""
        at = TopicPartition(snapshot.topic, snapshot.partition)
        committed = self.log.decided_offset(snapshot.room, at)
        if snapshot.offset > committed:
            self.fail(
                "snapshots",
                f"{snapshot.room} takes one of {at.topic}/{at.partition} at {snapshot.offset},"
                f" and committed is {committed}",
            )

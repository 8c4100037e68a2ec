"""A loop on the log in memory, with a small fold, faults at every step, and processes that die."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import msgspec

from services.runtime.errors import RestoreNeededError
from services.runtime.loop import Loop, LoopPlan, LoopPorts, Turn
from services.runtime.memory import (
    MemoryConsumer,
    MemoryProducer,
    MemoryReader,
    MemorySnapshots,
)
from services.runtime.memory_group import GroupToken
from services.runtime.memory_log import MemoryLog
from services.runtime.ports import (
    Consumer,
    Fold,
    FoldFactory,
    Migration,
    Outgoing,
    Producer,
    Record,
    Snapshot,
    Snapshots,
    TopicPartition,
)
from services.runtime.restore import Restorer, past_markers
from services.runtime.telemetry import Telemetry
from services.runtime.traces import RoomTraces
from services.tools.proof.vopr.taps import Step, TappedConsumer, TappedFolds, TappedProducer, When

PARTITIONS: Final = 2
GENESIS: Final = "0" * 64


class RunningSum:
    """Sums the numbers of its partition, and says each sum; its view is the last sum."""

    def __init__(self, partition: int, total: int = 0, records: int = 0) -> None:
        self._partition = partition
        self._total = total
        self._records = records

    def handle(self, record: Record) -> Sequence[Outgoing]:
        self._total += int(record.value or b"0")
        self._records += 1
        said = f"{record.offset}:{self._total}".encode()
        return [Outgoing("out", self._partition, None, said)]

    def at_batch_end(self) -> Sequence[Outgoing]:
        return [Outgoing("view", self._partition, None, str(self._total).encode())]

    def dump(self) -> bytes:
        return msgspec.msgpack.encode([self._total, self._records])

    def genesis_hash(self) -> str:
        return GENESIS


class RunningSums:
    """Its folds; counts how many records they handled."""

    def __init__(self, *, stateful: bool = True, format_version: int = 1) -> None:
        self.stateful = stateful
        self.format_version = format_version
        self.migrations: dict[int, Migration] = {}

    def fresh(self, partition: TopicPartition) -> Fold:
        return RunningSum(partition.partition)

    def load(self, partition: TopicPartition, state: bytes) -> Fold:
        total, records = msgspec.msgpack.decode(state, type=tuple[int, int])
        return RunningSum(partition.partition, total, records)


class ManualPacer:
    """Time passes when the loop waits, and a little at each look at the clock."""

    def __init__(self, on_wait: Callable[[], None] = lambda: None) -> None:
        self.time_s = 1_000.0
        self.stop = False
        self.waits: list[float] = []
        self._on_wait = on_wait

    def now_s(self) -> float:
        self.time_s += 0.001
        return self.time_s

    def wait(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.time_s += seconds
        self._on_wait()

    def stopping(self) -> bool:
        return self.stop


@dataclass
class Faults:
    """Which call of which step fails, before or after it took effect, and how."""

    planned: dict[tuple[Step, When, int], BaseException | Callable[[], None]] = field(
        default_factory=dict
    )
    calls: dict[tuple[Step, When], int] = field(default_factory=dict)
    send_records_max: int = 1_000_000
    """A transaction with more takes too long."""
    happened: list[str] = field(default_factory=list)
    """The calls of a takeover, in order."""

    def at(self, step: Step, when: When) -> None:
        if step in {"initialise", "committed"} and when == "before":
            self.happened.append(step)
        number = self.calls[step, when] = self.calls.get((step, when), 0) + 1
        fault = self.planned.pop((step, when, number), None)
        if isinstance(fault, BaseException):
            raise fault
        if fault is not None:
            fault()


class ImpatientProducer(TappedProducer[GroupToken]):
    """Its transactions have no time for more than so many records."""

    def __init__(self, inner: MemoryProducer, faults: Faults) -> None:
        super().__init__(inner, faults)
        self._records_max = faults.send_records_max

    def send(self, records: Sequence[Outgoing]) -> None:
        if len(records) > self._records_max:
            raise RestoreNeededError("the transaction timed out")
        super().send(records)


class House:
    """A log with input, and processes of one room on it."""

    def __init__(self, *, defer_markers: bool = False) -> None:
        self.pacer = ManualPacer(self._expire)
        self.log = MemoryLog(lambda: int(self.pacer.time_s * 1_000), defer_markers=defer_markers)
        self._defer_markers = defer_markers
        for topic in ("in", "out", "view"):
            self.log.create_topic(topic, PARTITIONS)
        self.snapshots = MemorySnapshots()
        self.reader = MemoryReader(self.log, 2)
        self.transaction_interval_s = 0.0
        self.telemetry = Telemetry("test")
        self.sent: dict[int, list[tuple[int, int]]] = {p: [] for p in range(PARTITIONS)}

    def _expire(self) -> None:
        self.log.expire_transactions(3_000)
        self.log.settle()

    def feed(self, numbers: Sequence[int]) -> None:
        """Write numbers to the input, one partition after the other in turn."""
        for place, number in enumerate(numbers):
            partition = place % PARTITIONS
            value = Outgoing("in", partition, None, str(number).encode())
            self.sent[partition].append((self.log.append(value), number))

    def process(  # noqa: PLR0913 - each is a way of being, and has a default
        self,
        *,
        instance: str = "0",
        batch_records_max: int = 3,
        outputs_max: int = 1_000,
        snapshot_interval_s: float = 1e9,
        faults: Faults | None = None,
        factory: FoldFactory | None = None,
        snapshots: Snapshots | None = None,
        keep: Callable[[Snapshot], None] | None = None,
        is_followed: Callable[[], bool] = lambda: False,
        traces: RoomTraces | None = None,
    ) -> Loop[GroupToken]:
        """A process of the room, as it starts."""
        faults = faults or Faults()
        factory = factory or TappedFolds(RunningSums(), faults)
        store = self.snapshots if snapshots is None else snapshots
        plan = LoopPlan(
            "sums",
            ("in",),
            batch_records_max=batch_records_max,
            outputs_max=outputs_max,
            poll_timeout_ms=0,
            transaction_interval_s=self.transaction_interval_s,
            snapshot_interval_s=snapshot_interval_s,
        )

        def make_consumer() -> Consumer[GroupToken]:
            return TappedConsumer(MemoryConsumer(self.log, "sums", instance), faults)

        def make_producer() -> Producer[GroupToken]:
            ids = [f"sums-{instance}-{letter}" for letter in "abc"]
            return ImpatientProducer(MemoryProducer(self.log, ids), faults)

        restorer = Restorer("sums", factory, self.reader, store, self.telemetry, self.pacer)
        ports = LoopPorts(
            make_consumer,
            make_producer,
            restorer,
            keep or store.put,
            partial(past_markers, self.reader),
            is_followed,
            traces,
        )
        return Loop(plan, ports, factory, self.telemetry, self.pacer)

    def lag(self) -> int:
        """Records of the input that no committed transaction has consumed."""
        self.log.settle()
        offsets = self.log.group("sums").offsets
        return sum(
            1
            for at in self.log.partitions_of("in")
            for _ in self.log.scan(at, offsets.get(at, 0), self.log.end_offset(at))
        )

    def drain(self, *loops: Loop[GroupToken], turns_max: int = 2_000) -> list[Turn]:
        """Turn these processes until nothing is left to consume."""
        turns: list[Turn] = []
        while self.lag():
            assert len(turns) < turns_max, turns[-10:]
            turns += [loop.run_once() for loop in loops]
        return turns

    def said(self, partition: int) -> list[str]:
        """What the room's output holds, once what died was cleaned up."""
        self.pacer.wait(4.0)
        at = TopicPartition("out", partition)
        return [(r.value or b"").decode() for r in self.log.scan(at, 0, self.log.end_offset(at))]

    def expected(self, partition: int) -> list[str]:
        """What it must hold: every input once, in order."""
        total, said = 0, []
        for offset, number in self.sent[partition]:
            total += number
            said.append(f"{offset}:{total}")
        return said

    def check_exactly_once(self) -> None:
        for partition in range(PARTITIONS):
            assert self.said(partition) == self.expected(partition)

    def check_states(self, loop: Loop[GroupToken]) -> None:
        """The folds' states are those of a fold over the whole input."""
        for at, fold in loop.folds().items():
            sent = self.sent[at.partition]
            total = sum(number for _, number in sent)
            assert fold.dump() == msgspec.msgpack.encode([total, len(sent)])

    def metric(self, line: str) -> bool:
        """Whether this line stands in the exposition."""
        return line in self.telemetry.exposition().decode().splitlines()

"""A follower on the log in memory, beside the processes of `loop_kit.House`."""

from collections.abc import Mapping, Sequence

from services.runtime.errors import RetriableError
from services.runtime.follower import Follower, HandedOver
from services.runtime.loop import Loop, LoopPlan, LoopPorts
from services.runtime.memory import MemoryConsumer, MemoryProducer
from services.runtime.memory_group import GroupToken
from services.runtime.ports import Record, Snapshot, TopicPartition
from services.runtime.restore import Restorer
from tests.support.loop_kit import PARTITIONS, House, RunningSums


class MemoryTail:
    """`follower.Tail` over a House's log."""

    def __init__(self, house: House) -> None:
        self._log = house.log
        self._positions: dict[TopicPartition, int] = {}
        self.closed = False
        self.brings_nothing = False
        self.away = 0
        """So many reads in a row get no answer."""

    def start(self, offsets: Mapping[TopicPartition, int]) -> None:
        self._positions = dict(offsets)

    def read(self, records_max: int, timeout_ms: int) -> Sequence[Record]:
        if self.away:
            self.away -= 1
            raise RetriableError("away")
        records: list[Record] = []
        if self.brings_nothing:
            return records
        for at, position in self._positions.items():
            for record in self._log.scan(at, position, self._log.end_offset(at)):
                if len(records) == records_max:
                    return records
                records.append(record)
                self._positions[at] = record.offset + 1
        return records

    def committed(self, partitions: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
        offsets = self._log.group("sums").offsets
        return {at: offsets.get(at, -1) for at in partitions}

    def close(self) -> None:
        self.closed = True


class Beside:
    """A second process of the room: follows, and works in its turn."""

    def __init__(
        self,
        house: House,
        *,
        factory: RunningSums | None = None,
        snapshot_interval_s: float = 1e9,
    ) -> None:
        self.house = house
        self.taken: list[Snapshot] = []
        self.tail = MemoryTail(house)
        self._factory = factory or RunningSums()
        self._plan = LoopPlan(
            "sums",
            ("in",),
            batch_records_max=3,
            poll_timeout_ms=0,
            snapshot_interval_s=snapshot_interval_s,
        )
        self._restorer = Restorer(
            "sums", self._factory, house.reader, house.snapshots, house.telemetry, house.pacer
        )
        self.follower = Follower(
            self._plan,
            [TopicPartition("in", p) for p in range(PARTITIONS)],
            self.tail,
            self._restorer,
            self._factory,
            self._keep,
            house.telemetry,
            house.pacer,
        )

    def _keep(self, snapshot: Snapshot) -> None:
        self.taken.append(snapshot)
        self.house.snapshots.put(snapshot)

    def follow(self, turns: int = 10) -> None:
        """So many turns; each is long enough for the group to be asked anew."""
        for _ in range(turns):
            self.house.pacer.wait(0.1)
            self.follower.follow_once()

    def lead(self) -> Loop[GroupToken]:
        """The loop that takes over under the same instance name."""
        house = self.house
        ports = LoopPorts(
            lambda: MemoryConsumer(house.log, "sums"),
            lambda: MemoryProducer(house.log, [f"sums-0-{letter}" for letter in "abc"]),
            HandedOver(self.follower, self._restorer, house.reader, house.telemetry, house.pacer),
            None,
        )
        return Loop(self._plan, ports, self._factory, house.telemetry, house.pacer)

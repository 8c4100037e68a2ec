"""The recorder's loop against a ledger and a log in memory: what it does when either fails."""

from collections.abc import Callable, Mapping, Sequence

import pytest
from pydantic import SecretStr

from services.domain.events import Trade
from services.domain.origin import MATCHING, Origin
from services.recorder.core import RECORDED, Rows
from services.recorder.metrics import METRICS, ROWS_RECORDED
from services.recorder.postgres import Move
from services.recorder.service import Recorder
from services.recorder.settings import RecorderSettings
from services.runtime.errors import (
    ConfigurationError,
    FencedError,
    HistoryLostError,
    RetriableError,
)
from services.runtime.loop import MARKERS_NOTED_AFTER_S
from services.runtime.ports import Record, TopicPartition
from services.runtime.telemetry import RECORDS_UNDECODABLE, Telemetry
from services.wire.codec import Codec, local_codec

CODEC = local_codec()
AT = TopicPartition("trades", 0)
IDS = {topic.name: f"id-{topic.name}" for topic in RECORDED}
TRADE = Trade("AAPL-1-0", "AAPL", 1, 1, 1, "AAPL-m", "AAPL-t", "a", "b", 0, 0, 0, 0)


def trade(offset: int) -> Record:
    origin = Origin(MATCHING, 0, offset, 0, offset + 1, 1_790_000_000_000_000, 0)
    return Record("trades", 0, offset, 0, None, CODEC.encode("trades", origin, TRADE))


class Database:
    """What stays when ledgers come and go."""

    def __init__(self) -> None:
        self.offsets = {
            TopicPartition(topic.name, p): 0 for topic in RECORDED for p in range(topic.partitions)
        }
        self.rows: list[bytes] = []
        self.ids = dict(IDS)
        self.locked = False
        self.faults: list[tuple[Exception, bool]] = []
        """Of the next appends: what each raises, and whether it happened all the same."""
        self.readiness: list[bool] = []


class FakeLedger:
    def __init__(self, database: Database) -> None:
        self._database = database

    def try_lock(self) -> bool:
        return not self._database.locked

    def remember_topic(self, topic: str, topic_id: str) -> str:
        return self._database.ids.setdefault(topic, topic_id)

    def deployment_id(self) -> int:
        return 1

    def offsets(self, partitions: Mapping[str, int]) -> dict[TopicPartition, int]:
        return dict(self._database.offsets)

    def append(self, rows: Rows, moves: Mapping[TopicPartition, Move]) -> None:
        fault = self._database.faults.pop(0) if self._database.faults else None
        if fault is None or fault[1]:
            for at, move in moves.items():
                assert self._database.offsets[at] == move.previous
                self._database.offsets[at] = move.next_offset
            self._database.rows += [row for packed in rows.by_table.values() for row in packed]
        if fault is not None:
            raise fault[0]

    def ping(self) -> None:
        pass

    def close(self) -> None:
        pass


class FakeTail:
    def __init__(self, log: Sequence[Record], markers: int) -> None:
        self._log = log
        self._markers = markers
        self._positions: dict[TopicPartition, int] = {}

    def topic_ids(self) -> Mapping[str, str]:
        return IDS

    def start(self, offsets: Mapping[TopicPartition, int]) -> None:
        self._positions = dict(offsets)

    def read(self, records_max: int, idle_wait_ms: int, gather_ms: int) -> Sequence[Record]:
        start = self._positions[AT]
        found = [record for record in self._log if record.offset >= start][:records_max]
        self._positions[AT] = found[-1].offset + 1 if found else len(self._log) + self._markers
        return found

    def positions(self) -> Mapping[TopicPartition, int]:
        return self._positions

    def ends(self) -> Mapping[TopicPartition, int]:
        return {AT: len(self._log) + self._markers}

    def close(self) -> None:
        pass


class FakePacer:
    """Time that passes only when it is looked at; stops when a condition holds."""

    def __init__(self, until: Callable[[], bool]) -> None:
        self._until = until
        self._now_s = 0.0
        self.waits: list[float] = []
        self.on_wait: Callable[[], None] = lambda: None

    def now_s(self) -> float:
        self._now_s += 0.5
        return self._now_s

    def wait(self, seconds: float) -> None:
        self.waits.append(seconds)
        assert len(self.waits) < 100, "waits for ever"
        self.on_wait()

    def stopping(self) -> bool:
        return self._until()


class World:
    """One recorder between a log and a database."""

    def __init__(self, log: Sequence[Record], markers: int = 0) -> None:
        self.log = log
        self.markers = markers
        self.database = Database()
        self.telemetry = Telemetry("recorder", metrics=METRICS)
        self.pacer = FakePacer(lambda: self.database.offsets[AT] >= len(log) + markers)
        self.load_codec: Callable[[], Codec] = lambda: CODEC

    def run(self) -> None:
        settings = RecorderSettings(
            kafka_bootstrap="localhost:1",
            registry_url="http://localhost:1",
            pg_dsn=SecretStr("unused"),
            batch_records_max=3,
        )
        Recorder(
            settings,
            self.telemetry,
            self.pacer,
            load_codec=self.load_codec,
            open_ledger=lambda: FakeLedger(self.database),
            open_tail=lambda: FakeTail(self.log, self.markers),
        ).run()


def seven_trades() -> World:
    return World([trade(offset) for offset in range(7)])


def test_all_records_are_recorded_once_in_batches() -> None:
    world = seven_trades()
    world.run()
    assert len(world.database.rows) == 7
    assert len(set(world.database.rows)) == 7
    assert f'{ROWS_RECORDED}{{table="trades"}} 7.0' in world.telemetry.exposition().decode()


@pytest.mark.parametrize("happened", [False, True])
def test_a_commit_of_unknown_outcome_is_settled_by_the_offsets(happened: bool) -> None:  # noqa: FBT001
    world = seven_trades()
    world.database.faults = [(RetriableError("connection lost"), happened)]
    world.run()
    assert len(world.database.rows) == 7
    assert len(set(world.database.rows)) == 7


def test_it_is_not_ready_while_the_database_is_away_and_is_again_after() -> None:
    world = seven_trades()
    world.database.faults = [(RetriableError("away"), False), (FencedError("moved"), False)]
    seen: list[bool] = []
    world.pacer.on_wait = lambda: seen.append(world.telemetry.ready.is_set())
    world.run()
    assert seen == [False, False]
    assert world.pacer.waits[1] > world.pacer.waits[0]
    assert len(world.database.rows) == 7


def test_a_second_recorder_stands_by_ready_and_takes_over() -> None:
    world = seven_trades()
    world.database.locked = True
    seen: list[bool] = []

    def wait() -> None:
        seen.append(world.telemetry.ready.is_set())
        assert world.database.rows == []
        world.database.locked = len(seen) < 3

    world.pacer.on_wait = wait
    world.run()
    assert seen == [True, True, True]
    assert len(world.database.rows) == 7


@pytest.mark.parametrize("fault", [HistoryLostError("gone"), ConfigurationError("wrong")])
def test_what_a_person_must_mend_ends_it(fault: Exception) -> None:
    world = seven_trades()
    world.database.faults = [(fault, False)]
    with pytest.raises(type(fault)):
        world.run()
    assert not world.telemetry.ready.is_set()


def test_a_topic_that_was_made_again_is_refused() -> None:
    world = seven_trades()
    world.database.ids["trades"] = "id-of-before"
    with pytest.raises(ConfigurationError, match="trades was deleted and made again"):
        world.run()
    assert world.database.rows == []


def test_a_registry_that_is_away_is_asked_again() -> None:
    world = seven_trades()
    tries: list[int] = []

    def load() -> Codec:
        tries.append(1)
        if len(tries) < 3:
            raise RetriableError("no registry")
        return CODEC

    world.load_codec = load
    world.run()
    assert len(tries) == 3
    assert len(world.database.rows) == 7


def test_positions_behind_markers_are_noted_once_it_is_quiet() -> None:
    world = World([trade(0)], markers=2)
    world.run()
    assert world.database.offsets[AT] == 3
    assert world.pacer.now_s() >= MARKERS_NOTED_AFTER_S


def test_unreadable_records_are_counted() -> None:
    world = World([Record("trades", 0, 0, 0, None, b"junk"), trade(1)])
    world.run()
    assert f'{RECORDS_UNDECODABLE}{{topic="trades"}} 1.0' in world.telemetry.exposition().decode()
    assert len(world.database.rows) == 2

"""The room against a log and an online store in memory, and a lake on the disk."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import structlog

from services.lake.lock import STREAM, locked
from services.lake.places import Lake
from services.materializer.lake_writer import NOTE
from services.materializer.metrics import LAKE_WAITING, METRICS, ROWS_PASSED
from services.materializer.service import PASSED_LOGGED_MAX, Materializer, Turn
from services.materializer.settings import MaterializerSettings
from services.online.errors import OnlineStoreError
from services.runtime.errors import ConfigurationError, HistoryLostError, RetriableError
from services.runtime.telemetry import Telemetry
from tests.support.disk_faults import full_disk
from tests.support.row_log import (
    CODEC,
    KNOWN,
    SECOND_US,
    START_US,
    V1,
    FakeOnline,
    FakePacer,
    FakeTail,
    FeatureLog,
    feature_row,
    lake_rows,
    require_each_once,
)


class World:
    """One materializer between a log, an online store and a lake."""

    def __init__(
        self, home: Path, *, lake_rows_max: int = 20_000, lake_interval_s: float = 60.0
    ) -> None:
        self.home = home
        self.log = FeatureLog()
        self.online = FakeOnline()
        self.pacer = FakePacer()
        self.telemetry = Telemetry("materializer", metrics=METRICS)
        self.tail_faults: list[Exception] = []
        self._lake_rows_max = lake_rows_max
        self._lake_interval_s = lake_interval_s
        self.room = self.another()

    def another(self) -> Materializer:
        """A process of the room, on the same everything."""
        settings = MaterializerSettings(
            kafka_bootstrap="localhost:1",
            registry_url="http://localhost:1",
            home=self.home,
            lake_rows_max=self._lake_rows_max,
            lake_interval_s=self._lake_interval_s,
        )
        return Materializer(
            settings,
            self.telemetry,
            self.pacer,
            codec=CODEC,
            sets=KNOWN,
            open_tail=lambda: FakeTail(self.log, self.tail_faults),
            online=self.online,
        )

    def turns(self, count: int = 1) -> list[Turn]:
        return [self.room.run_once() for _ in range(count)]

    def until_in_lake(self) -> None:
        """The interval passes, and what was read goes into the lake."""
        self.turns(2)
        self.pacer.time_s += 3_600
        self.turns(2)

    def metric(self, line: str) -> float:
        """A sample by its name and labels; 0 if there is none."""
        lines = self.telemetry.exposition().decode().splitlines()
        return next((float(m.split()[-1]) for m in lines if m.startswith(line + " ")), 0.0)

    def newest(self, ticker: str = "AAPL") -> int | None:
        row = self.online.newest.get((V1, ticker))
        return None if row is None else row.grid_time_us

    def is_ready(self) -> bool:
        return self.telemetry.ready.is_set()


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.room.close()


@contextmanager
def logged() -> Iterator[list[Any]]:
    with structlog.testing.capture_logs() as lines:
        yield lines


def test_the_newest_row_goes_online_at_once_and_all_rows_go_into_the_lake_later(
    world: World,
) -> None:
    world.log.rows(5)
    assert world.turns(2) == [Turn.STARTED, Turn.WORKED]
    assert world.newest() == START_US + 4 * SECOND_US
    assert len(world.online.writes[0]) == 1
    assert lake_rows(world.home) == []
    world.until_in_lake()
    require_each_once(world.home, world.log)
    assert world.turns() == [Turn.IDLE]
    assert world.is_ready()


def test_repetitions_go_nowhere(world: World) -> None:
    world.log.rows(3)
    world.log.rows(3)
    world.until_in_lake()
    require_each_once(world.home, world.log)
    assert [len(rows) for rows in world.online.writes] == [1]
    assert world.metric(f'{ROWS_PASSED}{{cause="repeated"}}') == 3


def test_while_the_online_store_is_away_the_newest_row_waits_and_the_lake_goes_on(
    world: World,
) -> None:
    world.turns()
    world.online.is_away = True
    for i in range(20):
        world.log.put(feature_row(START_US + i * SECOND_US))
        world.log.put(feature_row(START_US + i * SECOND_US, ticker="MSFT"))
        world.turns()
        world.pacer.time_s += 1
    assert not world.is_ready()
    assert world.online.writes == []
    world.until_in_lake()
    require_each_once(world.home, world.log)
    world.online.is_away = False
    world.pacer.time_s += 3_600
    world.turns()
    # One row of each ticker waited, not forty.
    assert sorted(row.ticker for row in world.online.writes[0]) == ["AAPL", "MSFT"]
    assert world.newest() == world.newest("MSFT") == START_US + 19 * SECOND_US
    assert world.is_ready()


def test_an_online_store_that_is_away_is_not_asked_at_every_turn(world: World) -> None:
    world.log.rows(1)
    world.online.is_away = True
    with logged() as lines:
        world.turns(50)
    assert [line["event"] for line in lines].count("online_store_away") == 1


def test_a_start_while_the_online_store_is_away_lets_the_lake_go_on(world: World) -> None:
    world.online.is_away = True
    world.log.rows(5)
    with logged() as lines:
        world.until_in_lake()
    assert [line["event"] for line in lines].count("online_store_away") == 2
    require_each_once(world.home, world.log)
    assert not world.is_ready()
    world.online.is_away = False
    world.pacer.time_s += 3_600
    world.turns()
    assert world.newest() == START_US + 4 * SECOND_US
    assert world.is_ready()


@pytest.mark.parametrize("is_away", [False, True])
def test_a_slow_online_store_slows_the_room_and_neither_lake_nor_order_suffers(
    tmp_path: Path, *, is_away: bool
) -> None:
    """Each of its answers takes seconds, or is a timeout after as many."""
    world = World(tmp_path, lake_rows_max=10, lake_interval_s=20)
    world.turns()
    world.online.is_away = is_away

    def linger() -> None:
        world.pacer.time_s += 5

    world.online.linger = linger
    waiting = []
    for i in range(40):
        world.log.put(feature_row(START_US + i * SECOND_US))
        world.log.put(feature_row(START_US + i * SECOND_US, ticker="MSFT"))
        world.turns()
        waiting.append(world.metric(LAKE_WAITING))
    assert max(waiting) <= 10, "what waits is bounded, then less is read"
    assert len(lake_rows(tmp_path)) > 40, "and the lake goes on meanwhile"
    world.online.is_away = False
    world.pacer.time_s += 3_600
    world.turns(20)
    world.pacer.time_s += 3_600
    world.turns(2)
    require_each_once(tmp_path, world.log)
    assert world.newest() == world.newest("MSFT") == START_US + 39 * SECOND_US
    assert world.is_ready()
    world.room.close()


def test_while_the_lake_fails_rows_wait_then_nothing_is_read_and_then_all_goes_on(
    tmp_path: Path,
) -> None:
    world = World(tmp_path, lake_rows_max=10, lake_interval_s=1)
    world.turns()
    world.log.rows(30)
    with full_disk(300), logged():
        world.turns(5)
        assert world.metric(LAKE_WAITING) == 10
        assert not world.is_ready()
        # Online it goes as far as was read: the two do not wait for each other.
        assert world.newest() == START_US + 9 * SECOND_US
        assert lake_rows(tmp_path) == []
        assert world.pacer.waits
    world.pacer.time_s += 3_600
    world.turns(12)
    assert world.newest() == START_US + 29 * SECOND_US
    assert world.is_ready()
    world.pacer.time_s += 3_600
    world.turns(2)
    require_each_once(tmp_path, world.log)
    world.room.close()


def test_a_failing_lake_does_not_hold_up_the_online_store(tmp_path: Path) -> None:
    world = World(tmp_path, lake_interval_s=1)
    world.turns()
    with full_disk(300), logged():
        for i in range(10):
            world.log.put(feature_row(START_US + i * SECOND_US))
            world.turns()
            world.pacer.time_s += 2
            assert world.newest() == START_US + i * SECOND_US
    assert world.pacer.waits == []
    world.pacer.time_s += 3_600
    world.turns(2)
    require_each_once(tmp_path, world.log)
    world.room.close()


def test_a_start_puts_the_newest_rows_of_the_lake_online(world: World) -> None:
    world.log.rows(3)
    world.log.rows(2, ticker="MSFT", partition=1)
    world.until_in_lake()
    world.room.close()
    world.online = FakeOnline()  # It was lost, say.
    world.room = world.another()
    world.turns(2)
    assert world.newest() == START_US + 2 * SECOND_US
    assert world.newest("MSFT") == START_US + SECOND_US


def test_after_a_death_between_lake_and_online_nothing_is_lost_or_doubled(world: World) -> None:
    world.log.rows(6)
    world.until_in_lake()
    world.log.rows(4, start_us=START_US + 6 * SECOND_US)
    world.turns()
    world.room.close()  # With four rows read and in no file.
    world.room = world.another()
    world.until_in_lake()
    require_each_once(world.home, world.log)
    assert world.newest() == START_US + 9 * SECOND_US


def test_a_stop_puts_what_was_read_into_the_lake(world: World) -> None:
    world.log.rows(4)
    world.pacer.is_stopping = lambda: bool(world.online.writes)
    world.room.run()
    assert list(world.home.rglob("stream-*.parquet")), "without a wait for more rows"
    require_each_once(world.home, world.log)
    assert not world.is_ready()


def test_a_log_that_fails_is_begun_anew_where_the_lake_ends(world: World) -> None:
    world.log.rows(4)
    world.turns(2)
    world.tail_faults.append(RetriableError("the broker is away"))
    assert world.turns(2) == [Turn.RESTARTED, Turn.STARTED]
    world.until_in_lake()
    require_each_once(world.home, world.log)


@pytest.mark.parametrize(
    "fault", [HistoryLostError("gone"), ConfigurationError("wrong"), OnlineStoreError("broken")]
)
def test_what_a_person_must_mend_ends_it(world: World, fault: Exception) -> None:
    world.tail_faults.append(fault)
    with pytest.raises(type(fault)):
        world.room.run()
    assert not world.is_ready()


def test_a_second_materializer_stands_by_and_takes_over_when_the_first_ends(world: World) -> None:
    world.log.rows(3)
    second = world.another()
    with locked(Lake(world.home), STREAM), logged() as lines:
        assert [second.run_once() for _ in range(3)] == [Turn.STANDING_BY] * 3
        assert world.is_ready()
    assert [line["event"] for line in lines] == ["standing_by"]
    assert world.online.writes == []
    world.room = second
    world.until_in_lake()
    require_each_once(world.home, world.log)


def test_junk_is_counted_logged_a_little_and_passed_over(world: World) -> None:
    world.log.rows(1)
    for _ in range(20):
        world.log.put(feature_row())  # Repetitions are nothing to tell.
    for _ in range(10):
        world.log.put_bytes(b"junk")
        world.log.put_bytes(None)
        world.log.put(feature_row(fingerprint="0" * 64))
        world.log.put(feature_row(feature_set="microstructure_v9", fingerprint="f"))
        world.log.put(feature_row(ticker="no ticker"))
    world.log.put(feature_row(START_US + SECOND_US))
    with logged() as lines:
        world.turns(2)
    told = [line for line in lines if line["event"] == "record_passed_over"]
    assert len(told) == PASSED_LOGGED_MAX
    assert {line["cause"] for line in told} >= {"foreign_fingerprint", "unknown_set", "malformed"}
    for cause in ("foreign_fingerprint", "unknown_set", "malformed"):
        assert world.metric(f'{ROWS_PASSED}{{cause="{cause}"}}') == 10
    assert world.newest() == START_US + SECOND_US
    world.until_in_lake()
    assert [row[2] for row in lake_rows(world.home)] == [START_US, START_US + SECOND_US]


def test_the_note_moves_past_records_that_are_no_rows(world: World) -> None:
    """Else retention would pass it by, and the next start report a loss that is none."""
    for _ in range(7):
        world.log.put_bytes(b"junk")
    world.until_in_lake()
    assert '"0":7' in (world.home / "lake/features" / NOTE).read_text()

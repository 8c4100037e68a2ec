"""Rows of a real log in the lake once, and the newest ones online, whatever happens meanwhile."""

import random
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
from confluent_kafka import Producer

from services.featuresets import SETS
from services.materializer.lake_writer import NOTE, Note
from services.online.features import OnlineFeatures
from services.wire.topics import FEATURES
from tests.support.feature_world import FeatureProcess, FeatureWorld
from tests.support.row_log import (
    DAY_US,
    SECOND_US,
    START_US,
    V1,
    FeatureLog,
    feature_row,
    origin_of,
    require_each_once,
)
from tests.support.stack_fixture import StackInfra
from tests.support.trade_tape import TICKERS
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]

KILLS = 3
MIDNIGHT_US = START_US - START_US % DAY_US + DAY_US


class Rows(threading.Thread):
    """Writes rows of five tickers until stopped, over midnight; sometimes some of them again."""

    def __init__(self, world: FeatureWorld) -> None:
        super().__init__()
        self._random = random.Random()
        self._enough = threading.Event()
        self._topic = world.prefix + FEATURES.name
        self._codec = world.codec
        self._producer = Producer(
            {"bootstrap.servers": world.addresses.kafka_bootstrap, "enable.idempotence": True}
        )
        self.seconds = 0
        """Of event time, so far."""

    def run(self) -> None:
        while not self._enough.wait(0.01):
            # As a feature room that was killed writes its last rows again.
            again = self._random.randrange(1, 6) if self._random.random() < 0.1 else 0
            for at in range(max(0, self.seconds - again), self.seconds + 1):
                self.put(at)
            self.seconds += 1
        self._producer.flush(30)

    def put(self, at: int) -> None:
        for partition, ticker in enumerate(TICKERS):
            row = feature_row(MIDNIGHT_US + (at - 100) * SECOND_US, ticker=ticker)
            value = self._codec.encode(FEATURES.name, origin_of(row, at), row)
            self._producer.produce(self._topic, value, ticker.encode(), partition)
        self._producer.poll(0)

    def stop(self) -> None:
        self._enough.set()
        self.join()


class World(FeatureWorld):
    """One deployment with a materializer, its home in a folder of the test."""

    def __init__(self, infra: StackInfra, folder: Path) -> None:
        super().__init__(infra.addresses, folder)
        self.home = folder / "home"
        self.rows_thread = Rows(self)

    def materializer(self) -> FeatureProcess:
        return self.start(
            "0", "-m", "services.materializer", home=self.home, lake_interval_s=0.5, gather_ms=20
        )

    def in_lake(self) -> int:
        return len(list(self.home.rglob("stream-*.parquet")))

    def noted(self) -> dict[int, int]:
        """How far the lake goes, by partition, as its note says."""
        note = msgspec.json.decode((self.home / "lake/features" / NOTE).read_bytes(), type=Note)
        return note.offsets

    def log(self) -> FeatureLog:
        """What is on the topic."""
        found = FeatureLog()
        for record in self.records(FEATURES.name):
            found.records[record.partition].append(record)
        return found

    def require_exact(self) -> None:
        """Wait until all is in the lake and online; then nothing is lost, doubled or old."""
        log = self.log()
        ends = {p: records[-1].offset + 1 for p, records in log.records.items()}
        wait_until(lambda: self.noted() == ends, "all rows in the lake", 120)
        require_each_once(self.home, log)
        newest = MIDNIGHT_US + (self.rows_thread.seconds - 101) * SECOND_US
        online = OnlineFeatures(self.home)
        service = online.service(V1)
        wait_until(
            lambda: {s.grid_time_us for s in online.read(service, TICKERS)} == {newest},
            "the newest rows online",
            60,
        )
        last = {
            ticker: values for (_, ticker, at), values in log.distinct().items() if at == newest
        }
        for served in online.read(service, TICKERS):
            assert tuple(served.values[n] for n in SETS[V1].columns) == last[served.ticker]


@pytest.fixture
def world(stack_infra: StackInfra, tmp_path: Path) -> Iterator[World]:
    made = World(stack_infra, tmp_path)
    made.rows_thread.start()
    yield made
    made.rows_thread.stop()
    made.close()


def wait_for_files(world: World) -> None:
    before = world.in_lake()
    wait_until(lambda: world.in_lake() > before, "a file in the lake", 90)


@pytest.mark.long
def test_a_materializer_killed_at_random_moments_loses_and_doubles_no_row(world: World) -> None:
    chance = random.Random()
    for _ in range(KILLS):
        process = world.materializer()
        wait_for_files(world)
        time.sleep(chance.uniform(0, 0.5))
        process.kill()
    last = world.materializer()
    wait_for_files(world)
    world.rows_thread.stop()
    world.require_exact()
    assert last.stop() == 0


def test_while_the_database_is_away_the_lake_goes_on_and_then_the_newest_rows_are_online(
    world: World,
) -> None:
    process = world.materializer()
    process.wait_until_ready()
    wait_for_files(world)
    database = world.home / "feast" / "online.db"
    with closing(sqlite3.connect(database, isolation_level=None, timeout=60)) as holder:
        holder.execute("BEGIN EXCLUSIVE")
        wait_until(lambda: process.count("online_store_away"), "the room to notice", 60)
        wait_until(lambda: not process.is_ready(), "the room to say so", 60)
        wait_for_files(world)
    wait_until(process.is_ready, "the room to be ready again", 60)
    world.rows_thread.stop()
    world.require_exact()
    assert process.stop() == 0


@pytest.mark.long
def test_a_second_materializer_stands_by_until_the_first_ends(world: World) -> None:
    first = world.materializer()
    wait_for_files(world)
    second = world.materializer()
    wait_until(lambda: second.count("standing_by"), "the second to stand by", 60)
    assert not second.count("materializing")
    first.kill()
    wait_until(lambda: second.count("materializing"), "the second to take over", 60)
    world.rows_thread.stop()
    world.require_exact()
    assert second.stop() == 0

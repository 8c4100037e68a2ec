"""The background writer of snapshots: never in the loop's way."""

from collections.abc import Iterator
from threading import Event

import pytest

from services.runtime.background import BackgroundSnapshots
from services.runtime.errors import RetriableError
from services.runtime.memory import MemorySnapshots
from services.runtime.ports import Snapshot
from services.runtime.restore import hash_state
from services.runtime.telemetry import Telemetry

PATIENCE_S = 30.0


class SlowStore(MemorySnapshots):
    """Writes nothing before it is let; may be away."""

    def __init__(self) -> None:
        super().__init__()
        self.began = Event()
        self.let = Event()
        self.away = False

    def put(self, snapshot: Snapshot) -> None:
        self.began.set()
        assert self.let.wait(PATIENCE_S)
        if self.away:
            raise RetriableError("away")
        super().put(snapshot)


@pytest.fixture
def store() -> SlowStore:
    return SlowStore()


@pytest.fixture
def telemetry() -> Telemetry:
    return Telemetry("test")


@pytest.fixture
def background(store: SlowStore, telemetry: Telemetry) -> Iterator[BackgroundSnapshots]:
    made = BackgroundSnapshots(store, telemetry)
    yield made
    store.let.set()
    made.close(PATIENCE_S)


def snapshot(offset: int, partition: int = 0) -> Snapshot:
    state = str(offset).encode()
    return Snapshot("room", "in", partition, offset, "id", 1, "", state, hash_state(state))


def kept(store: SlowStore, partition: int = 0) -> list[int]:
    return [found.offset for found in store.newest("room", "in", partition, 10)]


def test_what_is_offered_is_stored(background: BackgroundSnapshots, store: SlowStore) -> None:
    store.let.set()
    background.offer(snapshot(1))
    background.offer(snapshot(1, partition=1))
    assert background.flush(PATIENCE_S)
    assert kept(store) == kept(store, 1) == [1]


def test_one_waits_and_the_newest_replaces_it(
    background: BackgroundSnapshots, store: SlowStore, telemetry: Telemetry
) -> None:
    background.offer(snapshot(1))
    assert store.began.wait(PATIENCE_S)
    for offset in (2, 3, 4):
        background.offer(snapshot(offset))
    background.offer(snapshot(9, partition=1))
    assert not background.flush(0.0)
    store.let.set()
    assert background.flush(PATIENCE_S)
    assert kept(store) == [4, 1]
    assert kept(store, 1) == [9]
    assert b'outcry_snapshots_lost_total{cause="superseded"} 2.0' in telemetry.exposition()


def test_a_store_that_is_away_loses_snapshots_and_nothing_else(
    background: BackgroundSnapshots, store: SlowStore, telemetry: Telemetry
) -> None:
    store.let.set()
    store.away = True
    background.offer(snapshot(1))
    assert background.flush(PATIENCE_S)
    store.away = False
    background.offer(snapshot(2))
    assert background.flush(PATIENCE_S)
    assert kept(store) == [2]
    assert b'outcry_snapshots_lost_total{cause="store_away"} 1.0' in telemetry.exposition()


def test_closing_writes_what_waits(store: SlowStore, telemetry: Telemetry) -> None:
    store.let.set()
    background = BackgroundSnapshots(store, telemetry)
    for offset in range(1, 4):
        background.offer(snapshot(offset, partition=offset))
    background.close(PATIENCE_S)
    assert [kept(store, partition) for partition in (1, 2, 3)] == [[1], [2], [3]]


def test_closing_does_not_wait_for_ever(store: SlowStore, telemetry: Telemetry) -> None:
    background = BackgroundSnapshots(store, telemetry)
    background.offer(snapshot(1))
    assert store.began.wait(PATIENCE_S)
    background.close(0.01)
    assert kept(store) == []
    store.let.set()
    background.close(PATIENCE_S)
    assert kept(store) == [1]

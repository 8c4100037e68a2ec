from collections.abc import Callable, Mapping
from typing import Any

import pytest
from aiokafka.structs import ConsumerRecord
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from services.features.app import make_app
from services.features.committed_reads import CommittedReadsConsumer, Fetch
from services.features.settings import FeaturesSettings

AT = TP("trades", 0)
SETTINGS = FeaturesSettings(
    kafka_bootstrap="127.0.0.1:1",
    registry_url="http://127.0.0.1:1",
    features_sets=("microstructure_v1",),
)


class FakeThread:
    """The consumer's thread as far as the consumer asks it: one partition, fetches as given."""

    def __init__(self) -> None:
        self.beginning = 0
        self.placed: list[Mapping[TP, int]] = []
        self.during_fetch: Callable[[], Any] | None = None
        self.next_fetch = fetch(0)

    def assignment(self) -> set[TP]:
        return {AT}

    def highwater(self, _: TP) -> int:
        return 50

    async def place(self, offsets: Mapping[TP, int]) -> int:
        self.beginning += 1
        self.placed.append(offsets)
        return self.beginning

    async def getmany(self, active: set[TP], timeout: float) -> Fetch:  # noqa: ASYNC109 - Faust's
        if self.during_fetch is not None:
            await self.during_fetch()
        return self.next_fetch


def fetch(beginning: int, *offsets: int, position: int | None = None) -> Fetch:
    found = Fetch({AT: [record(offset) for offset in offsets]} if offsets else {})
    found.beginning = beginning
    found.positions = {AT: offsets[-1] + 1 if position is None else position} if offsets else {}
    found.ends = {}
    return found


def record(offset: int) -> ConsumerRecord[bytes, bytes]:
    return ConsumerRecord(AT.topic, AT.partition, offset, 0, 0, None, b"trade", None, -1, 5, ())


class World:
    """A consumer that begins at offset 10, with the flow on."""

    def __init__(self) -> None:
        async def ignore(*_: object) -> None: ...

        self.handed: list[int] = []

        async def hand_over(message: Any) -> None:  # noqa: ANN401 - Faust's
            self.handed.append(message.offset)

        self.app = make_app(SETTINGS)
        consumer = self.app.transport.create_consumer(
            callback=hand_over, on_partitions_revoked=ignore, on_partitions_assigned=ignore
        )
        assert isinstance(consumer, CommittedReadsConsumer)
        self.consumer = consumer
        self.consumer._thread.thread_loop.close()  # it never started
        self.thread = FakeThread()
        self.consumer._thread = self.thread  # type: ignore[assignment]  # a fake
        self.consumer.starts = {AT: 10}
        self.consumer.resume_partitions({AT})

    async def begin(self) -> None:
        await self.consumer.perform_seek()

    async def offsets(self) -> list[int]:
        return [message.offset async for _, message in self.consumer.getmany(1.0)]


@pytest.fixture
async def world() -> World:
    made = World()
    await made.begin()
    return made


async def test_a_partition_begins_where_it_was_said_and_not_where_something_is_committed(
    world: World,
) -> None:
    assert world.thread.placed == [{AT: 10}]
    assert world.consumer.done() == {AT: 10}


async def test_what_was_fetched_after_the_beginning_is_handed_over(world: World) -> None:
    world.thread.next_fetch = fetch(1, 10, 13)
    assert await world.offsets() == [10, 13]


async def test_what_was_fetched_before_the_beginning_is_dropped(world: World) -> None:
    """The fetch ends while the partitions are placed anew: its records are the old places'."""
    world.thread.next_fetch = fetch(1, 40, 41)
    world.thread.during_fetch = world.begin
    assert await world.offsets() == []
    assert world.consumer.done() == {AT: 10}


async def test_what_is_left_of_a_fetch_is_dropped_at_a_new_beginning(world: World) -> None:
    world.thread.next_fetch = fetch(1, 10, 11, 12)
    seen = []
    async for _, message in world.consumer.getmany(1.0):
        seen.append(message.offset)
        if message.offset == 11:
            world.consumer._beginning += 1
    assert seen == [10, 11]


async def test_a_stopped_flow_hands_nothing_over(world: World) -> None:
    world.thread.next_fetch = fetch(1, 10, 11)
    world.thread.during_fetch = stop_of(world.consumer)
    assert await world.offsets() == []


def stop_of(consumer: CommittedReadsConsumer) -> Callable[[], Any]:
    async def stop() -> None:
        consumer.stop_flow()

    return stop


async def test_a_message_of_an_earlier_beginning_is_not_current(world: World) -> None:
    world.thread.next_fetch = fetch(1, 10)
    (message,) = [message async for _, message in world.consumer.getmany(1.0)]
    assert world.consumer.is_current(message)
    await world.begin()
    assert not world.consumer.is_current(message)


async def test_nothing_is_current_while_the_flow_is_stopped(world: World) -> None:
    world.thread.next_fetch = fetch(1, 10)
    (message,) = [message async for _, message in world.consumer.getmany(1.0)]
    world.consumer.stop_flow()
    assert not world.consumer.is_current(message)


async def test_commits_pass_the_gaps_that_transactions_leave(world: World) -> None:
    world.thread.next_fetch = fetch(1, 12, 15, position=18)
    assert await world.offsets() == [12, 15]
    world.consumer._acked[AT] += [12]
    assert world.consumer._new_offset(AT) == 13
    world.consumer._acked[AT] += [15]
    assert world.consumer._new_offset(AT) == 18
    assert world.consumer._new_offset(TP("trades", 4)) is None


class Fetcher:
    """Faust's, as far as it is asked: stops after so many questions."""

    def __init__(self, turns: int) -> None:
        self._turns = turns
        self._stopped = self

    @property
    def should_stop(self) -> bool:
        self._turns -= 1
        return self._turns < 0

    def is_set(self) -> bool:
        return self.should_stop


async def drain(world: World, fetched: Fetch) -> None:
    """One turn of the loop that hands messages over."""
    world.thread.next_fetch = fetched
    await world.consumer._drain_messages(Fetcher(1))  # type: ignore[arg-type]  # a fake


async def rebalance_amid_a_fetch(world: World) -> None:
    """A fetch of the old place ends behind a new beginning, and then one of the new place."""
    world.thread.during_fetch = world.begin
    await drain(world, fetch(1, 40, 41))
    world.thread.during_fetch = None
    await drain(world, fetch(2, 10, 11))


async def test_a_rebalance_amid_a_fetch_loses_no_trade(world: World) -> None:
    await rebalance_amid_a_fetch(world)
    assert world.handed == [10, 11]


async def test_faust_s_own_reader_would_lose_trades_in_a_rebalance(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mending taken out: old records get past the beginning, and push the new ones out."""
    for name in ("getmany", "_drain_messages"):
        monkeypatch.setattr(CommittedReadsConsumer, name, getattr(driver.Consumer, name))
    await rebalance_amid_a_fetch(world)
    assert world.handed == [40, 41]


async def test_lower_offsets_after_a_new_beginning_are_handed_over_too(world: World) -> None:
    await drain(world, fetch(1, 20, 21))
    world.consumer.starts = {AT: 5}
    await world.begin()
    await drain(world, fetch(2, 5, 6))
    assert world.handed == [20, 21, 5, 6]

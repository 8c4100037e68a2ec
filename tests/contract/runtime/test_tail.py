"""What the recorder and the materializer build on: whole topics, followed as they grow."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from random import Random
from typing import Final

import pytest

from services.recorder.service import Tail
from services.runtime.errors import HistoryLostError
from services.runtime.ports import Record, TopicPartition
from services.runtime.topic_tail import TopicTail
from services.tools.proof.vopr.ledger import MemoryTail
from services.tools.proof.vopr.taps import Step, When
from services.wire.topics import MATCHING
from tests.support.log_worlds import KafkaWorld, MemoryWorld, World, ends_at, flush, outgoing
from tests.support.waiting import wait_until

TOPIC: Final = MATCHING.name
FIRST, SECOND = TopicPartition(TOPIC, 0), TopicPartition(TOPIC, 1)


class Untapped:
    def at(self, step: Step, when: When) -> None:
        pass


class Follower:
    """A tail, and all that it has brought."""

    def __init__(self, world: World) -> None:
        if isinstance(world, KafkaWorld):
            self.tail: Tail = TopicTail(world.connection, [MATCHING], "tail", "Give up")
        else:
            assert isinstance(world, MemoryWorld)
            self.tail = MemoryTail(world.log, Random(1), Untapped())
        self.records: list[Record] = []

    def read(self, records_max: int = 100) -> list[Record]:
        found = list(self.tail.read(records_max, 100, 10))
        assert len(found) <= records_max
        self.records += found
        return found

    def reaches(self, ends: Mapping[TopicPartition, int]) -> bool:
        self.read()
        positions = self.tail.positions()
        assert all(positions[at] <= end for at, end in ends.items())
        return positions == ends

    def values(self, at: TopicPartition = FIRST) -> list[bytes | None]:
        return [r.value for r in self.records if (r.topic, r.partition) == (at.topic, at.partition)]


@pytest.fixture
def follow(world: World) -> Iterator[Callable[[], Follower]]:
    """Opens followers of a topic with all its partitions, and closes them."""
    world.topic(TOPIC, MATCHING.partitions)
    with ExitStack() as opened:

        def open_one() -> Follower:
            follower = Follower(world)
            opened.callback(follower.tail.close)
            return follower

        yield open_one


def write(world: World, *values: bytes, partition: int = 0, aborted: bool = False) -> None:
    producer = world.producer(f"writer-{partition}")
    producer.initialise()
    producer.begin()
    producer.send(outgoing(TOPIC, *values, partition=partition))
    if aborted:
        flush(producer)  # or it is dropped before it has left
        producer.abort()
    else:
        producer.commit()


def test_committed_records_come_in_order_and_positions_reach_behind_their_markers(
    world: World, follow: Callable[[], Follower]
) -> None:
    write(world, b"a", b"b")
    write(world, b"never", aborted=True)
    write(world, b"c", partition=1)
    write(world, b"d")
    write(world, b"neither", aborted=True)
    # a b MARKER never MARKER d MARKER neither MARKER, and c MARKER.
    reader = world.reader()
    assert ends_at(reader, FIRST, 9)
    assert ends_at(reader, SECOND, 2)
    follower = follow()
    follower.tail.start({FIRST: 0, SECOND: 0})
    wait_until(lambda: follower.reaches({FIRST: 9, SECOND: 2}), "both ends")
    assert follower.values() == [b"a", b"b", b"d"]
    assert follower.values(SECOND) == [b"c"]
    assert [r.offset for r in follower.records if r.partition == 0] == [0, 1, 5]
    assert follower.tail.ends() == {FIRST: 9, SECOND: 2}


def test_nothing_of_an_open_transaction_is_seen_nor_what_lies_behind_it(
    world: World, follow: Callable[[], Follower]
) -> None:
    write(world, b"a")
    assert ends_at(world.reader(), FIRST, 2)
    follower = follow()
    follower.tail.start({FIRST: 0})
    open_one = world.producer("open")
    open_one.initialise()
    open_one.begin()
    open_one.send(outgoing(TOPIC, b"open"))
    write(world, b"behind")
    for _ in range(5):
        follower.read()
        assert follower.tail.positions()[FIRST] <= 2
    assert follower.values() == [b"a"]
    open_one.commit()
    wait_until(lambda: len(follower.records) + len(follower.read()) >= 3, "what was hidden")
    assert follower.values() == [b"a", b"open", b"behind"]


def test_it_begins_where_it_is_told_to(world: World, follow: Callable[[], Follower]) -> None:
    world.append(TOPIC, [b"%d" % number for number in range(10)])
    follower = follow()
    follower.tail.start({FIRST: 7, SECOND: 0})
    wait_until(lambda: follower.reaches({FIRST: 10, SECOND: 0}), "the end")
    assert follower.values() == [b"7", b"8", b"9"]


def test_no_read_brings_more_than_asked_for_and_the_rest_comes_after(
    world: World, follow: Callable[[], Follower]
) -> None:
    values = [b"%d" % number for number in range(50)]
    world.append(TOPIC, values)
    follower = follow()
    follower.tail.start({FIRST: 0})
    while len(follower.records) < len(values):
        follower.read(records_max=7)
    assert follower.values() == values


def test_a_beginning_that_the_log_does_not_have_is_refused(
    world: World, follow: Callable[[], Follower]
) -> None:
    world.append(TOPIC, [b"%d" % number for number in range(10)])
    world.drop_records(FIRST, 4)
    for offset in (3, 11):
        with pytest.raises(HistoryLostError):
            follow().tail.start({FIRST: offset})
    follower = follow()
    follower.tail.start({FIRST: 4})
    wait_until(lambda: follower.reaches({FIRST: 10}), "the end")
    assert follower.values() == [b"4", b"5", b"6", b"7", b"8", b"9"]

"""What of Kafka the log in memory keeps that the contract suite can't force Kafka to show."""

import pytest

from services.runtime.errors import FencedError, RetriableError
from services.runtime.memory import MemoryConsumer, MemoryProducer
from services.runtime.memory_group import GroupToken
from services.runtime.memory_log import FIRST_TIME_MS, MemoryLog, counting_clock_ms
from services.runtime.ports import Outgoing, TopicPartition
from tests.support.loop_kit import House

IN = TopicPartition("in", 0)
OUT = TopicPartition("out", 0)


@pytest.fixture
def log() -> MemoryLog:
    made = MemoryLog(defer_markers=True)
    made.create_topic("in", 1)
    made.create_topic("out", 1)
    return made


def joined(log: MemoryLog, instance: str = "0") -> tuple[MemoryConsumer, GroupToken]:
    consumer = MemoryConsumer(log, "room", instance)
    consumer.subscribe(["in"], lambda owned: dict.fromkeys(owned, 0), lambda _: None)
    return consumer, consumer.poll(10, 0).token


def producer(log: MemoryLog, *ids: str) -> MemoryProducer:
    made = MemoryProducer(log, ids or ("a",))
    made.initialise()
    return made


def test_a_committed_transaction_is_hidden_until_its_markers_are_written(log: MemoryLog) -> None:
    writer = producer(log)
    writer.begin()
    writer.send([Outgoing("out", 0, None, b"x")])
    writer.commit()
    assert log.values("out") == []
    assert log.stable_offset(OUT) == 0
    log.settle()
    assert log.values("out") == [b"x"]
    assert (log.stable_offset(OUT), log.end_offset(OUT)) == (2, 2)


def test_markers_come_place_by_place_and_show_so_much(log: MemoryLog) -> None:
    log.create_topic("other", 1)
    consumer, token = joined(log)
    writer = producer(log)
    for commits in (True, False):
        writer.begin()
        writer.send([Outgoing("out", 0, None, b"x"), Outgoing("other", 0, None, b"y")])
        writer.send_offsets({IN: 5}, token)
        (writer.commit if commits else writer.abort)()
        (transaction,) = log.undecided()
        assert set(transaction.unmarked) == {OUT, TopicPartition("other", 0), "room"}
        log.mark("a", OUT)
        assert log.values("out") == [b"x"]
        assert log.values("other") == [b"y"] * (not commits)
        with pytest.raises(RetriableError):
            consumer.committed([IN])
        log.mark("a", "room")
        assert consumer.committed([IN]) == {IN: 5}
        log.mark("a", TopicPartition("other", 0))
        assert log.values("other") == [b"y"]
        assert not log.undecided()


def test_a_decided_transaction_can_not_be_undone_by_a_takeover(log: MemoryLog) -> None:
    writer = producer(log)
    writer.begin()
    writer.send([Outgoing("out", 0, None, b"x")])
    writer.commit()
    producer(log)
    assert log.values("out") == [b"x"]


def test_committed_offsets_wait_for_markers_too(log: MemoryLog) -> None:
    consumer, token = joined(log)
    writer = producer(log)
    writer.begin()
    writer.send_offsets({IN: 5}, token)
    writer.commit()
    with pytest.raises(RetriableError):
        consumer.committed([IN])
    log.settle()
    assert consumer.committed([IN]) == {IN: 5}


def test_markers_that_come_in_another_order_do_not_move_an_offset_back(log: MemoryLog) -> None:
    consumer, token = joined(log)
    writer = producer(log, "a", "b")
    for offset in (5, 6):
        writer.begin()
        writer.send_offsets({IN: offset}, token)
        writer.commit()
    log.initialise("b")
    assert log.group("room").offsets == {IN: 6}
    log.initialise("a")
    assert consumer.committed([IN]) == {IN: 6}


def test_an_expired_transaction_is_aborted_and_its_producer_fenced(log: MemoryLog) -> None:
    writer = producer(log)
    writer.begin()
    writer.send([Outgoing("out", 0, None, b"x")])
    assert log.expire_transactions(1_000) == 0
    assert log.expire_transactions(0) == 1
    with pytest.raises(FencedError):
        writer.commit()
    assert log.values("out") == []
    assert log.end_offset(OUT) == 2


def test_records_between_those_of_a_transaction_keep_their_place(log: MemoryLog) -> None:
    writer = producer(log)
    writer.begin()
    writer.send([Outgoing("out", 0, None, b"a")])
    log.append(Outgoing("out", 0, None, b"of another"))
    writer.send([Outgoing("out", 0, None, b"b")])
    writer.commit()
    log.settle()
    assert log.values("out") == [b"a", b"of another", b"b"]


def test_time_is_the_clocks_alone() -> None:
    log = MemoryLog(counting_clock_ms())
    log.create_topic("log time", 1)
    log.create_topic("own time", 1, log_append_time=False)
    for topic in ("log time", "own time"):
        log.append(Outgoing(topic, 0, None, b"x"), timestamp_ms=5)
    (first,) = log.scan(TopicPartition("log time", 0), 0, 1)
    (second,) = log.scan(TopicPartition("own time", 0), 0, 1)
    assert (first.timestamp_ms, second.timestamp_ms) == (FIRST_TIME_MS, 5)


def test_a_deleted_topic_takes_the_groups_offsets_along(log: MemoryLog) -> None:
    log.group("room").offsets[IN] = 5
    log.delete_topic("in")
    log.create_topic("in", 1)
    assert log.group("room").offsets == {}


@pytest.mark.parametrize("fault", ["repeated", "lost", "reordered", "of a wrong sum"])
def test_the_exactly_once_check_finds_a_planted_fault(fault: str) -> None:
    house = House()
    house.feed([1, 2, 3, 4, 5, 6])
    house.drain(house.process())
    house.check_exactly_once()
    entries = house.log._topics["out"].partitions[0]
    said = [entry for entry in entries if entry.record is not None]
    match fault:
        case "repeated":
            entries.append(said[-1])
        case "lost":
            entries.remove(said[1])
        case "reordered":
            entries.insert(0, entries.pop(entries.index(said[1])))
        case _:
            house.sent[0][0] = (0, 7)
    with pytest.raises(AssertionError):
        house.check_exactly_once()

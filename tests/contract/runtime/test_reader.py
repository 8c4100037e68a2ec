"""What restores, replays and audits build on: ranges of committed records."""

import pytest

from services.runtime.errors import HistoryLostError
from services.runtime.ports import Outgoing, TopicPartition
from tests.support.log_worlds import Member, World, ends_at, outgoing, poll_until, read_range

OUT = TopicPartition("out", 0)


def test_a_range_that_ends_in_markers_ends(world: World) -> None:
    world.topic("out")
    producer = world.producer()
    producer.initialise()
    producer.begin()
    producer.send(outgoing("out", b"a", b"b"))
    producer.commit()
    reader = world.reader()
    assert ends_at(reader, OUT, 3)
    assert [r.value for r in read_range(reader, OUT, 0, 3)] == [b"a", b"b"]
    assert read_range(reader, OUT, 2, 3) == []


def test_a_range_that_ends_in_aborted_records_ends(world: World) -> None:
    world.topic("in")
    world.topic("out")
    world.append("in", [b"1"])
    world.append("out", [b"kept"])
    member = Member(world, ["in"])
    poll_until(lambda: member.batches, [member])
    producer = world.producer()
    producer.initialise()
    producer.begin()
    producer.send(outgoing("out", b"x", b"y"))
    producer.send_offsets({TopicPartition("in", 0): 1}, member.batches[0].token)
    producer.abort()
    reader = world.reader()
    _, end = reader.bounds(OUT)
    assert [r.value for r in read_range(reader, OUT, 0, end)] == [b"kept"]
    assert read_range(reader, OUT, 1, end) == []


def test_a_range_within_the_log_holds_just_that(world: World) -> None:
    world.topic("out")
    world.append("out", [str(number).encode() for number in range(10)])
    reader = world.reader()
    assert reader.bounds(OUT) == (0, 10)
    assert [r.offset for r in read_range(reader, OUT, 3, 7)] == [3, 4, 5, 6]
    assert [r.offset for r in read_range(reader, OUT, 0, 10)] == list(range(10))


def test_an_empty_range_is_empty(world: World) -> None:
    world.topic("out")
    reader = world.reader()
    assert reader.bounds(OUT) == (0, 0)
    assert read_range(reader, OUT, 0, 0) == []


def test_more_than_one_chunk_arrives_whole(world: World) -> None:
    world.topic("out")
    producer = world.producer()
    producer.initialise()
    for _ in range(3):
        producer.begin()
        producer.send(outgoing("out", *[b"x" * 100] * 3_000))
        producer.commit()
    reader = world.reader()
    assert ends_at(reader, OUT, 9_003)
    chunks = list(reader.read(OUT, 0, 9_003))
    assert sum(len(chunk) for chunk in chunks) == 9_000
    assert len(chunks) > 3


def test_a_range_before_the_log_is_refused(world: World) -> None:
    world.topic("out")
    world.append("out", [str(number).encode() for number in range(10)])
    world.drop_records(OUT, 5)
    reader = world.reader()
    assert reader.bounds(OUT) == (5, 10)
    with pytest.raises(HistoryLostError):
        read_range(reader, OUT, 4, 10)
    assert len(read_range(reader, OUT, 5, 10)) == 5


def test_the_end_stops_at_an_open_transaction(world: World) -> None:
    world.topic("out")
    world.append("out", [b"before"])
    producer = world.producer()
    producer.initialise()
    producer.begin()
    producer.send(outgoing("out", b"open"))
    for inner in getattr(producer, "_producers", ()):
        assert inner.flush(20) == 0
    world.append("out", [b"behind"])
    reader = world.reader()
    assert reader.bounds(OUT) == (0, 1)
    producer.commit()
    assert ends_at(reader, OUT, 4)


def test_a_topic_made_again_has_another_id(world: World) -> None:
    world.topic("out")
    world.topic("other")
    reader = world.reader()
    first = reader.topic_id("out")
    assert reader.topic_id("out") == first
    assert reader.topic_id("other") != first
    world.drop_topic("out")
    world.topic("out")
    assert reader.topic_id("out") != first


def test_a_reader_left_in_the_middle_reads_another_range(world: World) -> None:
    world.topic("out")
    world.topic("other")
    world.append("out", [b"x"] * 5_000)
    world.append("other", [b"y"])
    reader = world.reader()
    first = next(iter(reader.read(OUT, 0, 5_000)))
    assert first[0].value == b"x"
    other = TopicPartition("other", 0)
    assert [r.value for r in read_range(reader, other, 0, 1)] == [b"y"]


def test_the_header_of_a_trace_travels_beside_the_record_and_only_with_its_own(
    world: World,
) -> None:
    header = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    world.topic("out")
    member = Member(world, ["out"])
    producer = world.producer()
    producer.initialise()
    producer.begin()
    producer.send([Outgoing("out", 0, b"k", b"1", header), Outgoing("out", 0, b"k", b"2")])
    producer.commit()
    poll_until(lambda: len(member.records) == 2, [member])
    reader = world.reader()
    assert ends_at(reader, OUT, 3)
    for found in (member.records, read_range(reader, OUT, 0, 3)):
        assert [(one.value, one.traceparent) for one in found] == [(b"1", header), (b"2", None)]

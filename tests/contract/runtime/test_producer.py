"""What the loop builds on when it writes: transactions, offsets within them, fencing."""

import pytest

from services.runtime.errors import (
    FencedError,
    RestoreNeededError,
    RetriableError,
)
from services.runtime.ports import Producer, TopicPartition
from tests.support.log_worlds import (
    Member,
    World,
    ends_at,
    flush,
    outgoing,
    owns,
    poll_until,
    read_range,
)

IN = TopicPartition("in", 0)
OUT = TopicPartition("out", 0)


@pytest.fixture(autouse=True)
def topics(world: World) -> None:
    world.topic("in")
    world.topic("out")


@pytest.fixture
def producer(world: World) -> Producer[object]:
    made = world.producer()
    made.initialise()
    return made


def values(world: World, end: int) -> list[bytes | None]:
    """What readers of committed data see in `out`, once it ends at this offset."""
    reader = world.reader()
    assert ends_at(reader, OUT, end)
    return [record.value for record in read_range(reader, OUT, 0, end)]


def member_with_batch(world: World, instance: str = "0") -> Member:
    world.append("in", [b"1", b"2", b"3"])
    member = Member(world, ["in"], instance)
    poll_until(lambda: len(member.records) == 3, [member])
    return member


def test_records_of_a_transaction_appear_together_and_in_order(
    world: World, producer: Producer[object]
) -> None:
    producer.begin()
    producer.send(outgoing("out", b"a", b"b"))
    producer.send(outgoing("out", b"c"))
    producer.commit()
    assert values(world, 4) == [b"a", b"b", b"c"]


def test_markers_take_offsets_between_transactions(
    world: World, producer: Producer[object]
) -> None:
    reader = world.reader()
    for pair, end in (((b"a", b"b"), 3), ((b"c", b"d"), 6)):
        producer.begin()
        producer.send(outgoing("out", *pair))
        producer.commit()
        assert ends_at(reader, OUT, end)
    assert [r.offset for r in read_range(reader, OUT, 0, 6)] == [0, 1, 3, 4]


def test_what_was_aborted_takes_offsets_and_is_never_seen(
    world: World, producer: Producer[object]
) -> None:
    producer.begin()
    producer.send(outgoing("out", b"kept"))
    producer.commit()
    assert ends_at(world.reader(), OUT, 2)
    world.append("in", [b"1"])
    member = Member(world, ["in"])
    poll_until(lambda: member.batches, [member])
    producer.begin()
    producer.send(outgoing("out", b"dropped"))
    producer.send_offsets({IN: 1}, member.batches[0].token)
    flush(producer)  # an abort takes back what has not left yet
    producer.abort()
    world.append("out", [b"after"])
    assert values(world, 5) == [b"kept", b"after"]


def test_transactions_in_turn_keep_their_order(world: World, producer: Producer[object]) -> None:
    sent = [str(number).encode() for number in range(30)]
    for value in sent:
        producer.begin()
        producer.send(outgoing("out", value))
        producer.commit()
    assert values(world, 60) == sent


def test_abort_without_a_transaction_is_nothing(world: World, producer: Producer[object]) -> None:
    producer.abort()
    producer.begin()
    producer.send(outgoing("out", b"a"))
    producer.commit()
    assert values(world, 2) == [b"a"]


def test_offsets_travel_with_the_transaction(world: World, producer: Producer[object]) -> None:
    member = member_with_batch(world)
    producer.begin()
    producer.send_offsets({IN: 2}, member.batches[0].token)
    producer.commit()
    poll_until(lambda: committed_of(world, member) == 2, [])
    producer.begin()
    producer.send(outgoing("out", b"dropped"))
    producer.send_offsets({IN: 3}, member.batches[0].token)
    producer.abort()
    assert committed_of(world, member) == 2


def committed_of(world: World, member: Member) -> int:
    """Asked until there is an answer, while what is open times out."""
    while True:
        try:
            return member.consumer.committed([IN])[IN]
        except RetriableError:
            world.expire_transactions()


def test_a_group_that_never_committed_has_no_offset(world: World) -> None:
    member = member_with_batch(world)
    assert committed_of(world, member) == -1


def test_committed_offsets_wait_out_a_transaction_that_may_change_them(
    world: World, producer: Producer[object]
) -> None:
    member = member_with_batch(world)
    producer.begin()
    producer.send(outgoing("out", b"never committed"))
    producer.send_offsets({IN: 3}, member.batches[0].token)
    assert committed_of(world, member) == -1
    # That there was an answer means that the transaction has ended: it can't commit any more.
    with pytest.raises(RestoreNeededError):
        producer.commit()


def test_the_token_of_an_earlier_generation_is_refused(
    world: World, producer: Producer[object]
) -> None:
    first = member_with_batch(world)
    second = Member(world, ["in"], "1")
    poll_until(lambda: first.happened[1:] == ["revoked", "assigned"], [first, second])
    producer.begin()
    producer.send(outgoing("out", b"of a loser"))
    with pytest.raises(FencedError):
        producer.send_offsets({IN: 3}, first.batches[0].token)
    producer.abort()
    assert committed_of(world, second) == -1


def test_a_rebalance_that_waits_for_a_member_still_takes_what_it_read_before(
    world: World, producer: Producer[object]
) -> None:
    first = member_with_batch(world)
    joining = Member(world, ["in"], "1")
    joining.poll(timeout_ms=500)
    assert joining.owned is None, "the first member has not given its partitions up"
    producer.begin()
    producer.send(outgoing("out", b"of the first"))
    producer.send_offsets({IN: 3}, first.batches[0].token)
    producer.commit()
    assert values(world, 2) == [b"of the first"]
    poll_until(lambda: first.happened[1:] == ["revoked", "assigned"], [first, joining])
    assert committed_of(world, joining) == 3


def test_the_token_of_an_evicted_member_is_refused(
    world: World, producer: Producer[object]
) -> None:
    asleep = member_with_batch(world)
    # As one that stands still: no heartbeats, and it neither leaves nor knows.
    asleep.consumer.close()
    world.expire_session("0")
    successor = Member(world, ["in"], "1")
    poll_until(owns(successor), [successor])
    producer.begin()
    producer.send(outgoing("out", b"of a sleeper"))
    with pytest.raises(FencedError):
        producer.send_offsets({IN: 3}, asleep.batches[0].token)
    producer.abort()
    assert committed_of(world, successor) == -1


def test_the_token_of_a_replaced_instance_is_refused(
    world: World, producer: Producer[object]
) -> None:
    zombie = member_with_batch(world)
    successor = Member(world, ["in"])
    poll_until(owns(successor), [successor])
    producer.begin()
    producer.send(outgoing("out", b"of a zombie"))
    with pytest.raises(FencedError):
        producer.send_offsets({IN: 3}, zombie.batches[0].token)
    producer.abort()
    assert committed_of(world, successor) == -1


def test_the_token_of_a_consumer_that_has_not_joined_is_refused(
    world: World, producer: Producer[object]
) -> None:
    member = Member(world, ["in"], "0")
    poll_until(owns(member), [member])
    waiting = Member(world, ["in"], "1").poll(timeout_ms=0)
    producer.begin()
    with pytest.raises(FencedError):
        producer.send_offsets({IN: 1}, waiting.token)


def test_a_second_producer_fences_the_first(world: World, producer: Producer[object]) -> None:
    member = member_with_batch(world)
    producer.begin()
    producer.send(outgoing("out", b"of the first"))
    successor = world.producer()
    successor.initialise()
    with pytest.raises(RestoreNeededError):
        commit_with_offsets(producer, member)
    producer.abort()
    successor.begin()
    successor.send(outgoing("out", b"of the second"))
    successor.commit()
    reader = world.reader()
    poll_until(lambda: b"of the second" in seen(world), [])
    assert b"of the first" not in [r.value for r in read_range(reader, OUT, 0, end_of(reader))]


def commit_with_offsets(producer: Producer[object], member: Member) -> None:
    producer.send_offsets({IN: 3}, member.batches[0].token)
    producer.commit()


def seen(world: World) -> list[bytes | None]:
    reader = world.reader()
    return [record.value for record in read_range(reader, OUT, 0, end_of(reader))]


def end_of(reader: object) -> int:
    return reader.bounds(OUT)[1]  # type: ignore[attr-defined, no-any-return]  # a LogReader


def test_initialising_again_gives_a_fenced_producer_back_its_ids(
    world: World, producer: Producer[object]
) -> None:
    producer.begin()
    successor = world.producer()
    successor.initialise()
    producer.abort()
    producer.initialise()
    producer.begin()
    producer.send(outgoing("out", b"back"))
    producer.commit()
    assert values(world, 2) == [b"back"]
    successor.begin()
    successor.send(outgoing("out", b"fenced now"))
    with pytest.raises(RestoreNeededError):
        successor.commit()


def test_a_transaction_that_timed_out_can_not_be_committed(
    world: World, producer: Producer[object]
) -> None:
    member = member_with_batch(world)
    producer.begin()
    producer.send(outgoing("out", b"too late"))
    producer.send_offsets({IN: 3}, member.batches[0].token)
    world.expire_transactions()
    with pytest.raises(RestoreNeededError):
        producer.commit()
    assert values(world, 2) == []
    assert committed_of(world, member) == -1


def test_large_values_pass_whole(world: World, producer: Producer[object]) -> None:
    value = bytes(range(256)) * 3_500
    producer.begin()
    producer.send(outgoing("out", value, b""))
    producer.commit()
    assert values(world, 3) == [value, b""]


def test_more_records_than_the_local_queue_holds_all_pass(
    world: World, producer: Producer[object]
) -> None:
    count = 220_000
    producer.begin()
    producer.send(outgoing("out", *[b"x"] * count))
    producer.commit()
    assert len(values(world, count + 1)) == count

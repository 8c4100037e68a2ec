"""What the loop builds on when it reads: batches, assignments, log time."""

from collections.abc import Mapping, Sequence

import pytest

from services.runtime.errors import FencedError, HistoryLostError
from services.runtime.ports import TopicPartition
from tests.support.log_worlds import Member, World, flush, outgoing, owns, poll_until


def numbers(count: int, first: int = 0) -> list[bytes]:
    return [str(number).encode() for number in range(first, first + count)]


def test_records_arrive_in_order_under_their_plain_names(world: World) -> None:
    world.topic("in")
    world.append("in", numbers(50))
    member = Member(world, ["in"])
    poll_until(lambda: len(member.records) == 50, [member])
    assert member.values() == numbers(50)
    assert [(r.topic, r.partition, r.offset) for r in member.records] == [
        ("in", 0, offset) for offset in range(50)
    ]


def test_log_time_is_the_brokers_and_never_falls(world: World) -> None:
    world.topic("in", log_append_time=True)
    for number in range(5):
        world.append("in", numbers(1, number))
    member = Member(world, ["in"])
    poll_until(lambda: len(member.records) == 5, [member])
    times_ms = [record.timestamp_ms for record in member.records]
    assert times_ms == sorted(times_ms)
    assert times_ms[0] > 1_600_000_000_000


def test_a_batch_holds_at_most_what_was_asked_for(world: World) -> None:
    world.topic("in", 2)
    for partition in (0, 1):
        world.append("in", numbers(50), partition)
    member = Member(world, ["in"])
    poll_until(lambda: len(member.records) == 100, [member], records_max=7)
    assert max(len(batch.records) for batch in member.batches) == 7
    for partition in (0, 1):
        assert [r.value for r in member.records if r.partition == partition] == numbers(50)


def test_ends_say_how_far_the_log_of_each_owned_partition_goes(world: World) -> None:
    world.topic("in", 2)
    world.append("in", numbers(10), 1)
    member = Member(world, ["in"])
    assert not member.consumer.ends()
    poll_until(lambda: len(member.records) == 10, [member])
    assert member.consumer.ends()[TopicPartition("in", 1)] == 10
    world.append("in", numbers(5), 1)
    poll_until(lambda: len(member.records) == 15, [member])
    assert member.consumer.ends()[TopicPartition("in", 1)] == 15


def test_reading_begins_where_the_assignment_says(world: World) -> None:
    world.topic("in")
    world.append("in", numbers(10))
    member = Member(world, ["in"], start=7)
    poll_until(lambda: len(member.records) == 3, [member])
    assert member.values() == numbers(3, 7)


def test_a_strangers_open_transaction_hides_what_is_behind_it_until_it_ends(
    world: World,
) -> None:
    world.topic("in")
    stranger = world.producer("stranger")
    stranger.initialise()
    world.append("in", [b"before"])
    stranger.begin()
    stranger.send(outgoing("in", b"open"))
    poll_until(lambda: end_of(world) == 1, [])
    flush(stranger)
    world.append("in", [b"behind"])
    member = Member(world, ["in"])
    poll_until(lambda: member.records, [member])
    for _ in range(5):
        member.poll()
    assert member.values() == [b"before"]
    stranger.commit()
    poll_until(lambda: len(member.records) == 3, [member])
    assert member.values() == [b"before", b"open", b"behind"]


def test_a_strangers_abandoned_transaction_hides_nothing_for_long(world: World) -> None:
    world.topic("in")
    stranger = world.producer("stranger")
    stranger.initialise()
    stranger.begin()
    stranger.send(outgoing("in", b"abandoned"))
    flush(stranger)
    world.append("in", [b"behind"])
    member = Member(world, ["in"])
    poll_until(owns(member), [member])
    assert member.values() == []
    world.expire_transactions()
    poll_until(lambda: member.records, [member])
    assert member.values() == [b"behind"]


def end_of(world: World) -> int:
    return world.reader().bounds(TopicPartition("in", 0))[1]


def test_two_members_share_the_partitions_and_give_them_up_first(world: World) -> None:
    world.topic("in", 4)
    first = Member(world, ["in"], "0")
    poll_until(owns(first), [first])
    assert first.owned == [TopicPartition("in", p) for p in range(4)]
    second = Member(world, ["in"], "1")
    poll_until(lambda: first.happened == ["assigned", "revoked", "assigned"], [first, second])
    poll_until(owns(second), [first, second])
    assert first.owned == [TopicPartition("in", 0), TopicPartition("in", 1)]
    assert second.owned == [TopicPartition("in", 2), TopicPartition("in", 3)]
    for partition in range(4):
        world.append("in", numbers(1, partition), partition)
    poll_until(lambda: len(first.records) + len(second.records) == 4, [first, second])
    assert sorted(first.records + second.records, key=lambda r: r.partition) == sorted(
        first.records, key=lambda r: r.partition
    ) + sorted(second.records, key=lambda r: r.partition)


def test_more_members_than_partitions_leaves_one_with_none(world: World) -> None:
    world.topic("in", 1)
    members = [Member(world, ["in"], instance) for instance in ("0", "1")]
    poll_until(lambda: all(member.owned is not None for member in members), members)
    assert sorted(len(member.owned or ()) for member in members) == [0, 1]


def test_the_partitions_of_a_member_that_went_away_come_back(world: World) -> None:
    world.topic("in", 2)
    stays, goes = Member(world, ["in"], "0"), Member(world, ["in"], "1")
    poll_until(lambda: stays.owned and goes.owned, [stays, goes])
    goes.consumer.close()
    world.expire_session("1")
    poll_until(lambda: stays.owned is not None and len(stays.owned) == 2, [stays])
    assert stays.happened[-2:] == ["revoked", "assigned"]


def test_an_instance_that_starts_again_takes_its_place_without_a_rebalance(
    world: World,
) -> None:
    world.topic("in", 2)
    stays, earlier = Member(world, ["in"], "0"), Member(world, ["in"], "1")
    poll_until(lambda: stays.owned and earlier.owned, [stays, earlier])
    owned = earlier.owned
    before = list(stays.happened)
    earlier.consumer.close()
    again = Member(world, ["in"], "1")
    poll_until(owns(again), [again, stays])
    assert again.owned == owned
    assert stays.happened == before


def test_a_replaced_instance_is_told(world: World) -> None:
    world.topic("in")
    earlier = Member(world, ["in"])
    poll_until(owns(earlier), [earlier])
    again = Member(world, ["in"])
    poll_until(owns(again), [again])
    with pytest.raises(FencedError):
        poll_until(lambda: False, [earlier])


def test_what_an_assignment_raises_comes_out_of_the_poll(world: World) -> None:
    world.topic("in")
    consumer = world.consumer()

    def refuse(partitions: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
        msg = f"no place for {len(partitions)}"
        raise HistoryLostError(msg)

    consumer.subscribe(["in"], refuse, lambda _: None)
    with pytest.raises(HistoryLostError, match="no place for 1"):
        consumer.poll(10, 20_000)


def test_a_position_that_retention_passed_is_an_error_and_no_jump(world: World) -> None:
    world.topic("in")
    world.append("in", numbers(10))
    world.drop_records(TopicPartition("in", 0), 5)
    member = Member(world, ["in"], start=2)
    with pytest.raises(HistoryLostError):
        poll_until(lambda: member.records, [member])
    assert member.records == []


def test_closing_twice_is_harmless(world: World) -> None:
    world.topic("in")
    member = Member(world, ["in"])
    poll_until(owns(member), [member])
    member.consumer.close()
    member.consumer.close()
    assert member.happened == ["assigned"]

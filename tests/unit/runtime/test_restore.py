"""What a fold is restored from, and what is refused."""

from collections.abc import Sequence

import msgspec
import pytest

from services.runtime.errors import ConfigurationError, HistoryLostError, RetriableError
from services.runtime.loop import Turn
from services.runtime.memory import MemoryReader, MemorySnapshots
from services.runtime.ports import Fold, Outgoing, Record, Snapshot, TopicPartition
from services.runtime.restore import RestoreInterruptedError, hash_state
from tests.support.follower_kit import Beside
from tests.support.loop_kit import House, RunningSum, RunningSums

NUMBERS = list(range(1, 41))


@pytest.fixture
def house() -> House:
    """All of the input is consumed, and there are many snapshots of it."""
    house = House()
    house.feed(NUMBERS)
    house.drain(house.process(snapshot_interval_s=0.001, batch_records_max=4))
    return house


def restart(house: House, **options: object) -> None:
    """A new process of the room restores and finds the state of the whole input."""
    loop = house.process(**options)  # type: ignore[arg-type]
    while not loop.folds():
        loop.run_once()
    house.check_states(loop)
    house.check_exactly_once()


def newest(house: House, partition: int = 0) -> list[Snapshot]:
    return list(house.snapshots.newest("sums", "in", partition, 10))


def damage_it(house: House, snapshot: Snapshot, **damage: object) -> None:
    """Put another snapshot in the place of this one, be it one that belongs elsewhere."""
    kept = house.snapshots._kept[snapshot.room, snapshot.topic, snapshot.partition]
    kept[snapshot.offset] = msgspec.structs.replace(snapshot, **damage)


def test_snapshots_are_of_committed_positions(house: House) -> None:
    assert len(newest(house)) > 2
    for snapshot in newest(house):
        numbers = [number for offset, number in house.sent[0] if offset < snapshot.offset]
        assert snapshot.state == msgspec.msgpack.encode([sum(numbers), len(numbers)])
        assert snapshot.state_hash == hash_state(snapshot.state)


def test_the_newest_snapshot_and_the_tail_give_the_state_of_the_whole_log(house: House) -> None:
    house.feed([100, 200, 300])
    house.drain(house.process(snapshot_interval_s=1e9))
    house.telemetry = type(house.telemetry)("again")
    restart(house)
    assert house.metric('outcry_restores_total{source="snapshot"} 2.0')


def test_without_snapshots_the_whole_log_gives_it(house: House) -> None:
    house.snapshots = MemorySnapshots()
    restart(house)
    assert house.metric('outcry_restores_total{source="log"} 2.0')


def test_restoring_writes_nothing(house: House) -> None:
    ends = [house.log.end_offset(at) for at in house.log.partitions_of("out")]
    restart(house)
    assert [house.log.end_offset(at) for at in house.log.partitions_of("out")] == ends


class Counted(RunningSums):
    """Counts the records folded, also while restoring."""

    handled = 0

    def fresh(self, partition: TopicPartition) -> Fold:
        return self._counted(RunningSum(partition.partition))

    def load(self, partition: TopicPartition, state: bytes) -> Fold:
        return self._counted(super().load(partition, state))

    def _counted(self, fold: Fold) -> Fold:
        counter = self

        class CountedFold(RunningSum):
            def handle(self, record: Record) -> Sequence[Outgoing]:
                counter.handled += 1
                return fold.handle(record)

            def dump(self) -> bytes:
                return fold.dump()

        return CountedFold(0)


def replayed(house: House, factory: Counted | None = None) -> int:
    factory = factory or Counted()
    restart(house, factory=factory)
    return factory.handled


def test_a_good_newest_snapshot_leaves_only_the_tail_to_fold(house: House) -> None:
    assert replayed(house) == sum(
        1 for p in (0, 1) for offset, _ in house.sent[p] if offset >= newest(house, p)[0].offset
    )


@pytest.mark.parametrize(
    "damage",
    [
        {"state": b"\x92\x00\x00"},
        {"state_hash": "0" * 64},
        {"format_version": 2},
        {"topic_id": "another"},
        {"genesis_hash": "f" * 64},
        {"state": b"no dump", "state_hash": hash_state(b"no dump")},
        {"state": b"\x92\x01", "state_hash": hash_state(b"\x92\x01")},
        {"room": "other"},
        {"topic": "other"},
        {"partition": 1},
    ],
    ids="+".join,
)
def test_a_bad_snapshot_is_passed_over_for_the_one_before_it(
    house: House, damage: dict[str, object]
) -> None:
    before = replayed(house)
    good = newest(house)[1]
    damage_it(house, newest(house)[0], **damage)
    between = [o for o, _ in house.sent[0] if good.offset <= o < newest(house)[0].offset]
    assert replayed(house) == before + len(between)


def test_when_all_snapshots_are_bad_the_log_is_folded_from_its_start(house: House) -> None:
    for partition in (0, 1):
        for snapshot in newest(house, partition):
            damage_it(house, snapshot, state_hash="")
    assert replayed(house) == len(NUMBERS)


def test_a_snapshot_ahead_of_the_committed_offset_is_refused(house: House) -> None:
    before = replayed(house)
    state = msgspec.msgpack.encode([999, 99])
    ahead = {"offset": 10_000, "state": state, "state_hash": hash_state(state)}
    house.snapshots.put(msgspec.structs.replace(newest(house)[0], **ahead))
    assert replayed(house) == before


def test_a_log_that_no_longer_reaches_back_is_refused(house: House) -> None:
    house.snapshots = MemorySnapshots()
    house.log.drop_records(TopicPartition("in", 0), 1)
    with pytest.raises(HistoryLostError, match="begins at offset 1 and 0 is needed"):
        restart(house)


def test_a_snapshot_stands_in_for_a_log_that_no_longer_reaches_back(house: House) -> None:
    house.log.drop_records(TopicPartition("in", 0), newest(house)[0].offset)
    assert replayed(house) < len(NUMBERS)


def test_records_deleted_unread_are_an_error_also_for_a_room_without_state(house: House) -> None:
    house.feed([7, 7, 7, 7])
    house.log.drop_records(TopicPartition("in", 0), house.log.end_offset(TopicPartition("in", 0)))
    with pytest.raises(HistoryLostError):
        restart(house, factory=RunningSums(stateful=False))


def test_a_room_without_state_folds_nothing_again(house: House) -> None:
    class Stateless(Counted):
        def __init__(self) -> None:
            super().__init__(stateful=False)

    factory = Stateless()
    loop = house.process(factory=factory)
    while not loop.folds():
        loop.run_once()
    assert factory.handled == 0


def test_a_topic_that_was_deleted_and_made_again_is_refused(house: House) -> None:
    house.log.delete_topic("in")
    house.log.create_topic("in", 2)
    with pytest.raises(ConfigurationError, match="deleted and made again"):
        restart(house)


def test_a_group_that_lost_its_offsets_is_refused(house: House) -> None:
    house.log.group("sums").offsets.clear()
    with pytest.raises(HistoryLostError, match="committed offset of in/0 is gone"):
        restart(house)


class CommittedMeanwhile(MemorySnapshots):
    """Another process of the identity commits the group's first just before this store answers."""

    def __init__(self, house: House) -> None:
        super().__init__()
        self._kept = house.snapshots._kept
        self._offsets = house.log.group("sums").offsets
        self._first = dict(self._offsets)
        self._offsets.clear()

    def newest(self, room: str, topic: str, partition: int, limit: int) -> Sequence[Snapshot]:
        self._offsets.update(self._first)
        return super().newest(room, topic, partition, limit)


def test_an_offset_that_was_committed_since_it_was_asked_for_is_not_lost(house: House) -> None:
    restart(house, snapshots=CommittedMeanwhile(house))
    assert house.log.group("sums").offsets


def test_a_follower_asks_again_too(house: House) -> None:
    house.snapshots = CommittedMeanwhile(house)
    beside = Beside(house)
    beside.follow()
    assert set(house.log.group("sums").offsets.values()) == {
        offset for _, offset in beside.follower.folds().values()
    }


class Away(MemorySnapshots):
    """PostgreSQL does not answer."""

    def put(self, snapshot: Snapshot) -> None:
        raise RetriableError("away")

    def newest(self, room: str, topic: str, partition: int, limit: int) -> Sequence[Snapshot]:
        raise RetriableError("away")

    def remember_topic(self, topic: str, topic_id: str) -> str:
        raise RetriableError("away")


def test_without_the_store_the_log_alone_restores(house: House) -> None:
    restart(house, snapshots=Away(), keep=lambda _: None)
    assert house.metric('outcry_restores_total{source="log"} 2.0')


def test_a_stop_interrupts_a_long_restore(house: House) -> None:
    house.snapshots = MemorySnapshots()
    house.pacer.stop = True
    loop = house.process()
    loop.run_once()
    with pytest.raises(RestoreInterruptedError):
        loop.run_once()
    loop.close()


class AwayReader(MemoryReader):
    """The broker does not answer so many times."""

    def __init__(self, house: House, times: int) -> None:
        super().__init__(house.log)
        self._times = times

    def bounds(self, partition: TopicPartition) -> tuple[int, int]:
        self._times -= 1
        if self._times >= 0:
            raise RetriableError("away")
        return super().bounds(partition)


def test_a_broker_that_does_not_answer_during_takeover_is_asked_again(house: House) -> None:
    house.reader = AwayReader(house, 2)
    house.pacer.waits.clear()
    loop = house.process()
    assert [loop.run_once(), loop.run_once()] == [Turn.JOINED, Turn.IDLE]
    house.check_states(loop)
    assert len(house.pacer.waits) == 2


def test_a_broker_that_never_answers_during_takeover_starts_the_session_anew(
    house: House,
) -> None:
    house.reader = AwayReader(house, 1_000)
    loop = house.process()
    assert [loop.run_once(), loop.run_once()] == [Turn.JOINED, Turn.RESTARTED]

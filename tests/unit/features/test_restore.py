from collections.abc import Iterable

import msgspec
import pytest

from services.domain.features import FeatureRow
from services.features.core import PartitionFold
from services.features.restore import Restored, Restorer, RestoreStoppedError
from services.runtime.errors import ConfigurationError, HistoryLostError
from services.runtime.memory import MemoryReader
from services.runtime.memory_log import MemoryLog
from services.runtime.ports import Outgoing, TopicPartition
from services.wire.codec import local_codec
from services.wire.messages import Message
from tests.support.trade_tape import V1, V2, TradeTape, live_sets

CODEC = local_codec()
TRADES = TopicPartition("trades", 0)
FEATURES = TopicPartition("features", 0)


class World:
    """One partition: a log of trades, every row that they close, and rows as they were written."""

    def __init__(self, trades: int = 400, *sets: str, seed: int = 5) -> None:
        self.sets = live_sets(*(sets or (V1,)))
        self.log = MemoryLog()
        self.log.create_topic("trades", 5)
        self.log.create_topic("features", 5)
        tape = TradeTape(0, seed)
        fold = PartitionFold(0, self.sets)
        self.closed: list[Message] = []
        for number in range(trades):
            if number % 7 == 3:
                self.log.append(Outgoing("trades", 0, None, b"a stranger's"))
            origin, trade = tape.next()
            value = CODEC.encode("trades", origin, trade)
            offset = self.log.append(Outgoing("trades", 0, None, value))
            self.closed += fold.handle(offset, CODEC.decode("trades", value))
        self.state = fold.states()

    def write(self, rows: Iterable[Message]) -> None:
        for row in rows:
            self.log.append(Outgoing("features", 0, row.key.encode(), encode(row)))

    def below(self, offset: int) -> list[Message]:
        return [row for row in self.closed if row.origin.offset < offset]

    def restorer(self, *sets: str) -> Restorer:
        return Restorer(MemoryReader(self.log), CODEC, live_sets(*sets) if sets else self.sets)

    def go_on(self, restored: Restored) -> list[Message]:
        """The rows that a room writes from there to the end of the log."""
        rows = []
        for record in self.log.scan(TRADES, restored.start, self.log.end_offset(TRADES)):
            if record.value != b"a stranger's":
                decoded = CODEC.decode("trades", record.value)
                rows += restored.fold.handle(record.offset, decoded)
        return rows


def encode(row: Message) -> bytes:
    return CODEC.encode(row.topic, row.origin, row.payload)


@pytest.mark.parametrize("committed", [1, 7, 60, 200, 333, 440])
@pytest.mark.parametrize("sets", [(V1,), (V1, V2)])
def test_from_any_committed_offset_the_same_rows_follow(
    committed: int, sets: tuple[str, ...]
) -> None:
    world = World(400, *sets)
    world.write(world.below(committed))
    restored = world.restorer().restore(0, committed)
    assert restored.start == committed
    assert restored.rewound <= committed
    rows = world.go_on(restored)
    wanted = [row for row in world.closed if row.origin.offset >= committed]
    assert [encode(row) for row in rows] == [encode(row) for row in wanted]
    assert restored.fold.states() == world.state


def test_it_tells_the_newest_row_of_each_set_so_that_ages_need_no_trade() -> None:
    world = World(400, V1, V2)
    committed = world.closed[len(world.closed) // 2].origin.offset
    before = world.below(committed)
    stray = msgspec.structs.replace(row_of(before[-1]), feature_set="microstructure_v9")
    world.write([*before, *before[-9:], msgspec.structs.replace(before[-1], payload=stray)])
    world.write(world.closed[len(before) :])
    found = {row.feature_set: row for row in world.restorer().restore(0, committed).newest}
    records = list(world.log.scan(FEATURES, 0, world.log.end_offset(FEATURES)))
    assert set(found) == {V1, V2}
    for name, newest in found.items():
        last = [message for message in before if row_of(message).feature_set == name][-1]
        assert (newest.ticker, newest.grid_time_us) == ("AAPL", row_of(last).grid_time_us)
        first = next(record for record in records if record.value == encode(last))
        assert newest.written_s == first.timestamp_ms / 1_000


def row_of(message: Message) -> FeatureRow:
    """Its payload."""
    assert isinstance(message.payload, FeatureRow)
    return message.payload


def test_it_folds_again_no_more_than_the_windows_ask_for() -> None:
    world = World(1_200)
    world.write(world.closed)
    end = world.log.end_offset(TRADES)
    assert world.restorer().restore(0, end).rewound < 500


def test_a_first_start_folds_everything() -> None:
    world = World(100)
    restored = world.restorer().restore(0, None)
    assert (restored.start, restored.rewound, restored.cold_sets) == (0, 0, ())
    assert [encode(row) for row in world.go_on(restored)] == [encode(row) for row in world.closed]


def test_without_a_row_yet_it_begins_with_the_first_trade() -> None:
    world = World(100)
    restored = world.restorer().restore(0, 2)
    assert restored.rewound == 2
    assert [encode(row) for row in world.go_on(restored)] == [
        encode(row) for row in world.closed if row.origin.offset >= 2
    ]


def test_a_row_that_is_missing_before_a_durable_one_is_written_again() -> None:
    """A broker that failed may keep a later row without the one before it."""
    world = World(400)
    committed = world.closed[len(world.closed) // 2].origin.offset
    later = [row for row in world.closed if row.origin.offset >= committed]
    world.write([*world.below(committed), *later[1:3]])
    rows = world.go_on(world.restorer().restore(0, committed))
    assert encode(rows[0]) == encode(later[0])


def test_rows_that_a_frozen_process_wrote_late_do_not_mislead_it() -> None:
    world = World(400)
    end = world.log.end_offset(TRADES)
    world.write([*world.closed, *world.closed[:30]])
    assert world.restorer().restore(0, end).fold.states() == world.state


def test_it_looks_further_back_where_the_newest_rows_are_all_too_new() -> None:
    world = World(400)
    world.write(world.closed)
    committed = world.closed[len(world.closed) // 3].origin.offset
    restorer = Restorer(MemoryReader(world.log), CODEC, world.sets, scan_offsets=4)
    restored = restorer.restore(0, committed)
    wanted = [row for row in world.closed if row.origin.offset >= committed]
    assert [encode(row) for row in world.go_on(restored)] == [encode(row) for row in wanted]


def test_it_refuses_when_a_trade_that_is_needed_is_gone_and_says_what_to_do() -> None:
    world = World(400)
    committed = world.log.end_offset(TRADES)
    world.write(world.closed)
    world.log.drop_records(TRADES, committed - 1)
    with pytest.raises(HistoryLostError, match=r"retention has passed.*consumer-groups") as refusal:
        world.restorer().restore(0, committed)
    assert f"begins at offset {committed - 1}" in str(refusal.value)


def test_it_refuses_when_trades_went_before_they_were_folded() -> None:
    world = World(50)
    world.log.drop_records(TRADES, 30)
    with pytest.raises(HistoryLostError, match="begins at offset 30, and 10 is needed"):
        world.restorer().restore(0, 10)


def test_told_to_go_on_with_what_there_is_it_holds_rows_back_until_they_are_right() -> None:
    world = World(600)
    world.write(world.below(300))
    world.log.drop_records(TRADES, 300)
    restored = world.restorer().restore(0, 300)
    assert restored.cold_sets == (V1,)
    rows = world.go_on(restored)
    assert rows
    assert [encode(row) for row in rows] == [encode(row) for row in world.closed[-len(rows) :]]


def test_a_topic_that_was_made_again_is_refused() -> None:
    world = World(10)
    with pytest.raises(ConfigurationError, match="the topic was made again"):
        world.restorer().restore(0, 1_000)


def test_a_set_that_is_new_goes_on_beside_the_old_one_with_rows_that_are_right() -> None:
    world = World(1_500, V1, V2)
    committed = world.closed[-400].origin.offset
    world.write(row for row in world.below(committed) if f"{V1}".encode() in encode(row))
    restored = world.restorer(V1, V2).restore(0, committed)
    assert restored.cold_sets == (V2,)
    assert restored.rewound < committed - 100
    wanted = [row for row in world.closed if row.origin.offset >= committed]
    assert [encode(row) for row in world.go_on(restored)] == [encode(row) for row in wanted]


def test_a_restore_that_nobody_wants_any_more_ends() -> None:
    world = World(100)
    with pytest.raises(RestoreStoppedError):
        world.restorer().restore(0, 90, lambda: True)


def test_a_stranger_s_row_is_passed_over() -> None:
    world = World(400)
    world.write(world.closed)
    world.log.append(Outgoing("features", 0, None, b"junk"))
    stray = msgspec.structs.replace(world.closed[-1].origin, offset=10**9)
    last = world.closed[-1]
    value = CODEC.encode(last.topic, stray, last.payload)
    world.log.append(Outgoing("features", 0, None, value))
    end = world.log.end_offset(TRADES)
    assert world.restorer().restore(0, end).fold.states() == world.state

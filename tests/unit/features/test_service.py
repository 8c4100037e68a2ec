import asyncio
import struct
from collections.abc import Callable, Sequence

import pytest

from services.domain.origin import Origin
from services.features.core import PartitionFold
from services.features.metrics import METRICS
from services.features.restore import Newest, Restored
from services.features.service import FeatureRoom
from services.runtime.ports import Outgoing
from services.runtime.telemetry import Telemetry
from services.wire.codec import Codec, RegisteredSchema, local_codec, local_schemas
from tests.support.span_notes import SpanNotes
from tests.support.trade_tape import V1, TradeTape, live_sets
from tests.support.trade_versions import encoded_by, with_second_price

CODEC = local_codec()


class Delivered:
    """A record as it arrived, and what became of it."""

    def __init__(self, offset: int, value: bytes | None, happened: list[str]) -> None:
        self.partition = 0
        self.offset = offset
        self.value = value
        self.traceparent: bytes | None = None
        self.ours = True
        self._happened = happened

    def is_current(self) -> bool:
        return self.ours

    def acknowledge(self) -> None:
        self._happened.append(f"acknowledged {self.offset}")


class World:
    """A room of one partition, with a writer that remembers."""

    def __init__(self, codec: Codec = CODEC) -> None:
        self.happened: list[str] = []
        self.written: list[Outgoing] = []
        self.telemetry = Telemetry("features", metrics=METRICS)
        self.now_s = 1_800_000_000.0
        self.lose: list[Delivered] = []
        self.on_loss: Callable[[], None] = lambda: None
        self.refusal: Exception | None = None
        self.traces = SpanNotes()
        self.room = FeatureRoom(codec, self.write, self.telemetry, lambda: self.now_s, self.traces)
        fold = PartitionFold(0, live_sets(V1))
        self.room.begin({0: Restored(fold, 0, 0, ())}, 0.0)
        tape = TradeTape(0, 3)
        self.made = [tape.next(400_000) for _ in range(20)]
        self.deliveries = [
            Delivered(offset, CODEC.encode("trades", origin, trade), self.happened)
            for offset, (origin, trade) in enumerate(self.made)
        ]

    async def write(self, rows: Sequence[Outgoing]) -> None:
        await asyncio.sleep(0)
        if self.refusal is not None:
            raise self.refusal
        self.written += rows
        self.happened.append(f"wrote {len(rows)}")
        for delivery in self.lose:
            delivery.ours = False
        self.on_loss()

    def metric(self, line: str) -> float | None:
        """A sample by its name and labels; None: it is not shown."""
        lines = self.telemetry.exposition().decode().splitlines()
        found = (float(found.split()[-1]) for found in lines if found.startswith(line + " "))
        return next(found, None)

    def ages_s(self, ticker: str = "AAPL") -> tuple[float | None, float | None]:
        """By event time and since it was written, as shown now."""
        self.room.report_ages()
        of_row = f'{{feature_set="{V1}",ticker="{ticker}"}}'
        event = self.metric(f"outcry_feature_event_age_seconds{of_row}")
        return event, self.metric(f"outcry_feature_row_age_seconds{of_row}")

    def newest_us(self) -> int:
        """The greatest grid time that was written."""
        times_us: list[int] = [
            CODEC.decode("features", row.value).payload.grid_time_us for row in self.written
        ]
        return max(times_us)


def closed_by(row: Outgoing) -> int:
    """Offset of the trade that it names as its cause."""
    origin = CODEC.decode("features", row.value).origin
    assert origin is not None
    return origin.offset


@pytest.fixture
def world() -> World:
    return World()


async def test_trades_are_acknowledged_only_after_their_rows_are_written(world: World) -> None:
    await world.room.take(world.deliveries)
    assert world.happened[0].startswith("wrote ")
    assert world.happened[1:] == [f"acknowledged {offset}" for offset in range(20)]
    assert world.metric('outcry_records_produced_total{topic="features"}') == len(world.written)


async def test_rows_have_the_trace_of_the_trade_that_closed_them_and_of_no_other(
    world: World,
) -> None:
    plain = World()
    await plain.room.take(plain.deliveries)
    assert {row.traceparent for row in plain.written} == {None}
    for delivery in world.deliveries:
        delivery.traceparent = f"trace {delivery.offset}".encode()
    await world.room.take(world.deliveries)
    assert [row.value for row in world.written] == [row.value for row in plain.written]
    for row in world.written:
        assert row.traceparent == f"trace {closed_by(row)}, followed".encode()
    closing = {closed_by(row) for row in world.written}
    assert 0 < len(closing) < len(world.deliveries)
    assert world.traces.ended == [("trades", offset, ("features",)) for offset in sorted(closing)]


async def test_rows_that_are_not_written_leave_no_span(world: World) -> None:
    for delivery in world.deliveries:
        delivery.traceparent = b"trace"
    world.refusal = ConnectionError("the broker is away")
    with pytest.raises(ConnectionError):
        await world.room.take(world.deliveries)
    assert world.traces.ended == []


async def test_nothing_is_acknowledged_when_a_row_cannot_be_written(world: World) -> None:
    world.refusal = ConnectionError("the broker is away")
    with pytest.raises(ConnectionError):
        await world.room.take(world.deliveries)
    assert world.happened == []


async def test_a_batch_without_rows_is_acknowledged_without_a_write(world: World) -> None:
    await world.room.take(world.deliveries[:1])
    assert world.happened == ["acknowledged 0"]


async def test_a_partition_lost_during_the_write_is_not_acknowledged(world: World) -> None:
    world.lose = world.deliveries
    await world.room.take(world.deliveries)
    assert world.happened == [f"wrote {len(world.written)}"]


async def test_what_arrived_before_its_partition_was_lost_is_not_folded(world: World) -> None:
    for delivery in world.deliveries:
        delivery.ours = False
    await world.room.take(world.deliveries)
    assert world.happened == []


async def test_junk_of_a_stranger_is_counted_and_passed_and_changes_no_row(world: World) -> None:
    clean = World()
    await clean.room.take(clean.deliveries)
    junk = [Delivered(100 + n, value, []) for n, value in enumerate((None, b"", b"\0\0\0\0\7x"))]
    for place, record in enumerate(junk):
        world.deliveries.insert(5 * place + 3, record)
    await world.room.take(world.deliveries)
    assert world.written == clean.written
    assert world.metric('outcry_records_undecodable_total{topic="trades"}') == 3


async def test_trades_of_an_older_and_of_this_version_make_the_same_rows_together(
    world: World,
) -> None:
    """As while a deployment goes from one version to the next, and in each replay after it."""
    await world.room.take(world.deliveries)
    older = RegisteredSchema(900, "trades", "Trade", with_second_price())  # it was dropped since
    mixed = World(Codec((*local_schemas(), older)))
    for place, delivery in enumerate(mixed.deliveries):
        if place % 3 == 0 or 10 < place < 15:
            origin, trade = mixed.made[place]
            delivery.value = encoded_by(older.schema, older.schema_id, origin, trade)
    assert {struct.unpack_from(">bI", d.value or b"")[1] for d in mixed.deliveries} > {900}
    await mixed.room.take(mixed.deliveries)
    assert mixed.written == world.written
    assert mixed.happened == world.happened
    assert mixed.metric('outcry_records_undecodable_total{topic="trades"}') == 0


async def test_a_lost_trade_stops_the_batch_before_anything_is_written(world: World) -> None:
    del world.deliveries[10]
    with pytest.raises(AssertionError, match="trades are missing"):
        await world.room.take(world.deliveries)
    assert world.happened == []


async def test_a_silent_ticker_is_seen_by_the_age_of_its_features(world: World) -> None:
    await world.room.take(world.deliveries)
    newest_us = world.newest_us()
    for silence_s in (0.0, 600.0):
        world.now_s = 1_800_000_000.0 + silence_s
        event_age_s, row_age_s = world.ages_s()
        assert event_age_s == pytest.approx(world.now_s - newest_us / 1_000_000)
        assert row_age_s == silence_s


async def test_ages_go_on_through_a_rebalance_and_a_restart_in_silence(world: World) -> None:
    """They come from the rows on the log, so no trade is needed to show them."""
    await world.room.take(world.deliveries)
    newest = Newest("AAPL", V1, world.newest_us(), world.now_s - 3.0)
    restored = Restored(PartitionFold(0, live_sets(V1)), 20, 20, (), (newest,))
    restarted = World()
    for each in (world, restarted):
        each.room.begin({0: restored}, 0.0)
        each.now_s += 600.0
        event_age_s, row_age_s = each.ages_s()
        assert event_age_s == pytest.approx(each.now_s - newest.grid_time_us / 1_000_000)
        assert row_age_s == 603.0


async def test_a_partition_given_away_shows_neither_age_nor_progress_any_more(
    world: World,
) -> None:
    """A value that stands still would tell of a ticker that is fresh."""
    await world.room.take(world.deliveries)
    world.room.report_progress({0: 20}, {0: 20})
    shown = (
        'outcry_lag_offsets{partition="0",topic="trades"}',
        'outcry_committed_offset{partition="0",topic="trades"}',
    )
    assert None not in (*world.ages_s(), *map(world.metric, shown))
    world.room.begin({}, 0.0)
    assert world.ages_s() == (None, None)
    assert [world.metric(line) for line in shown] == [None, None]


async def test_a_row_written_while_its_partition_was_given_away_has_no_age_here(
    world: World,
) -> None:
    world.lose = world.deliveries
    world.on_loss = lambda: world.room.begin({}, 0.0)
    await world.room.take(world.deliveries)
    assert world.written
    assert world.ages_s() == (None, None)


async def test_progress_and_lag_are_shown_for_each_partition(world: World) -> None:
    world.room.report_progress({0: 40, 1: 7}, {0: 45, 1: 7})
    assert world.metric('outcry_committed_offset{partition="0",topic="trades"}') == 40
    assert world.metric('outcry_lag_offsets{partition="0",topic="trades"}') == 5
    assert world.metric('outcry_lag_offsets{partition="1",topic="trades"}') == 0


async def test_a_broken_promise_of_the_log_names_the_place(world: World) -> None:
    tape = TradeTape(1, 3)
    origin, trade = tape.next()
    wrong = Origin(origin.topic, 0, 99, 0, 21, origin.time_us + 10**9, 0)
    value = CODEC.encode("trades", wrong, trade)
    await world.room.take(world.deliveries)
    with pytest.raises(AssertionError, match="trades/0 offset 99 is of MSFT"):
        await world.room.take([Delivered(99, value, [])])

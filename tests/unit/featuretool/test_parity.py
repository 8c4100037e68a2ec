"""Stream and history are compared row by row; each planted difference is found where it stands."""

from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType

import msgspec
import pytest

from services.featuresets import SETS, grid, measures
from services.featuresets.definitions import FeatureSet
from services.featuresets.ticks import Tick
from services.lake.files import write_file
from services.lake.places import Lake, stream_file
from services.lake.schemas import feature_schema
from services.runtime.ports import Outgoing, TopicPartition
from services.tools.features import run
from services.tools.features.backfill import Days, day_rows
from services.tools.features.errors import FeaturesError
from services.tools.features.inputs import ExpectedRow
from services.tools.features.parity import Tally
from services.tools.features.progress import WatchedLog
from services.tools.features.report import ParityReport, print_parity
from services.tools.features.stores import OnlineRow
from services.wire import topics
from tests.support.drawn_ticks import seeded_ticks
from tests.support.feature_log import FeatureLog, Written, rows_of

V1: FeatureSet[Tick] = SETS["microstructure_v1"]
V2: FeatureSet[Tick] = SETS["microstructure_v2"]


class World:
    """Trades of two tickers on a log, and the rows that follow from them, to be tampered with."""

    def __init__(self) -> None:
        self.log = FeatureLog()
        self.rows: dict[int, list[Written]] = {}
        for partition, ticker in enumerate(self.log.tickers):
            ticks = [self.log.trade(partition, tick) for tick in seeded_ticks(7 + partition, 300)]
            self.rows[partition] = list(rows_of(V1, ticker, partition, ticks))

    def publish(self) -> None:
        for partition, rows in self.rows.items():
            self.log.publish(partition, rows)

    def compare(
        self,
        *sets: FeatureSet[Tick],
        lake: Lake | None = None,
        ends: dict[int, int] | None = None,
    ) -> ParityReport:
        return run.compare_once(self.log.reader, self.log.codec, sets or (V1,), lake, None, ends)

    def stream_to(self, lake: Lake, since: int = 0) -> None:
        """What the materializer makes of the first ticker's rows from one on."""
        rows = [
            ExpectedRow(
                row.ticker, row.grid_time_us, origin.time_us, origin.offset, origin.index,
                row.rewind_offset, row.values,
            )
            for origin, row in self.rows[0][since:]
        ]  # fmt: skip
        for of_day in day_rows(V1, rows):
            name = stream_file(0, since, len(self.rows[0])).name
            folder = lake.features(V1.name, of_day.ticker, of_day.day)
            write_file(folder / name, feature_schema(V1.columns), [of_day.table])

    def cut(self, topic: topics.Topic, partition: int, offset: int) -> None:
        """Retention takes what is before an offset."""
        self.log.log.drop_records(TopicPartition(topic.name, partition), offset)

    def tally(self, partition: int = 0) -> Tally:
        found = self.compare().tallies
        return next(t for t in found if t.place == f"features/{partition}")


@pytest.fixture
def world() -> World:
    return World()


def change(written: Written, **fields: object) -> Written:
    origin, row = written
    return origin, msgspec.structs.replace(row, **fields)


def test_rows_that_follow_from_the_trades_all_match(world: World) -> None:
    world.publish()
    found = world.compare()
    assert found.holds
    assert [t.matched for t in found.tallies] == [len(rows) for rows in world.rows.values()]
    assert sum(t.before + t.repeated + t.behind for t in found.tallies) == 0


def test_how_far_a_comparison_is_is_told_to_the_end(world: World) -> None:
    world.publish()
    told: list[tuple[int, int]] = []
    topics_read = [topics.TRADES.name, topics.FEATURES.name]
    log = WatchedLog(world.log.reader, lambda *done: told.append(done), topics_read)
    assert run.compare_once(log, world.log.codec, [V1], None, None).holds
    total = 600 + sum(len(rows) for rows in world.rows.values())
    assert told == sorted(told)
    assert (told[0], told[-1]) == ((0, total), (total, total))


def test_nothing_to_compare_is_no_success_and_the_next_step_is_told(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    found = world.compare()
    assert not found.holds
    assert found.tallies == []
    print_parity(found)
    assert "`outcry simulate` makes some" in capsys.readouterr().out


def other_value(written: Written) -> Written:
    values = list(written[1].values)
    place = next(place for place, value in enumerate(values) if value is not None)
    values[place] = values[place] + 1  # type: ignore[operator]  # it is not None
    return change(written, values=tuple(values))


def undefined_value(written: Written) -> Written:
    values = list(written[1].values)
    place = next(place for place, value in enumerate(values) if value is not None)
    values[place] = None
    return change(written, values=tuple(values))


def other_rewind(written: Written) -> Written:
    return change(written, rewind_offset=written[1].rewind_offset + 1)


def other_fingerprint(written: Written) -> Written:
    return change(written, fingerprint="0" * 64)


def other_trade(written: Written) -> Written:
    origin, row = written
    return msgspec.structs.replace(origin, offset=origin.offset + 1), row


def other_time(written: Written) -> Written:
    origin, row = written
    return msgspec.structs.replace(origin, time_us=origin.time_us + 1), row


@pytest.mark.parametrize(
    "plant,told",
    [
        (other_value, "values"),
        (undefined_value, "values"),
        (other_rewind, "rewind offset"),
        (other_fingerprint, "fingerprint"),
        (other_trade, "closing offset"),
        (other_time, "created us"),
    ],
)
def test_one_changed_number_of_one_row_is_found_at_its_offset(
    world: World, plant: Callable[[Written], Written], told: str
) -> None:
    world.rows[0][40] = plant(world.rows[0][40])
    world.publish()
    tally = world.tally()
    assert (tally.mismatched, tally.missing, tally.extra) == (1, 0, 0)
    assert f"offset 40: {told} is " in tally.differences[0]
    assert world.tally(1).holds
    assert not world.compare().holds


def test_a_row_that_is_not_there_is_missing(world: World) -> None:
    del world.rows[0][40]
    world.publish()
    tally = world.tally()
    assert (tally.mismatched, tally.missing, tally.extra, tally.behind) == (0, 1, 0, 0)
    assert "missing, though the trade at offset" in tally.differences[0]


def test_a_row_that_follows_from_nothing_is_extra(world: World) -> None:
    _, row = world.rows[0][40]
    between = change(world.rows[0][40], grid_time_us=row.grid_time_us + 1)
    world.rows[0].insert(41, between)
    world.publish()
    tally = world.tally()
    assert (tally.mismatched, tally.missing, tally.extra) == (0, 0, 1)
    assert "offset 41" in tally.differences[0]


def test_rows_written_again_after_a_crash_change_nothing(world: World) -> None:
    rows = world.rows[0]
    rows[30:30] = rows[25:30]
    world.publish()
    tally = world.tally()
    assert tally.holds
    assert tally.repeated == 5


def test_a_row_may_come_after_a_later_one_when_both_are_written_again(world: World) -> None:
    rows = world.rows[0]
    rows[29], rows[30] = rows[30], rows[29]
    rows[31:31] = rows[30:31]
    world.publish()
    assert world.tally().holds


def test_a_row_written_again_with_other_bytes_is_found(world: World) -> None:
    world.rows[0].insert(31, other_value(world.rows[0][30]))
    world.publish()
    tally = world.tally()
    assert (tally.mismatched, tally.repeated) == (1, 0)
    assert "written again with other bytes" in tally.differences[0]


def test_a_stream_that_stopped_is_behind_and_does_not_hold(world: World) -> None:
    del world.rows[0][-20:]
    world.publish()
    tally = world.tally()
    assert tally.behind + tally.missing == 20
    assert tally.behind > 0
    assert not world.compare().holds


def test_a_set_that_began_later_is_compared_from_its_first_row(world: World) -> None:
    del world.rows[0][:50]
    world.publish()
    tally = world.tally()
    assert tally.holds
    assert tally.before == 50


def test_two_sets_beside_each_other_are_compared_each_with_its_own(world: World) -> None:
    ticks = [
        Tick(place, *(getattr(tick, name) for name in Tick.__struct_fields__[1:]))
        for place, tick in enumerate(seeded_ticks(7, 300))
    ]
    both = [*world.rows[0], *rows_of(V2, "AAPL", 0, ticks)]
    world.rows[0] = sorted(both, key=lambda written: written[0].offset)
    world.publish()
    found = world.compare(V1, V2)
    assert found.holds
    assert {t.feature_set for t in found.tallies if t.place == "features/0"} == {V1.name, V2.name}


def test_strangers_records_on_either_topic_are_counted_and_change_nothing(world: World) -> None:
    world.log.log.append(Outgoing(topics.FEATURES.name, 0, None, b"junk"))
    world.publish()
    world.log.log.append(Outgoing(topics.TRADES.name, 0, None, b"junk"))
    row = world.rows[0][3][1]
    stranger = world.rows[0][3][0], msgspec.structs.replace(row, feature_set="nobody_v9")
    world.log.publish(0, [stranger])
    found = world.compare()
    assert found.holds
    assert found.unreadable == 2


@pytest.mark.parametrize(
    "module,constant,other",
    [(measures, "MICROPRICE_SCALE", 10_001), (measures, "RATIO_SCALE", 999_999),
     (grid, "SILENCE_MAX_S", 119)],
)  # fmt: skip
def test_one_changed_constant_in_the_fold_breaks_parity(
    world: World, monkeypatch: pytest.MonkeyPatch, module: ModuleType, constant: str, other: int
) -> None:
    world.publish()
    assert world.compare().holds
    monkeypatch.setattr(module, constant, other)
    found = world.compare()
    assert not found.holds
    assert all(t.mismatched + t.missing + t.extra > 0 for t in found.tallies)


def test_rows_of_trades_that_retention_took_are_neither_right_nor_wrong(
    world: World, tmp_path: Path
) -> None:
    del world.rows[1]
    world.publish()
    lake = Lake(tmp_path)
    world.stream_to(lake)
    world.cut(topics.TRADES, 0, 100)
    found = world.compare(lake=lake)
    assert found.holds, found
    for tally in (t for t in found.tallies if t.place in {"features/0", "lake"}):
        assert tally.unprovable > 40
        assert tally.matched > 100
        assert tally.matched + tally.unprovable >= len(world.rows[0])
    world.cut(topics.FEATURES, 0, 50)
    tally = world.tally()
    assert tally.holds
    assert tally.matched + tally.unprovable == len(world.rows[0]) - 50


def test_what_can_still_be_proved_is_still_judged_when_retention_took_the_rest(
    world: World,
) -> None:
    world.rows[0][-40] = other_value(world.rows[0][-40])
    world.publish()
    world.cut(topics.TRADES, 0, 100)
    tally = world.tally()
    assert (tally.mismatched, tally.missing, tally.extra) == (1, 0, 0)


def test_a_log_whose_trades_are_all_gone_proves_nothing(world: World, tmp_path: Path) -> None:
    world.publish()
    lake = Lake(tmp_path)
    world.stream_to(lake)
    for partition in (0, 1):
        world.cut(topics.TRADES, partition, 300)
    found = world.compare(lake=lake)
    assert not found.holds
    assert all(t.holds and t.matched == 0 and t.unprovable > 0 for t in found.tallies)


def test_what_came_before_a_set_s_first_row_is_filled_from_the_log(
    world: World, tmp_path: Path
) -> None:
    lake = Lake(tmp_path)
    world.stream_to(lake, since=80)
    del world.rows[0][:80], world.rows[1]
    world.publish()
    assert [t.before for t in world.compare(lake=lake).tallies if t.place == "lake"] == [80]
    reader, codec = world.log.reader, world.log.codec
    filled = run.fill_before_stream(lake, reader, codec, V1, Days(), ["AAPL"])
    assert (filled.written, filled.unprovable) == (80, 0)
    found = world.compare(lake=lake)
    assert found.holds
    assert [t.before for t in found.tallies if t.place == "lake"] == [0]
    again = run.fill_before_stream(lake, reader, codec, V1, Days(), ["AAPL"])
    assert (again.written, again.kept) == (0, 80)


def test_a_backfill_from_a_cut_log_writes_only_what_it_can_know(
    world: World, tmp_path: Path
) -> None:
    right = {(row.ticker, row.grid_time_us): row.values for _, row in world.rows[0]}
    world.cut(topics.TRADES, 0, 100)
    lake = Lake(tmp_path)
    filled = run.fill_before_stream(lake, world.log.reader, world.log.codec, V1, Days(), ["AAPL"])
    assert filled.written > 100
    assert filled.unprovable > 40
    world.rows[0] = [w for w in world.rows[0] if w[0].offset >= 100]
    world.publish()
    tally = next(t for t in world.compare(lake=lake).tallies if t.place == "lake")
    assert (tally.matched, tally.mismatched, tally.extra) == (filled.written, 0, 0)
    assert len(right) > filled.written


def test_a_market_that_goes_on_does_not_keep_a_comparison_from_ending(
    world: World, tmp_path: Path
) -> None:
    del world.rows[1]
    world.publish()
    lake = Lake(tmp_path)
    world.stream_to(lake)
    ends = {0: 200, 1: 200}  # as they were when the comparison began
    found = world.compare(lake=lake, ends=ends)
    assert found.holds, found
    tally = next(t for t in found.tallies if t.place == "lake")
    assert tally.matched == sum(origin.offset < 200 for origin, _ in world.rows[0])

    def newest(feature_set: str, tickers: Sequence[str]) -> dict[str, OnlineRow]:
        assert feature_set == V1.name
        after_us = world.rows[0][-1][1].grid_time_us + 1_000_000
        return {ticker: OnlineRow(after_us, "", ()) for ticker in tickers}

    # Newer than what was read: right, perhaps, while trades come, and made up when none do.
    for looked_at, extra in ((ends, 0), (None, 1)):
        found = run.compare_once(world.log.reader, world.log.codec, [V1], None, newest, looked_at)
        online = next(t for t in found.tallies if t.place == "online")
        assert (online.extra, online.behind) == (extra, 0)


def test_a_ticker_without_a_row_is_shown_where_others_have_some(world: World) -> None:
    del world.rows[1]
    world.publish()
    tally = world.tally(1)
    assert (tally.matched, tally.holds) == (0, True)
    assert world.compare().holds


def test_a_set_that_is_not_made_of_trades_or_unknown_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FeaturesError, match="made of bars: there is no stream"):
        run.parity_of_deployment(
            tmp_path, ["daily_v1"], with_stores=False, with_served=False, timeout_s=0
        )
    with pytest.raises(FeaturesError, match="no feature set 'nope'; there are: micro"):
        run.known_set("nope")

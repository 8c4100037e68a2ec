"""What was served is held against the trades; each planted fault is found where it stands."""

import math
from collections.abc import Callable, Iterator, Sequence
from functools import cache

import msgspec
import pytest

from services.domain import origin as origins
from services.domain.features import FeatureRow
from services.domain.origin import NOWHERE, Origin
from services.domain.predictions import REQUESTED, STREAMED, Prediction
from services.featuresets import SETS, measures
from services.models.vector import VectorError, inputs_of, make_vector
from services.runtime.memory_log import counting_clock_ms
from services.runtime.ports import LogReader, Outgoing, Record, TopicPartition
from services.tools.features import run, served_parity
from services.tools.features.parity import FIRST_SHOWN_MAX, Tally
from services.tools.features.report import print_parity
from services.tools.features.served_parity import (
    Cause,
    ServedDifference,
    ServedParity,
    compare_served,
)
from services.wire.topics import FEATURES, PREDICTIONS, TRADES
from tests.support.drawn_ticks import seeded_ticks
from tests.support.feature_log import FeatureLog, Written, rows_of

V1 = SETS["microstructure_v1"]
V2 = SETS["microstructure_v2"]
COLUMNS = inputs_of(V1)
PARTITION = 3
"""Of `predictions`: not those of the trades."""

type Served = tuple[Origin, Prediction]


class World:
    """Trades of two tickers, and a prediction of each row that makes a vector, to tamper with."""

    def __init__(self) -> None:
        market, self.rows = traded()
        self.log = FeatureLog()
        self.log.log = market.log.fork(counting_clock_ms())
        self.served: list[Served] = [
            streamed(written, place, vector)
            for place, written in enumerate(self.rows)
            if (vector := vector_or_none(written[1])) is not None
        ]

    def publish(self, served: Sequence[Served] | None = None, partition: int = PARTITION) -> None:
        for caused, prediction in self.served if served is None else served:
            value = self.log.codec.encode(PREDICTIONS.name, caused, prediction)
            key = prediction.ticker.encode()
            self.log.log.append(Outgoing(PREDICTIONS.name, partition, key, value))

    def compare(self, log: LogReader | None = None) -> ServedParity:
        return compare_served(log or self.log.reader, self.log.codec, [V1])

    def tally(self) -> Tally:
        (found,) = self.compare().tallies
        return found

    def place_of(self, ticker: str, skip: int = 40) -> int:
        """Where some prediction of a ticker stands, in the list and so at its offset."""
        return [p for p, (_, served) in enumerate(self.served) if served.ticker == ticker][skip]

    def change(self, place: int, **fields: object) -> None:
        caused, served = self.served[place]
        self.served[place] = caused, msgspec.structs.replace(served, **fields)


@cache
def traded() -> tuple[FeatureLog, list[Written]]:
    """Made once: each test goes on from a copy of the log."""
    log, written = FeatureLog(), []
    for partition, ticker in enumerate(log.tickers):
        ticks = [log.trade(partition, tick) for tick in seeded_ticks(7 + partition, 300)]
        rows = list(rows_of(V1, ticker, partition, ticks))
        log.publish(partition, rows)
        written += rows
    return log, written


def vector_or_none(row: FeatureRow) -> list[float] | None:
    values = {f.name: f.real(v) for f, v in zip(V1.features, row.values, strict=True)}
    del values["mid"]
    try:
        return make_vector(COLUMNS, values)
    except VectorError:
        return None


def streamed(written: Written, place: int, vector: Sequence[float]) -> Served:
    """What the stream says of a row."""
    trade, row = written
    caused = Origin(origins.FEATURES, trade.partition, place, 0, 0, 1_000, row.grid_time_us)
    prediction = Prediction(
        f"{row.ticker}-{row.grid_time_us}-direction_10s-2", STREAMED, row.ticker, 1_000,
        row.grid_time_us, row.feature_set, row.fingerprint, "direction_10s", 2, "a" * 64,
        is_shadow=False, is_degraded=False, predicted_class=1,
        probabilities=(0.25, 0.5, 0.25), vector=tuple(vector),
    )  # fmt: skip
    return caused, prediction


def requested(served: Served, request_id: str, at_us: int = 2_000) -> Served:
    """The same, asked for over HTTP."""
    caused, prediction = served
    asked = Origin(NOWHERE, -1, -1, 0, 0, at_us, caused.event_time_us)
    return asked, msgspec.structs.replace(
        prediction, mode=REQUESTED, request_id=request_id, served_at_us=at_us
    )


@pytest.fixture
def world() -> World:
    return World()


def test_what_was_served_of_the_right_rows_all_matches(world: World) -> None:
    asked = [requested(served, f"r-{n}") for n, served in enumerate(world.served[:50])]
    world.publish()
    world.publish(asked, partition=1)
    found = world.compare()
    assert found.holds
    assert found.matched == len(world.served) + 50
    assert found.first is None
    assert found.ends == {0: 0, 1: 50, 2: 0, 3: len(world.served), 4: 0}


def test_without_predictions_there_is_nothing_to_say(world: World) -> None:
    found = world.compare()
    assert (found.tallies, found.matched, found.holds) == ([], 0, True)


def one_bit(world: World, place: int) -> None:
    vector = list(world.served[place][1].vector)
    vector[7] = math.nextafter(vector[7], math.inf)
    world.change(place, vector=tuple(vector))


def minus_zero(world: World, place: int) -> None:
    vector = list(world.served[place][1].vector)
    zero = vector.index(0.0)
    vector[zero] = -0.0
    world.change(place, vector=tuple(vector))


def another_tickers_row(world: World, place: int) -> None:
    vector = world.served[world.place_of("MSFT")][1].vector
    world.change(place, vector=vector)


def an_older_row(world: World, place: int) -> None:
    vector = world.served[place - 5][1].vector
    world.change(place, vector=vector)


def other_order(world: World, place: int) -> None:
    vector = world.served[place][1].vector
    world.change(place, vector=vector[::-1])


@pytest.mark.parametrize(
    "plant", [one_bit, minus_zero, another_tickers_row, an_older_row, other_order]
)
def test_one_wrong_vector_is_found_at_its_offset_with_column_and_both_numbers(
    world: World, plant: Callable[[World, int], None]
) -> None:
    place = next(
        place
        for place, (_, served) in enumerate(world.served)
        if place > world.place_of("AAPL") and 0.0 in served.vector
    )
    right = world.served[place][1]
    plant(world, place)
    pairs = zip(COLUMNS, world.served[place][1].vector, right.vector, strict=True)
    differ = [pair for pair in pairs if repr(pair[1]) != repr(pair[2])]
    column, served, must_be = differ[0]
    world.publish()
    found = world.compare()
    (tally,) = found.tallies
    assert (tally.mismatched, tally.extra) == (1, 0)
    assert tally.matched == len(world.served) - 1
    assert not found.holds
    first = found.first
    assert first is not None
    assert (first.topic, first.partition, first.offset) == ("predictions", PARTITION, place)
    told_of = (first.ticker, first.grid_time_us, first.model)
    assert told_of == ("AAPL", right.grid_time_us, "direction_10s/2")
    assert (first.cause, first.column) == (Cause.VALUE, column)
    assert repr(first.served) == repr(served)
    assert (first.recomputed, first.others) == (must_be, len(differ) - 1)
    assert tally.differences == [first.told()]
    assert f"offset {place}: AAPL at {right.grid_time_us}" in first.told()
    assert f"{column} was served as {served!r}, and the trades give {must_be!r}" in first.told()


def test_a_ticker_that_was_put_in_anothers_place_is_found(world: World) -> None:
    of_both = {served.grid_time_us for _, served in world.served if served.ticker == "MSFT"}
    place = next(
        place
        for place, (_, served) in enumerate(world.served)
        if served.ticker == "AAPL" and served.grid_time_us in of_both
    )
    world.change(place, ticker="MSFT")
    world.publish()
    tally = world.tally()
    assert (tally.mismatched, tally.extra, tally.matched) == (1, 0, len(world.served) - 1)


def test_a_vector_that_lacks_a_column_is_found(world: World) -> None:
    place = world.place_of("MSFT")
    world.change(place, vector=world.served[place][1].vector[:-1])
    world.publish()
    first = world.compare().first
    assert first is not None
    assert (first.offset, first.cause, first.others) == (place, Cause.WIDTH, 1)
    assert "1 columns too many or too few" in first.told()


def test_a_row_that_makes_no_vector_can_not_have_been_served(world: World) -> None:
    undefined = next(written for written in world.rows if vector_or_none(written[1]) is None)
    invented = [0.0] * len(COLUMNS)
    world.publish([streamed(undefined, 0, invented)])
    first = world.compare().first
    assert first is not None
    assert (first.cause, first.offset) == (Cause.UNDEFINED, 0)
    assert first.column in COLUMNS
    assert f"{first.column} of its row is not defined" in first.told()


def test_what_follows_from_no_trade_is_extra(world: World) -> None:
    place = world.place_of("AAPL")
    world.change(place, grid_time_us=world.served[place][1].grid_time_us + 1)
    caused, prediction = world.served[0]
    early = caused, msgspec.structs.replace(prediction, request_id="other", grid_time_us=1)
    world.publish()
    world.publish([early])
    found = world.compare()
    (tally,) = found.tallies
    assert (tally.extra, tally.mismatched, tally.unprovable) == (2, 0, 0)
    assert found.first is not None
    assert (found.first.offset, found.first.cause) == (place, Cause.NO_ROW)
    assert not found.holds


def test_a_request_of_a_row_before_the_logs_first_is_of_a_history_and_unprovable(
    world: World,
) -> None:
    caused, prediction = requested(world.served[0], "r")
    world.publish([(caused, msgspec.structs.replace(prediction, grid_time_us=1))])
    found = world.compare()
    assert [(t.unprovable, t.extra, t.matched) for t in found.tallies] == [(1, 0, 0)]
    assert found.holds
    assert found.matched == 0, "it is no pass"


def test_a_model_of_other_definitions_is_counted_and_not_compared(world: World) -> None:
    place = world.place_of("AAPL")
    world.change(place, fingerprint="0" * 64, vector=(0.0,))
    world.publish()
    tally = world.tally()
    assert (tally.foreign, tally.matched) == (1, len(world.served) - 1)
    assert tally.holds


def test_what_retention_took_is_unprovable_and_the_rest_is_judged(world: World) -> None:
    place = world.place_of("AAPL", skip=-20)
    right = world.served[place][1]
    one_bit(world, place)
    world.publish()
    for partition in (0, 1):
        world.log.log.drop_records(TopicPartition(TRADES.name, partition), 100)
    found = world.compare()
    (tally,) = found.tallies
    assert tally.unprovable > 20
    assert tally.matched > 100
    assert tally.matched + tally.unprovable + 1 == len(world.served)
    assert (tally.mismatched, tally.extra) == (1, 0)
    assert found.first is not None
    assert found.first.recomputed == right.vector[7]


def test_repetitions_are_counted_also_of_a_row_that_was_written_twice(world: World) -> None:
    caused, prediction = world.served[20]
    later = (
        msgspec.structs.replace(caused, offset=999, time_us=5_000),
        msgspec.structs.replace(prediction, served_at_us=5_000),
    )
    asked = requested(world.served[21], "r")
    world.publish()
    world.publish([*world.served[:10], later, asked, asked])
    tally = world.tally()
    assert tally.holds
    assert (tally.repeated, tally.matched) == (12, len(world.served) + 1)


def test_a_client_may_use_a_requests_id_again_for_a_later_row(world: World) -> None:
    world.publish([requested(world.served[at], "r") for at in (20, 21)])
    tally = world.tally()
    assert (tally.matched, tally.repeated, tally.mismatched) == (2, 0, 0)


def test_a_repetition_with_another_answer_of_the_same_model_is_found(world: World) -> None:
    caused, prediction = world.served[20]
    other = msgspec.structs.replace(prediction, probabilities=(0.125, 0.625, 0.25))
    world.publish()
    world.publish([(caused, other)])
    found = world.compare()
    assert [(t.mismatched, t.repeated) for t in found.tallies] == [(1, 0)]
    assert found.first is not None
    assert (found.first.cause, found.first.offset) == (Cause.REWRITTEN, len(world.served))


def test_a_repetition_beyond_what_is_remembered_is_compared_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(served_parity, "REMEMBERED_MAX", 2)
    world.publish([world.served[at] for at in (20, 21, 21, 22, 20)])
    tally = world.tally()
    assert (tally.matched, tally.repeated, tally.holds) == (4, 1, True)


def test_junk_and_sets_that_nobody_asked_for_are_counted(world: World) -> None:
    world.log.log.append(Outgoing(PREDICTIONS.name, 0, None, b"junk"))
    for name in ("nobody_v9", V2.name, "daily_v1"):
        place = world.place_of("AAPL")
        caused, prediction = world.served[place]
        other = msgspec.structs.replace(prediction, feature_set=name)
        world.publish([(caused, other)])
    found = world.compare()
    assert (found.unreadable, found.passed_over) == (2, 2)
    assert found.tallies == []


def test_one_changed_constant_in_the_fold_is_found(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.publish()
    monkeypatch.setattr(measures, "MICROPRICE_SCALE", 10_001)
    found = world.compare()
    (tally,) = found.tallies
    assert tally.mismatched > 100
    assert len(tally.differences) == FIRST_SHOWN_MAX
    assert found.first is not None
    assert found.first.column == "microprice_minus_mid"


class LogWithAnAct:
    """A reader before which something happens when the trades are first read."""

    def __init__(self, log: LogReader, topic: str, act: Callable[[], None]) -> None:
        self._log = log
        self._topic = topic
        self._acts = [act]

    def bounds(self, partition: TopicPartition) -> tuple[int, int]:
        return self._log.bounds(partition)

    def read(self, partition: TopicPartition, start: int, end: int) -> Iterator[Sequence[Record]]:
        if partition.topic == self._topic and self._acts:
            self._acts.pop()()
        return self._log.read(partition, start, end)

    def topic_id(self, topic: str) -> str:
        return self._log.topic_id(topic)

    def close(self) -> None:
        self._log.close()


def test_what_is_served_while_it_runs_is_left_to_the_next_look(world: World) -> None:
    world.publish()
    wrong = world.served[20][0], msgspec.structs.replace(world.served[20][1], grid_time_us=1)
    log = LogWithAnAct(world.log.reader, TRADES.name, lambda: world.publish([wrong]))
    found = world.compare(log)
    assert found.holds
    assert found.ends[PARTITION] == len(world.served)
    assert not world.compare().holds


def test_a_difference_whose_trades_go_meanwhile_is_still_one(world: World) -> None:
    one_bit(world, world.place_of("AAPL"))
    world.publish()
    at = TopicPartition(TRADES.name, 0)
    log = LogWithAnAct(
        world.log.reader, PREDICTIONS.name, lambda: world.log.log.drop_records(at, 300)
    )
    found = world.compare(log)
    assert not found.holds
    assert found.first is not None
    assert found.first.cause == Cause.GONE
    assert "retention took them meanwhile" in found.first.told()


def test_a_report_with_what_was_served_fails_by_it_and_says_so(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    reader, codec = world.log.reader, world.log.codec
    stream = run.compare_once(reader, codec, [V1], None, None)
    world.publish()
    assert stream.with_served(world.compare()).holds
    one_bit(world, 30)
    world.publish([world.served[30]], partition=4)
    found = stream.with_served(world.compare())
    print_parity(found)
    told = capsys.readouterr().out
    assert stream.holds
    assert not found.holds
    assert "served, microstructure_v1: predictions/4 offset 0: AAPL at" in told
    assert "WHAT WAS SERVED AND HISTORY DIFFER" in told
    difference = msgspec.convert(msgspec.to_builtins(found)["first_served"], ServedDifference)
    assert difference == found.first_served


def test_rows_on_features_are_not_asked(world: World) -> None:
    world.publish()
    for partition in (0, 1):
        at = TopicPartition(FEATURES.name, partition)
        world.log.log.drop_records(at, world.log.reader.bounds(at)[1])
    assert world.compare().matched == len(world.served)

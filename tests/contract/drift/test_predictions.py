"""What was said in a window, from the log in memory and from Kafka's."""

from collections.abc import Iterator
from typing import Protocol

import pytest

from services.domain.origin import NOWHERE, Origin
from services.domain.predictions import Prediction
from services.drift import predictions_source
from services.drift.core.predicted import Predictions
from services.drift.predictions_source import (
    CLOCK_SLACK_MS,
    KafkaPredictionRecords,
    PredictionRecords,
    read_predictions,
)
from services.runtime.ports import Outgoing, TopicPartition
from services.wire.codec import local_codec
from services.wire.topics import PREDICTIONS
from tests.support.gateway_memory import prediction
from tests.support.log_worlds import KafkaWorld, MemoryWorld
from tests.support.made_datasets import planted_bug
from tests.support.prediction_log import MemoryPredictionRecords

CODEC = local_codec()
BEGIN_US = prediction().grid_time_us
SECOND_US = 1_000_000


class World(Protocol):
    """A log with the topic of predictions in it, and nothing else."""

    def append(self, value: bytes, at_ms: int, partition: int = 0) -> None:
        """Write a record of this time."""

    def drop(self, partition: int, before: int) -> None:
        """As retention does."""

    def records(self) -> PredictionRecords: ...

    def close(self) -> None: ...


class InMemory:
    def __init__(self) -> None:
        self._world = MemoryWorld()
        self._world.topic(PREDICTIONS.name, PREDICTIONS.partitions, log_append_time=False)

    def append(self, value: bytes, at_ms: int, partition: int = 0) -> None:
        self._world.log.append(Outgoing(PREDICTIONS.name, partition, None, value), at_ms)

    def drop(self, partition: int, before: int) -> None:
        self._world.log.drop_records(TopicPartition(PREDICTIONS.name, partition), before)

    def records(self) -> PredictionRecords:
        return MemoryPredictionRecords(self._world.log)

    def close(self) -> None: ...


class OnKafka:
    def __init__(self, bootstrap: str) -> None:
        self._world = KafkaWorld(bootstrap)
        self._world.topic(PREDICTIONS.name, PREDICTIONS.partitions, log_append_time=False)
        self._records = KafkaPredictionRecords(self._world.connection)

    def append(self, value: bytes, at_ms: int, partition: int = 0) -> None:
        full = self._world.prefix + PREDICTIONS.name
        self._world._plain.produce(full, value, partition=partition, timestamp=at_ms)
        assert self._world._plain.flush(60.0) == 0

    def drop(self, partition: int, before: int) -> None:
        self._world.drop_records(TopicPartition(PREDICTIONS.name, partition), before)

    def records(self) -> PredictionRecords:
        return self._records

    def close(self) -> None:
        self._records.close()
        self._world.close()


@pytest.fixture(params=["memory", pytest.param("kafka", marks=pytest.mark.kafka)])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    made: World
    if request.param == "kafka":
        made = OnKafka(request.getfixturevalue("stack_infra").addresses.kafka_bootstrap)
    else:
        made = InMemory()
    yield made
    made.close()


def encoded(said: Prediction) -> bytes:
    origin = Origin(NOWHERE, -1, -1, 0, 0, said.served_at_us, said.grid_time_us)
    return CODEC.encode(PREDICTIONS.name, origin, said)


def say(world: World, second: int, delay_ms: int = 500, partition: int = 0, **told: object) -> None:
    """A prediction of that second after the window's begin, so long after it on the log."""
    grid_time_us = BEGIN_US + second * SECOND_US
    at_ms = grid_time_us // 1_000 + delay_ms
    told = {"grid_time_us": grid_time_us, "served_at_us": at_ms * 1_000} | told
    world.append(encoded(prediction(**told)), at_ms, partition)


def read(world: World, seconds: int = 10) -> Predictions:
    return read_predictions(world.records(), CODEC, BEGIN_US, BEGIN_US + seconds * SECOND_US)


def heard(found: Predictions) -> list[int]:
    """Seconds after the window's begin, in order."""
    return sorted(((found.grid_time_us - BEGIN_US) // SECOND_US).tolist())


def test_an_empty_log_says_nothing(world: World) -> None:
    found = read(world)
    assert (len(found), found.undecodable, found.is_cut) == (0, 0, False)
    assert found.probabilities.shape == (0, 3)


def test_what_was_said_comes_back_as_columns(world: World) -> None:
    say(world, 1, ticker="MSFT", model_version=4, is_shadow=True, model_sha256="b" * 64)
    say(world, 2, partition=3, predicted_class=0, probabilities=(0.5, 0.25, 0.25))
    found = read(world)
    assert found.tickers == ("AAPL", "MSFT")
    assert (found.models, found.shas) == (("direction_10s",), ("a" * 64, "b" * 64))
    rows = {
        found.tickers[found.ticker[n]]: (
            int(found.version[n]),
            bool(found.is_shadow[n]),
            found.shas[found.sha[n]][0],
            int(found.said[n]),
            tuple(found.probabilities[n].tolist()),
            int(found.served_at_us[n] - found.grid_time_us[n]),
        )
        for n in range(len(found))
    }
    assert rows == {
        "MSFT": (4, True, "b", 2, (0.125, 0.25, 0.625), 500_000),
        "AAPL": (3, False, "a", 0, (0.5, 0.25, 0.25), 500_000),
    }


def test_a_window_begins_with_its_first_second_and_ends_before_its_last(world: World) -> None:
    for second in range(-3, 14):
        say(world, second, partition=second % 5)
    assert heard(read(world)) == list(range(10))


def test_what_was_written_late_or_by_a_clock_that_is_behind_counts(world: World) -> None:
    say(world, 3, delay_ms=-CLOCK_SLACK_MS)
    say(world, 4, delay_ms=86_400_000)
    say(world, 20, delay_ms=86_400_000)
    say(world, 5, delay_ms=172_800_000)
    assert heard(read(world)) == [3, 4, 5]


def test_what_is_far_older_is_not_even_read(world: World) -> None:
    world.append(b"old", BEGIN_US // 1_000 - CLOCK_SLACK_MS - 1)
    say(world, 3)
    found = read(world)
    assert (heard(found), found.undecodable) == ([3], 0)


def test_records_that_are_no_predictions_are_counted(world: World) -> None:
    say(world, 1)
    for junk in (b"x", b"\0\0\0\0\7", encoded(prediction())[:-3]):
        world.append(junk, BEGIN_US // 1_000 + 2_000)
    say(world, 2, probabilities=(0.5, 0.5))
    found = read(world)
    assert (heard(found), found.undecodable) == ([1, 2], 3)
    stated = found.probabilities[found.grid_time_us == BEGIN_US + 2 * SECOND_US]
    assert (stated != stated).all()  # noqa: PLR0124 - not a number


def test_a_log_that_begins_after_the_window_says_that_some_may_be_gone(world: World) -> None:
    world.append(b"old", BEGIN_US // 1_000 - CLOCK_SLACK_MS - 1)
    for second in range(3):
        say(world, second)
    assert not read(world).is_cut
    world.drop(0, 1)
    assert read(world).is_cut  # The record before may have been of the window.
    world.drop(0, 2)
    found = read(world)
    assert (heard(found), found.is_cut) == ([1, 2], True)
    world.drop(0, 4)
    found = read(world)
    assert (len(found), found.is_cut) == (0, True)


def test_old_records_that_are_left_prove_that_nothing_newer_is_gone(world: World) -> None:
    for _ in range(3):
        world.append(b"old", BEGIN_US // 1_000 - CLOCK_SLACK_MS - 1)
    world.drop(0, 1)
    assert not read(world).is_cut
    say(world, 1)
    assert not read(world).is_cut


def test_the_same_records_give_the_same_columns_in_whichever_partitions() -> None:
    one, other = InMemory(), InMemory()
    for number, ticker in enumerate(("MSFT", "AAPL", "TSLA")):
        say(one, 1, partition=number, ticker=ticker)
        say(other, 1, partition=4 - number, ticker=ticker)
    assert read(one).tickers == read(other).tickers == ("AAPL", "MSFT", "TSLA")
    named = [[found.tickers[at] for at in found.ticker] for found in (read(one), read(other))]
    assert named == [["MSFT", "AAPL", "TSLA"], ["TSLA", "AAPL", "MSFT"]]


@pytest.mark.parametrize(
    "was,planted",
    [
        ("PREDICTIONS_MAX: Final = 4_000_000", "PREDICTIONS_MAX: Final = 4"),
        ("NAMES_MAX: Final = 10_000", "NAMES_MAX: Final = 4"),
    ],
)
def test_more_than_fits_into_memory_is_refused_by_name(was: str, planted: str) -> None:
    world = InMemory()
    for number in range(5):
        say(world, number, model_sha256=f"{number:064}")
    assert len(read(world)) == 5
    with planted_bug(predictions_source, was, planted):
        records = world.records()
        refused = predictions_source.TooManyPredictionsError
        with pytest.raises(refused, match="predictions"):
            predictions_source.read_predictions(records, CODEC, BEGIN_US, BEGIN_US + 10 * SECOND_US)


@pytest.mark.parametrize(
    "was,planted",
    [
        ("if begin_us <= said.grid_time_us < end_us:", "if begin_us < said.grid_time_us < end_us:"),
        (
            "if begin_us <= said.grid_time_us < end_us:",
            "if begin_us <= said.grid_time_us <= end_us:",
        ),
        ("begin_us // 1_000 - CLOCK_SLACK_MS", "begin_us // 1_000 + 1_000"),
    ],
)
def test_a_window_that_loses_or_gains_a_second_is_found(was: str, planted: str) -> None:
    world = InMemory()
    for second in range(-3, 14):
        say(world, second)
    right = heard(read(world))
    with planted_bug(predictions_source, was, planted):
        end_us = BEGIN_US + 10 * SECOND_US
        found = predictions_source.read_predictions(world.records(), CODEC, BEGIN_US, end_us)
    assert heard(found) != right

"""The streaming mode: each new row once or more, never less, and always the same bytes."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from services.domain import origin
from services.domain.features import FeatureRow
from services.domain.origin import Origin
from services.domain.predictions import STREAMED
from services.featuresets.fingerprint import fingerprint
from services.inference.candidates import Candidate
from services.inference.core import Alias
from services.inference.stream import Stream
from services.runtime.errors import ConfigurationError, RetriableError
from services.runtime.ports import Record
from services.wire.codec import local_codec
from services.wire.topics import FEATURES, PREDICTIONS
from tests.support.inference_world import SECOND_US, InferenceWorld
from tests.support.model_kit import COLUMNS, V1, linear_model
from tests.support.row_log import FakePacer
from tests.support.span_notes import SpanNotes

CODEC = local_codec()
START_US = 1_790_000_000_000_000


def row(at_s: int, ticker: str = "AAPL", **changes: object) -> FeatureRow:
    values = tuple(1_000 * place + at_s for place in range(len(V1.features)))
    fields: dict[str, object] = {
        "feature_set": V1.name, "fingerprint": fingerprint(V1), "ticker": ticker,
        "grid_time_us": START_US + at_s * SECOND_US, "rewind_offset": 0, "values": values,
    }  # fmt: skip
    return FeatureRow(**(fields | changes))  # type: ignore[arg-type]  # a test's own fields


class Rows:
    """`stream.RowSource` in memory: what was not committed is read again after a failure."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.committed = 0
        self.position = 0
        self.failures: list[Exception] = []
        self.openings = 0

    def put(self, *rows: FeatureRow | bytes, traceparent: bytes | None = None) -> None:
        for each in rows:
            offset = len(self.records)
            caused = Origin(origin.TRADES, 0, offset, 0, 0, START_US, 0)
            value = each if isinstance(each, bytes) else CODEC.encode(FEATURES.name, caused, each)
            stamp_ms = START_US // 1_000 + offset
            self.records.append(
                Record(FEATURES.name, 0, offset, stamp_ms, b"AAPL", value, traceparent)
            )

    def open(self) -> "Rows":
        self.openings += 1
        self.position = self.committed
        return self

    def read(self, records_max: int, wait_ms: int) -> Sequence[Record]:
        if self.failures:
            raise self.failures.pop(0)
        found = self.records[self.position : self.position + records_max]
        self.position += len(found)
        return found

    def commit(self) -> None:
        self.committed = self.position

    def close(self) -> None:
        pass


class StreamWorld(InferenceWorld):
    """With a champion, version 1."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.registry.add(1)
        self.serve(1)
        self.rows = Rows()
        self.pacer = FakePacer()
        self.traces = SpanNotes()
        self.stream = Stream(
            self.slots, CODEC, self.sink, self.rows.open, self.telemetry, self.pacer, self.traces
        )

    def outcome(self, name: str) -> float:
        return self.metric(f'outcry_inference_stream_rows_total{{outcome="{name}"}}')


@pytest.fixture
def world(tmp_path: Path) -> StreamWorld:
    return StreamWorld(tmp_path)


def test_each_new_row_is_predicted_from_and_names_where_it_stands(world: StreamWorld) -> None:
    world.rows.put(row(0), row(1), row(1, "MSFT"))
    assert world.stream.run_once() == 3
    made = world.sink.predictions
    assert [(p.ticker, p.grid_time_us) for p in made] == [
        ("AAPL", START_US), ("AAPL", START_US + SECOND_US), ("MSFT", START_US + SECOND_US),
    ]  # fmt: skip
    assert {p.mode for p in made} == {STREAMED}
    assert made[1].request_id == f"AAPL-{START_US + SECOND_US}-direction_10s-1"
    caused, _ = world.sink.taken[2]
    assert (caused.topic, caused.partition, caused.offset) == (origin.FEATURES, 0, 2)
    assert caused.time_us == made[2].served_at_us == START_US + 2_000
    reals = {f.name: f.real(v) for f, v in zip(V1.features, row(0).values, strict=True)}
    assert list(made[0].vector) == [reals[name] for name in COLUMNS]
    assert world.rows.committed == 3
    assert world.outcome("predicted") == 3


def test_a_prediction_has_the_trace_of_its_row(world: StreamWorld) -> None:
    world.rows.put(row(0))
    world.rows.put(row(1), traceparent=b"trace")
    world.rows.put(b"junk", traceparent=b"of junk")
    world.sink.settles = [False]
    assert world.stream.run_once() == 0
    assert world.traces.ended == []
    assert world.stream.run_once() == 3
    assert world.sink.traces == [None, b"trace, followed"] * 2
    assert world.traces.ended == [("features", 1, ("predictions",))]


def test_rows_are_committed_only_once_their_predictions_are_durable(world: StreamWorld) -> None:
    world.rows.put(row(0), row(1))
    world.sink.settles = [False]
    assert world.stream.run_once() == 0
    assert world.rows.committed == 0
    assert world.stream.run_once() == 2
    assert world.rows.committed == 2
    first, again = world.sink.taken[:2], world.sink.taken[2:]
    encoded = [CODEC.encode(PREDICTIONS.name, *each) for each in first]
    assert [CODEC.encode(PREDICTIONS.name, *each) for each in again] == encoded


def test_a_full_log_is_waited_for_and_nothing_is_left_out(world: StreamWorld) -> None:
    world.rows.put(*(row(at) for at in range(5)))
    world.sink.room = 3

    def make_room(seconds: float) -> None:
        assert seconds > 0
        world.sink.room += 1

    world.pacer.wait = make_room  # type: ignore[method-assign]
    assert world.stream.run_once() == 5
    assert len(world.sink.taken) == 5


def test_a_stop_while_the_log_is_full_commits_nothing(world: StreamWorld) -> None:
    world.rows.put(row(0), row(1))
    world.sink.room = 1
    world.pacer.is_stopping = lambda: True
    assert world.stream.run_once() == 0
    assert world.rows.committed == 0


def test_a_log_that_fails_is_opened_again_at_what_is_committed(world: StreamWorld) -> None:
    world.rows.put(row(0))
    world.stream.run_once()
    world.rows.failures = [RetriableError("the broker is away")]
    world.rows.put(row(1))
    assert world.stream.run_once() == 0
    assert world.stream.run_once() == 1
    assert [p.grid_time_us for p in world.sink.predictions] == [START_US, START_US + SECOND_US]
    assert world.rows.openings == 2


def test_what_a_person_has_to_mend_ends_the_stream(world: StreamWorld) -> None:
    world.rows.failures = [ConfigurationError("the topic is gone")]
    with pytest.raises(ConfigurationError, match="the topic is gone"):
        world.stream.run()


def test_rows_that_are_none_are_counted_by_their_cause_and_passed_over(world: StreamWorld) -> None:
    width = len(V1.features)
    world.rows.put(
        row(0, feature_set="microstructure_v2"),
        row(1, fingerprint="0" * 64),
        row(2, values=(1,) * (width - 1)),
        row(3, values=(2**60,) * width),
        row(4, values=(None, *(1,) * (width - 1))),
        b"junk",
        row(5),
    )
    assert world.stream.run_once() == 7
    assert [p.grid_time_us for p in world.sink.predictions] == [START_US + 5 * SECOND_US]
    assert world.rows.committed == 7
    for name, count in (
        ("other_set", 1), ("foreign_fingerprint", 1), ("malformed", 2),
        ("undefined_features", 1), ("undecodable", 1), ("predicted", 1),
    ):  # fmt: skip
        assert world.outcome(name) == count, name


def test_without_a_model_rows_pass_by(tmp_path: Path) -> None:
    world = StreamWorld(tmp_path)
    world.slots.put(Alias.CHAMPION, None)
    world.rows.put(row(0))
    assert world.stream.run_once() == 1
    assert world.sink.taken == []
    assert world.outcome("no_model") == 1
    world.reloader.check()
    world.rows.put(row(1))
    world.stream.run_once()
    assert [p.grid_time_us for p in world.sink.predictions] == [START_US + SECOND_US]


def test_no_row_is_read_before_the_registry_said_whether_there_is_a_model(tmp_path: Path) -> None:
    world = InferenceWorld(tmp_path)
    world.registry.add(1)
    world.registry.named[Alias.CHAMPION] = 1
    world.registry.is_away = True
    rows, pacer = Rows(), FakePacer()
    stream = Stream(world.slots, CODEC, world.sink, rows.open, world.telemetry, pacer)
    rows.put(row(0))
    assert stream.run_once() == 0  # nobody looked yet
    world.reloader.check()
    assert stream.run_once() == 0  # away: there may be a champion
    assert (rows.openings, len(pacer.waits)) == (0, 2)
    world.registry.is_away = False
    world.reloader.check()
    assert stream.run_once() == 1
    assert [p.grid_time_us for p in world.sink.predictions] == [START_US]


def test_a_shadow_that_fails_to_load_keeps_the_stream_from_nothing(tmp_path: Path) -> None:
    world = InferenceWorld(tmp_path)
    world.registry.add(1)
    world.registry.add(2)
    world.registry.named |= {Alias.CHAMPION: 1, Alias.SHADOW: 2}
    load = world.registry.load

    def load_or_fail(version: int) -> Candidate:
        if version == 1:
            return load(version)
        raise RuntimeError("a library failed in a way nobody knew")

    world.registry.load = load_or_fail  # type: ignore[method-assign]
    with pytest.raises(RuntimeError, match="nobody knew"):
        world.reloader.check()
    assert world.slots.decided.is_set()


def test_the_shadow_predicts_from_the_same_rows_under_its_own_version(world: StreamWorld) -> None:
    world.registry.add(2, linear_model(2))
    world.serve(2, Alias.SHADOW)
    world.rows.put(row(0))
    world.stream.run_once()
    champion, shadow = world.sink.predictions
    assert (champion.is_shadow, shadow.is_shadow) == (False, True)
    assert champion.vector == shadow.vector
    assert shadow.request_id == f"AAPL-{START_US}-direction_10s-2"
    assert world.outcome("predicted") == 1

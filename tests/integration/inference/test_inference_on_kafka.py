"""The real process on a real log and registry: requested and streamed predictions, and outages."""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any, Final

import pytest
from confluent_kafka import Producer

from services.domain.origin import FEATURES as FROM_FEATURES
from services.domain.origin import NOWHERE
from services.domain.predictions import REQUESTED, STREAMED, Prediction
from services.inference.predictions import PredictionLog
from services.inference.rows_source import KafkaRows
from services.inference.stream import Stream
from services.models.registry import Registry
from services.online.features import OnlineFeatures
from services.online.rows import OnlineRow
from services.runtime.kafka_admin import create_topics
from services.runtime.room import ProcessPacer
from services.wire.codec import Decoded
from services.wire.topics import FEATURES, PREDICTIONS
from tests.support.feature_world import FeatureProcess, FeatureWorld
from tests.support.inference_world import INPUTS, InferenceWorld
from tests.support.model_kit import COLUMNS, V1, linear_model, put_model, xgboost_model
from tests.support.row_log import SECOND_US, feature_row, origin_of
from tests.support.stack_fixture import StackInfra
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(600)]

HORIZON: Final = "direction_10s"
START_US: Final = 1_790_000_000 * SECOND_US


def put_rows(world: FeatureWorld, first_us: int, rows: int) -> None:
    """Rows of AAPL on the topic, as the feature room writes them."""
    producer = Producer({"bootstrap.servers": world.addresses.kafka_bootstrap})
    for at in range(rows):
        values = tuple(range(at, at + len(V1.features)))
        row = feature_row(first_us + at * SECOND_US, ticker="AAPL", values=values)
        value = world.codec.encode(FEATURES.name, origin_of(row, at), row)
        producer.produce(world.prefix + FEATURES.name, value, b"AAPL", 0)
    assert producer.flush(30) == 0


def predictions(world: FeatureWorld) -> list[Decoded[Prediction]]:
    """All that is on the topic."""
    return [
        world.codec.decode(PREDICTIONS.name, record.value)
        for record in world.records(PREDICTIONS.name)
    ]


def streamed_times(world: FeatureWorld) -> set[int]:
    """Grid times of the rows that the stream predicted from."""
    return {
        decoded.payload.grid_time_us
        for decoded in predictions(world)
        if decoded.payload.mode == STREAMED
    }


class World(FeatureWorld):
    """One deployment with a registry of two models, and an inference process."""

    def __init__(self, infra: StackInfra, folder: Path) -> None:
        super().__init__(infra.addresses, folder)
        create_topics(self.addresses.kafka_bootstrap, self.prefix, (PREDICTIONS,))
        self.home = folder / "home"
        self.home.mkdir()
        self.online = OnlineFeatures(self.home)
        self.online.declare()
        self.registry = Registry(self.home, name=HORIZON)
        for number, predictor in ((1, linear_model(1)), (2, xgboost_model())):
            put_model(folder / f"model-{number}", predictor)
            assert self.registry.register(folder / f"model-{number}") == number

    def promote(self, version: int) -> None:
        self.registry.promote(version, force=True, why="a test")

    def put_online(self, *tickers: str) -> int:
        """Rows of now; their grid time."""
        now_us = int(time.time()) * SECOND_US
        reals = tuple(INPUTS.get(name, 100.0) for name in V1.columns)
        self.online.write(V1, [OnlineRow(ticker, now_us, now_us, reals) for ticker in tickers])
        return now_us

    def put_rows(self, first_us: int, rows: int) -> None:
        put_rows(self, first_us, rows)

    def inference(self, **settings: object) -> "InferenceProcess":
        fields: dict[str, object] = {
            "home": self.home, "inference_port": 0, "inference_poll_interval_s": 0.2,
        }  # fmt: skip
        process = self.start("0", "-m", "services.inference", **(fields | settings))
        return InferenceProcess(process)

    def predictions(self) -> list[Decoded[Prediction]]:
        return predictions(self)


class InferenceProcess:
    """`python -m services.inference`, and its door."""

    def __init__(self, process: FeatureProcess) -> None:
        self.process = process

    def ask(self, path: str, body: dict[str, Any] | None = None) -> tuple[int, dict[str, Any]]:
        """Status and document."""
        (port,) = [e["port"] for e in self.process.events() if e["event"] == "listening"]
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}{path}", data, {"Content-Type": "application/json"}
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - our own
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.loads(error.read())

    def wait_until_ready(self) -> None:
        """Serving, by what a supervisor asks; Feast and MLflow take seconds of CPU to import."""
        ended = self.process.process.poll
        wait_until(lambda: self.process.is_ready() or ended() is not None, "readiness", 240)
        assert ended() is None, self.process.log.read_text()

    def wait_for_champion(self, version: int) -> None:
        wait_until(
            lambda: (self.ask("/ready")[1]["model"] or {}).get("version") == version,
            f"version {version} in service",
            120,
        )


@pytest.fixture(scope="module")
def world(stack_infra: StackInfra, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = World(stack_infra, tmp_path_factory.mktemp("inference"))
    yield made
    made.close()


@pytest.fixture(scope="module")
def process(world: World) -> InferenceProcess:
    """One for the whole file, since its start takes seconds of CPU; it begins without a model."""
    made = world.inference(inference_stream=True)
    made.wait_until_ready()  # for the supervisor: it serves
    return made


def test_a_process_without_a_model_is_up_takes_the_first_and_records_what_it_serves(
    world: World, process: InferenceProcess
) -> None:
    status, ready = process.ask("/ready")
    assert (status, ready["status"]) == (503, "no_model")
    assert process.ask("/predict", {"tickers": ["AAPL"]})[0] == 503
    world.promote(1)
    process.wait_for_champion(1)
    grid_time_us = world.put_online("AAPL", "MSFT")
    status, answer = process.ask("/predict", {"tickers": ["AAPL", "MSFT"]})
    assert status == 200, answer
    world.promote(2)
    process.wait_for_champion(2)
    status, second = process.ask("/predict", {"tickers": ["AAPL"]})
    assert (status, second["model"]["version"]) == (200, 2)
    assert process.ask("/explain?ticker=AAPL")[0] == 200
    wait_until(lambda: len(world.predictions()) == 3, "the predictions on the log", 60)
    found = {(d.payload.request_id, d.payload.ticker): d for d in world.predictions()}
    for said in answer["predictions"]:
        decoded = found[answer["request_id"], said["ticker"]]
        made = decoded.payload
        assert (made.mode, made.model_version, made.grid_time_us) == (REQUESTED, 1, grid_time_us)
        assert list(made.probabilities) == list(said["probabilities"].values())
        assert list(made.vector) == [INPUTS[name] for name in COLUMNS]
        assert decoded.origin is not None
        assert decoded.origin.topic == NOWHERE
    assert found[second["request_id"], "AAPL"].payload.model_version == 2


def test_the_process_predicts_for_rows_of_the_stream_too(
    world: World, process: InferenceProcess
) -> None:
    world.promote(2)
    process.wait_for_champion(2)
    world.put_rows(START_US, 5)
    wanted = {START_US + at * SECOND_US for at in range(5)}
    wait_until(lambda: wanted <= streamed_times(world), "a prediction of each row", 120)
    streamed = [d.payload for d in predictions(world) if d.payload.mode == STREAMED]
    assert {made.model_version for made in streamed} == {2}


def test_a_registry_and_an_online_store_that_are_gone_are_told_and_come_back(
    world: World, process: InferenceProcess
) -> None:
    world.promote(2)
    process.wait_for_champion(2)
    world.put_online("AAPL")
    database = world.home / "models" / "mlflow.db"
    database.rename(database.with_suffix(".away"))
    wait_until(lambda: not process.ask("/ready")[1]["registry_answers"], "the loss", 60)
    assert process.ask("/predict", {"tickers": ["AAPL"]})[0] == 200
    database.with_suffix(".away").rename(database)
    wait_until(lambda: process.ask("/ready")[1]["registry_answers"], "the registry", 60)
    online = world.home / "feast" / "online.db"
    online.rename(online.with_suffix(".away"))
    status, problem = process.ask("/predict", {"tickers": ["AAPL"]})
    assert (status, problem["reason"]) == (503, "ONLINE_STORE_BROKEN")
    assert "no such table" in problem["detail"]
    assert process.ask("/health")[0] == 200
    assert process.process.stop() == 0


class StreamHere:
    """The stream of another deployment in this process, so that it can die at a chosen step."""

    def __init__(self, infra: StackInfra, folder: Path) -> None:
        self.feature_world = FeatureWorld(infra.addresses, folder)
        create_topics(infra.addresses.kafka_bootstrap, self.feature_world.prefix, (PREDICTIONS,))
        self.parts = InferenceWorld(folder)
        self.parts.registry.add(1)
        self.parts.serve(1)

    def begin(self) -> Stream:
        world = self.feature_world
        self.log = PredictionLog(world.connection, world.codec, 1_000, self.parts.telemetry)
        return Stream(
            self.parts.slots,
            world.codec,
            self.log,
            lambda: KafkaRows(world.connection, "0"),
            self.parts.telemetry,
            ProcessPacer(),
        )

    def end(self, stream: Stream) -> None:
        stream.close()
        self.log.close()


def test_rows_whose_process_died_before_its_commit_are_predicted_from_again_and_alike(
    stack_infra: StackInfra, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = StreamHere(stack_infra, tmp_path)
    world = here.feature_world
    put_rows(world, START_US - 1_000 * SECOND_US, 3)  # history: a new group begins behind it
    stream = here.begin()
    probes = count(START_US - 100 * SECOND_US, SECOND_US)

    def has_begun() -> bool:
        put_rows(world, next(probes), 1)
        return stream.run_once() > 0

    wait_until(has_begun, "the stream to begin", 120)
    put_rows(world, START_US, 5)

    def die(_: KafkaRows) -> None:
        raise SystemExit

    def run_until_dead() -> None:
        while True:
            stream.run_once()

    with monkeypatch.context() as patched:
        patched.setattr(KafkaRows, "commit", die)
        with pytest.raises(SystemExit):
            run_until_dead()
    here.end(stream)
    put_rows(world, START_US + 5 * SECOND_US, 5)
    stream = here.begin()
    wanted = {START_US + at * SECOND_US for at in range(10)}

    def is_complete() -> bool:
        stream.run_once()
        return wanted <= streamed_times(world)

    wait_until(is_complete, "a prediction of each row", 120)
    here.end(stream)
    contents: dict[str, Decoded[Prediction]] = {}
    found = predictions(world)
    for decoded in found:
        assert decoded.origin is not None
        assert decoded.origin.topic == FROM_FEATURES
        known = contents.setdefault(decoded.payload.request_id, decoded)
        assert known == decoded, "a repetition differs"
    assert len(found) > len(contents), "nothing was repeated: the death did not count"
    assert min(streamed_times(world)) >= START_US - 100 * SECOND_US
    here.parts.close()
    world.close()

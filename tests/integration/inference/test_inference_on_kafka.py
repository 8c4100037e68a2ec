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
from services.models.registry import Registry
from services.online.features import OnlineFeatures
from services.online.rows import OnlineRow
from services.runtime.kafka_admin import create_topics
from services.wire.codec import Decoded
from services.wire.topics import FEATURES, PREDICTIONS
from tests.support.feature_world import FeatureProcess, FeatureWorld
from tests.support.inference_world import INPUTS
from tests.support.model_kit import COLUMNS, V1, linear_model, put_model, xgboost_model
from tests.support.row_log import SECOND_US, feature_row, origin_of
from tests.support.stack_fixture import StackInfra
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(600)]

HORIZON: Final = "direction_10s"


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
        self._producer = Producer({"bootstrap.servers": self.addresses.kafka_bootstrap})

    def promote(self, version: int) -> None:
        self.registry.promote(version, force=True, why="a test")

    def put_online(self, *tickers: str) -> int:
        """Rows of now; their grid time."""
        now_us = int(time.time()) * SECOND_US
        reals = tuple(INPUTS.get(name, 100.0) for name in V1.columns)
        self.online.write(V1, [OnlineRow(ticker, now_us, now_us, reals) for ticker in tickers])
        return now_us

    def put_rows(self, first_us: int, count: int) -> None:
        """Rows of AAPL on the topic, as the feature room writes them."""
        for at in range(count):
            values = tuple(range(at, at + len(V1.features)))
            row = feature_row(first_us + at * SECOND_US, ticker="AAPL", values=values)
            value = self.codec.encode(FEATURES.name, origin_of(row, at), row)
            self._producer.produce(self.prefix + FEATURES.name, value, b"AAPL", 0)
        assert self._producer.flush(30) == 0

    def inference(self, **settings: object) -> "InferenceProcess":
        fields: dict[str, object] = {
            "home": self.home, "inference_port": 0, "inference_poll_interval_s": 0.2,
        }  # fmt: skip
        process = self.start("0", "-m", "services.inference", **(fields | settings))
        return InferenceProcess(process)

    def predictions(self) -> list[Decoded[Prediction]]:
        """All that is on the topic."""
        return [
            self.codec.decode(PREDICTIONS.name, record.value)
            for record in self.records(PREDICTIONS.name)
        ]


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


@pytest.fixture
def world(stack_infra: StackInfra, tmp_path: Path) -> Iterator[World]:
    made = World(stack_infra, tmp_path)
    yield made
    made.close()


def test_a_process_without_a_model_is_up_takes_the_first_and_records_what_it_serves(
    world: World,
) -> None:
    process = world.inference()
    process.wait_until_ready()  # for the supervisor: it serves
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
    assert process.process.stop() == 0


def test_the_stream_predicts_each_new_row_also_after_a_kill(world: World) -> None:
    world.promote(1)
    first_us = 1_790_000_000 * SECOND_US
    world.put_rows(first_us - 20_000 * SECOND_US, 3)  # history: a new group begins behind it
    process = world.inference(inference_stream=True)
    process.wait_until_ready()
    process.wait_for_champion(1)
    probes = count(first_us - 10_000 * SECOND_US, SECOND_US)

    def has_begun() -> bool:
        world.put_rows(next(probes), 1)
        return bool(world.predictions())

    wait_until(has_begun, "the stream to begin", 120)
    world.put_rows(first_us, 20)
    process.process.kill()
    world.put_rows(first_us + 20 * SECOND_US, 20)
    process = world.inference(inference_stream=True)
    process.wait_until_ready()
    wanted = {first_us + at * SECOND_US for at in range(40)}
    wait_until(
        lambda: wanted <= {d.payload.grid_time_us for d in world.predictions()},
        "a prediction of each row",
        120,
    )
    contents: dict[str, Decoded[Prediction]] = {}
    for decoded in world.predictions():
        made = decoded.payload
        assert made.mode == STREAMED
        assert decoded.origin is not None
        assert decoded.origin.topic == FROM_FEATURES
        assert contents.setdefault(made.request_id, decoded) == decoded, "a repetition differs"
    assert min(d.payload.grid_time_us for d in contents.values()) >= first_us - 10_000 * SECOND_US
    assert process.process.stop() == 0


def test_a_registry_and_an_online_store_that_are_gone_are_told_and_come_back(world: World) -> None:
    world.promote(1)
    process = world.inference()
    process.wait_until_ready()
    process.wait_for_champion(1)
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

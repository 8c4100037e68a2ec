"""The real process on a real log and registry: requested and streamed predictions, and outages."""

import json
import signal
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from random import Random
from threading import Thread
from typing import Any, Final

import psutil
import pytest
from confluent_kafka import Producer

from services.domain.origin import FEATURES as FROM_FEATURES
from services.domain.origin import NOWHERE
from services.domain.predictions import REQUESTED, STREAMED, Prediction
from services.inference.rows_source import GROUP, KafkaRows
from services.models.registry import Registry
from services.online.features import OnlineFeatures
from services.online.rows import OnlineRow
from services.runtime.kafka_admin import create_topics
from services.runtime.kafka_tail import KafkaGroupTail
from services.runtime.ports import TopicPartition
from services.wire.codec import Decoded
from services.wire.topics import FEATURES, PREDICTIONS
from tests.support.feature_world import FeatureProcess, FeatureWorld
from tests.support.inference_world import INPUTS
from tests.support.model_kit import COLUMNS, V1, linear_model, put_model, xgboost_model
from tests.support.row_log import SECOND_US, feature_row, origin_of
from tests.support.stack_fixture import StackInfra
from tests.support.stream_here import StreamHere
from tests.support.trade_tape import TICKERS
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(600)]

HORIZON: Final = "direction_10s"
START_US: Final = 1_790_000_000 * SECOND_US
KILLED_FROM_US: Final = START_US + 1_000_000 * SECOND_US
"""Grid time of the first row of those that flow while the process is killed."""
KILL_TRIES: Final = 100


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


class RowFlow:
    """Rows of every ticker, one by one, on a thread: a row once, whatever its writer meets."""

    def __init__(self, world: FeatureWorld, first_us: int) -> None:
        self._world = world
        self._next_us = first_us
        self.written: set[tuple[str, int]] = set()
        """Ticker and grid time of those that are durable."""

    @contextmanager
    def running(self) -> Iterator[None]:
        """Until the block ends."""
        is_over = False
        bootstrap = self._world.addresses.kafka_bootstrap
        producer = Producer({"bootstrap.servers": bootstrap, "enable.idempotence": True})

        def work() -> None:
            while not is_over:
                put = self._put(producer)
                assert producer.flush(60) == 0
                self.written.add(put)
                time.sleep(0.02)

        thread = Thread(target=work, name="row-flow")
        thread.start()
        try:
            yield
        finally:
            is_over = True
            thread.join(120)
        assert not thread.is_alive()

    def _put(self, producer: Producer) -> tuple[str, int]:
        at = self._next_us // SECOND_US % len(TICKERS)
        values = tuple(range(at, at + len(V1.features)))
        row = feature_row(self._next_us, ticker=TICKERS[at], values=values)
        value = self._world.codec.encode(FEATURES.name, origin_of(row), row)
        producer.produce(self._world.prefix + FEATURES.name, value, TICKERS[at].encode(), at)
        self._next_us += SECOND_US
        return row.ticker, row.grid_time_us


def answers_of(world: FeatureWorld, first_us: int) -> dict[str, list[bytes]]:
    """By request id, all that the stream wrote of rows from a time on."""
    found: dict[str, list[bytes]] = {}
    for record in world.records(PREDICTIONS.name):
        made = world.codec.decode(PREDICTIONS.name, record.value).payload
        if made.mode == STREAMED and made.grid_time_us >= first_us:
            assert record.value is not None
            found.setdefault(made.request_id, []).append(record.value)
    return found


def ends_of(world: FeatureWorld, topic: str) -> dict[TopicPartition, int]:
    """Where the partitions of a topic end."""
    places = [TopicPartition(topic, partition) for partition in range(FEATURES.partitions)]
    return {at: world.reader.bounds(at)[1] for at in places}


def wait_for_predictions(world: FeatureWorld) -> None:
    """Return when there are more than now."""
    ends = ends_of(world, PREDICTIONS.name)
    wait_until(lambda: ends_of(world, PREDICTIONS.name) != ends, "predictions of rows", 120)


def committed(world: FeatureWorld) -> dict[TopicPartition, int]:
    """How far the stream has dealt with `features`."""
    tail = KafkaGroupTail(world.connection, GROUP)
    found = dict(tail.committed(list(ends_of(world, FEATURES.name))))
    tail.close()
    return found


def has_uncommitted(world: FeatureWorld) -> bool:
    """Whether predictions are on the log whose rows the stream has not committed."""
    dealt_with = committed(world)
    for at, end in ends_of(world, PREDICTIONS.name).items():
        for chunk in world.reader.read(at, max(0, end - 50), end):
            for record in chunk:
                origin = world.codec.decode(PREDICTIONS.name, record.value).origin
                assert origin is not None
                row_at = TopicPartition(FEATURES.name, origin.partition)
                if origin.topic == FROM_FEATURES and origin.offset >= dealt_with[row_at]:
                    return True
    return False


def wait_for_end(processes: Sequence[psutil.Process]) -> None:
    """Return when they have ended, whoever ended them."""

    def runs(process: psutil.Process) -> bool:
        try:
            return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False

    wait_until(lambda: not any(runs(each) for each in processes), "children to end", 120)


def kill_at_a_random_moment(
    world: World, process: InferenceProcess, random: Random, *, amid: bool
) -> None:
    """SIGKILL; `amid`: while predictions are on the log whose rows are not committed."""
    for _ in range(KILL_TRIES):
        time.sleep(random.uniform(0, 0.3))
        process.process.signal(signal.SIGSTOP)  # no commit comes between the look and the kill
        if not amid or has_uncommitted(world):
            checking = psutil.Process(process.process.process.pid).children()
            process.process.kill()
            wait_for_end(checking)
            return
        process.process.signal(signal.SIGCONT)
    raise AssertionError("each prediction's row was committed whenever the stream was looked at")


@pytest.mark.long
def test_a_stream_that_is_killed_at_random_moments_loses_no_row_and_repeats_alike(
    world: World, process: InferenceProcess
) -> None:
    world.promote(2)
    process.wait_for_champion(2)
    random, flow = Random(20_261_126), RowFlow(world, KILLED_FROM_US)
    with flow.running():
        for amid in (False, True, False):
            wait_for_predictions(world)
            kill_at_a_random_moment(world, process, random, amid=amid)
            process.process = world.inference(inference_stream=True).process
            process.wait_until_ready()
    wait_until(
        lambda: committed(world) == ends_of(world, FEATURES.name), "each row to be dealt with", 120
    )
    wanted = {f"{ticker}-{at_us}-{HORIZON}-2" for ticker, at_us in flow.written}
    found = answers_of(world, KILLED_FROM_US)
    assert set(found) == wanted, "a row has no prediction, or a prediction no row"
    assert any(len(values) > 1 for values in found.values()), "no kill made anything repeat"
    assert all(len(set(values)) == 1 for values in found.values()), "a repetition differs"


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
    # With its log beside it: SQLite would take what is left of that for the new file's.
    for file in (world.home / "feast").glob("online.db*"):
        file.rename(file.with_name(f"away-{file.name}"))
    status, problem = process.ask("/predict", {"tickers": ["AAPL"]})
    assert (status, problem["reason"]) == (503, "ONLINE_STORE_BROKEN"), problem["detail"]
    assert "no such table" in problem["detail"]
    assert process.ask("/health")[0] == 200
    assert process.process.stop() == 0


def test_rows_whose_process_died_before_its_commit_are_predicted_from_again_and_alike(
    stack_infra: StackInfra, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = FeatureWorld(stack_infra.addresses, tmp_path)
    here = StreamHere(world, tmp_path)
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
    here.close()
    world.close()

"""A market that changes under a model that serves: seen, told, recorded, and learnt anew.

The rows are those that the backfill makes of made-up trades; what the model said of them is on the
log. Kafka, registry and PostgreSQL are real, and so are the room and its jobs' processes.
"""

import json
from datetime import UTC, datetime
from typing import Any, Final
from urllib.request import urlopen

import numpy as np
import pytest
from confluent_kafka import Producer
from typer.testing import CliRunner

from services.cli import app
from services.domain.origin import NOWHERE, Origin
from services.domain.predictions import STREAMED, Prediction
from services.drift.core.windows import SECOND_US
from services.featuresets import SETS
from services.lake.places import Lake
from services.models.registry import Registry
from services.recorder.migrations import migrate
from services.runtime.kafka_admin import create_topics
from services.runtime.registry import load_codec, register_schemas
from services.tools.drift.jobs.rows import rows_between
from services.tools.features.backfill import Days
from services.tools.features.run import backfill_from_lake
from services.tools.stack.settings import HOST, PORT_OFFSETS
from services.tools.stack.stack import RoomSet
from services.tools.vectorfold.columns import TradeColumns
from services.wire.topics import PREDICTIONS
from tests.support.markets import put_trades
from tests.support.mlflow_template import put_database
from tests.support.stack_fixture import StackInfra
from tests.support.telling_trades import START_US, telling_trades
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(600)]

PREFIX: Final = "regime."
SET: Final = SETS["microstructure_v1"]
MODEL: Final = "direction_10s"
WINDOW_S: Final = 600
OLD_S: Final = 21 * WINDOW_S
NEW_S: Final = 4_200
TURNED_S: Final = 1_500
"""After the training nothing changes for so long."""
AFTER_S: Final = TURNED_S + NEW_S

type Document = dict[str, Any]


def old_trades(seed: int, seconds: int, begin_s: int) -> TradeColumns:
    made = telling_trades(seed, seconds)
    return made._replace(offset=made.offset + begin_s, time_us=made.time_us + begin_s * SECOND_US)


def new_regime(seed: int, seconds: int, begin_s: int) -> TradeColumns:
    """Sides tell the opposite of what they told, orders are ten times as large, quotes wider."""
    made = old_trades(seed, seconds, begin_s)
    return made._replace(
        side=-made.side,
        quantity=made.quantity * 10,
        bid=made.bid - 200,
        ask=made.ask + 200,
    )


def joined(*parts: TradeColumns) -> TradeColumns:
    return TradeColumns(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


class Regime:
    """One deployment: trained on one market, serving through its end."""

    def __init__(self, infra: StackInfra) -> None:
        home = self.home = infra.settings.home / "sets" / PREFIX.strip(".")
        self.lake = Lake(home)
        self.registry = Registry(home, name=MODEL)
        self.addresses = infra.addresses
        self._environment = {
            "OUTCRY_HOME": str(home),
            "OUTCRY_PORT_BASE": str(infra.settings.port_base),
            "OUTCRY_TOPIC_PREFIX": PREFIX,
        }
        create_topics(self.addresses.kafka_bootstrap, PREFIX)
        register_schemas(self.addresses.registry_url)
        migrate(self.addresses.pg_dsn)
        put_database(home)

    def command(self, *arguments: str, code: int = 0) -> Any:  # noqa: ANN401 - a document of JSON
        """`outcry` as people type it, with JSON."""
        done = CliRunner().invoke(app, [*arguments, "--json"], env=self._environment)
        assert done.exit_code == code, (done.output, done.exception)
        return json.loads(done.stdout)

    def train(self) -> None:
        put_trades(self.lake, "AAPL", old_trades(2, OLD_S, 0))
        given = ("--model", "logistic", "--budget", "1", "--ticker", "AAPL", "--no-reload")
        steps = self.command("pipeline", "run", "--run", "first", *given)
        assert steps[7]["record"]["outputs"]["promoted"], steps[7]

    def trade_on(self) -> None:
        """Half an hour as before, then the new regime; the version says what it says of it."""
        parts = (
            old_trades(2, OLD_S, 0),
            old_trades(3, TURNED_S, OLD_S),
            new_regime(4, NEW_S, OLD_S + TURNED_S),
        )
        put_trades(self.lake, "AAPL", joined(*parts))
        backfill_from_lake(self.lake, SET.name, Days(), ["AAPL"], replace=False)
        self._say()

    def _say(self) -> None:
        model = self.registry.load(1)
        codec = load_codec(self.addresses.registry_url)
        begin_us = START_US + OLD_S * SECOND_US
        rows = rows_between(self.lake, SET, ("AAPL",), begin_us, begin_us + 2 * AFTER_S * SECOND_US)
        inputs = rows.values[:, [SET.columns.index(n) for n in model.manifest.columns]]
        stated = model.predictor.probabilities(np.ascontiguousarray(inputs))
        producer = Producer({"bootstrap.servers": self.addresses.kafka_bootstrap})
        for time_us, vector, said in zip(
            rows.grid_time_us.tolist(), inputs.tolist(), stated.tolist(), strict=True
        ):
            one = Prediction(
                f"AAPL-{time_us}", STREAMED, "AAPL", time_us, time_us, SET.name,
                model.manifest.fingerprint, MODEL, 1, model.manifest.model_sha256,
                is_shadow=False, is_degraded=False, predicted_class=int(np.argmax(said)),
                probabilities=tuple(said), vector=tuple(vector),
            )  # fmt: skip
            origin = Origin(NOWHERE, -1, -1, 0, 0, time_us, time_us)
            value = codec.encode(PREDICTIONS.name, origin, one)
            producer.produce(PREFIX + PREDICTIONS.name, value, b"AAPL", 0)
            producer.poll(0)
        assert producer.flush(60) == 0

    def events(self) -> list[Document]:
        """The room's log so far."""
        log = self.home / "logs" / "drift.log"
        lines = log.read_bytes().splitlines() if log.exists() else []
        return [json.loads(line) for line in lines if line.startswith(b"{")]


def window_at(second: int, length_s: int = WINDOW_S) -> tuple[str, str, str, str]:
    """The options of the window that begins so long after the training, at its own multiple."""
    begin_s = START_US // SECOND_US + OLD_S + second
    begin_s += -begin_s % length_s
    spelled = [
        datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S")
        for at in (begin_s, begin_s + length_s)
    ]
    return "--from", spelled[0], "--to", spelled[1]


@pytest.fixture(scope="module")
def regime(stack_infra: StackInfra) -> Regime:
    made = Regime(stack_infra)
    made.train()
    made.trade_on()
    return made


@pytest.mark.long
def test_what_is_as_before_alarms_nobody_and_what_is_not_is_told_with_a_report(
    regime: Regime,
) -> None:
    quiet = regime.command("drift", "run", "--job", "data", "--no-report", *window_at(0), code=4)[
        "jobs"
    ]
    assert [job["is_alarm"] for job in quiet] == [False, False]
    found = regime.command("drift", "run", "--job", "data", *window_at(TURNED_S), code=3)
    data = next(job for job in found["jobs"] if job["kind"] == "data")
    assert (data["outcome"], data["recorded"], data["report"]) == ("drift", "new", "made")
    page = regime.home / data["report_path"]
    assert "below, decide nothing" in page.read_text("utf-8")
    assert json.loads(page.with_suffix(".json").read_bytes())["metrics"]
    again = regime.command("drift", "run", "--job", "data", *window_at(TURNED_S), code=3)
    assert {job["recorded"] for job in again["jobs"]} == {"same"}
    kept = regime.command("drift", "history", "--job", "data")
    assert data["job_id"] in {entry["job_id"] for entry in kept}


@pytest.mark.long
def test_the_model_has_fallen_though_what_it_says_is_spread_as_before(regime: Regime) -> None:
    asked = ("--job", "performance", "--window-s", "1800", *window_at(TURNED_S, 1_800))
    (fallen,) = regime.command("drift", "run", *asked, code=3)["jobs"]
    assert (fallen["outcome"], fallen["recorded"]) == ("fallen", "new")
    jobs = regime.command(
        "drift", "run", "--no-report", "--job", "predictions", "--job", "labels",
        "--job", "parity", *window_at(TURNED_S), code=4,
    )["jobs"]  # fmt: skip
    outcomes = {job["kind"]: job["outcome"] for job in jobs}
    # It is as often wrong upwards as downwards: neither the shares of what it says nor of what
    # comes tell anything, and of the trades none is on this log.
    assert outcomes == {"predictions": "ok", "labels": "ok", "parity": "nothing_compared"}, jobs


@pytest.mark.long
def test_the_room_sees_it_trains_a_model_anew_and_promotes_it(
    regime: Regime, stack_infra: StackInfra, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {
        "FIRST_WAIT_S": 0,
        "WINDOW_S": WINDOW_S,
        "REPORTS": 0,
        "RETRAIN": 1,
        "RETRAIN_SOURCE": "lake",
        "RETRAIN_NEWEST_S": NEW_S - 600,
    }.items():
        monkeypatch.setenv(f"OUTCRY_DRIFT_{name}", str(value))

    def acts() -> list[Document]:
        return [line for line in regime.events() if line["event"] == "acted"]

    with RoomSet(stack_infra.settings, PREFIX, ("drift",)) as rooms:
        wait_until(acts, "an act", 300)
        port = rooms.plan.port_base + PORT_OFFSETS["drift"]
        with urlopen(f"http://{HOST}:{port}/metrics", timeout=30) as answer:
            metrics = answer.read().decode()
    (acted, *_) = acts()
    assert (acted["action"], acted["outcome"]) == ("retrain", "promoted"), acted
    assert regime.registry.alias() == 2
    for line in (
        'outcry_drift_windows_total{job="data",outcome="drift"}',
        'outcry_drift_alarming{job="data",version="1"} 1.0',
        'outcry_drift_ratio{job="data",ticker="AAPL"}',
    ):
        assert line in metrics
    rows = regime.command("drift", "actions")
    assert [row["outcome"] for row in rows][-2:] == ["promoted", "begun"]
    causes = {entry["job_id"] for entry in regime.command("drift", "history", "--job", "data")}
    assert rows[-1]["action"]["job_id"] in causes

"""A crowd that turns, on the real rooms: seen, told, learnt anew, served; and undone again.

The crowd's orders go through Kafka, ingest, risk and matcher in their own event time, hours of it
within minutes; features, lake, predictions and labels are what the rooms make of the trades. One
deployment is followed from its first trade on, so the tests of this file go in their order.
"""

import json
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Final
from zlib import crc32

import pytest
from msgspec.structs import replace
from typer.testing import CliRunner

from services.cli import app
from services.domain.codes import TIME_FROM_EVENT
from services.domain.genesis import default_genesis
from services.drift.core.windows import SECOND_US
from services.featuresets import SETS
from services.lake.places import Lake
from services.models.registry import Registry
from services.runtime.kafka import KafkaConnection
from services.runtime.kafka_reader import KafkaReader
from services.runtime.ports import TopicPartition
from services.tools.drift.jobs.rows import newest_us
from services.tools.drift.jobs.told import EXIT_ALARM, EXIT_OK
from services.tools.market.admit import admit_crowd
from services.tools.market.publish import Publisher, encode
from services.tools.market.regimes import REGIMES, Regime
from services.tools.market.simulator import Crowd
from services.tools.operate.exchange import KafkaExchange
from services.tools.operate.steps import begin
from services.tools.stack.deployment import create_topics, migrate_database, register_schemas
from services.tools.stack.settings import HOST, PORT_OFFSETS
from services.tools.stack.stack import RoomSet
from services.wire.codec import Codec, local_codec
from services.wire.topics import PREDICTIONS
from tests.support.mlflow_template import put_database
from tests.support.stack_fixture import StackInfra
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.kafka, pytest.mark.long, pytest.mark.timeout(1_800)]

PREFIX: Final = "turn."
TRADING: Final = ("ingest", "risk", "matcher", "features", "materializer", "inference")
TICKER: Final = "AAPL"
SEED: Final = 3
SHARD: Final = 0
SET: Final = SETS["microstructure_v1"]
RATE: Final = 3
"""Commands a second of event time."""
WINDOW_S: Final = 900
PERFORMANCE_WINDOW_S: Final = 3_600
START_S: Final = 1_789_992_000
"""A multiple of both."""
TRAINED_S: Final = 20 * WINDOW_S
SAME_S: Final = 4 * WINDOW_S
TURNED_S: Final = 8 * WINDOW_S
BACK_S: Final = 2 * PERFORMANCE_WINDOW_S
LAST_S: Final = 120
WAIT_S: Final = 900
"""For what takes seconds on a machine that has nothing else to do."""
BEFORE: Final = replace(REGIMES["foreseen"], drift_steps=10 * RATE)
AFTER: Final = replace(REGIMES["turned"], drift_steps=10 * RATE, quote_away_cents=1)

type Document = dict[str, Any]


class Market:
    """One deployment whose crowd trades in event time; time stands still between its phases."""

    def __init__(self, infra: StackInfra) -> None:
        settings = self.settings = infra.settings
        self.addresses = infra.addresses
        home = self.home = settings.home / "sets" / PREFIX.strip(".")
        self.lake = Lake(home)
        self.registry = Registry(home)
        self._environment = {
            "OUTCRY_HOME": str(home),
            "OUTCRY_PORT_BASE": str(settings.port_base),
            "OUTCRY_TOPIC_PREFIX": PREFIX,
        }
        create_topics(self.addresses, PREFIX)
        register_schemas(self.addresses, PREFIX)
        migrate_database(self.addresses, PREFIX)
        put_database(home)
        genesis = replace(default_genesis(PREFIX), time_source=TIME_FROM_EVENT)
        assert begin(self.addresses, PREFIX, genesis) == (genesis, True)
        self.codec: Codec = local_codec()
        self._crowd = Crowd(SEED, BEFORE, (TICKER,), SHARD)
        self._commands = self._crowd.commands()
        self._sent = 0
        self._publisher = Publisher(self.addresses.kafka_bootstrap, PREFIX, self.codec)
        self.reader = KafkaReader(KafkaConnection(self.addresses.kafka_bootstrap, PREFIX))

    @contextmanager
    def rooms(self, *names: str, **drift: object) -> Iterator[None]:
        """They run; drift with these settings."""
        given = {f"OUTCRY_DRIFT_{name.upper()}": str(value) for name, value in drift.items()}
        given["OUTCRY_INFERENCE_FEATURE_AGE_S_MAX"] = "0"  # its rows are of another year
        given["OUTCRY_INFERENCE_POLL_INTERVAL_S"] = "0.5"
        given["OUTCRY_LAKE_INTERVAL_S"] = "2"
        with pytest.MonkeyPatch.context() as patched:
            for name, value in given.items():
                patched.setenv(name, value)
            with RoomSet(self.settings, PREFIX, names, self.settings.port_base):
                yield

    def admit(self) -> None:
        with KafkaExchange(self.addresses.kafka_bootstrap, PREFIX, self.codec) as exchange:
            admit_crowd(exchange, SEED, SHARD)

    def trade(self, seconds: int, regime: Regime = BEFORE) -> None:
        """So long in event time, and until the features of all of it are in the lake."""
        self._crowd.turn(regime)
        for outbound in islice(self._commands, seconds * RATE):
            time_us = START_S * SECOND_US + self._sent * SECOND_US // RATE
            # One partition: their order is that of the clock.
            self._publisher.send(TICKER, encode(self.codec, outbound, time_us), 0)
            self._sent += 1
            if self._sent % 1_000 == 0:
                self._publisher.poll()
        self._publisher.flush()
        end_s = self.now_s
        wait_slowly(lambda: self.newest_s() >= end_s - 60, "rows of all of it in the lake")

    @property
    def now_s(self) -> int:
        """Event time."""
        return START_S + self._sent // RATE

    def newest_s(self) -> int:
        """Of the rows in the lake; 0: there is none."""
        return (newest_us(self.lake, SET, (TICKER,)) or 0) // SECOND_US

    def command(self, *arguments: str, code: int = 0) -> Any:  # noqa: ANN401 - a document of JSON
        """`outcry` as people type it, with JSON."""
        done = CliRunner().invoke(app, [*arguments, "--json"], env=self._environment)
        assert done.exit_code == code, (done.output, done.exception)
        return json.loads(done.stdout)

    def served(self) -> int | None:
        """The version of the champion that the inference room has."""
        url = f"http://{HOST}:{self.settings.port_base + PORT_OFFSETS['predict']}/models"
        with urllib.request.urlopen(url, timeout=30) as answer:
            champion: Document | None = json.loads(answer.read())["models"].get("champion")
        return None if champion is None else int(champion["version"])

    def said(self, newest: int = 1_000_000) -> dict[int, int]:
        """Of the seconds of so many newest predictions: the last version that said something."""
        found: dict[int, int] = {}
        # The room knows no genesis: a ticker's predictions lie where its name's checksum says.
        partition = crc32(TICKER.encode()) % PREDICTIONS.partitions
        place = TopicPartition(PREDICTIONS.name, partition)
        first, end = self.reader.bounds(place)
        first = max(first, end - newest)
        for records in self.reader.read(place, first, end):
            for record in records:
                made = self.codec.decode(PREDICTIONS.name, record.value).payload
                found[made.grid_time_us // SECOND_US] = made.model_version
        return found

    def wait_until_said(self, version: int) -> None:
        """A prediction by the version of about the newest row."""

        def is_there() -> bool:
            said = self.said(200)
            newest = max(said, default=0)
            return newest >= self.now_s - 60 and said[newest] == version

        wait_slowly(is_there, f"predictions of version {version}")

    def acted(self) -> list[tuple[str, str]]:
        """Actions and outcomes that the drift room has logged, those that were left out aside."""
        log = self.home / "logs" / "drift.log"
        lines = log.read_bytes().splitlines() if log.exists() else []
        events = [json.loads(line) for line in lines if line.startswith(b"{")]
        return [
            (one["action"], one["outcome"])
            for one in events
            if one["event"] == "acted" and one["outcome"] not in ("cooling_down", "outdated")
        ]

    def history(self, job: str) -> list[Document]:
        """What the room recorded, the oldest window first."""
        found = self.command("drift", "history", "--job", job, "--limit", "100")
        return [{"job_id": one["job_id"]} | one["job"] for one in reversed(found)]


def wait_slowly(holds: Callable[[], object], what: str) -> None:
    """Until it does; each look costs some of what it waits for."""

    def look() -> object:
        time.sleep(1)
        return holds()

    wait_until(look, what, WAIT_S)


def begin_s(job: Document) -> int:
    """Of its window, in event time since the first trade."""
    return int(job["window"]["begin_us"]) // SECOND_US - START_S


@pytest.fixture(scope="module")
def market(stack_infra: StackInfra) -> Iterator[Market]:
    made = Market(stack_infra)
    yield made
    made.reader.close()


DRIFT: Final[Document] = {
    "first_wait_s": 0,
    "interval_s": 10,
    "parity_interval_s": 10,
    "window_s": WINDOW_S,
    "performance_window_s": PERFORMANCE_WINDOW_S,
    "performance_step_s": PERFORMANCE_WINDOW_S,
    "reports": 0,
    "retrain": 1,
    "rollback": 1,
    "retrain_source": "kafka",
    "retrain_newest_s": TURNED_S - 300,
}


def test_a_model_of_the_crowds_trades_serves_and_the_crowd_turns(market: Market) -> None:
    with market.rooms(*TRADING):
        market.admit()
        market.trade(TRAINED_S)
        given = ("--source", "kafka", "--model", "logistic", "--budget", "1", "--ticker", TICKER)
        steps = market.command("pipeline", "run", "--run", "first", *given, "--no-reload")
        said = {done["record"]["step"]: done["record"]["outputs"] for done in steps}
        assert said["promote"]["promoted"], said["promote"]
        wait_slowly(lambda: market.served() == 1, "the champion")
        market.trade(SAME_S)
        market.trade(TURNED_S, AFTER)
        market.wait_until_said(1)
    first_s, end_s = START_S + TRAINED_S + 60, market.now_s - 60
    assert len([at for at in market.said() if first_s <= at < end_s]) > 0.9 * (end_s - first_s)


def window_at(second: int) -> tuple[str, str, str, str]:
    """The options of the window that begins so long after the first trade."""
    spelled = [
        datetime.fromtimestamp(START_S + at, UTC).strftime("%Y-%m-%dT%H:%M:%S")
        for at in (second, second + WINDOW_S)
    ]
    return "--from", spelled[0], "--to", spelled[1]


def test_a_window_after_the_turn_has_a_report_as_a_page_and_as_json(market: Market) -> None:
    """By hand, for the room draws none here: pictures of every window would take minutes."""
    first = ("drift", "run", "--job", "data", "--no-report", *window_at(TRAINED_S))
    for job in market.command(*first, code=EXIT_OK)["jobs"]:
        assert (job["outcome"], job["recorded"]) == ("ok", "new"), job
    turned = ("drift", "run", "--job", "data", *window_at(TRAINED_S + SAME_S + WINDOW_S))
    found = market.command(*turned, code=EXIT_ALARM)["jobs"]
    (data,) = [job for job in found if job["kind"] == "data"]
    assert (data["outcome"], data["recorded"], data["report"]) == ("drift", "new", "made"), data
    page = market.home / data["report_path"]
    assert "below, decide nothing" in page.read_text("utf-8")
    assert json.loads(page.with_suffix(".json").read_bytes())["metrics"]


def test_the_room_is_quiet_before_the_turn_alarms_after_it_and_has_a_new_model_serve(
    market: Market,
) -> None:
    with market.rooms(*TRADING, "drift", **DRIFT):
        wait_slowly(market.acted, "an act of the room")
        assert market.acted()[0] == ("retrain", "promoted"), market.acted()
        assert market.registry.alias() == 2
        wait_slowly(lambda: market.served() == 2, "the new model")
        market.trade(LAST_S, AFTER)
        market.wait_until_said(2)
    turned_s = TRAINED_S + SAME_S
    data = [job for job in market.history("data") if job["model_version"] == 1]
    assert [job["is_alarm"] for job in data if begin_s(job) < turned_s] == [False] * 4
    alarms = [job for job in data if job["is_alarm"]]
    assert min(begin_s(job) for job in alarms) <= turned_s + WINDOW_S
    (begun,) = [one for one in market.command("drift", "actions") if one["outcome"] == "begun"]
    assert begun["action"]["job_id"] in {job["job_id"] for job in alarms}


def test_what_was_served_is_what_the_trades_give(market: Market) -> None:
    (found,) = market.command("drift", "run", "--job", "parity", code=EXIT_OK)["jobs"]
    assert found["outcome"] == "ok", found
    assert found["counts"]["matched"] > TURNED_S, found
    assert found["counts"]["mismatched"] == 0, found


def test_a_crowd_that_turns_back_makes_the_new_model_fall_and_the_old_one_serve_again(
    market: Market,
) -> None:
    with market.rooms(*TRADING, "drift", **DRIFT):
        wait_slowly(lambda: market.served() == 2, "the champion")
        market.trade(BACK_S)
        wait_until(lambda: ("rollback", "rolled_back") in market.acted(), "a rollback", 2 * WAIT_S)
        assert market.registry.alias() == 1
        wait_slowly(lambda: market.served() == 1, "the older model")
        market.trade(LAST_S)
        market.wait_until_said(1)
    fallen = [job for job in market.history("performance") if job["outcome"] == "fallen"]
    assert fallen[-1]["model_version"] == 2

"""The gate: under restart, redelivery and rebalance, what was written and served is the fold."""

import json
import math
from pathlib import Path
from typing import Any

import msgspec
import pytest
import typer
from confluent_kafka import Producer
from typer.testing import CliRunner

from services.domain.predictions import Prediction
from services.featuresets import TRADE_SETS, measures
from services.lake.places import Lake
from services.runtime.ports import TopicPartition
from services.tools.features.commands import register
from services.tools.features.online import online_reader
from services.tools.features.report import ParityReport
from services.tools.features.run import compare_once
from services.wire.codec import Decoded
from services.wire.topics import FEATURES, PREDICTIONS, TRADES
from tests.support.feature_world import FeatureWorld
from tests.support.model_kit import COLUMNS
from tests.support.stack_fixture import StackInfra
from tests.support.stream_here import StreamHere
from tests.support.trade_tape import V1, V2
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(400)]


app = typer.Typer()
register(app)


class Gate(FeatureWorld):
    """Both rooms of the feature side, their trades, and the comparison."""

    def __init__(self, infra: StackInfra, folder: Path) -> None:
        super().__init__(infra.addresses, folder, sets=(V1, V2))
        self.home = folder / "home"

    def compare(self) -> ParityReport:
        return compare_once(
            self.reader,
            self.codec,
            list(TRADE_SETS.values()),
            Lake(self.home),
            online_reader(self.home),
        )

    def put_changed_row(self) -> None:
        """Write the first row of `features` once more, with another value."""
        known = self.decode(self.rows()[0])
        assert known.origin is not None
        values = tuple(0 if value is None else value + 1 for value in known.payload.values)
        row = msgspec.structs.replace(known.payload, values=values)
        value = self.codec.encode(FEATURES.name, known.origin, row)
        self.producer.begin_transaction()
        self.producer.produce(self.prefix + FEATURES.name, value, None, known.origin.partition)
        self.producer.commit_transaction(30)

    def put_changed_prediction(self) -> dict[str, object]:
        """Write a prediction once more, one bit off in a column; what parity must say of it."""
        partition, end = next(
            (p, end)
            for p in range(PREDICTIONS.partitions)
            if (end := self.reader.bounds(TopicPartition(PREDICTIONS.name, p))[1])
        )
        known: Decoded[Prediction] = self.codec.decode(
            PREDICTIONS.name,
            next(r for r in self.records(PREDICTIONS.name) if r.partition == partition).value,
        )
        assert known.origin is not None
        vector = list(known.payload.vector)
        right, vector[3] = vector[3], math.nextafter(vector[3], math.inf)
        changed = msgspec.structs.replace(known.payload, request_id="planted", vector=tuple(vector))
        value = self.codec.encode(PREDICTIONS.name, known.origin, changed)
        producer = Producer({"bootstrap.servers": self.addresses.kafka_bootstrap})
        producer.produce(self.prefix + PREDICTIONS.name, value, None, partition)
        assert producer.flush(30) == 0
        return {
            "partition": partition, "offset": end, "ticker": known.payload.ticker,
            "grid_time_us": known.payload.grid_time_us, "column": COLUMNS[3],
            "served": vector[3], "recomputed": right,
        }  # fmt: skip

    def is_at_the_end(self) -> bool:
        return not any(tally.behind for tally in self.compare().tallies)


@pytest.mark.long
def test_stream_lake_and_online_equal_the_fold_through_restarts_and_rebalances(
    stack_infra: StackInfra, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OUTCRY_PORT_BASE", str(stack_infra.settings.port_base))
    gate = Gate(stack_infra, tmp_path)
    monkeypatch.setenv("OUTCRY_HOME", str(gate.home))
    monkeypatch.setenv("OUTCRY_TOPIC_PREFIX", gate.prefix)
    served = StreamHere(gate, tmp_path / "served")
    try:
        with served.running():
            found = live_through_it(gate)
        require_commands_to_say_the_same(gate, monkeypatch)
    finally:
        served.close()
        gate.close()
    assert found.holds, [difference for tally in found.tallies for difference in tally.differences]
    repeated = sum(t.repeated for t in found.tallies if t.place.startswith("features/"))
    assert repeated > 0, "no trade was delivered twice, so this shows nothing"
    places = {(tally.place, tally.feature_set) for tally in found.tallies}
    of_stream = {(f"features/{p}", name) for p in range(TRADES.partitions) for name in (V1, V2)}
    assert places == of_stream | {
        (place, name) for place in ("lake", "online") for name in (V1, V2)
    }
    assert sum(tally.matched for tally in found.tallies if tally.place == "lake") > 100


def live_through_it(gate: Gate) -> ParityReport:
    """Rooms that are killed and rebalanced under trades, until all rows are in all places."""
    materializer = gate.start("0", "-m", "services.materializer", home=gate.home, lake_interval_s=1)
    room = gate.start(features_sets=V1)  # the second set is switched on later
    room.wait_until_ready()
    gate.trade(1_500)  # longer than the first set's windows: only then do rows make vectors
    wait_until(lambda: min(gate.committed().values()) > 0, "the first rows to be done")
    materializer.wait_until_ready()
    # What it had not committed is delivered again, and written again.
    gate.kill_amid_rows(room, lambda: gate.trade_for(1.0, 300))
    room = gate.start()
    gate.trade_for(1.5, 300)
    room.wait_until_ready()
    materializer.kill()
    second = gate.start("1")  # takes some of the partitions, and gives them back
    gate.trade_for(1.5, 300)
    wait_until(lambda: second.count("restored"), "partitions for the second room", 60)
    materializer = gate.start("0", "-m", "services.materializer", home=gate.home, lake_interval_s=1)
    gate.trade_for(1.5, 300)
    assert second.stop() == 0
    wait_until(gate.is_at_the_end, "all rows in all three places", 180)
    return gate.compare()


def require_commands_to_say_the_same(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    """`outcry features` on this deployment: exit codes, and what was before a set's first row."""
    code, told = outcry("parity")
    assert (code, told["holds"]) == (0, True), told
    assert tally_of(told, "served", V1)["matched"] > 50
    before = tally_of(told, "lake", V2)["before"]
    assert before > 0, "the second set began late"
    code, filled = outcry("backfill", "--set", V2, "--source", "kafka")
    assert (code, filled["written"], filled["unprovable"]) == (0, before, 0)
    assert outcry("compact")[0] == 0
    code, told = outcry("parity")
    assert (code, tally_of(told, "lake", V2)["before"]) == (0, 0), told
    with monkeypatch.context() as changed:
        changed.setattr(measures, "MICROPRICE_SCALE", 10_001)
        code, told = outcry("parity", "--no-stores", "--timeout-s", "0")
        assert (code, told["holds"]) == (1, False)
        assert told["first_served"]["column"] == "microprice_minus_mid"
    planted = gate.put_changed_prediction()
    code, told = outcry("parity", "--no-stores", "--timeout-s", "0")
    assert code == 1
    assert tally_of(told, "served", V1)["mismatched"] == 1
    assert {name: told["first_served"][name] for name in planted} == planted
    gate.put_changed_row()
    code, told = outcry("parity", "--no-stores", "--no-served", "--timeout-s", "0")
    assert code == 1
    assert sum(tally["mismatched"] for tally in told["tallies"]) == 1


def outcry(*arguments: str) -> tuple[int, Any]:
    result = CliRunner().invoke(app, ["features", *arguments, "--json"])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, json.loads(result.stdout)


def tally_of(told: Any, place: str, feature_set: str) -> Any:  # noqa: ANN401 - parsed JSON
    """One line of the comparison."""
    (found,) = (
        t for t in told["tallies"] if (t["place"], t["feature_set"]) == (place, feature_set)
    )
    return found

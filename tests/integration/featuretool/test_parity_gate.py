"""The gate: under restart, redelivery and rebalance, stream, lake, online and fold are one."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
import typer
from typer.testing import CliRunner

from services.featuresets import TRADE_SETS, measures
from services.lake.places import Lake
from services.tools.features.commands import register
from services.tools.features.online import online_reader
from services.tools.features.report import ParityReport
from services.tools.features.run import compare_once
from services.wire.topics import FEATURES, TRADES
from tests.support.feature_world import FeatureWorld
from tests.support.stack_fixture import StackInfra
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

    def is_at_the_end(self) -> bool:
        return not any(tally.behind for tally in self.compare().tallies)


def test_stream_lake_and_online_equal_the_fold_through_restarts_and_rebalances(
    stack_infra: StackInfra, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OUTCRY_PORT_BASE", str(stack_infra.settings.port_base))
    gate = Gate(stack_infra, tmp_path)
    monkeypatch.setenv("OUTCRY_HOME", str(gate.home))
    monkeypatch.setenv("OUTCRY_TOPIC_PREFIX", gate.prefix)
    try:
        materializer = gate.start(
            "0", "-m", "services.materializer", home=gate.home, lake_interval_s=1
        )
        room = gate.start(features_sets=V1)  # the second set is switched on later
        room.wait_until_ready()
        gate.trade(60)
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
        materializer = gate.start(
            "0", "-m", "services.materializer", home=gate.home, lake_interval_s=1
        )
        gate.trade_for(1.5, 300)
        assert second.stop() == 0
        wait_until(gate.is_at_the_end, "all rows in all three places", 180)
        found = gate.compare()
        require_commands_to_say_the_same(gate, monkeypatch)
    finally:
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


def require_commands_to_say_the_same(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    """`outcry features` on this deployment: exit codes, and what was before a set's first row."""
    code, told = outcry("parity")
    assert (code, told["holds"]) == (0, True), told
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
    gate.put_changed_row()
    code, told = outcry("parity", "--no-stores", "--timeout-s", "0")
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

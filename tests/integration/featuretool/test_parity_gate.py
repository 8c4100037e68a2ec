"""The gate: under restart, redelivery and rebalance, stream, lake, online and fold are one."""

from pathlib import Path

import pytest

from services.featuresets import TRADE_SETS
from services.lake.places import Lake
from services.tools.features.online import online_reader
from services.tools.features.report import ParityReport
from services.tools.features.run import compare_once
from services.wire.topics import TRADES
from tests.support.feature_world import FeatureWorld
from tests.support.stack_fixture import StackInfra
from tests.support.trade_tape import V1, V2
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(400)]


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

    def is_at_the_end(self) -> bool:
        return not any(tally.behind for tally in self.compare().tallies)


def test_stream_lake_and_online_equal_the_fold_through_restarts_and_rebalances(
    stack_infra: StackInfra, tmp_path: Path
) -> None:
    gate = Gate(stack_infra, tmp_path)
    try:
        materializer = gate.start(
            "0", "-m", "services.materializer", home=gate.home, lake_interval_s=1
        )
        room = gate.start()
        room.wait_until_ready()
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

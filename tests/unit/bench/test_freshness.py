"""How late rows came online is told from what a poller saw; the poller sees what is written."""

import time
from pathlib import Path

import pytest

from services.featuresets import SETS
from services.online.features import OnlineFeatures
from services.online.rows import OnlineRow
from services.tools.bench.freshness import PollCost, Polled, Poller, delays_ms, freshness

V1 = SETS["microstructure_v1"]
SECOND_US = 1_000_000


def test_a_row_that_was_never_seen_itself_counts_from_the_newer_one() -> None:
    committed_s = {("AAPL", 10): 1.0, ("AAPL", 20): 1.5, ("AAPL", 30): 2.0, ("MSFT", 10): 1.0}
    seen = [("AAPL", 5, 0.5), ("AAPL", 10, 1.25), ("AAPL", 30, 2.25), ("MSFT", 10, 1.5)]
    assert delays_ms(committed_s, seen) == ([250.0, 250.0, 500.0, 750.0], 1)


def test_a_row_that_never_came_online_has_no_figure() -> None:
    with pytest.raises(AssertionError, match="MSFT at 20 never came"):
        delays_ms({("MSFT", 20): 1.0}, [("MSFT", 10, 1.5), ("AAPL", 20, 1.5)])


def test_quantiles_need_enough_rows() -> None:
    cost = PollCost(polls=5, read_p50_ms=1.0, read_p99_ms=2.0, cores=0.1)
    rows = {("AAPL", second): float(second) for second in range(200)}
    seen = [("AAPL", second, second + 0.001 * second) for second in range(200)]
    found = freshness(500, rows, Polled(seen, cost))
    assert (found.rows, found.superseded) == (200, 0)
    assert found.p50_ms == pytest.approx(99.5)
    assert found.max_ms == pytest.approx(199)
    with pytest.raises(AssertionError, match="too few"):
        freshness(500, dict([*rows.items()][:100]), Polled(seen, cost))


@pytest.mark.timeout(400)  # Feast takes ten seconds to be imported, twice
def test_the_poller_sees_each_newer_row_once_and_tells_its_cost(tmp_path: Path) -> None:
    online = OnlineFeatures(tmp_path)
    online.declare()
    values = tuple(float(place) for place in range(len(V1.features)))
    with Poller(tmp_path, V1.name, ["AAPL", "MSFT"]) as poller:
        for second in (50, 51):
            online.write(V1, [OnlineRow("MSFT", second * SECOND_US, 5, values)])
            time.sleep(1.0)
        polled = poller.stop()
    assert [(ticker, at_us) for ticker, at_us, _ in polled.seen] == [
        ("MSFT", 50 * SECOND_US),
        ("MSFT", 51 * SECOND_US),
    ]
    assert polled.seen[0][2] < polled.seen[1][2] <= time.time()
    assert polled.cost.polls > 2
    assert polled.cost.read_p99_ms >= polled.cost.read_p50_ms > 0

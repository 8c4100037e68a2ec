"""Servers beside ours: each is asked in its turn, and what is slow, fails or lacks shows."""

import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock, Thread
from typing import Any

import orjson
import pytest
from rich.console import Console

from services.featuresets import SETS
from services.models.vector import inputs_of
from services.online.features import OnlineFeatures
from services.online.rows import Served
from services.tools.bench.inference_load import Line, Load
from services.tools.bench.inference_stage import FEATURE_SET
from services.tools.bench.online_reads import measure_reads, require_alike
from services.tools.bench.peers import PREDICTIONS, serving_rows
from services.tools.bench.servers import Server
from services.tools.bench.serving_peers import (
    FEAST,
    MLFLOW,
    OURS,
    Way,
    WayFigures,
    feast_way,
    figures_of,
    serving_table,
    take_turns,
)
from services.tools.bench.tries import Spread

COLUMNS = inputs_of(SETS[FEATURE_SET])


@contextmanager
def process(*command: str) -> Iterator[int]:
    """One whose processor time is counted; asleep, it takes none."""
    started = subprocess.Popen(command)
    try:
        yield started.pid
    finally:
        started.kill()
        started.wait()


@contextmanager
def server(
    asked: list[str], name: str, *, fails_every: int = 0, wait_s: float = 0.0, answer: bytes = b"{}"
) -> Iterator[int]:
    """Its port; notes each request under this name."""
    lock = Lock()

    class Planted(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            with lock:
                asked.append(name)
                fails = fails_every and asked.count(name) % fails_every == 0
            time.sleep(wait_s)
            self.send_response(503 if fails else 200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_arguments: object) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Planted) as listening:
        Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.01}).start()
        try:
            yield listening.server_address[1]
        finally:
            listening.shutdown()


async def ask_all(lines: Sequence[Line]) -> bool:
    return all([(await line.post("/", b"{}"))[0] == 200 for line in lines])


def silent(_line: str) -> None:
    """Says nothing."""


def turns_of(*ways: Way, repeats: int = 2) -> tuple[WayFigures, ...]:
    return take_turns(ways, 20, 0.5, repeats, silent, warm_up_s=0.1)


def test_a_server_that_is_slower_and_fails_shows_both_in_its_row() -> None:
    asked: list[str] = []
    with (
        process("sleep", "60") as pid,
        server(asked, "quick") as quick,
        server(asked, "bad", wait_s=0.1, fails_every=4) as bad,
    ):
        ours, theirs = turns_of(
            Way(OURS, ask_all, (Server(quick, pid),)), Way(MLFLOW, ask_all, (Server(bad, pid),))
        )
    # Two of each warm-up, then ten a turn: the 4th to the 20th of these fail.
    assert asked == (["quick"] * 2 + ["bad"] * 2) + (["quick"] * 10 + ["bad"] * 10) * 2
    assert (ours.failed, ours.requests, theirs.failed, theirs.requests) == (0, 20, 5, 20)
    assert len(theirs.tries) == 2
    assert theirs.p50_ms.low >= 100
    assert theirs.p99_to_ours == Spread(*_spread(theirs, ours))
    rows = list(serving_rows(PREDICTIONS, theirs))
    assert [row.figure for row in rows] == [
        theirs.p50_ms, theirs.p99_ms, theirs.cpu_ms, theirs.p99_to_ours
    ]  # fmt: skip
    assert all(row.lacks.startswith("5 of 20 requests failed; features: ") for row in rows)
    assert [row.lacks for row in serving_rows(PREDICTIONS, ours)] == ["", "", ""]
    console = Console(width=250, record=True)
    console.print(serving_table((ours, theirs)))
    assert "5 of 20" in console.export_text()


def _spread(theirs: WayFigures, ours: WayFigures) -> tuple[float, float, float]:
    first, second = (
        one.p99_ms / other.p99_ms for one, other in zip(theirs.tries, ours.tries, strict=True)
    )
    return (first + second) / 2, min(first, second), max(first, second)


def test_only_the_processor_time_of_the_servers_that_are_asked_counts() -> None:
    asked: list[str] = []
    with (
        process("sleep", "60") as idle,
        process("sh", "-c", "while :; do :; done") as busy,
        server(asked, "any") as port,
    ):
        ours, theirs, both = turns_of(
            Way(OURS, ask_all, (Server(port, idle),)),
            Way(FEAST, ask_all, (Server(port, busy),)),
            Way("both", ask_all, (Server(port, idle), Server(port, busy))),
            repeats=1,
        )
    assert ours.cpu_ms.high == 0
    assert theirs.cpu_ms.low > 0
    assert both.cpu_ms.low > 0


def test_a_turn_is_held_against_ours_of_the_same_turn() -> None:
    def load(name: str, p99_ms: float) -> Load:
        return Load(name, 20, 10, 0, 1.0, 1.0, p99_ms, 9.0, 1.0, 0.1)

    ours, theirs = figures_of(
        [[load(OURS, mine), load(FEAST, other)] for mine, other in ((1, 3), (2, 2), (4, 8))]
    )
    assert ours.p99_to_ours == Spread(1, 1, 1)
    assert theirs.p99_ms == Spread(3, 2, 8)
    assert theirs.p99_to_ours == Spread(2, 1, 3)


@pytest.mark.parametrize("gap, failed", [(None, 0), (COLUMNS[0], 10)], ids=["whole", "a null"])
def test_an_online_read_without_a_value_is_none(gap: str | None, failed: int) -> None:
    found = {
        "metadata": {"feature_names": ["ticker", *COLUMNS]},
        "results": [{"values": ["AAPL"]}]
        + [{"values": [None if name == gap else 0.5]} for name in COLUMNS],
    }
    with (
        process("sleep", "60") as pid,
        server([], "feast", answer=orjson.dumps(found)) as port,
    ):
        (reads,) = turns_of(feast_way(Server(port, pid)), repeats=1)
    assert (reads.failed, reads.requests) == (failed, 10)


def test_both_read_one_row_of_one_store_and_each_read_has_its_cost(tmp_path: Path) -> None:
    OnlineFeatures(tmp_path).declare()
    costs = measure_reads(tmp_path, reads=3, writes=2)
    assert len(costs) == 4
    assert all(0 < cost.p50_us <= cost.p99_us and cost.cpu_us > 0 for cost in costs)


@pytest.mark.parametrize("values", [{"a": 1.0}, {}], ids=["another value", "no row"])
def test_reads_that_differ_are_not_compared(values: dict[str, float | None]) -> None:
    def theirs() -> dict[str, list[Any]]:
        return {"a": [2.0]}

    with pytest.raises(RuntimeError, match="read different values of one row"):
        require_alike(lambda: Served("AAPL", 1, "", values), theirs)
    require_alike(lambda: Served("AAPL", 1, "", {"a": 2.0}), theirs)

"""An online store with the catalog declared: SQLite, or a redis-server of the test's own."""

import contextlib
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from services.featuresets import SETS
from services.online.features import OnlineFeatures
from services.online.rows import OnlineRow
from tests.support.optional import require_program

V1: Final = SETS["microstructure_v1"]
V2: Final = SETS["microstructure_v2"]
NOON_US: Final = 20_000 * 86_400_000_000 + 43_200_000_000
SECOND_US: Final = 1_000_000


def online_row(ticker: str, at_s: int, *, nulls: bool = False) -> OnlineRow:
    """All its values are the same, and tell its ticker and time: a mix of two rows shows."""
    value = mark_of(ticker, at_s)
    reals = tuple(None if nulls and i % 2 else value for i in range(len(V1.features)))
    return OnlineRow(ticker, NOON_US + at_s * SECOND_US, NOON_US + at_s * SECOND_US + 5, reals)


def mark_of(ticker: str, at_s: int) -> float:
    """The value of every feature of that row."""
    return int.from_bytes(ticker.encode()[:3]) * 1_000_000.0 + at_s


@contextlib.contextmanager
def redis_server(folder: Path) -> Iterator[str]:
    """A real one on a free port, keeping nothing; its URL."""
    program = require_program("redis-server")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options = ("--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no")
    process = subprocess.Popen(
        [program, *options, "--dir", str(folder)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline_s = time.monotonic() + 30
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                assert time.monotonic() < deadline_s, "redis-server does not come up"
                time.sleep(0.05)
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        process.terminate()
        process.wait(30)


@contextlib.contextmanager
def silent_listener() -> Iterator[int]:
    """A port that takes connections, and never says a word; its number."""
    with socket.create_server(("127.0.0.1", 0), backlog=32) as listener:
        yield listener.getsockname()[1]


def declared(home: Path, online_url: str = "") -> OnlineFeatures:
    """A deployment's online features, its registry written."""
    online = OnlineFeatures(home, online_url)
    online.declare()
    return online

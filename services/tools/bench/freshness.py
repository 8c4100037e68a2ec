"""How soon a row can be read from the online store through Feast, after the trade that closed it.

The store is polled by a process of its own, since Feast would take the interpreter's time from
whoever writes the trades.
"""

import subprocess
import sys
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import quantiles
from types import TracebackType
from typing import Final, Self

import msgspec

POLL_S: Final = 0.01
"""From the begin of a poll to that of the next one: so much later a row may be seen at most."""
_STOP_TIMEOUT_S: Final = 60.0

type Seen = tuple[str, int, float]
"""Ticker, grid time and the Unix time when it was first read."""


class PollCost(msgspec.Struct, frozen=True):
    """What the polling itself took."""

    polls: int
    read_p50_ms: float
    """One read of all tickers, which counts to a row's time."""
    read_p99_ms: float
    cores: float
    """Processor time a second, of the machine that is measured."""


class Polled(msgspec.Struct, frozen=True):
    """What a poller tells at its end."""

    seen: list[Seen]
    cost: PollCost


class Freshness(msgspec.Struct, frozen=True):
    """Milliseconds from before the commit of a row's closing trade to its being read online."""

    trades_per_s: int
    rows: int
    superseded: int
    """Rows of which only a newer one of their ticker was seen: they count from it."""
    p50_ms: float
    p95_ms: float
    p99_ms: float
    max_ms: float
    poll_interval_ms: float
    cost: PollCost


class Poller:
    """Polls from `with` on, for a while before it; Feast takes seconds to start.

    Raises:
        AssertionError: the store never answered.
    """

    def __init__(self, home: Path, feature_set: str, tickers: Sequence[str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "services.tools.bench.freshness_worker",
             str(home), feature_set, *tickers],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def __enter__(self) -> Self:
        assert self._process.stdout is not None
        said = self._process.stdout.readline()
        assert said == "ready\n", f"the poller of the online store said {said!r}"
        return self

    def stop(self) -> Polled:
        """End it; what it saw."""
        told, _ = self._process.communicate("", timeout=_STOP_TIMEOUT_S)
        assert self._process.returncode == 0, "the poller of the online store failed"
        return msgspec.json.decode(told, type=Polled)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()


def freshness(
    trades_per_s: int,
    committed_s: Mapping[tuple[str, int], float],
    polled: Polled,
) -> Freshness:
    """Hold what was seen against when it was committed, by ticker and grid time.

    Raises:
        AssertionError: a row was never to be read, or there are too few to tell a p99.
    """
    passed_ms, superseded = delays_ms(committed_s, polled.seen)
    assert len(passed_ms) > 100, f"{len(passed_ms)} rows are too few to tell a p99; run for longer"
    cuts = quantiles(passed_ms, n=100, method="inclusive")
    return Freshness(
        trades_per_s, len(passed_ms), superseded, cuts[49], cuts[94], cuts[98], passed_ms[-1],
        POLL_S * 1_000, polled.cost,
    )  # fmt: skip


def delays_ms(
    committed_s: Mapping[tuple[str, int], float], seen: Sequence[Seen]
) -> tuple[list[float], int]:
    """Of each row, shortest first, and how many were seen by a newer one alone.

    Raises:
        AssertionError: a row was never to be read, nor a newer one.
    """
    grid_times: dict[str, list[int]] = {}
    at_s: dict[str, list[float]] = {}
    for ticker, grid_time_us, when_s in seen:
        grid_times.setdefault(ticker, []).append(grid_time_us)
        at_s.setdefault(ticker, []).append(when_s)
    delays: list[float] = []
    superseded = 0
    for (ticker, grid_time_us), when_s in committed_s.items():
        of_ticker = grid_times.get(ticker, [])
        place = bisect_left(of_ticker, grid_time_us)
        assert place < len(of_ticker), f"the row of {ticker} at {grid_time_us} never came online"
        superseded += of_ticker[place] != grid_time_us
        delays.append((at_s[ticker][place] - when_s) * 1_000)
    return sorted(delays), superseded

"""`outcry bench snapshots`: the pause that a snapshot costs the process that takes it.

The pause is the dump and its hash, which the loop does between two batches; the write to PostgreSQL
is beside the loop, and with a follower (`outcry up --standby`) so is the dump.
"""

import gc
import statistics
from collections.abc import Callable, Iterator, Sequence
from time import perf_counter
from typing import Any, Final, Protocol

import msgspec
from rich.table import Table

from services.domain import origin
from services.matcher.core import MatcherCore
from services.risk.core import RiskCore
from services.runtime.restore import hash_state
from services.tools.bench.frame import Say
from services.tools.bench.full_rooms import Inbox, account_commands, matching_commands
from services.wire.codec import Decoded
from services.wire.messages import Payload

SIZES: Final = (1_000, 10_000, 100_000)
_PARTITION: Final = 0


class _Core(Protocol):
    def handle(self, offset: int, decoded: Decoded[Any]) -> object: ...

    def dump(self) -> bytes: ...


class Times(msgspec.Struct, frozen=True):
    """Milliseconds over the repeats."""

    median_ms: float
    min_ms: float
    max_ms: float


class SnapshotFigures(msgspec.Struct, frozen=True):
    """One room at one size."""

    room: str
    orders: int
    """Resting in the matcher; live in risk, beside as many remembered commands."""
    state_bytes: int
    pause: Times
    """Dump and hash: how long the loop stands still without a follower."""
    load: Times


def run_snapshots_bench(
    sizes: Sequence[int], repeats: int, say: Say = lambda _line: None
) -> list[SnapshotFigures]:
    """Fill, dump and load each room at each size. A million orders take a minute and 3 GB.

    Raises:
        ValueError: no size, or no repeat.
    """
    if not sizes or min(sizes) < 1 or repeats < 1:
        raise ValueError("needs at least one size of at least 1, and 1 repeat")
    figures = []
    for size in sizes:
        say(f"matcher with {size:,} orders")
        matcher = _filled(MatcherCore(_PARTITION), origin.ACCOUNTS, matching_commands(size))
        figures.append(_measure("matcher", size, matcher, MatcherCore.load, repeats))
        del matcher
        say(f"risk with {size:,} orders")
        risk = _filled(RiskCore(_PARTITION), origin.ORDERS, account_commands(size))
        figures.append(_measure("risk", size, risk, RiskCore.load, repeats))
        del risk
        gc.collect()
    return figures


def snapshots_table(figures: Sequence[SnapshotFigures]) -> Table:
    """The figures for people."""
    table = Table(
        title="What a snapshot costs the process that takes it",
        caption="median (least-most), wall time",
    )
    table.add_column("room")
    for heading in ("orders", "state", "pause: dump and hash", "load"):
        table.add_column(heading, justify="right")
    for row in figures:
        table.add_row(
            row.room,
            f"{row.orders:,}",
            f"{row.state_bytes / 1e6:.1f} MB",
            _show(row.pause),
            _show(row.load),
        )
    return table


def _filled[C: _Core](core: C, source_topic: int, payloads: Iterator[Payload]) -> C:
    inbox = Inbox(source_topic)
    for offset, payload in enumerate(payloads):
        core.handle(offset, inbox.say(payload))
    return core


def _measure(
    room: str, orders: int, core: _Core, load: Callable[[int, bytes], _Core], repeats: int
) -> SnapshotFigures:
    state = b""

    def pause() -> None:
        nonlocal state
        state = core.dump()
        hash_state(state)

    pauses = _time(pause, repeats)
    assert load(_PARTITION, state).dump() == state, "a state that is loaded dumps the same bytes"
    loads = _time(lambda: load(_PARTITION, state), repeats)
    return SnapshotFigures(room, orders, len(state), pauses, loads)


def _time(work: Callable[[], object], repeats: int) -> Times:
    times_ms = []
    for _ in range(repeats):
        gc.collect()
        began_s = perf_counter()
        work()
        times_ms.append((perf_counter() - began_s) * 1_000)
    return Times(statistics.median(times_ms), min(times_ms), max(times_ms))


def _show(times: Times) -> str:
    return f"{times.median_ms:,.1f} ms ({times.min_ms:,.1f}-{times.max_ms:,.1f})"

"""`outcry bench metrics`: what a scrape takes of each room under load, and what counting costs.

The same load on the same infrastructure, in turns with rooms as they are, each scraped once a
second, and with rooms whose metrics count nothing (without_metrics/sitecustomize.py). The
difference in processor time a command is what metrics and scrapes cost. Then all rooms of the
product run at a rate that the machine bears, each scraped once a second.
"""

import os
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from threading import Event, Thread
from typing import Final

import msgspec
from rich.table import Table

from services.domain.genesis import default_genesis
from services.tools.bench.deployment import open_rooms
from services.tools.bench.frame import Say
from services.tools.bench.pipeline import BENCH_ROOMS, REMEMBER_US, run_load, warm_up
from services.tools.bench.tries import Spread, at_percent, spread_of
from services.tools.observe.prometheus import metrics_ports
from services.tools.proof.chaos.own_site import told
from services.tools.stack.portcheck import free_run_base
from services.tools.stack.rooms import ROOM_NAMES
from services.tools.stack.settings import HOST, StackSettings
from services.tools.stack.stack import Stack, running_stack

GOAL_MS: Final = 20.0
GOAL_SHARE: Final = 0.03
_WITHOUT: Final = Path(__file__).with_name("without_metrics")
_SCRAPE_EVERY_S: Final = 1.0
_ANSWER_S: Final = 10.0


class ScrapeRow(msgspec.Struct, frozen=True):
    """One room's scrapes under load."""

    room: str
    scrapes: int
    p50_ms: float
    p99_ms: float
    max_ms: float
    answer_bytes: int


class CostRow(msgspec.Struct, frozen=True):
    """One room's processor time a command, in microseconds."""

    room: str
    with_us: Spread
    without_us: Spread

    @property
    def share(self) -> float:
        """What metrics and scrapes add, as a part of what is without."""
        return self.with_us.median / self.without_us.median - 1


class MetricsCost(msgspec.Struct, frozen=True):
    """All figures of one run."""

    scrapes: list[ScrapeRow]
    costs: list[CostRow]
    """The last is all rooms together."""
    commands: int
    offered_per_s: int
    calm_scrapes: list[ScrapeRow] = msgspec.field(default_factory=list)
    """Of every room there is, at `calm_per_s`; a run of before has none."""
    calm_per_s: int = 0


class MetricsOrder(msgspec.Struct, frozen=True):
    """What to run."""

    home: Path
    seed: int
    commands: int = 60_000
    """Of each load."""
    offered_per_s: int = 5_000
    """More than the rooms bear."""
    rounds: int = 3
    calm_per_s: int = 100
    """Commands while all rooms run: half of the machine is the feature side's then."""
    calm_s: int = 60


type _Times = dict[str, list[tuple[float, int]]]
"""Of each scrape of a room: milliseconds, and bytes of the answer."""


def run_metrics_bench(order: MetricsOrder, say: Say) -> MetricsCost:
    """Start infrastructure under the order's home, and rooms twice a round; blocks for minutes.

    Raises:
        StackError: something does not start.
    """
    settings = StackSettings(home=order.home / "stack", port_base=free_run_base(), topic_prefix="")
    scrapes: _Times = {}
    cpu_us: dict[bool, dict[str, list[float]]] = {True: {}, False: {}}
    with running_stack(settings, rooms=()) as stack:
        for number in range(2 * order.rounds):
            # Each goes first every other time.
            counts = number % 4 in {0, 3}
            say(f"load {number + 1} of {2 * order.rounds}, {'with' if counts else 'without'}")
            found = _load(order, stack, settings, f"m{number}.", scrapes if counts else None)
            for room, us in found.items():
                cpu_us[counts].setdefault(room, []).append(us)
        say(f"all rooms at {order.calm_per_s} commands/s")
        calm = _scrape_all_rooms(order, stack, settings)
    rooms = (*BENCH_ROOMS, "all rooms")
    return MetricsCost(
        [_scrape_row(room, times) for room, times in scrapes.items()],
        [CostRow(r, spread_of(cpu_us[True][r]), spread_of(cpu_us[False][r])) for r in rooms],
        order.commands,
        order.offered_per_s,
        calm,
        order.calm_per_s,
    )


def _scrape_all_rooms(
    order: MetricsOrder, stack: Stack, settings: StackSettings
) -> list[ScrapeRow]:
    genesis = default_genesis("bench")
    times: _Times = {}
    with open_rooms(stack, settings, "calm.", ROOM_NAMES, genesis, order.seed) as bench:
        at = warm_up(bench, order.seed)
        commands = order.calm_per_s * order.calm_s
        with scraped(metrics_ports(bench.plan), times):
            run_load(bench, order.seed, at, commands, order.calm_per_s, keep=False)
    return [_scrape_row(room, found) for room, found in times.items()]


def _load(
    order: MetricsOrder,
    stack: Stack,
    settings: StackSettings,
    prefix: str,
    scrapes: _Times | None,
) -> Mapping[str, float]:
    """Microseconds a command of each room, and of all together; fills `scrapes`, if told to."""
    genesis = msgspec.structs.replace(default_genesis("bench"), remember_ended_us=REMEMBER_US)
    path = os.pathsep.join(filter(None, (str(_WITHOUT), os.environ.get("PYTHONPATH", ""))))
    with (
        told({"PYTHONPATH": path} if scrapes is None else {}),
        open_rooms(stack, settings, prefix, BENCH_ROOMS, genesis, order.seed) as bench,
    ):
        at = warm_up(bench, order.seed)
        before = bench.cpu_seconds()
        scraping = nullcontext() if scrapes is None else scraped(metrics_ports(bench.plan), scrapes)
        with scraping:
            run_load(bench, order.seed, at, order.commands, order.offered_per_s, keep=False)
        spent = bench.cpu_seconds()
    found = {room: (spent[room] - before[room]) / order.commands * 1e6 for room in BENCH_ROOMS}
    return found | {"all rooms": sum(found.values())}


@contextmanager
def scraped(ports: Mapping[str, int], times: _Times) -> Iterator[None]:
    """Ask each room for its metrics once a second, on a thread, and note how long it took."""
    stop = Event()

    def scrape_all() -> None:
        while not stop.wait(_SCRAPE_EVERY_S):
            for room, port in ports.items():
                times.setdefault(room, []).append(_scrape(port))

    thread = Thread(target=scrape_all, name="scrapes")
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _scrape(port: int) -> tuple[float, int]:
    began_s = time.perf_counter()
    with urllib.request.urlopen(f"http://{HOST}:{port}/metrics", timeout=_ANSWER_S) as answer:
        size = len(answer.read())
    return (time.perf_counter() - began_s) * 1_000, size


def _scrape_row(room: str, times: Sequence[tuple[float, int]]) -> ScrapeRow:
    took_ms = [ms for ms, _ in times]
    return ScrapeRow(
        room, len(times), at_percent(took_ms, 50), at_percent(took_ms, 99), max(took_ms),
        max(size for _, size in times),
    )  # fmt: skip


def metrics_tables(found: MetricsCost) -> list[Table]:
    """For people."""
    tables = [_scrape_table("bench metrics: a scrape under load", found.scrapes)]
    if found.calm_scrapes:
        title = f"bench metrics: a scrape of every room, at {found.calm_per_s} commands/s"
        tables.append(_scrape_table(title, found.calm_scrapes))
    costs = Table(
        "room", "with, us a command", "without", "metrics cost",
        title="bench metrics: processor time",
        caption=(
            f"median (least, most) of loads of {found.commands:,} commands at"
            f" {found.offered_per_s:,}/s offered; goal: below {GOAL_SHARE:.0%}"
        ),
    )  # fmt: skip
    for cost in found.costs:
        both = (cost.with_us, cost.without_us)
        costs.add_row(
            cost.room,
            *(f"{one.median:.1f} ({one.low:.1f}, {one.high:.1f})" for one in both),
            f"{cost.share:+.1%}",
        )
    return [*tables, costs]


def _scrape_table(title: str, rows: Sequence[ScrapeRow]) -> Table:
    table = Table(
        "room", "scrapes", "p50 ms", "p99 ms", "most ms", "bytes",
        title=title, caption=f"goal: below {GOAL_MS:g} ms",
    )  # fmt: skip
    for row in rows:
        table.add_row(
            row.room, str(row.scrapes), f"{row.p50_ms:.1f}", f"{row.p99_ms:.1f}",
            f"{row.max_ms:.1f}", f"{row.answer_bytes:,}",
        )  # fmt: skip
    return table

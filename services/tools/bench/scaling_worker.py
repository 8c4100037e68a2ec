"""One point of `outcry bench scaling`, a process of its own: one size of one room, a few tries.

It prepares, says `ready` on standard output, begins at a line on standard input, and prints one
line of JSON: what each try took, and the process's memory.
"""

import gc
import sys
import time
from collections.abc import Callable, Iterator
from itertools import cycle, islice
from typing import Any, Final, Literal, Protocol

import msgspec
import psutil

from services.domain import codes, origin
from services.domain.commands import EnterOrder, PlaceOrder
from services.domain.controls import Genesis, OpenAccount, SetMark
from services.domain.ids import make_order_id
from services.matcher.core import MatcherCore
from services.risk.core import RiskCore
from services.tools.bench.full_rooms import (
    MID,
    Inbox,
    accounts,
    matching_commands,
    roomy_genesis,
)
from services.tools.bench.matcher_flow import make_flow
from services.wire.codec import Decoded
from services.wire.messages import Payload

type Axis = Literal["depth", "accounts", "tickers", "processes"]

_BATCH: Final = 500
_MIB: Final = 1024 * 1024
_SEED: Final = 7
_ACCOUNTS_LIMITS: Final = (10**9, 10**17, 10**18)


class Point(msgspec.Struct, frozen=True):
    """What to measure, handed over as one argument of JSON."""

    axis: Axis
    size: int
    """Resting orders, open accounts, tickers in this process; of `processes`, all that run."""
    commands: int
    repeats: int


class PointResult(msgspec.Struct, frozen=True):
    """What it took."""

    commands: int
    """Of one try."""
    cpu_us: list[float]
    """Processor time a command, by try."""
    wall_s: list[float]
    mib: float


class _Core(Protocol):
    def handle(self, offset: int, decoded: Decoded[Any]) -> list[Any]: ...

    def at_batch_end(self) -> list[Any]: ...


type Todo = list[tuple[_Core, int, Decoded[Any]]]


def _fill(core: _Core, inbox: Inbox, payloads: Iterator[Payload]) -> int:
    """Fold them; the next offset."""
    offset = 0
    for payload in payloads:
        core.handle(offset, inbox.say(payload))
        offset += 1
    return offset


def _depth(size: int, commands: int) -> Callable[[], Todo]:
    """A book of so many orders that stays that deep: one is taken from the front, one comes."""
    core, inbox = MatcherCore(0), Inbox(origin.ACCOUNTS)
    at = _fill(core, inbox, matching_commands(size))
    instrument = roomy_genesis().instruments[0]
    account = next(accounts())
    number = 0

    def enter(side: int, force: int, price: int) -> Decoded[Any]:
        nonlocal number
        number += 1
        order_id = make_order_id(account, f"scale-{number}", instrument.ticker)
        # The resting ones have other accounts' names, or this one's: it takes from them all.
        return inbox.say(
            EnterOrder(order_id, "taker" if force == codes.IOC else account, side, codes.LIMIT,
                       force, False, price, 100, codes.CANCEL_RESTING)
        )  # fmt: skip

    def make() -> Todo:
        nonlocal at
        todo: Todo = []
        for pair in range(commands // 2):
            side = codes.BUY if pair % 2 else codes.SELL
            # Sells to the best bid, or buys from the best ask, and what it took is there again.
            best = MID + side * instrument.tick
            for decoded in (enter(side, codes.IOC, best), enter(-side, codes.GTC, best)):
                todo.append((core, at, decoded))
                at += 1
        return todo

    return make


def _accounts(size: int, commands: int) -> Callable[[], Todo]:
    """Risk's partition with so many accounts, which place orders in turns."""
    core, inbox = RiskCore(0), Inbox(origin.ORDERS)
    genesis = msgspec.structs.replace(roomy_genesis(), accounts_max=max(100_000, 2 * size))
    names = list(islice(accounts(), size))
    at = _fill(core, inbox, _opening(genesis, names))
    turns = cycle(names)
    ticker = genesis.instruments[0].ticker
    number = 0

    def make() -> Todo:
        nonlocal at, number
        todo: Todo = []
        for name in islice(turns, commands):
            number += 1
            order = PlaceOrder(
                name, f"scale-{number}", ticker, codes.BUY, codes.LIMIT, codes.GTC, False, MID,
                100, codes.CANCEL_RESTING,
            )  # fmt: skip
            todo.append((core, at, inbox.say(order)))
            at += 1
        return todo

    return make


def _opening(genesis: Genesis, names: list[str]) -> Iterator[Payload]:
    yield genesis
    for instrument in genesis.instruments:
        yield SetMark(f"mark-{instrument.ticker}", instrument.ticker, MID)
    for name in names:
        yield OpenAccount(f"open-{name}", name, *_ACCOUNTS_LIMITS, short_allowed=True)


def _tickers(size: int, commands: int) -> Callable[[], Todo]:
    """So many books in one process, a batch of each in turns."""
    first = roomy_genesis()
    genesis = msgspec.structs.replace(
        first,
        instruments=tuple(
            msgspec.structs.replace(first.instruments[0], ticker=f"T{place}", partition=place)
            for place in range(size)
        ),
    )
    share = max(1, commands // size)
    flows = [make_flow(genesis, instrument, share, _SEED) for instrument in genesis.instruments]

    def make() -> Todo:
        cores: list[_Core] = [MatcherCore(flow.partition) for flow in flows]
        for core, flow in zip(cores, flows, strict=True):
            for offset, decoded in enumerate(flow.warm_up):
                core.handle(offset, decoded)
        todo: Todo = []
        for begin in range(0, max(len(flow.commands) for flow in flows), _BATCH):
            for core, flow in zip(cores, flows, strict=True):
                batch = flow.commands[begin : begin + _BATCH]
                offsets = range(len(flow.warm_up) + begin, len(flow.warm_up) + begin + len(batch))
                todo += [(core, at, one) for at, one in zip(offsets, batch, strict=True)]
        return todo

    return make


def prepare(point: Point) -> Callable[[], Todo]:
    """What makes the commands of one try."""
    match point.axis:
        case "depth":
            return _depth(point.size, point.commands)
        case "accounts":
            return _accounts(point.size, point.commands)
        case "tickers":
            return _tickers(point.size, point.commands)
        case "processes":
            return _tickers(1, point.commands)


def measure_point(make: Callable[[], Todo], repeats: int) -> PointResult:
    """Fold each try's commands, and see what it takes."""
    cpu_us, wall_s, commands = [], [], 0
    for _ in range(repeats):
        todo = make()
        commands = len(todo)
        gc.collect()
        began_s, began_cpu_s = time.perf_counter(), time.process_time()
        for place, (core, offset, decoded) in enumerate(todo):
            core.handle(offset, decoded)
            if place % _BATCH == 0:
                core.at_batch_end()
        cpu_us.append((time.process_time() - began_cpu_s) / commands * 1e6)
        wall_s.append(time.perf_counter() - began_s)
    return PointResult(commands, cpu_us, wall_s, psutil.Process().memory_info().rss / _MIB)


if __name__ == "__main__":
    asked = msgspec.json.decode(sys.argv[1], type=Point)
    made = prepare(asked)
    print("ready", flush=True)  # noqa: T201 - the protocol with the parent process
    sys.stdin.readline()
    result = measure_point(made, asked.repeats)
    print(msgspec.json.encode(result).decode(), flush=True)  # noqa: T201 - the same

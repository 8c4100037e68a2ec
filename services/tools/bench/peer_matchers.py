"""Other matching engines on the same orders as ours, in one process, for `outcry bench peers`.

Each is given what all of them can do: limit orders that stay, from accounts that never meet
themselves, and cancels of orders that are alive. Their trades must be the same, one by one.
"""

import gc
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from importlib.util import find_spec
from time import process_time
from typing import Any, Final, Protocol

import msgspec

from services.domain import codes, origin
from services.domain.commands import CancelOrder, EnterOrder
from services.domain.events import Trade
from services.domain.genesis import TICKERS, default_genesis
from services.domain.origin import Origin
from services.matcher.core import MatcherCore
from services.tools.bench.matcher_flow import make_flow
from services.tools.bench.plain_matcher import PlainMatcher
from services.tools.bench.tries import Spread, spread_of
from services.wire.codec import Decoded
from services.wire.messages import Message, Payload
from services.wire.partition import account_partition
from services.wire.topics import ACCOUNT_PARTITIONS

OURS: Final = "the matcher's fold"
_BATCH: Final = 500
_PARTITION: Final = 0
_TICKER: Final = TICKERS[_PARTITION]
_TIME_US: Final = 1_700_000_000_000_000

type Fill = tuple[int, int]
"""Price in ten-thousandths of a dollar, and shares, of one trade."""


class Step(msgspec.Struct, frozen=True, gc=False):
    """One command that every engine understands."""

    number: int
    """Of the order, from 0: entered here, or canceled."""
    side: int
    """0: cancel it."""
    price: int = 0
    quantity: int = 0


class Ready(msgspec.Struct, frozen=True):
    """An engine with its commands laid out as it likes them."""

    run: Callable[[], list[Any]]
    """Take all of them, the part that is timed; what each gave."""
    fills: Callable[[list[Any]], list[Fill]]


class Engine(msgspec.Struct, frozen=True):
    """One row of the table."""

    name: str
    lacks: str
    """What ours does beside and this one does not; empty: it does the same."""
    prepare: Callable[[Sequence[Step]], Ready]
    package: str = ""
    """That must be there; empty: it is ours."""


class MatchingRow(msgspec.Struct, frozen=True):
    """One engine's figures; without a speed, why there is none."""

    name: str
    commands_per_s: Spread | None
    """Of processor time, on one core."""
    lacks: str


class MatchingFigures(msgspec.Struct, frozen=True):
    """What was compared."""

    orders: int
    cancels: int
    trades: int
    """The same from every engine."""
    rows: tuple[MatchingRow, ...]


def shared_steps(orders: int, seed: int) -> list[Step]:
    """Those of the matcher's own flow that every engine can do, the same from the same seed."""
    genesis = default_genesis("bench")
    flow = make_flow(genesis, genesis.instruments[0], orders, seed)
    numbers: dict[str, int] = {}
    left: list[int] = []
    """Shares that remain of each order, by its number."""
    steps: list[Step] = []
    ours = _Ours(MatcherCore)
    for command in (*flow.warm_up, *flow.commands):
        step = _shared(command.payload, numbers, left)
        if step is None:
            continue
        steps.append(step)
        if step.side:
            left.append(step.quantity)
        else:
            left[step.number] = 0
        for trade in trades_of(ours.take(ours.spell(step))):
            for order_id in (trade.maker_order_id, trade.taker_order_id):
                left[int(order_id.partition("-")[2])] -= trade.quantity
    return steps


def _shared(payload: Payload, numbers: dict[str, int], left: list[int]) -> Step | None:
    match payload:
        case EnterOrder(order_type=codes.LIMIT, time_in_force=codes.GTC, post_only=False):
            number = numbers[payload.order_id] = len(left)
            return Step(number, payload.side, payload.price, payload.quantity)
        case CancelOrder(order_id=order_id) if order_id in numbers and left[numbers[order_id]]:
            return Step(numbers[order_id], 0)
        case _:
            return None


class _Matcher(Protocol):
    def handle(self, offset: int, decoded: Decoded[Any]) -> list[Message]: ...

    def at_batch_end(self) -> list[Message]: ...


class _Ours:
    """A matcher of this house, with the genesis taken and commands of risk to come."""

    def __init__(self, make: Callable[[int], _Matcher]) -> None:
        self._matcher = make(_PARTITION)
        self._sequences: dict[int, int] = {}
        self._offset = 0
        at = Origin(origin.CONTROLS, 0, 0, 0, 0, _TIME_US, 0)
        self._matcher.handle(0, Decoded(at, default_genesis("bench"), 0))

    def spell(self, step: Step) -> Decoded[Any]:
        """As risk would forward it; to be taken in this order."""
        account, order_id = f"trader-{step.number}", f"{_TICKER}-{step.number}"
        payload: Payload = CancelOrder(account, f"c-{step.number}", order_id)
        if step.side:
            payload = EnterOrder(
                order_id, account, step.side, codes.LIMIT, codes.GTC, False, step.price,
                step.quantity, codes.CANCEL_RESTING,
            )  # fmt: skip
        partition = account_partition(account, ACCOUNT_PARTITIONS)
        sequence = self._sequences[partition] = self._sequences.get(partition, 0) + 1
        at = Origin(origin.ACCOUNTS, partition, sequence, 0, sequence, _TIME_US, 0)
        return Decoded(at, payload, 0)

    def take(self, command: Decoded[Any]) -> list[Message]:
        """What the matcher gives for it, with the book after each 500th."""
        self._offset += 1
        given = self._matcher.handle(self._offset, command)
        return [*given, *self._matcher.at_batch_end()] if not self._offset % _BATCH else given


def trades_of(given: Iterable[Message]) -> Iterator[Trade]:
    """The trades among a matcher's messages."""
    for message in given:
        if isinstance(message.payload, Trade):
            yield message.payload


def prepare_ours(make: Callable[[int], _Matcher], steps: Sequence[Step]) -> Ready:
    """The matcher's fold, or the plain book that gives the same messages."""
    ours = _Ours(make)
    commands = [ours.spell(step) for step in steps]

    def fills(given: list[Any]) -> list[Fill]:
        return [
            (trade.price, trade.quantity) for messages in given for trade in trades_of(messages)
        ]

    return Ready(lambda: [ours.take(command) for command in commands], fills)


def prepare_matching_engine(steps: Sequence[Step]) -> Ready:
    """`matching-engine`: an engine of one market, without its log."""
    from matching_engine import domain
    from matching_engine.engine import MatchingEngine
    from matching_engine.events import Trade as TheirTrade

    engine = MatchingEngine()
    commands = []
    for place, step in enumerate(steps, start=1):
        command: domain.Command = domain.CancelOrder(step.number + 1, step.number + 1)
        if step.side:
            side = domain.Side.BUY if step.side == codes.BUY else domain.Side.SELL
            command = domain.NewOrder(
                step.number + 1, step.number + 1, side, step.price, step.quantity
            )
        commands.append(domain.SequencedCommand(place, _TIME_US, command))

    def fills(given: list[Any]) -> list[Fill]:
        events = (event for part in given for event in part)
        return [(event.price, event.qty) for event in events if isinstance(event, TheirTrade)]

    return Ready(lambda: [engine.process(command) for command in commands], fills)


def prepare_lightmatchingengine(steps: Sequence[Step]) -> Ready:
    """`lightmatchingengine`: one call to add an order, one to cancel it; ids are its own."""
    from lightmatchingengine.lightmatchingengine import LightMatchingEngine, Side

    engine = LightMatchingEngine()
    sides = {codes.BUY: Side.BUY, codes.SELL: Side.SELL}

    def run() -> list[Any]:
        add, cancel = engine.add_order, engine.cancel_order
        given: list[Any] = []
        for step in steps:
            if step.side:
                # It counts orders from 1, as the steps do from 0.
                given.append(add(_TICKER, step.price, step.quantity, sides[step.side]))
            else:
                cancel(step.number + 1, _TICKER)
        return given

    def fills(given: list[Any]) -> list[Fill]:
        # It tells each trade by a line of the taker, for all of a price, and one a maker.
        return [
            (int(trade.trade_price), int(trade.trade_qty))
            for order, trades in given
            for trade in trades
            if trade.order_id != order.order_id
        ]

    return Ready(run, fills)


ENGINES: Final = (
    Engine(OURS, "", partial(prepare_ours, MatcherCore)),
    Engine(
        "plain dict and deque",
        "snapshots; the same messages otherwise",
        partial(prepare_ours, PlainMatcher),
    ),
    Engine(
        "matching-engine",
        "reduce and replace in place, halts, facts for a risk stage, the public book",
        prepare_matching_engine,
        "matching_engine",
    ),
    Engine(
        "lightmatchingengine",
        "IOC, FOK, post-only, replace, self-trade prevention, ids of the client, whole numbers"
        " (prices are floats), state that can be stored",
        prepare_lightmatchingengine,
        "lightmatchingengine",
    ),
)


def compare_matchers(
    orders: int, seed: int, repeats: int, engines: Sequence[Engine] = ENGINES
) -> MatchingFigures:
    """Time each engine on the same steps, in turns; blocks for seconds.

    Raises:
        RuntimeError: an engine trades otherwise than ours; then no figure means anything.
    """
    steps = shared_steps(orders, seed)
    there = [one for one in engines if not one.package or find_spec(one.package) is not None]
    wanted = _fills(there[0], steps)
    for engine in there[1:]:
        if _fills(engine, steps) != wanted:
            raise RuntimeError(f"{engine.name} trades otherwise than {there[0].name}")
    speeds: dict[str, list[float]] = {engine.name: [] for engine in there}
    for repeat in range(repeats):
        for engine in there if repeat % 2 == 0 else reversed(there):
            ready = engine.prepare(steps)
            gc.collect()
            began_s = process_time()
            ready.run()
            speeds[engine.name].append(len(steps) / (process_time() - began_s))
    rows = (
        MatchingRow(
            engine.name,
            spread_of(speeds[engine.name]) if engine.name in speeds else None,
            engine.lacks,
        )
        for engine in engines
    )
    entered = sum(step.side != 0 for step in steps)
    return MatchingFigures(entered, len(steps) - entered, len(wanted), tuple(rows))


def _fills(engine: Engine, steps: Sequence[Step]) -> list[Fill]:
    ready = engine.prepare(steps)
    return ready.fills(ready.run())

"""`outcry bench matcher-core`: the matcher's fold alone against a plain dict-and-deque matcher.

Both fold the same seeded flow, ticker by ticker in turn, and must give the same messages. No log
and no codec take part: what is timed is `handle` for each command and `at_batch_end` for each 500,
in CPU time, so that a busy machine does not blur the comparison.
"""

import gc
from collections.abc import Callable, Sequence
from time import process_time
from typing import Any, Final, Protocol

import msgspec
from rich.table import Table

from services.domain.genesis import default_genesis
from services.matcher.core import MatcherCore
from services.tools.bench.matcher_flow import Flow, make_flow
from services.tools.bench.plain_matcher import PlainMatcher
from services.tools.bench.tries import Spread, spread_of
from services.wire.codec import Decoded
from services.wire.messages import Message

_BATCH: Final = 500


class _Matcher(Protocol):
    def handle(self, offset: int, decoded: Decoded[Any]) -> list[Message]: ...

    def at_batch_end(self) -> list[Message]: ...


type _Maker = Callable[[int], _Matcher]


class TickerFigures(msgspec.Struct, frozen=True):
    """One book's figures, or those of all books one after the other (ticker `total`)."""

    ticker: str
    orders: int
    """Orders entered in one repeat."""
    commands: int
    """Commands folded in one repeat: these orders, and the cancels, reduces and replaces."""
    core_orders_per_s: Spread
    plain_orders_per_s: Spread
    ratio: Spread
    """Speed of the core over the plain one's, repeat by repeat."""


class MatcherCoreFigures(msgspec.Struct, frozen=True):
    """What one benchmark found."""

    seed: int
    repeats: int
    messages: int
    """Messages that one repeat gives, the same from both."""
    rows: list[TickerFigures]


def run_matcher_core_bench(orders: int, seed: int, repeats: int) -> MatcherCoreFigures:
    """Time both matchers on the same flows, `orders` over all tickers, interleaved.

    Takes some seconds for each 100,000 orders and repeat, on one core.

    Raises:
        ValueError: fewer orders than tickers, or no repeat.
        RuntimeError: the two do not give the same messages; then no figure means anything.
    """
    genesis = default_genesis("bench")
    if orders < len(genesis.instruments) or repeats < 1:
        msg = f"needs at least {len(genesis.instruments)} orders and 1 repeat"
        raise ValueError(msg)
    share = orders // len(genesis.instruments)
    flows = [make_flow(genesis, instrument, share, seed) for instrument in genesis.instruments]
    messages = sum(_compare(flow) for flow in flows)
    core_s: list[list[float]] = [[] for _ in flows]
    plain_s: list[list[float]] = [[] for _ in flows]
    sides: list[tuple[_Maker, list[list[float]]]] = [(MatcherCore, core_s), (PlainMatcher, plain_s)]
    for repeat in range(repeats):
        for place, flow in enumerate(flows):
            # Each goes first every other time, so that neither always has the warmer machine.
            for make, seconds in sides if repeat % 2 == 0 else reversed(sides):
                seconds[place].append(_time(make, flow))
    rows = [
        _figures(flow.ticker, flow.orders, len(flow.commands), core, plain)
        for flow, core, plain in zip(flows, core_s, plain_s, strict=True)
    ]
    total = _figures(
        "total",
        sum(flow.orders for flow in flows),
        sum(len(flow.commands) for flow in flows),
        [sum(times) for times in zip(*core_s, strict=True)],
        [sum(times) for times in zip(*plain_s, strict=True)],
    )
    return MatcherCoreFigures(seed, repeats, messages, [*rows, total])


def matcher_core_table(figures: MatcherCoreFigures) -> Table:
    """The figures for people: medians, with the least and the most in brackets."""
    table = Table(
        title="Matcher's fold alone, orders per second of CPU time on one core",
        caption=(
            f"median of {figures.repeats} interleaved repeats (least–most); seed {figures.seed};"
            f" both gave the same {figures.messages:,} messages"
        ),
    )
    table.add_column("ticker")
    for heading in ("orders", "commands", "core", "plain dict and deque", "core / plain"):
        table.add_column(heading, justify="right")
    for row in figures.rows:
        table.add_row(
            row.ticker,
            f"{row.orders:,}",
            f"{row.commands:,}",
            _show(row.core_orders_per_s, ",.0f"),
            _show(row.plain_orders_per_s, ",.0f"),
            _show(row.ratio, ".2f"),
            style="bold" if row.ticker == "total" else "",
        )
    return table


def _compare(flow: Flow) -> int:
    """Fold once with both, message by message; returns how many messages there were."""
    core, plain = MatcherCore(flow.partition), PlainMatcher(flow.partition)
    count = 0
    for offset, command in enumerate(flow.warm_up + flow.commands):
        ours, theirs = core.handle(offset, command), plain.handle(offset, command)
        if offset % _BATCH == 0:
            ours, theirs = ours + core.at_batch_end(), theirs + plain.at_batch_end()
        if ours != theirs:
            msg = f"{flow.ticker}: the two matchers differ at command {offset}: {command}"
            raise RuntimeError(msg)
        count += len(ours)
    return count


def _time(make: _Maker, flow: Flow) -> float:
    matcher = make(flow.partition)
    for offset, command in enumerate(flow.warm_up):
        matcher.handle(offset, command)
    gc.collect()
    handle = matcher.handle
    start = process_time()
    for offset, command in enumerate(flow.commands, start=len(flow.warm_up)):
        handle(offset, command)
        if offset % _BATCH == 0:
            matcher.at_batch_end()
    return process_time() - start


def _figures(
    ticker: str, orders: int, commands: int, core_s: Sequence[float], plain_s: Sequence[float]
) -> TickerFigures:
    return TickerFigures(
        ticker,
        orders,
        commands,
        spread_of([orders / seconds for seconds in core_s]),
        spread_of([orders / seconds for seconds in plain_s]),
        spread_of([plain / core for core, plain in zip(core_s, plain_s, strict=True)]),
    )


def _show(spread: Spread, form: str) -> str:
    return f"{spread.median:{form}} ({spread.low:{form}}–{spread.high:{form}})"

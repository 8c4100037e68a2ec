"""Hypothesis strategies: streams of `matching` for one book, sane and senseless ones mixed."""

from typing import Any

import msgspec
from hypothesis import strategies as st

from services.domain import codes
from services.domain.commands import CancelOrder, EnterOrder, ReduceOrder, ReplaceOrder
from services.domain.controls import Genesis, Halt, Resume
from services.domain.genesis import default_genesis
from services.domain.origin import ACCOUNTS, CONTROLS, Origin
from services.wire.codec import Decoded
from services.wire.messages import Payload

TICKER = "AAPL"
TICK = 100

_senseless = st.sampled_from([0, -1, 1_000_000_001, 2**62, -(2**62)])
# Few prices, sizes and ids, so that orders meet, empty levels and collide.
_prices = st.integers(97, 104).map(lambda ticks: ticks * TICK)
_PRICES_OF = {
    codes.BUY: st.integers(97, 101).map(lambda ticks: ticks * TICK),
    codes.SELL: st.integers(100, 104).map(lambda ticks: ticks * TICK),
}
_quantities = st.integers(1, 9)
# Hypothesis favours the ends of a range, so chance is taken from the middle of one.
_seldom = st.integers(0, 19).map(lambda number: number == 13)
_ACCOUNTS = ("ann", "bob", "cat")
_kinds = st.sampled_from(
    [
        (codes.LIMIT, codes.GTC, False),
        (codes.LIMIT, codes.GTC, False),
        (codes.LIMIT, codes.GTC, False),
        (codes.LIMIT, codes.GTC, False),
        (codes.LIMIT, codes.GTC, True),
        (codes.LIMIT, codes.IOC, False),
        (codes.LIMIT, codes.FOK, False),
        (codes.MARKET, codes.IOC, False),
    ]
)


@st.composite
def _entries(draw: st.DrawFn, number: int) -> EnterOrder:
    kind, tif, post_only = draw(_kinds)
    side = draw(st.sampled_from([codes.BUY, codes.SELL]))
    order = EnterOrder(
        order_id=f"{TICKER}-{number}",
        account=draw(st.sampled_from(_ACCOUNTS)),
        side=side,
        order_type=kind,
        time_in_force=tif,
        post_only=post_only,
        price=draw(_PRICES_OF[side]),
        quantity=draw(_quantities),
        self_trade_prevention=draw(st.integers(0, 2)),
    )
    if not draw(_seldom):
        return order
    spoilt: dict[str, st.SearchStrategy[object]] = {
        "order_id": st.sampled_from([f"{TICKER}-0", "MSFT-1", "AAPL", "", "AAPLX-1"]),
        "side": _senseless,
        "order_type": st.sampled_from([0, 3, -1]),
        "time_in_force": st.sampled_from([0, 2, codes.GTC, codes.FOK]),
        "post_only": st.just(True),
        "price": _senseless,
        "quantity": _senseless,
        "self_trade_prevention": st.sampled_from([-1, 3]),
    }
    name = draw(st.sampled_from(sorted(spoilt)))
    return msgspec.structs.replace(order, **{name: draw(spoilt[name])})


_totals = st.one_of(_quantities, _quantities, _quantities, _senseless)
_limits = st.one_of(_prices, _prices, _prices, _senseless)


@st.composite
def _changes(draw: st.DrawFn, entered: list[EnterOrder]) -> Payload:
    """Cancel, reduce or replace one of the latest orders, mostly by its owner."""
    order = draw(st.sampled_from(entered))
    account = "mallory" if draw(_seldom) else order.account
    ids = (account, "command", order.order_id)
    match draw(st.integers(0, 2)):
        case 0:
            return CancelOrder(*ids)
        case 1:
            return ReduceOrder(
                *ids, draw(st.one_of(st.integers(1, max(order.quantity, 1)), _totals))
            )
        case _:
            return ReplaceOrder(*ids, draw(_limits), draw(_totals))


@st.composite
def _controls(draw: st.DrawFn) -> Payload:
    """Halts, and more resumes, so that most of a stream finds its ticker open."""
    ticker = draw(st.sampled_from([TICKER, TICKER, "MSFT", ""]))
    return draw(st.sampled_from([Resume, Resume, Resume, Halt]))("h", ticker)


@st.composite
def _payloads(draw: st.DrawFn, length: int) -> list[Payload]:
    payloads: list[Payload] = []
    rested: list[EnterOrder] = []
    for number in range(length):
        kind = draw(st.integers(0, 24))
        if kind == 13:
            payloads.append(draw(_controls()))
        elif kind > 15 and rested:
            payloads.append(draw(_changes(rested[-8:])))
        else:
            order = draw(_entries(number))
            payloads.append(order)
            if order.time_in_force == codes.GTC:
                rested.append(order)
    return payloads


@st.composite
def genesis_variants(draw: st.DrawFn) -> Genesis:
    """Small books, tight spreads, short sweeps, both clocks, partitions without an instrument."""
    shipped = default_genesis("property")
    limit = draw(st.sampled_from([0, 0, TICK, 3 * TICK]))
    instruments = tuple(
        msgspec.structs.replace(instrument, spread_limit=limit)
        for instrument in shipped.instruments
    )
    return msgspec.structs.replace(
        shipped,
        instruments=instruments[1:] if draw(_seldom) else instruments,
        time_source=draw(st.sampled_from([codes.TIME_FROM_LOG, codes.TIME_FROM_EVENT])),
        account_partitions=draw(st.sampled_from([4, 4, 1])),
        mark_interval_us=draw(st.sampled_from([0, 50, 1_000])),
        book_orders_max=draw(st.sampled_from([100, 100, 100, 3])),
        sweep_orders_max=draw(st.sampled_from([100, 100, 100, 3, 2, 1])),
    )


@st.composite
def short_sweeps(draw: st.DrawFn) -> list[Decoded[Any]]:
    """A side of resting orders, then fill-or-kill orders that may meet but a few of them."""
    orders_max = draw(st.integers(1, 5))
    genesis = msgspec.structs.replace(default_genesis("sweeps"), sweep_orders_max=orders_max)
    resting = draw(st.integers(orders_max, orders_max + 4))
    payloads: list[Payload] = [genesis]
    for number in range(resting + 4):
        taking = number >= resting
        payloads.append(
            EnterOrder(
                order_id=f"{TICKER}-{number}",
                account=draw(st.sampled_from(_ACCOUNTS)),
                side=codes.BUY if taking else codes.SELL,
                order_type=codes.LIMIT,
                time_in_force=codes.FOK if taking else codes.GTC,
                post_only=False,
                price=TICK * (103 if taking else draw(st.integers(101, 104))),
                quantity=draw(st.integers(1, 12) if taking else st.integers(1, 3)),
                self_trade_prevention=draw(st.integers(0, 2)),
            )
        )
    return [
        Decoded(Origin(ACCOUNTS if offset else CONTROLS, 0, offset, 0, offset, 1, 0), payload, 0)
        for offset, payload in enumerate(payloads)
    ]


@st.composite
def streams(draw: st.DrawFn, length_max: int = 40) -> list[Decoded[Any]]:
    """What one partition of `matching` may hold, with origins as their writers give them.

    The genesis comes first, or soon, or never; sometimes twice. Times wander back and forth.
    """
    # Left alone, lists are about six long; a book needs more to come to life.
    length = draw(st.sampled_from([1, 10, length_max // 2, *[length_max] * 3]))
    payloads = draw(_payloads(length))
    if not draw(_seldom):
        payloads.insert(1 if draw(_seldom) else 0, draw(genesis_variants()))
    if draw(_seldom):
        payloads.append(draw(genesis_variants()))
    time_us, sequences, stream = 1_000_000, [0, 0], []
    for offset, payload in enumerate(payloads):
        time_us += draw(st.integers(-40, 60))
        event_time_us = draw(st.sampled_from([0, time_us, time_us]))
        if isinstance(payload, Genesis | Halt | Resume):
            origin = Origin(CONTROLS, 0, offset, 0, 0, time_us, event_time_us)
        else:
            shard = offset % 2
            sequences[shard] += 1
            origin = Origin(ACCOUNTS, shard, offset, 0, sequences[shard], time_us, event_time_us)
        stream.append(Decoded(origin, payload, 0))
    return stream

"""Risk's fold: one partition of `accounts` in, orders to the matchers and reports out.

Time moves first, then what is remembered too long is forgotten, then the message is acted on:
commands.py (clients), controls.py (operators), outcomes.py (the matcher). checks.py lists every
check in its order; limits.py has the arithmetic.

Before the genesis nothing is known and time stands still: what asks for an answer is refused with
NO_GENESIS, stamped with its own log time.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from services.domain import commands as asked
from services.domain import controls as ordered
from services.domain import events as happened
from services.domain.genesis import hash_genesis
from services.domain.lineage import Arrivals, Departures
from services.domain.origin import Origin
from services.risk import commands, controls, outcomes
from services.risk.accounts import Account, DoneCommand, Order, Shard
from services.risk.outbox import Outbox
from services.wire.codec import Decoded
from services.wire.messages import Message, Payload

FORMAT_VERSION: Final = 1
"""Of `RiskCore.dump`."""

MIGRATIONS: Final[Mapping[int, Callable[[bytes], bytes]]] = {}
"""By the format each reads; it writes the next. A golden snapshot of every format loads for ever
(schemas/golden/snapshots), so who raises FORMAT_VERSION adds the migration from the one before."""

_ACTS: Final[dict[type[Payload], Callable[[Shard, Outbox, Any], None]]] = {
    happened.OrderAccepted: outcomes.order_accepted,
    happened.OrderRefused: outcomes.order_refused,
    happened.OrderFilled: outcomes.order_filled,
    happened.OrderCanceled: outcomes.order_canceled,
    happened.OrderReduced: outcomes.order_reduced,
    happened.OrderReplaced: outcomes.order_replaced,
    happened.CancelRefused: outcomes.cancel_refused,
    happened.ReplaceRefused: outcomes.replace_refused,
    happened.MarkChanged: outcomes.mark_changed,
    asked.PlaceOrder: commands.place_order,
    asked.CancelOrder: commands.cancel_order,
    asked.ReduceOrder: commands.reduce_order,
    asked.ReplaceOrder: commands.replace_order,
    asked.CancelAll: commands.cancel_all,
    ordered.Genesis: controls.begin,
    ordered.SetMark: controls.set_mark,
    ordered.OpenAccount: controls.open_account,
    ordered.Deposit: controls.deposit,
    ordered.SetLimits: controls.set_limits,
    ordered.KillSwitch: controls.kill_switch,
}


class _AccountState(msgspec.Struct, frozen=True, array_like=True):
    """One account in a dump. Sums of reservations are left out: they follow from the orders."""

    name: str
    sequence: int
    killed: bool
    short_allowed: bool
    position_max: int
    notional_max: int
    exposure_max: int
    holdings: list[tuple[str, int, int, int]]
    """Ticker, position and limits of its own, in genesis order; empty ones are left out."""
    live: list[Order]
    """In order of entry."""


class _State(msgspec.Struct, frozen=True, array_like=True):
    """A dump."""

    partition: int
    genesis: ordered.Genesis | None
    arrivals: list[list[int]]
    departures: list[tuple[str, int, int]]
    now_us: int
    marks: list[int]
    """In genesis order."""
    accounts: list[_AccountState]
    """By name."""
    ended: list[Order | DoneCommand]
    """Oldest first."""


class RiskCore:
    """The fold of one partition of `accounts`. Pure; called from one thread; never blocks."""

    def __init__(self, partition: int) -> None:
        self._partition: Final = partition
        self._arrivals = Arrivals()
        self._outbox = Outbox(partition)
        self._shard = Shard()
        self._genesis_hash = ""

    def handle(self, offset: int, decoded: Decoded[Any]) -> list[Message]:
        """Fold one record of `accounts`; returns what it causes, in order."""
        cause = decoded.origin
        assert cause is not None, f"a record of accounts without an origin at offset {offset}"
        self._arrivals.accept(cause)
        payload = decoded.payload
        kind = type(payload)
        shard = self._shard
        if kind is ordered.Genesis and shard.genesis is None:
            self._begin(payload)
        said_us = cause.time_us if shard.genesis is None else self._advance(cause)
        out = self._outbox
        out.open(offset, cause, said_us)
        _ACTS[kind](shard, out, payload)
        return out.messages

    def _begin(self, genesis: ordered.Genesis) -> None:
        self._shard.begin(genesis)
        self._genesis_hash = hash_genesis(genesis)

    def _advance(self, cause: Origin) -> int:
        shard = self._shard
        shard.advance(cause)
        shard.forget()
        return shard.now_us

    def at_batch_end(self) -> list[Message]:
        """Risk has no views."""
        return []

    def genesis_hash(self) -> str:
        """Hexadecimal BLAKE2b-256 of the genesis; empty before it."""
        return self._genesis_hash

    def dump(self) -> bytes:
        """The state, canonical."""
        shard = self._shard
        markets = shard.markets
        return msgspec.msgpack.encode(
            _State(
                partition=self._partition,
                genesis=shard.genesis,
                arrivals=self._arrivals.dump(),
                departures=self._outbox.departures.dump(),
                now_us=shard.now_us,
                marks=[market.mark for market in markets.values()],
                accounts=[
                    _dump_account(account, list(markets))
                    for _, account in sorted(shard.accounts.items())
                ],
                ended=list(shard.ended),
            )
        )

    @classmethod
    def load(cls, partition: int, state: bytes) -> "RiskCore":
        """From a dump.

        Raises:
            ValueError: these bytes are no dump of this format and partition.
        """
        try:
            dumped = msgspec.msgpack.decode(state, type=_State)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            msg = f"no state of risk (format {FORMAT_VERSION}): {error}"
            raise ValueError(msg) from error
        if dumped.partition != partition:
            msg = f"the state of partition {dumped.partition}, not of {partition}"
            raise ValueError(msg)
        core = cls(partition)
        core._arrivals = Arrivals.load(dumped.arrivals)
        core._outbox.departures = Departures.load(dumped.departures)
        shard = core._shard
        if dumped.genesis is not None:
            core._begin(dumped.genesis)
        shard.now_us = dumped.now_us
        for market, mark in zip(shard.markets.values(), dumped.marks, strict=True):
            market.mark = mark
        for row in dumped.accounts:
            shard.accounts[row.name] = _load_account(shard, row)
        for kept in dumped.ended:
            _load_ended(shard, kept)
        return core


def _dump_account(account: Account, tickers: list[str]) -> _AccountState:
    held = [(ticker, account.holdings.get(ticker)) for ticker in tickers]
    return _AccountState(
        name=account.name,
        sequence=account.sequence,
        killed=account.killed,
        short_allowed=account.short_allowed,
        position_max=account.position_max,
        notional_max=account.notional_max,
        exposure_max=account.exposure_max,
        holdings=[
            (ticker, holding.position, holding.position_max, holding.notional_max)
            for ticker, holding in held
            if holding is not None
            and (holding.position or holding.position_max >= 0 or holding.notional_max >= 0)
        ],
        live=list(account.live.values()),
    )


def _load_account(shard: Shard, row: _AccountState) -> Account:
    account = Account(row.name)
    account.sequence = row.sequence
    account.killed = row.killed
    account.short_allowed = row.short_allowed
    account.position_max = row.position_max
    account.notional_max = row.notional_max
    account.exposure_max = row.exposure_max
    for ticker, position, position_max, notional_max in row.holdings:
        holding = account.holding(shard.markets[ticker])
        holding.position = position
        holding.position_max = position_max
        holding.notional_max = notional_max
    for order in row.live:
        market = shard.markets[order.ticker]
        # One string for all orders of an account and of a ticker, as it is without a restart.
        order.account, order.ticker = account.name, market.rules.ticker
        reserved = order.reserved_quantity, order.reserved_value
        order.reserved_quantity = order.reserved_value = 0
        account.holding(market).reserve(order, *reserved)
        shard.enter(account, order)
    return account


def _load_ended(shard: Shard, kept: Order | DoneCommand) -> None:
    account = shard.accounts[kept.account]
    shard.ended.append(kept)
    if isinstance(kept, Order):
        market = shard.markets.get(kept.ticker)
        kept.account = account.name
        kept.ticker = kept.ticker if market is None else market.rules.ticker
        account.ended[kept.order_id] = kept
        account.known[kept.client_order_id] = kept
    else:
        account.known[kept.client_command_id] = kept

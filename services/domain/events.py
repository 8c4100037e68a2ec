"""What happened. Past tense; facts of the matcher to risk, and the public feeds."""

import msgspec

# --- matcher -> risk, in `accounts`. A cause's client command id is empty where there is none.


class OrderAccepted(msgspec.Struct, frozen=True, gc=False):
    """The matcher has the order: it is NEW. Fills or an end may follow in the same command."""

    account: str
    order_id: str


class OrderRefused(msgspec.Struct, frozen=True, gc=False):
    """The matcher refused the order on arrival; it never was NEW."""

    account: str
    order_id: str
    reason: int


class OrderFilled(msgspec.Struct, frozen=True, gc=False):
    """One side of one trade; its price is the ticker's new mark."""

    account: str
    order_id: str
    trade_id: str
    price: int
    quantity: int
    liquidity: int


class OrderCanceled(msgspec.Struct, frozen=True, gc=False):
    """What remained of an order was canceled."""

    account: str
    order_id: str
    client_command_id: str
    quantity: int
    """Shares canceled."""
    reason: int


class OrderReduced(msgspec.Struct, frozen=True, gc=False):
    """An order's total quantity was lowered in place."""

    account: str
    order_id: str
    client_command_id: str
    quantity: int
    """The new total."""


class OrderReplaced(msgspec.Struct, frozen=True, gc=False):
    """An order's price and total quantity changed; fills at the new price may follow."""

    account: str
    order_id: str
    client_command_id: str
    price: int
    quantity: int
    """The new total."""


class CancelRefused(msgspec.Struct, frozen=True, gc=False):
    """A cancel found no live order in the book."""

    account: str
    order_id: str
    client_command_id: str
    reason: int


class ReplaceRefused(msgspec.Struct, frozen=True, gc=False):
    """A reduce or replace was refused by the book; the order is as it was."""

    account: str
    order_id: str
    client_command_id: str
    reason: int


class MarkChanged(msgspec.Struct, frozen=True, gc=False):
    """A ticker's mark, to every account partition."""

    ticker: str
    mark: int


type MatcherEvent = (
    OrderAccepted
    | OrderRefused
    | OrderFilled
    | OrderCanceled
    | OrderReduced
    | OrderReplaced
    | CancelRefused
    | ReplaceRefused
    | MarkChanged
)

# --- feeds


class Trade(msgspec.Struct, frozen=True, gc=False):
    """One trade, with the top of book right after it. A side that is empty shows price 0."""

    trade_id: str
    ticker: str
    price: int
    quantity: int
    aggressor_side: int
    maker_order_id: str
    taker_order_id: str
    maker_account: str
    taker_account: str
    bid: int
    bid_quantity: int
    ask: int
    ask_quantity: int


class Level(msgspec.Struct, frozen=True, gc=False):
    """One price of a book side."""

    price: int
    quantity: int
    orders: int
    """How many orders rest here."""


class BookDepth(msgspec.Struct, frozen=True, gc=False):
    """The top 10 levels a side after the input offset its origin states."""

    ticker: str
    status: int
    last_price: int
    """Price of the last trade; 0 before the first."""
    bids: tuple[Level, ...]
    asks: tuple[Level, ...]


class ExecutionReport(msgspec.Struct, frozen=True, gc=False):
    """What happened to one order or command, as risk, the single voice, says it.

    Money is in 1/10000 dollar (price x shares). Exposure fields are those after the event; on NEW
    they are those of the acceptance, with the mark and source position risk decided on.
    """

    account: str
    account_sequence: int
    """Per account, from 1 without gaps; 0 for an account nobody opened."""
    order_id: str
    client_order_id: str
    client_command_id: str
    """The command that caused this; empty for a passive fill."""
    ticker: str
    exec_type: int
    order_status: int
    side: int
    order_type: int
    price: int
    quantity: int
    last_quantity: int
    last_price: int
    liquidity: int
    trade_id: str
    cumulative_quantity: int
    remaining_quantity: int
    """Shares that can still trade; 0 once the order ended."""
    cumulative_notional: int
    """Sum of fill price x quantity; average price = this / cumulative_quantity."""
    position: int
    """The account's position in this ticker, in shares."""
    position_worst: int
    """W: shares at worst in this ticker."""
    notional_worst: int
    """E: money at worst in this ticker."""
    exposure_worst: int
    """Sum of E over all tickers."""
    mark: int
    """The ticker's mark as this shard's log knows it; 0: none."""
    reason: int
    accepted_offset: int
    """Offset in `accounts` (this partition) of the acceptance; -1 where there was none."""


class TickerLimits(msgspec.Struct, frozen=True, gc=False):
    """One ticker's part of an account state."""

    ticker: str
    position: int
    position_max: int
    notional_max: int


class AccountState(msgspec.Struct, frozen=True, gc=False):
    """An account's limits and state after a control changed them (ACCOUNT_STATE)."""

    account: str
    account_sequence: int
    client_command_id: str
    killed: bool
    short_allowed: bool
    exposure_max: int
    position_max: int
    """Default of tickers that have no limit of their own."""
    notional_max: int
    tickers: tuple[TickerLimits, ...]
    """Tickers with a position or a limit of their own, in genesis order."""


class DeadLetter(msgspec.Struct, frozen=True, gc=False):
    """A record of `orders` or `controls` that could not be decoded."""

    cause: str
    """One of the closed list in services/ingest/core.py."""
    detail: str
    value_length_bytes: int
    value_sha256: str
    value_head: bytes
    """The first 64 KiB of the record's value."""

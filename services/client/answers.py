"""What the gateway answers, as values. Prices are decimals of dollars, times microseconds.

Fields that this version does not know are left out, so that a newer gateway breaks nothing.
"""

from decimal import Decimal
from typing import Any

import msgspec


class Taken(msgspec.Struct, frozen=True):
    """A command that is durable, and of which nothing more was said in time."""

    order_id: str | None
    client_order_id: str | None = None
    client_command_id: str | None = None
    status: str | None = None


class Order(msgspec.Struct, frozen=True):
    order_id: str
    client_order_id: str
    ticker: str
    status: str
    side: str | None
    order_type: str | None
    price: Decimal | None
    quantity: int
    cumulative_quantity: int
    remaining_quantity: int
    average_price: Decimal | None
    last_exec_type: str | None
    reason: str | None
    account_sequence: int | None
    updated_at_us: int | None


class Problem(msgspec.Struct, frozen=True):
    """RFC 9457; `reason` is one of the closed list of the API document."""

    status: int
    reason: str
    title: str
    detail: str
    pointer: str | None = None


class BatchResult(msgspec.Struct, frozen=True):
    """What became of one order of a batch: `order` or `problem` is there."""

    client_order_id: str | None
    status: int
    order: dict[str, Any] | None
    problem: Problem | None


class Batch(msgspec.Struct, frozen=True):
    results: list[BatchResult]


class Orders(msgspec.Struct, frozen=True):
    orders: list[Order]
    next_cursor: str | None


class Fill(msgspec.Struct, frozen=True):
    trade_id: str
    order_id: str
    client_order_id: str
    ticker: str
    side: str | None
    price: Decimal
    quantity: int
    liquidity: str | None
    position: int
    account_sequence: int
    filled_at_us: int


class Fills(msgspec.Struct, frozen=True):
    fills: list[Fill]
    next_cursor: str | None


class SharesGauge(msgspec.Struct, frozen=True):
    used: int | None
    max: int | None
    left: int | None


class MoneyGauge(msgspec.Struct, frozen=True):
    used: Decimal | None
    max: Decimal | None
    left: Decimal | None


class Position(msgspec.Struct, frozen=True):
    ticker: str
    position: int
    mark: Decimal | None
    shares: SharesGauge
    money: MoneyGauge


class Positions(msgspec.Struct, frozen=True):
    account: str
    account_sequence: int
    exposure: MoneyGauge
    positions: list[Position]


class TickerLimits(msgspec.Struct, frozen=True):
    ticker: str
    position_max: int
    notional_max: Decimal


class Account(msgspec.Struct, frozen=True):
    account: str
    account_sequence: int
    killed: bool | None
    short_allowed: bool | None
    exposure_max: Decimal | None
    position_max: int | None
    notional_max: Decimal | None
    tickers: list[TickerLimits]


class Level(msgspec.Struct, frozen=True):
    price: Decimal
    quantity: int
    orders: int


class Book(msgspec.Struct, frozen=True):
    ticker: str
    status: str | None
    last_price: Decimal | None
    bids: list[Level]
    asks: list[Level]
    offset: int
    updated_at_us: int


class Trade(msgspec.Struct, frozen=True):
    trade_id: str
    ticker: str
    price: Decimal
    quantity: int
    aggressor_side: str | None
    trade_sequence: int
    traded_at_us: int


class Trades(msgspec.Struct, frozen=True):
    trades: list[Trade]


class Ticker(msgspec.Struct, frozen=True):
    ticker: str
    status: str | None
    last_price: Decimal | None
    bid: Decimal | None
    ask: Decimal | None
    tick: Decimal | None
    sub_dollar_tick: Decimal | None
    lot: int | None
    order_quantity_max: int | None


class Tickers(msgspec.Struct, frozen=True):
    tickers: list[Ticker]


class Candle(msgspec.Struct, frozen=True):
    open_time_us: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: int
    trades: int
    is_partial: bool


class Candles(msgspec.Struct, frozen=True):
    ticker: str
    interval: str
    trade_sequence: int | None
    candles: list[Candle]


class ServerTime(msgspec.Struct, frozen=True):
    time_us: int


class ControlTaken(msgspec.Struct, frozen=True):
    """A control that is durable in `controls`."""

    client_command_id: str


# --- how the exchange is


class Stage(msgspec.Struct, frozen=True):
    """One room and one topic that it reads."""

    room: str
    topic: str
    behind: int | None
    """About how many records it has yet to read; None: not known."""
    reason: str | None


class Stages(msgspec.Struct, frozen=True):
    state: str
    """known, or unknown: its source did not answer, and `reason` says which."""
    reason: str | None
    stages: list[Stage]


class RoomSnapshots(msgspec.Struct, frozen=True):
    room: str
    partitions: int
    newest_at_us: int
    oldest_at_us: int


class Snapshots(msgspec.Struct, frozen=True):
    state: str
    reason: str | None
    rooms: list[RoomSnapshots]


class LastAudit(msgspec.Struct, frozen=True):
    audited_at_us: int
    holds: bool
    records: int
    differences: int
    from_snapshots: bool
    digest: str
    next_offsets: dict[str, list[int]]
    first_difference: str


class Audit(msgspec.Struct, frozen=True):
    state: str
    reason: str | None
    last: LastAudit | None
    """None: unknown, or none was kept yet."""


class ReadModel(msgspec.Struct, frozen=True):
    """Where the gateway's orders, positions and limits begin."""

    source: str
    """database: from what PostgreSQL has on; topic: from where Kafka's `executions` begins."""
    is_whole: bool
    """Whether nothing that is older is missing."""
    reason: str | None


class ExchangeStatus(msgspec.Struct, frozen=True):
    """Parts from different sources; each is known or unknown by itself."""

    asked_at_us: int
    stages: Stages
    snapshots: Snapshots
    audit: Audit
    read_model: ReadModel

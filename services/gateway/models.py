"""Shapes of answers, as OpenAPI shows them: field by field what views.py makes."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Money = Annotated[str, Field(examples=["187.25"], json_schema_extra={"format": "decimal"})]
OrderStatus = Literal[
    "PENDING_NEW", "NEW", "PARTIALLY_FILLED", "FILLED", "CANCELED", "REJECTED", "NO_ORDER"
]
ExecType = Literal[
    "NEW",
    "TRADE",
    "CANCELED",
    "REDUCED",
    "REPLACED",
    "REJECTED",
    "CANCEL_REJECTED",
    "REPLACE_REJECTED",
    "ORDER_STATUS",
    "COMMAND_REJECTED",
]
TimeUs = Annotated[int, Field(description="Log time, microseconds since the epoch (UTC).")]


class Answer(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class OrderPlaced(Answer):
    """The command is durable in `orders`. What becomes of it is said by GET /orders/{order_id}."""

    order_id: str
    client_order_id: str
    status: OrderStatus = Field(description="The order's present status: PENDING_NEW if new.")


class CommandTaken(Answer):
    """The command is durable in `orders`. What becomes of it is said by the order's next report."""

    client_command_id: str
    order_id: str | None = Field(description="The order it is about; null for cancel-all.")


class Order(Answer):
    """One order of the account."""

    order_id: str
    client_order_id: str
    ticker: str
    status: OrderStatus
    side: Literal["BUY", "SELL"] | None
    order_type: Literal["MARKET", "LIMIT"] | None
    price: Money | None
    quantity: int
    cumulative_quantity: int = Field(description="Shares filled so far.")
    remaining_quantity: int = Field(description="Shares that can still trade; 0 once it ended.")
    average_price: str | None = Field(description="Dollars a share of the fills, 6 places.")
    last_exec_type: ExecType | None
    reason: str | None = Field(description="Why it was refused or ended, or the last command was.")
    account_sequence: int | None = Field(description="Number of the last report in the account.")
    updated_at_us: TimeUs | None


class BatchItem(Answer):
    """What became of one order of a batch."""

    client_order_id: str | None = Field(description="Null if the item has none that is one.")
    status: int = Field(description="The HTTP status that this order alone would have got.")
    order: OrderPlaced | Order | None = Field(description="Null if it was refused.")
    problem: "ProblemDocument | None" = Field(description="Null if it was not refused.")


class Batch(Answer):
    """One result for each order of the batch, in its order."""

    results: list[BatchItem]


Cursor = Annotated[
    str | None,
    Field(description="Send it as `cursor` for the page before this one; null: there is none."),
]


class Orders(Answer):
    """A page of the account's orders, the newest first."""

    orders: list[Order]
    next_cursor: Cursor


class Fill(Answer):
    """One fill of one of the account's orders."""

    trade_id: str
    order_id: str
    client_order_id: str
    ticker: str
    side: Literal["BUY", "SELL"] | None
    price: Money = Field(description="Dollars a share.")
    quantity: int = Field(description="Shares.")
    liquidity: Literal["MAKER", "TAKER"] | None
    position: int = Field(description="The account's shares of the ticker after it.")
    account_sequence: int = Field(description="Number of its report in the account.")
    filled_at_us: TimeUs


class Fills(Answer):
    """A page of the account's fills, the newest first."""

    fills: list[Fill]
    next_cursor: Cursor


class SharesGauge(Answer):
    """Shares at worst, if all of one side's open orders were filled."""

    used: int | None = Field(description="Null: not known until the ticker's next report.")
    max: int | None = Field(description="Null: nothing is known of the account's limits.")
    left: int | None = Field(description="Never below 0.")


class MoneyGauge(Answer):
    """Dollars at worst, positions at their mark and open orders at their price or mark."""

    used: Money | None = Field(description="Null: not known until the ticker's next report.")
    max: Money | None = Field(description="Null: nothing is known of the account's limits.")
    left: Money | None = Field(description="Never below 0.")


class Position(Answer):
    """What the account holds of a ticker, and how far that reaches into its limits."""

    ticker: str
    position: int = Field(description="Shares; below 0: short.")
    mark: Money | None = Field(description="The mark that the money is reckoned at.")
    shares: SharesGauge
    money: MoneyGauge


class Positions(Answer):
    """The account's positions, ticker by ticker, with its limits used and left."""

    account: str
    account_sequence: int = Field(description="Number of the last report counted in.")
    exposure: MoneyGauge = Field(description="Of all tickers together.")
    positions: list[Position]


class OwnLimits(Answer):
    """A ticker's limits, where they are its own or the account holds something of it."""

    ticker: str
    position_max: int
    notional_max: Money


class Limits(Answer):
    """The account's limits. Null: not said since what the gateway can read begins."""

    account: str
    account_sequence: int
    killed: bool | None = Field(description="Whether the account is shut off.")
    short_allowed: bool | None
    exposure_max: Money | None = Field(description="Dollars in all tickers together.")
    position_max: int | None = Field(description="Shares of a ticker without a limit of its own.")
    notional_max: Money | None = Field(description="Dollars, as position_max.")
    tickers: list[OwnLimits]


class Execution(Order):
    """One report, as the executions channel sends it."""

    kind: Literal["EXECUTION"]
    client_command_id: str | None = Field(description="What caused it; null for a passive fill.")
    last_quantity: int
    last_price: Money | None
    liquidity: Literal["MAKER", "TAKER"] | None
    trade_id: str | None
    position: int
    position_worst: int
    notional_worst: Money
    exposure_worst: Money
    mark: Money | None


class AccountLimits(Answer):
    ticker: str
    position: int
    position_max: int
    notional_max: Money


class Account(Answer):
    """An account's limits and state, as the executions channel sends them."""

    kind: Literal["ACCOUNT_STATE"]
    account: str
    account_sequence: int
    client_command_id: str | None
    killed: bool
    short_allowed: bool
    exposure_max: Money
    position_max: int
    notional_max: Money
    tickers: list[AccountLimits]
    updated_at_us: TimeUs


class BookLevel(Answer):
    price: Money
    quantity: int
    orders: int


class Book(Answer):
    """A ticker's depth, best price first."""

    ticker: str
    status: Literal["OPEN", "HALTED"] | None
    last_price: Money | None
    bids: list[BookLevel]
    asks: list[BookLevel]
    offset: int = Field(description="The offset in `matching` after which the book looked so.")
    updated_at_us: TimeUs


class BookChange(Answer):
    """What to change in a ticker's book to have a later one."""

    status: Literal["OPEN", "HALTED"] | None
    last_price: Money | None
    bids: list[BookLevel] = Field(
        description="Levels as they are now, in no order; quantity 0: no longer among the best."
    )
    asks: list[BookLevel]
    updated_at_us: TimeUs


class TickerLine(Answer):
    """A ticker's present, and the rules that its genesis fixed; null: not read yet."""

    ticker: str
    status: Literal["OPEN", "HALTED"] | None
    last_price: Money | None
    bid: Money | None
    ask: Money | None
    tick: Money | None = Field(description="Step of prices of $1 and more.")
    sub_dollar_tick: Money | None = Field(description="Step of prices below $1.")
    lot: int | None = Field(description="Step of quantities, in shares.")
    order_quantity_max: int | None = Field(description="Most shares of one order.")


class Tickers(Answer):
    tickers: list[TickerLine]


class PublicTrade(Answer):
    """A trade as the trades channel sends it."""

    trade_id: str
    ticker: str
    price: Money
    quantity: int
    aggressor_side: Literal["BUY", "SELL"] | None
    bid: Money | None
    bid_quantity: int
    ask: Money | None
    ask_quantity: int
    trade_sequence: int = Field(description="Number of the trade in its ticker, without gaps.")
    traded_at_us: TimeUs


class PublicTrades(Answer):
    """A ticker's latest trades, oldest first."""

    trades: list[PublicTrade]


class Candle(Answer):
    """What a ticker did in one interval."""

    open_time_us: TimeUs = Field(
        description="When the interval began, microseconds since the epoch (UTC)."
    )
    open: Money
    high: Money
    low: Money
    close: Money
    volume: int = Field(description="Shares.")
    trades: int
    is_partial: bool = Field(
        description="Whether the gateway began to read within the interval, and has not all of it."
    )


class Candles(Answer):
    """A ticker's newest candles, oldest first; an interval without a trade has none."""

    ticker: str
    interval: Literal["1s", "1m", "1d"]
    trade_sequence: int | None = Field(
        description="Number of the last trade counted in, as the trades channel numbers them; those"
        " after it can be added by who hears that channel. Null before the first."
    )
    candles: list[Candle]


class Probabilities(Answer):
    """Between 0 and 1."""

    down: float
    flat: float
    up: float


class ModelPrediction(Answer):
    """What one version of one model last said of a ticker."""

    request_id: str
    mode: Literal["REQUESTED", "STREAMED"] | None
    model: str
    model_version: int
    feature_set: str
    is_shadow: bool = Field(description="Whether it was made for comparison only.")
    is_degraded: bool = Field(description="Whether its features were older than the limit.")
    predicted_class: Literal["down", "flat", "up"]
    probabilities: Probabilities
    grid_time_us: int = Field(description="Of the features, microseconds since the epoch.")
    served_at_us: int = Field(description="When it was made, microseconds since the epoch.")
    feature_age_us: int = Field(description="How old the features were when it was made.")


class Predictions(Answer):
    """What the predictions channel sends, that of the model which spoke last first."""

    predictions: list[ModelPrediction]


class ServerTime(Answer):
    time_us: int = Field(description="Microseconds since the epoch (UTC).")


class Health(Answer):
    status: Literal["alive", "ready", "not ready"]
    log_available: bool
    behind: list[str] = Field(description="Feeds still being read from before the start.")


class FieldFault(Answer):
    pointer: str
    reason: str
    detail: str


class ProblemDocument(BaseModel):
    """RFC 9457. `reason` is one of a closed list; `pointer` says which field, where one is."""

    model_config = ConfigDict(extra="allow")

    type: str
    title: str
    status: int
    detail: str
    reason: str
    pointer: str | None = None
    errors: list[FieldFault] | None = None


Batch.model_rebuild()
BatchItem.model_rebuild()

"""Shapes of requests and answers, as OpenAPI shows them.

Requests are read strictly: no number for a string, no unknown field, nothing guessed. Field names
and values are those of wire/json_commands.py, where the account and the type stand in the document
too; here a header and the path say them.
"""

from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from services.domain import codes
from services.domain.amounts import PRICE_MAX, QUANTITY_MAX, format_price, parse_price
from services.domain.commands import (
    CancelAll,
    CancelOrder,
    ClientCommand,
    PlaceOrder,
    ReduceOrder,
    ReplaceOrder,
)
from services.domain.ids import ID_LENGTH_MAX, TICKER_LENGTH_MAX, is_valid_id

EVENT_TIME_MAX_US: Final = 253_402_300_799_999_999
"""The last microsecond of the year 9999, the latest that ingest lets through."""

MISSING: Final = "missing"
"""Pydantic's name for a fault: the field is not there."""


def is_valid_ticker(text: str) -> bool:
    """Whether ingest would let this ticker through; whether it is traded is another question."""
    return len(text) <= TICKER_LENGTH_MAX and is_valid_id(text)


def _read_id(value: object) -> object:
    if isinstance(value, str) and not is_valid_id(value):
        msg = f"must be 1 to {ID_LENGTH_MAX} printable ASCII characters without spaces"
        raise ValueError(msg)
    return value


def _read_ticker(value: object) -> object:
    if isinstance(value, str) and not is_valid_ticker(value):
        msg = f"must be a ticker like AAPL, at most {TICKER_LENGTH_MAX} characters"
        raise ValueError(msg)
    return value


def _read_price(value: object) -> object:
    if not isinstance(value, str):
        msg = 'must be a decimal string like "187.25", so that no digit is lost'
        raise ValueError(msg)  # noqa: TRY004 - pydantic turns only ValueError into a fault
    price = parse_price(value)
    if not 0 < price <= PRICE_MAX:
        msg = f"must be above 0 and at most {format_price(PRICE_MAX)}"
        raise ValueError(msg)
    return value


Id = Annotated[
    str,
    BeforeValidator(_read_id),
    Field(min_length=1, max_length=ID_LENGTH_MAX, examples=["a-1"]),
]
Ticker = Annotated[
    str,
    BeforeValidator(_read_ticker),
    Field(min_length=1, max_length=TICKER_LENGTH_MAX, examples=["AAPL"]),
]
Price = Annotated[
    str,
    BeforeValidator(_read_price),
    Field(
        json_schema_extra={"pattern": r"^[0-9]{1,12}(\.[0-9]{1,4})?$", "format": "decimal"},
        examples=["187.25"],
    ),
]
Quantity = Annotated[int, Field(ge=1, le=QUANTITY_MAX, examples=[100])]
EventTimeUs = Annotated[
    int,
    Field(
        ge=0,
        le=EVENT_TIME_MAX_US,
        description="The client's own time, microseconds since the Unix epoch; 0: none stated.",
    ),
]


class CommandBody(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    event_time_us: EventTimeUs = 0


class PlaceOrderRequest(CommandBody):
    """A limit or market order. A market order is IOC and has no price."""

    client_order_id: Id | None = Field(
        default=None,
        description="Unique per account: sent again while the order lives, or is remembered after"
        " its end, it is the same order. May stand in the header Idempotency-Key instead.",
    )
    ticker: Ticker
    side: Literal["BUY", "SELL"]
    order_type: Literal["MARKET", "LIMIT"]
    time_in_force: Literal["GTC", "IOC", "FOK"]
    post_only: bool = Field(default=False, description="Refuse the order if it would trade now.")
    price: Price | None = Field(default=None, description="Dollars a share; of limit orders only.")
    quantity: Quantity = Field(description="Shares.")
    self_trade_prevention: Literal["CANCEL_RESTING", "CANCEL_INCOMING", "NONE"] = "CANCEL_RESTING"

    @model_validator(mode="after")
    def _limit_has_a_price(self) -> Self:
        if self.order_type == "LIMIT" and self.price is None:
            raise PydanticCustomError(MISSING, "a limit order needs one", {"field": "price"})
        return self

    def command(self, account: str, client_order_id: str) -> PlaceOrder:
        return PlaceOrder(
            account=account,
            client_order_id=client_order_id,
            ticker=self.ticker,
            side=codes.code_of(codes.SIDE_NAMES, self.side),
            order_type=codes.code_of(codes.ORDER_TYPE_NAMES, self.order_type),
            time_in_force=codes.code_of(codes.TIME_IN_FORCE_NAMES, self.time_in_force),
            post_only=self.post_only,
            price=0 if self.price is None else parse_price(self.price),
            quantity=self.quantity,
            self_trade_prevention=codes.code_of(
                codes.SELF_TRADE_PREVENTION_NAMES, self.self_trade_prevention
            ),
        )


class FollowUpRequest(CommandBody):
    client_command_id: Id | None = Field(
        default=None,
        description="Unique per account; sent again, nothing is done twice. May stand in the header"
        " Idempotency-Key instead.",
    )


class CancelOrderRequest(FollowUpRequest):
    """Cancel what remains of an order."""

    def command(self, account: str, command_id: str, order_id: str) -> ClientCommand:
        return CancelOrder(account, command_id, order_id)


class ReduceOrderRequest(FollowUpRequest):
    """Lower an order's total quantity; it keeps its place in the queue."""

    quantity: Quantity = Field(description="The resulting total in shares, filled part included.")

    def command(self, account: str, command_id: str, order_id: str) -> ClientCommand:
        return ReduceOrder(account, command_id, order_id, self.quantity)


class ReplaceOrderRequest(FollowUpRequest):
    """Change an order's price and total quantity."""

    price: Price = Field(description="Dollars a share.")
    quantity: Quantity = Field(description="The resulting total in shares, filled part included.")

    def command(self, account: str, command_id: str, order_id: str) -> ClientCommand:
        price = parse_price(self.price)
        return ReplaceOrder(account, command_id, order_id, price, self.quantity)


class CancelAllRequest(FollowUpRequest):
    """Cancel every live order of the account."""

    ticker: Ticker | None = Field(default=None, description="Only this ticker's; absent: all.")

    def command(self, account: str, command_id: str) -> CancelAll:
        return CancelAll(account, command_id, self.ticker or "")


# --- answers. Field by field what views.py makes.

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


class TickerLine(Answer):
    ticker: str
    status: Literal["OPEN", "HALTED"] | None
    last_price: Money | None
    bid: Money | None
    ask: Money | None


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


def schema_of(model: type[BaseModel]) -> dict[str, Any]:
    """A request's JSON schema with nothing referred to elsewhere."""
    return model.model_json_schema()

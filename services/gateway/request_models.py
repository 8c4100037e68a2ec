"""Shapes of requests, as OpenAPI shows them.

Requests are read strictly: no number for a string, no unknown field, nothing guessed. Field names
and values are those of wire/json_commands.py, where the account and the type stand in the document
too; here a header and the path say them.
"""

from typing import Annotated, Final, Literal, Self

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

BATCH_MAX: Final = 100
"""Most orders of one POST /orders/batch."""

PRINTABLE: Final = "^[!-~]+$"
"""Printable ASCII without spaces, as OpenAPI says it."""

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
    Field(
        min_length=1,
        max_length=ID_LENGTH_MAX,
        json_schema_extra={"pattern": PRINTABLE},
        examples=["a-1"],
    ),
]
Ticker = Annotated[
    str,
    BeforeValidator(_read_ticker),
    Field(
        min_length=1,
        max_length=TICKER_LENGTH_MAX,
        json_schema_extra={"pattern": PRINTABLE},
        examples=["AAPL"],
    ),
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


class BatchRequest(BaseModel):
    """Up to 100 orders, each with a `client_order_id` of its own."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    orders: Annotated[list[PlaceOrderRequest], Field(min_length=1, max_length=BATCH_MAX)]


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

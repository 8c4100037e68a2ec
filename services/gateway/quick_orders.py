"""The body of POST /orders, checked without pydantic.

Takes what is right, in a fraction of the time; whatever it does not take is for
`PlaceOrderRequest` to judge, which names every fault. A property test holds the two together.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Annotated, Any, Final, Literal, Protocol

import msgspec

from services.domain import codes
from services.domain.amounts import PRICE_MAX, QUANTITY_MAX, parse_price
from services.domain.commands import PlaceOrder
from services.domain.ids import is_valid_id
from services.gateway.request_models import EVENT_TIME_MAX_US, is_valid_ticker

_PRICES_REMEMBERED: Final = 4_096

# Read to check an order, read to write it, and orders come near the prices of those before.
_price: Final = lru_cache(_PRICES_REMEMBERED)(parse_price)


class OrderBody(Protocol):
    """What a request says of an order, once it is checked."""

    @property
    def client_order_id(self) -> str | None: ...

    @property
    def event_time_us(self) -> int: ...

    def command(self, account: str, client_order_id: str) -> PlaceOrder:
        """As the log takes it."""


class QuickOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`OrderBody` by the types alone; what they can't say is checked by `quick_order`."""

    ticker: str
    side: Literal["BUY", "SELL"]
    order_type: Literal["MARKET", "LIMIT"]
    time_in_force: Literal["GTC", "IOC", "FOK"]
    quantity: Annotated[int, msgspec.Meta(ge=1, le=QUANTITY_MAX)]
    client_order_id: str | None = None
    post_only: bool = False
    price: str | None = None
    self_trade_prevention: Literal["CANCEL_RESTING", "CANCEL_INCOMING", "NONE"] = "CANCEL_RESTING"
    event_time_us: Annotated[int, msgspec.Meta(ge=0, le=EVENT_TIME_MAX_US)] = 0

    def command(self, account: str, client_order_id: str) -> PlaceOrder:
        return PlaceOrder(
            account=account,
            client_order_id=client_order_id,
            ticker=self.ticker,
            side=_SIDES[self.side],
            order_type=_ORDER_TYPES[self.order_type],
            time_in_force=_TIMES_IN_FORCE[self.time_in_force],
            post_only=self.post_only,
            price=0 if self.price is None else _price(self.price),
            quantity=self.quantity,
            self_trade_prevention=_PREVENTIONS[self.self_trade_prevention],
        )


def quick_order(document: Mapping[str, Any]) -> QuickOrder | None:
    """The order that this says; None: something may be wrong with it."""
    try:
        found = msgspec.convert(document, QuickOrder)
        price = None if found.price is None else _price(found.price)
    except ValueError:  # msgspec's own is one
        return None
    is_right = (
        is_valid_ticker(found.ticker)
        and (found.client_order_id is None or is_valid_id(found.client_order_id))
        and (price is not None or found.order_type != "LIMIT")
        and (price is None or 0 < price <= PRICE_MAX)
    )
    return found if is_right else None


def _codes(names: Mapping[int, str]) -> Mapping[str, int]:
    return {name: code for code, name in names.items()}


_SIDES: Final = _codes(codes.SIDE_NAMES)
_ORDER_TYPES: Final = _codes(codes.ORDER_TYPE_NAMES)
_TIMES_IN_FORCE: Final = _codes(codes.TIME_IN_FORCE_NAMES)
_PREVENTIONS: Final = _codes(codes.SELF_TRADE_PREVENTION_NAMES)

"""What people and programs ask for. Imperative names; each carries the client's command id."""

import msgspec


class PlaceOrder(msgspec.Struct, frozen=True, gc=False):
    """Enter an order. `client_order_id` is its command id."""

    account: str
    client_order_id: str
    ticker: str
    side: int
    order_type: int
    time_in_force: int
    post_only: bool
    price: int
    """Limit price in 1/10000 dollar; 0 for a market order."""
    quantity: int
    self_trade_prevention: int


class CancelOrder(msgspec.Struct, frozen=True, gc=False):
    """Cancel what remains of one order."""

    account: str
    client_command_id: str
    order_id: str


class ReduceOrder(msgspec.Struct, frozen=True, gc=False):
    """Lower an order's total quantity; it keeps its priority."""

    account: str
    client_command_id: str
    order_id: str
    quantity: int
    """The resulting total quantity (filled part included), so that twice is once."""


class ReplaceOrder(msgspec.Struct, frozen=True, gc=False):
    """Change an order's price and total quantity; keeps priority only when it merely reduces."""

    account: str
    client_command_id: str
    order_id: str
    price: int
    quantity: int
    """The resulting total quantity (filled part included)."""


class CancelAll(msgspec.Struct, frozen=True, gc=False):
    """Cancel every live order of an account, in one ticker or (empty ticker) in all."""

    account: str
    client_command_id: str
    ticker: str


class EnterOrder(msgspec.Struct, frozen=True, gc=False):
    """Risk to matcher: an order that passed risk, priced and with its id.

    A market order arrives as an IOC limit at its protection price, `order_type` still MARKET.
    """

    order_id: str
    account: str
    side: int
    order_type: int
    time_in_force: int
    post_only: bool
    price: int
    quantity: int
    self_trade_prevention: int


type ClientCommand = PlaceOrder | CancelOrder | ReduceOrder | ReplaceOrder | CancelAll

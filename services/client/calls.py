"""Every call as a value: what to send, and what the answer is read as. Sends nothing itself."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final, Literal
from urllib.parse import quote
from uuid import uuid4

import msgspec

from services.client import answers
from services.client.errors import (
    OutcomeUnknownError,
    RefusedError,
    UnavailableError,
    UnreachableError,
)

type Side = Literal["BUY", "SELL"]
type TimeInForce = Literal["GTC", "IOC", "FOK"]
type SelfTradePrevention = Literal["CANCEL_RESTING", "CANCEL_INCOMING", "NONE"]
type Price = Decimal | str
"""Dollars a share; never a float, which would lose digits."""

_UNAVAILABLE: Final = 503
_TOO_MANY: Final = 429
_UNKNOWN: Final = 504
_ACCEPTED: Final = 202
_ERRORS_FROM: Final = 400
_RETRY_AFTER_S: Final = 1.0
"""Where the answer does not say."""


class NewOrder(msgspec.Struct, frozen=True):
    """An order to be placed; without a price it is a market order. Its id is made, if not given."""

    ticker: str
    side: Side
    quantity: int
    price: Price | None = None
    time_in_force: TimeInForce | None = None
    """None: GTC with a price, IOC without."""
    post_only: bool = False
    self_trade_prevention: SelfTradePrevention = "CANCEL_RESTING"
    client_order_id: str = msgspec.field(default_factory=lambda: uuid4().hex)

    def document(self) -> dict[str, Any]:
        """As REST takes it."""
        is_market = self.price is None
        document: dict[str, Any] = {
            "client_order_id": self.client_order_id,
            "ticker": self.ticker,
            "side": self.side,
            "order_type": "MARKET" if is_market else "LIMIT",
            "time_in_force": self.time_in_force or ("IOC" if is_market else "GTC"),
            "quantity": self.quantity,
            "post_only": self.post_only,
            "self_trade_prevention": self.self_trade_prevention,
        }
        return document if is_market else document | {"price": str(self.price)}


class Call[A](msgspec.Struct, frozen=True):
    """One request, and the type that its answer is read as."""

    method: Literal["GET", "POST"]
    path: str
    answer: Any
    """The type of an answer that is whole."""
    accepted: Any = None
    """The type of a 202; None: there is none. A is one of the two."""
    query: Mapping[str, str | int] = {}
    body: Mapping[str, Any] | None = None
    command_id: str = ""
    """Of a command: under this id it may be sent again. Empty: it only reads."""

    def read(self, status: int, retry_after: str | None, content: bytes) -> A:
        """The answer.

        Raises:
            ClientError: by what the gateway said.
        """
        try:
            if status < _ERRORS_FROM:
                kind = self.accepted if status == _ACCEPTED else self.answer
                found: A = msgspec.json.decode(content, type=kind)
                return found
            problem = msgspec.json.decode(content, type=answers.Problem)
        except msgspec.DecodeError as error:
            raise UnreachableError(f"what answers is no gateway ({status}: {error})") from error
        if status == _UNKNOWN:
            raise OutcomeUnknownError(self.command_id, problem.detail)
        if status in (_UNAVAILABLE, _TOO_MANY):
            seconds = float(retry_after) if retry_after else _RETRY_AFTER_S
            raise UnavailableError(problem, seconds)
        raise RefusedError(problem)


def place(order: NewOrder) -> Call[answers.Order | answers.Taken]:
    return _command("/orders", order.document(), order.client_order_id)


def place_batch(orders: Sequence[NewOrder]) -> Call[answers.Batch]:
    body = {"orders": [order.document() for order in orders]}
    return Call("POST", "/orders/batch", answers.Batch, body=body, command_id="batch")


def cancel(order_id: str, command_id: str | None) -> Call[answers.Order | answers.Taken]:
    return _follow_up(order_id, "cancel", command_id, {})


def reduce(
    order_id: str, quantity: int, command_id: str | None
) -> Call[answers.Order | answers.Taken]:
    return _follow_up(order_id, "reduce", command_id, {"quantity": quantity})


def replace(
    order_id: str, price: Price, quantity: int, command_id: str | None
) -> Call[answers.Order | answers.Taken]:
    body = {"price": str(price), "quantity": quantity}
    return _follow_up(order_id, "replace", command_id, body)


def cancel_all(ticker: str | None, command_id: str | None) -> Call[answers.Taken]:
    command_id = command_id or uuid4().hex
    body: dict[str, Any] = {"client_command_id": command_id}
    if ticker is not None:
        body["ticker"] = ticker
    return Call(
        "POST", "/orders/cancel-all", answers.Taken, answers.Taken, body=body, command_id=command_id
    )


def show(order_id: str) -> Call[answers.Order]:
    return Call("GET", f"/orders/{quote(order_id, safe='')}", answers.Order)


def find(client_order_id: str) -> Call[answers.Order]:
    path = f"/orders/by-client-order-id/{quote(client_order_id, safe='')}"
    return Call("GET", path, answers.Order)


def orders(**filters: str | int | None) -> Call[answers.Orders]:
    return Call("GET", "/orders", answers.Orders, query=_given(filters))


def fills(**filters: str | int | None) -> Call[answers.Fills]:
    return Call("GET", "/fills", answers.Fills, query=_given(filters))


def positions() -> Call[answers.Positions]:
    return Call("GET", "/positions", answers.Positions)


def account() -> Call[answers.Account]:
    return Call("GET", "/account", answers.Account)


def book(ticker: str, depth: int | None) -> Call[answers.Book]:
    return Call("GET", _of(ticker, "book"), answers.Book, query=_given({"depth": depth}))


def trades(ticker: str, limit: int | None) -> Call[answers.Trades]:
    return Call("GET", _of(ticker, "trades"), answers.Trades, query=_given({"limit": limit}))


def candles(ticker: str, interval: str, limit: int | None) -> Call[answers.Candles]:
    query = _given({"interval": interval, "limit": limit})
    return Call("GET", _of(ticker, "candles"), answers.Candles, query=query)


def tickers() -> Call[answers.Tickers]:
    return Call("GET", "/tickers", answers.Tickers)


def status() -> Call[answers.ExchangeStatus]:
    return Call("GET", "/status", answers.ExchangeStatus)


def server_time() -> Call[answers.ServerTime]:
    return Call("GET", "/time", answers.ServerTime)


def _follow_up(
    order_id: str, action: str, command_id: str | None, fields: dict[str, Any]
) -> Call[answers.Order | answers.Taken]:
    command_id = command_id or uuid4().hex
    body = fields | {"client_command_id": command_id}
    path = f"/orders/{quote(order_id, safe='')}/{action}"
    return _command(path, body, command_id)


def _command(
    path: str, body: Mapping[str, Any], command_id: str
) -> Call[answers.Order | answers.Taken]:
    return Call(
        "POST", path, answers.Order, answers.Taken, body=body, command_id=command_id
    )  # fmt: skip


def _of(ticker: str, what: str) -> str:
    return f"/{what}/{quote(ticker, safe='')}"


def _given(filters: Mapping[str, str | int | None]) -> dict[str, str | int]:
    return {name: value for name, value in filters.items() if value is not None}

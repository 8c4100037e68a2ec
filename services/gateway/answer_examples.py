"""An example of each answer, for OpenAPI; a test holds each to its shape."""

from collections.abc import Mapping
from typing import Any, Final

from pydantic import BaseModel

from services.gateway.admin_models import ControlTaken
from services.gateway.drift_examples import DRIFT_ANSWERS
from services.gateway.models import (
    Batch,
    Book,
    Candles,
    CommandTaken,
    Fills,
    Health,
    Limits,
    Order,
    OrderPlaced,
    Orders,
    Positions,
    PublicTrades,
    ServerTime,
    Tickers,
)
from services.gateway.status_models import ExchangeStatus

_US: Final = 1_790_000_000_000_000
_ORDER_ID: Final = "AAPL-2002e864-18b2-5fd6-a64f-0c79906a384e"
_PLACED: Final = {"order_id": _ORDER_ID, "client_order_id": "a-1", "status": "PENDING_NEW"}
_ORDER: Final[Mapping[str, Any]] = {
    "order_id": _ORDER_ID,
    "client_order_id": "a-1",
    "ticker": "AAPL",
    "status": "PARTIALLY_FILLED",
    "side": "BUY",
    "order_type": "LIMIT",
    "price": "187.25",
    "quantity": 100,
    "cumulative_quantity": 40,
    "remaining_quantity": 60,
    "average_price": "187.240000",
    "last_exec_type": "TRADE",
    "reason": None,
    "account_sequence": 17,
    "updated_at_us": _US,
}
_FILL: Final = {
    "trade_id": "AAPL-4711-0",
    "order_id": _ORDER_ID,
    "client_order_id": "a-1",
    "ticker": "AAPL",
    "side": "BUY",
    "price": "187.24",
    "quantity": 40,
    "liquidity": "TAKER",
    "position": 40,
    "account_sequence": 17,
    "filled_at_us": _US,
}
_TRADE: Final = {
    "trade_id": "AAPL-4711-0",
    "ticker": "AAPL",
    "price": "187.24",
    "quantity": 40,
    "aggressor_side": "BUY",
    "bid": "187.25",
    "bid_quantity": 60,
    "ask": "187.26",
    "ask_quantity": 50,
    "trade_sequence": 815,
    "traded_at_us": _US,
}
_CANDLE: Final = {
    "open_time_us": 1_789_999_980_000_000,
    "open": "187.20",
    "high": "187.25",
    "low": "187.18",
    "close": "187.24",
    "volume": 1_240,
    "trades": 31,
    "is_partial": False,
}
_TICKER: Final = {
    "ticker": "AAPL",
    "status": "OPEN",
    "last_price": "187.24",
    "bid": "187.25",
    "ask": "187.26",
    "tick": "0.01",
    "sub_dollar_tick": "0.0001",
    "lot": 1,
    "order_quantity_max": 100_000,
}
_MONEY: Final = {"used": "18722.00", "max": "1000000.00", "left": "981278.00"}
_POSITION: Final = {
    "ticker": "AAPL",
    "position": 40,
    "mark": "187.22",
    "shares": {"used": 100, "max": 10_000, "left": 9_900},
    "money": _MONEY,
}
_REFUSED: Final = {
    "type": "urn:outcry:problem:invalid-price",
    "title": "The price is not acceptable",
    "status": 422,
    "detail": "orders/1/price: must be above 0",
    "reason": "INVALID_PRICE",
    "pointer": "#/orders/1/price",
    "errors": [
        {"pointer": "#/orders/1/price", "reason": "INVALID_PRICE", "detail": "must be above 0"}
    ],
}
_AUDITED: Final = {
    "audited_at_us": _US,
    "holds": True,
    "records": 1_204_311,
    "differences": 0,
    "from_snapshots": False,
    "digest": "9f2c6c1e",
    "next_offsets": {"orders": [4_101, 3_987, 4_012, 4_055, 3_990]},
    "first_difference": "",
}
_STATUS: Final = {
    "asked_at_us": _US,
    "stages": {
        "state": "known",
        "reason": None,
        "stages": [{"room": "risk", "topic": "commands", "behind": 0, "reason": None}],
    },
    "snapshots": {
        "state": "known",
        "reason": None,
        "rooms": [
            {"room": "risk", "partitions": 4, "newest_at_us": _US, "oldest_at_us": _US - 9_000_000}
        ],
    },
    "audit": {"state": "known", "reason": None, "last": _AUDITED},
    "read_model": {"source": "database", "is_whole": True, "reason": None},
}

ANSWERS: Final[Mapping[type[BaseModel], Mapping[str, Any]]] = {
    OrderPlaced: _PLACED,
    CommandTaken: {"client_command_id": "a-1-cancel", "order_id": _ORDER_ID},
    ControlTaken: {"client_command_id": "op-1"},
    Order: _ORDER,
    Orders: {"orders": [_ORDER], "next_cursor": "17"},
    Batch: {
        "results": [
            {"client_order_id": "a-1", "status": 202, "order": _PLACED, "problem": None},
            {"client_order_id": "a-2", "status": 422, "order": None, "problem": _REFUSED},
        ]
    },
    Fills: {"fills": [_FILL], "next_cursor": None},
    Positions: {
        "account": "alice",
        "account_sequence": 17,
        "exposure": _MONEY,
        "positions": [_POSITION],
    },
    Limits: {
        "account": "alice",
        "account_sequence": 17,
        "killed": False,
        "short_allowed": False,
        "exposure_max": "1000000.00",
        "position_max": 10_000,
        "notional_max": "1000000.00",
        "tickers": [{"ticker": "AAPL", "position_max": 10_000, "notional_max": "1000000.00"}],
    },
    Book: {
        "ticker": "AAPL",
        "status": "OPEN",
        "last_price": "187.24",
        "bids": [{"price": "187.25", "quantity": 60, "orders": 1}],
        "asks": [{"price": "187.26", "quantity": 50, "orders": 2}],
        "offset": 4_711,
        "updated_at_us": _US,
    },
    PublicTrades: {"trades": [_TRADE]},
    Candles: {"ticker": "AAPL", "interval": "1m", "trade_sequence": 815, "candles": [_CANDLE]},
    Tickers: {"tickers": [_TICKER]},
    ServerTime: {"time_us": _US},
    Health: {"status": "ready", "log_available": True, "behind": []},
    ExchangeStatus: _STATUS,
    **DRIFT_ANSWERS,
}


def add_examples(operation: Mapping[str, Any]) -> None:
    """Put its example to each JSON answer of an operation of OpenAPI.

    Raises:
        KeyError: there is none for one of them.
    """
    examples = {model.__name__: example for model, example in ANSWERS.items()}
    for response in operation["responses"].values():
        answer = response.get("content", {}).get("application/json")
        if answer is not None:
            answer["example"] = examples[answer["schema"]["$ref"].rpartition("/")[2]]

"""The client: Outcry's REST interface as typed Python calls, blocking or not.

Needs httpx and msgspec, and nothing else of Outcry. A command has its id before it is first sent,
so that it can be sent again until its outcome is known, and is done once.
"""

from services.client.answers import (
    Account,
    BatchResult,
    Book,
    Candle,
    Candles,
    Fill,
    Fills,
    Order,
    Orders,
    Positions,
    Problem,
    Taken,
    Tickers,
    Trades,
)
from services.client.asynchronous import AsyncClient
from services.client.blocking import Client
from services.client.calls import NewOrder
from services.client.errors import (
    ClientError,
    OutcomeUnknownError,
    RefusedError,
    UnavailableError,
    UnreachableError,
)

__all__ = [
    "Account",
    "AsyncClient",
    "BatchResult",
    "Book",
    "Candle",
    "Candles",
    "Client",
    "ClientError",
    "Fill",
    "Fills",
    "NewOrder",
    "Order",
    "Orders",
    "OutcomeUnknownError",
    "Positions",
    "Problem",
    "RefusedError",
    "Taken",
    "Tickers",
    "Trades",
    "UnavailableError",
    "UnreachableError",
]

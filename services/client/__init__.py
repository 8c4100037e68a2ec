"""The client: Outcry's REST interface and WebSocket as typed Python calls, blocking or not.

Needs httpx, msgspec and websockets, and nothing else of Outcry. A command has its id before it is
first sent, so that it can be sent again until its outcome is known, and is done once.
"""

from services.client.admin import Admin, AsyncAdmin
from services.client.admin_calls import NewAccount, NewLimits
from services.client.answers import (
    Account,
    BatchResult,
    Book,
    Candle,
    Candles,
    ControlTaken,
    ExchangeStatus,
    Fill,
    Fills,
    Order,
    Orders,
    Positions,
    Problem,
    Taken,
    Tickers,
    Trade,
    Trades,
)
from services.client.asynchronous import AsyncClient
from services.client.blocking import Client
from services.client.calls import NewOrder
from services.client.errors import (
    ClientError,
    EndedError,
    OutcomeUnknownError,
    RefusedError,
    UnavailableError,
    UnreachableError,
)
from services.client.keys import SigningKey
from services.client.messages import (
    AccountState,
    CommandRefused,
    CommandTaken,
    CommandUnknown,
    Execution,
    LiveOrders,
    Message,
    Reconnected,
    Refused,
    Since,
    Told,
)
from services.client.stream import Stream
from services.client.stream_async import AsyncStream

__all__ = [
    "Account",
    "AccountState",
    "Admin",
    "AsyncAdmin",
    "AsyncClient",
    "AsyncStream",
    "BatchResult",
    "Book",
    "Candle",
    "Candles",
    "Client",
    "ClientError",
    "CommandRefused",
    "CommandTaken",
    "CommandUnknown",
    "ControlTaken",
    "EndedError",
    "ExchangeStatus",
    "Execution",
    "Fill",
    "Fills",
    "LiveOrders",
    "Message",
    "NewAccount",
    "NewLimits",
    "NewOrder",
    "Order",
    "Orders",
    "OutcomeUnknownError",
    "Positions",
    "Problem",
    "Reconnected",
    "Refused",
    "RefusedError",
    "SigningKey",
    "Since",
    "Stream",
    "Taken",
    "Tickers",
    "Told",
    "Trade",
    "Trades",
    "UnavailableError",
    "UnreachableError",
]

"""The gateway without a network: a log in memory, and records for its feeds."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import count
from typing import TYPE_CHECKING, Any, Final

import httpx
import msgspec

from services.domain import codes
from services.domain.controls import Genesis
from services.domain.events import BookDepth, ExecutionReport, Level, Trade
from services.domain.origin import FEATURES, MATCHING, Origin
from services.domain.predictions import STREAMED, Prediction
from services.gateway.app import build_gateway, make_app
from services.gateway.core.read_model import FEEDS, ReadModel
from services.gateway.key_ring import KeyRing
from services.gateway.metrics import METRICS
from services.gateway.parts import Gateway
from services.gateway.service import Service
from services.gateway.settings import GatewaySettings
from services.runtime.telemetry import Telemetry
from services.wire.codec import Codec, local_codec
from services.wire.messages import Payload
from services.wire.topics import BOOK, CONTROLS, EXECUTIONS, ORDERS, PREDICTIONS, TRADES

if TYPE_CHECKING:
    from services.gateway.command_traces import CommandTraces

_BOOK_OFFSETS: Final = count(7)
"""The matcher's books rise."""
HOST: Final = "127.0.0.1"
CODEC: Final[Codec] = local_codec()
ORDER: Final[dict[str, Any]] = {
    "client_order_id": "a-1",
    "ticker": "AAPL",
    "side": "BUY",
    "order_type": "LIMIT",
    "time_in_force": "GTC",
    "price": "187.25",
    "quantity": 100,
}
"""A good POST /orders."""


class MemoryCommandLog:
    """`ports.CommandLog` in memory, which can be told to fail or to wait."""

    def __init__(self) -> None:
        self.records: list[tuple[int, bytes, bytes]] = []
        self.traces: list[bytes | None] = []
        self.available = True
        self.failure: Exception | None = None
        self.open = asyncio.Event()
        self.open.set()

    async def append(
        self, partition: int, key: bytes, value: bytes, traceparent: bytes | None = None
    ) -> None:
        await self.open.wait()
        if self.failure is not None:
            raise self.failure
        self.records.append((partition, key, value))
        self.traces.append(traceparent)

    def commands(self) -> list[Any]:
        return [CODEC.decode(ORDERS.name, value).payload for _, _, value in self.records]


def make_settings(**changes: Any) -> GatewaySettings:  # noqa: ANN401 - any field's value
    fields: dict[str, Any] = {
        "kafka_bootstrap": "127.0.0.1:1",
        "registry_url": "http://127.0.0.1:1",
        "gateway_access": "open",
        "gateway_port": 0,
        "gateway_newest_interval_ms": 0,
        "gateway_status_wait_ms": 50,
    }
    return GatewaySettings(**(fields | changes))


def make_gateway(
    log: MemoryCommandLog | None = None,
    *,
    controls: MemoryCommandLog | None = None,
    ring: KeyRing | None = None,
    traces: "CommandTraces | None" = None,
    **changes: Any,  # noqa: ANN401
) -> Gateway:
    """A gateway on memory whose feeds are empty and read to their end."""
    settings = make_settings(**changes)
    model = ReadModel(
        CODEC,
        ended_orders_max=settings.gateway_ended_orders_max,
        submitted_max=1_000,
        trades_kept=settings.gateway_trades_kept,
        candles_kept=settings.gateway_candles_kept,
        fills_kept=settings.gateway_fills_kept,
        resumable=settings.gateway_resumable,
        books_kept=settings.gateway_books_kept,
    )
    for feed in FEEDS:
        model.note_caught_up(feed.name)
    telemetry = Telemetry("gateway", metrics=METRICS)
    return build_gateway(
        settings,
        model,
        log or MemoryCommandLog(),
        telemetry,
        controls=controls or MemoryCommandLog(),
        ring=ring,
        traces=traces,
    )


def make_client(gateway: Gateway, account: str | None = "alice") -> httpx.AsyncClient:
    """An HTTP client of the application itself."""
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(make_app(gateway)),
        base_url=f"http://{HOST}",
        headers={} if account is None else {"X-Outcry-Account": account},
    )


async def eventually(holds: Callable[[], object], timeout_s: float = 60.0) -> None:
    """Return as soon as it holds; fail after `timeout_s`, generous on purpose."""
    async with asyncio.timeout(timeout_s):
        while not holds():  # noqa: ASYNC110 - what is waited for sets no event
            await asyncio.sleep(0.01)


@asynccontextmanager
async def serving(gateway: Gateway) -> AsyncIterator[Service]:
    """The gateway on a socket of this machine."""
    service = Service(gateway.settings, gateway.telemetry)
    task = asyncio.create_task(service.serve(gateway))
    try:
        await eventually(lambda: service.port or task.done())
        yield service
    finally:
        service.stop()
        await task


def origin(offset: int = 7, sequence: int = 1, time_us: int = 1_790_000_000_000_000) -> Origin:
    return Origin(MATCHING, 0, offset, 0, sequence, time_us, 0)


def report(**changes: Any) -> ExecutionReport:  # noqa: ANN401 - any field's value
    """A NEW report of alice's order for 100 AAPL at 187.25."""
    new = ExecutionReport(
        account="alice",
        account_sequence=1,
        order_id="AAPL-1",
        client_order_id="a-1",
        client_command_id="a-1",
        ticker="AAPL",
        exec_type=codes.EXEC_NEW,
        order_status=codes.NEW,
        side=codes.BUY,
        order_type=codes.LIMIT,
        price=1_872_500,
        quantity=100,
        last_quantity=0,
        last_price=0,
        liquidity=0,
        trade_id="",
        cumulative_quantity=0,
        remaining_quantity=100,
        cumulative_notional=0,
        position=0,
        position_worst=100,
        notional_worst=187_250_000,
        exposure_worst=187_250_000,
        mark=1_870_000,
        reason=0,
        accepted_offset=3,
    )
    return msgspec.structs.replace(new, **changes)


def book(ticker: str = "AAPL", bid: int = 1_872_500, quantity: int = 100) -> BookDepth:
    """A book with one level a side."""
    bids, asks = (Level(bid, quantity, 2),), (Level(bid + 100, 50, 1),)
    return BookDepth(ticker, codes.OPEN, 1_872_400, bids, asks)


def trade(number: int = 0, ticker: str = "AAPL") -> Trade:
    return Trade(
        trade_id=f"{ticker}-7-{number}",
        ticker=ticker,
        price=1_872_500,
        quantity=10 + number,
        aggressor_side=codes.BUY,
        maker_order_id=f"{ticker}-maker",
        taker_order_id=f"{ticker}-taker",
        maker_account="maker-account",
        taker_account="taker-account",
        bid=1_872_400,
        bid_quantity=5,
        ask=0,
        ask_quantity=0,
    )


def prediction(**changes: Any) -> Prediction:  # noqa: ANN401 - any field's value
    """What version 3 of a model says of AAPL, half a second after the features' grid time."""
    said = Prediction(
        request_id="AAPL-1790000000000000-direction_10s-3",
        mode=STREAMED,
        ticker="AAPL",
        served_at_us=1_790_000_000_500_000,
        grid_time_us=1_790_000_000_000_000,
        feature_set="microstructure_v1",
        fingerprint="f" * 64,
        model="direction_10s",
        model_version=3,
        model_sha256="a" * 64,
        is_shadow=False,
        is_degraded=False,
        predicted_class=2,
        probabilities=(0.125, 0.25, 0.625),
        vector=(1.0, -2.5),
    )
    return msgspec.structs.replace(said, **changes)


def feed(gateway: Gateway, *payloads: Payload) -> None:
    """Let the gateway read these from its feeds."""
    for payload in payloads:
        feed_model(gateway.model, payload)


def feed_genesis(model: ReadModel, genesis: Genesis) -> None:
    """Let a gateway read this genesis."""
    model.fold(CONTROLS.name, None, CODEC.encode_command(CONTROLS.name, genesis))


def feed_model(model: ReadModel, payload: Payload, from_origin: Origin | None = None) -> None:
    match payload:
        case BookDepth():
            topic, key = BOOK.name, payload.ticker
            from_origin = from_origin or origin(next(_BOOK_OFFSETS))
        case Trade():
            topic, key = TRADES.name, payload.ticker
        case Prediction():
            topic, key = PREDICTIONS.name, payload.ticker
            from_origin = from_origin or Origin(FEATURES, 0, 7, 0, 0, payload.served_at_us, 0)
        case _:
            topic, key = EXECUTIONS.name, str(getattr(payload, "account", ""))
    model.fold(topic, key.encode(), CODEC.encode(topic, from_origin or origin(), payload))

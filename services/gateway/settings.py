"""What the gateway is told from outside, beside what every room is told."""

from pathlib import Path
from typing import Final

from pydantic import Field, field_validator

from services.door.serving import only_loopback
from services.runtime.settings import RoomSettings

PAGE_OF_CHECKOUT: Final = Path(__file__).parents[2] / "web" / "dist"
"""Where `make web` builds the page."""


class GatewaySettings(RoomSettings):
    """Limits are per process; each bounds some memory or some waiting."""

    gateway_host: str = "127.0.0.1"
    """Loopback only: nobody proves who they are yet."""
    gateway_port: int = Field(default=19_080, ge=0, le=65_535)
    """0: any free one."""
    gateway_requests_max: int = Field(default=1_000, ge=1)
    """Most HTTP requests under way; more are told to come back."""
    gateway_body_bytes_max: int = Field(default=16_384, ge=256)
    gateway_body_timeout_ms: int = Field(default=5_000, ge=10)
    """Longest wait for a request's body."""
    gateway_batch_bytes_max: int = Field(default=65_536, ge=256)
    """Longest body of POST /orders/batch."""
    gateway_commands_max: int = Field(default=2_000, ge=1)
    """Most commands that wait for `orders` to take them; more are told to come back."""
    gateway_wait_max_ms: int = Field(default=10_000, ge=0)
    """Longest wait for what became of a command, whatever `Prefer: wait` asks for."""
    gateway_append_timeout_ms: int = Field(default=5_000, ge=1_000)
    """Longest wait for `orders` to take a command."""
    gateway_ended_orders_max: int = Field(default=100_000, ge=1)
    """Most ended orders kept for GET /orders/{id}; live ones are never forgotten."""
    gateway_fills_kept: int = Field(default=100_000, ge=1)
    """Most fills kept for GET /fills, of all accounts together."""
    gateway_trades_kept: int = Field(default=100, ge=0, le=10_000)
    """Trades of each ticker that a new subscriber is shown."""
    gateway_sockets_max: int = Field(default=200, ge=1)
    gateway_subscriptions_max: int = Field(default=32, ge=1)
    """Most subscriptions of one WebSocket."""
    gateway_socket_queue_max: int = Field(default=1_000, ge=1)
    """Most messages waiting for a slow WebSocket client; one more closes it."""
    gateway_socket_message_bytes_max: int = Field(default=4_096, ge=128)
    """Longest message a WebSocket client may send."""
    gateway_socket_stall_ms: int = Field(default=30_000, ge=500)
    """How long a client may leave the network's buffers full before it is cut off."""
    gateway_heartbeat_ms: int = Field(default=15_000, ge=10)
    """A WebSocket that has been silent this long gets a heartbeat."""
    gateway_newest_interval_ms: int = Field(default=50, ge=0)
    """A book, or a ticker's predictions, is sent to subscribers at most this often."""
    gateway_candles_kept: int = Field(default=1_000, ge=1, le=10_000)
    """Candles of each ticker and interval."""
    gateway_candle_trades_max: int = Field(default=50_000, ge=0, le=10_000_000)
    """Records of each partition of `trades` read at the start, for candles from before it."""

    gateway_page_dir: Path = PAGE_OF_CHECKOUT
    """The built web page; without one / says how to build it."""

    @field_validator("gateway_host")
    @classmethod
    def _only_loopback(cls, host: str) -> str:
        return only_loopback(host)

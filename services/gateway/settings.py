"""What the gateway is told from outside, beside what every room is told."""

from ipaddress import ip_address
from pathlib import Path
from typing import Final, Literal

from pydantic import Field, ValidationInfo, field_validator

from services.door.serving import LOOPBACK_NAME, only_loopback
from services.runtime.settings import RoomSettings

PAGE_OF_CHECKOUT: Final = Path(__file__).parents[2] / "web" / "dist"
"""Where `make web` builds the page."""


class GatewaySettings(RoomSettings):
    """Limits are per process; each bounds some memory or some waiting."""

    gateway_access: Literal["keys", "open"] = "keys"
    """keys: whoever reads or trades an account proves it. open: they only name it, which is for a
    stack of one person and on loopback alone; `outcry up` says so."""
    gateway_host: str = "127.0.0.1"
    """Another than loopback only with keys, and behind a proxy that speaks TLS."""
    gateway_names: str = Field(default="", pattern=r"^([A-Za-z0-9.-]+(,[A-Za-z0-9.-]+)*)?$")
    """Names, separated by commas, by which clients may call this gateway beside its address."""
    gateway_proxies: str = Field(default="", pattern=r"^[0-9A-Fa-f.:/,]*$")
    """Addresses or networks of the proxies in front, separated by commas: they are believed about
    where a request comes from. Empty: there are none."""
    gateway_port: int = Field(default=19_080, ge=0, le=65_535)
    """0: any free one."""
    gateway_port_shared: bool = False
    """Whether several gateways listen on this port, and the kernel deals connections out."""
    gateway_processes: int = Field(default=1, ge=1, le=64)
    """How many gateways share the limits of addresses and keys: each takes so large a part."""
    gateway_signatures_file: Path | None = None
    """Where the gateways of one host remember together which signed requests were taken; unset:
    each remembers its own."""
    gateway_traces_ratio: float = Field(default=1.0, ge=0, le=1)
    """Share of the commands without a trace of their own that begin one, where traces are wanted
    (`OUTCRY_TRACES_ENDPOINT`)."""
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
    gateway_elsewhere_wait_ms: int = Field(default=1_000, ge=0, le=10_000)
    """Where `gateway_processes` are several: longest wait of GET /orders/{id} for an order that
    another gateway may just have taken; what it took is known here once risk has spoken."""
    gateway_append_timeout_ms: int = Field(default=5_000, ge=1_000)
    """Longest wait for `orders` to take a command."""
    gateway_ended_orders_max: int = Field(default=100_000, ge=1)
    """Most ended orders kept for GET /orders/{id}; live ones are never forgotten."""
    gateway_fills_kept: int = Field(default=100_000, ge=1)
    """Most fills kept for GET /fills, of all accounts together."""
    gateway_reports_tail: int = Field(default=25_000, ge=0, le=10_000_000)
    """Records of each partition of `executions` read at the start, where PostgreSQL says what came
    before: for ended orders, fills and sockets that come back."""
    gateway_recorded_timeout_ms: int = Field(default=60_000, ge=100)
    """Longest wait for one answer about what came before; then the topic is read from where it
    begins."""
    gateway_snapshot_reports: int = Field(default=100_000, ge=1)
    """Offsets of `executions` recorded since the last snapshots of what came before, after which a
    gateway keeps others: about as many a start asks for."""
    gateway_trades_kept: int = Field(default=100, ge=0, le=10_000)
    """Trades of each ticker that a new subscriber is shown."""
    gateway_resumable: int = Field(default=50_000, ge=0)
    """Trades of all tickers, and reports of all accounts, kept for sockets that come back."""
    gateway_books_kept: int = Field(default=1_000, ge=1, le=100_000)
    """Books of each ticker, for sockets that come back or read slowly."""
    gateway_head_bytes_max: int = Field(default=16_384, ge=1_024)
    """Longest request line and headers together."""
    gateway_head_timeout_ms: int = Field(default=10_000, ge=10)
    """Longest wait for a request's headers, from its first byte or from the connection on."""
    gateway_connections_max: int = Field(default=2_000, ge=1)
    """Most connections, WebSockets included; more are closed at once."""
    gateway_sockets_max: int = Field(default=1_000, ge=1)
    """Most WebSockets; above the next, so that no one address takes every place."""
    gateway_sockets_of_address_max: int = Field(default=200, ge=1)
    """Most WebSockets from one address."""
    gateway_subscriptions_max: int = Field(default=32, ge=1)
    """Most subscriptions of one WebSocket."""
    gateway_socket_queue_max: int = Field(default=1_000, ge=1)
    """Most messages waiting for a slow WebSocket client; one more closes it."""
    gateway_socket_commands_max: int = Field(default=100, ge=1)
    """Most commands of one WebSocket on their way to the log."""
    gateway_socket_message_bytes_max: int = Field(default=4_096, ge=128)
    """Longest message a WebSocket client may send."""
    gateway_socket_stall_ms: int = Field(default=30_000, ge=500)
    """How long a client may leave the network's buffers full before it is cut off."""
    gateway_heartbeat_ms: int = Field(default=15_000, ge=10)
    """A WebSocket that has been silent this long gets a heartbeat."""
    gateway_newest_interval_ms: int = Field(default=50, ge=0)
    """That of which only the newest matters (books, predictions, positions) is sent at most this
    often: what changed meanwhile goes out as one, and waits no longer than this."""
    gateway_candles_kept: int = Field(default=1_000, ge=1, le=10_000)
    """Candles of each ticker and interval."""
    gateway_candle_trades_max: int = Field(default=50_000, ge=0, le=10_000_000)
    """Records of each partition of `trades` read at the start, for candles from before it."""
    gateway_keys_secret_file: Path | None = None
    """What keys are hashed with, 64 hexadecimal digits, alike at every gateway of the deployment;
    `outcry up` makes it. Without it and a database there are no keys."""
    gateway_keys_refresh_ms: int = Field(default=1_000, ge=10)
    """How long a new or revoked key may take to be known here."""
    gateway_keys_stale_ms_max: int = Field(default=60_000, ge=100)
    """How long keys count while their database is away."""
    gateway_keys_max: int = Field(default=10_000, ge=1)
    """Most keys in memory; the youngest beyond it do not count."""
    gateway_signature_window_ms: int = Field(default=30_000, ge=100, le=300_000)
    """How far a signed request's time may be from this clock, either way."""
    gateway_signatures_max: int = Field(default=100_000, ge=1)
    """Most signatures remembered, so that none is taken twice."""
    gateway_rate_window_s: int = Field(default=10, ge=1, le=3_600)
    gateway_rate_of_address_max: int = Field(default=20_000, ge=0)
    """Most requests and WebSocket messages of one address in a window, at all `gateway_processes`
    together; 0: any number."""
    gateway_rate_of_key_max: int = Field(default=10_000, ge=0)
    """The same of one key."""

    gateway_page_dir: Path = PAGE_OF_CHECKOUT
    """The built web page; without one / says how to build it."""
    home: Path | None = None
    """The deployment's folder, below which drift keeps its reports; `outcry up` tells it."""
    gateway_drift_reads_max: int = Field(default=4, ge=1, le=40)
    """Most threads that read drift's results from PostgreSQL at a time."""
    gateway_status_age_ms: int = Field(default=5_000, ge=0)
    """How old the answer of GET /status may be before Kafka and PostgreSQL are asked again."""
    gateway_status_wait_ms: int = Field(default=2_000, ge=10, le=10_000)
    """Longest wait for Kafka's part of it."""

    @property
    def host_names(self) -> tuple[str, ...]:
        """`gateway_names`, one by one, as a Host header is compared."""
        return tuple(name.lower() for name in self.gateway_names.split(",") if name)

    @field_validator("gateway_host")
    @classmethod
    def _open_on_loopback_only(cls, host: str, info: ValidationInfo) -> str:
        if info.data.get("gateway_access") != "keys":
            return only_loopback(host)
        if host != LOOPBACK_NAME:
            ip_address(host)
        return host

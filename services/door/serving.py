"""The listening socket on loopback, uvicorn on it, and the loop under both."""

import asyncio
import gc
import socket
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from typing import Final

import uvicorn
import uvloop

from services.runtime.errors import ConfigurationError

LOOPBACK_NAME: Final = "localhost"


def run_loop[T](work: Coroutine[None, None, T]) -> T:
    """Run to its end as `asyncio.run` does, on libuv's loop, which costs a request less."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)


def spare_collections() -> None:
    """Keep what is loaded by now, libraries above all, out of every later garbage collection.

    A full one holds all threads up: over the hundreds of thousands of objects of FastAPI and
    pydantic, and the million of Feast, MLflow and XGBoost, for up to a tenth of a second. Called
    once a room has what it serves from.
    """
    gc.collect()
    gc.freeze()


def only_loopback(host: str) -> str:
    """Let a setting pass that names this machine alone: nobody proves who they are.

    Raises:
        ValueError: it is no loopback address.
    """
    if host == LOOPBACK_NAME:
        return host
    try:
        is_loopback = ip_address(host).is_loopback
    except ValueError:
        is_loopback = False
    if not is_loopback:
        msg = (
            f"{host!r} is not a loopback address, and callers only say who they are, they do"
            " not prove it; use 127.0.0.1"
        )
        raise ValueError(msg)
    return host


def listen(
    host: str, port: int, setting: str, stall_ms: int, *, is_shared: bool = False
) -> socket.socket:
    """The listening socket.

    Args:
        host: loopback.
        port: 0: any free one.
        setting: the variable that says which port, for who has to change it.
        stall_ms: how long a client may leave the network's buffers full.
        is_shared: whether other processes that share it, too, may listen on the port beside.

    Raises:
        ConfigurationError: the port can't be had.
    """
    is_v6 = host != LOOPBACK_NAME and ip_address(host).version == 6
    try:
        listener = socket.create_server(
            (host, port),
            family=socket.AF_INET6 if is_v6 else socket.AF_INET,
            backlog=1_024,
            reuse_port=is_shared,
        )
    except OSError as error:
        msg = f"can't listen on {host}:{port} ({error.strerror}); set {setting}"
        raise ConfigurationError(msg) from error
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        # Accepted sockets inherit it. A client that never reads would otherwise hold its
        # connection for ever: its kernel answers for it, so nothing else times out.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, stall_ms)
    return listener


class QuietServer(uvicorn.Server):
    """uvicorn without its own signal handlers: it would die of the signal once it has stopped."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

"""Whether ports are free and, if not, who has them."""

import errno
import os
import socket
from collections.abc import Iterable, Mapping
from random import Random
from typing import Final

from services.tools.stack.errors import PortTakenError
from services.tools.stack.settings import HOST, PORT_OFFSETS, PORT_SPAN

_RUN_BASES: Final = range(24_000, 32_000, PORT_SPAN)
"""Above those of tests and of people's stacks."""


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        # As servers do: a connection still closing on this port is no reason to refuse.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            if error.errno in (errno.EADDRINUSE, errno.EACCES):
                return False
            raise
    return True


def holder(port: int) -> str:
    """Who listens there, as `pid 123 (java)`; `another process` if the system won't say."""
    import psutil

    try:
        for connection in psutil.net_connections("inet"):
            taken = connection.laddr and connection.laddr.port == port
            if taken and connection.status == psutil.CONN_LISTEN and connection.pid:
                return f"pid {connection.pid} ({psutil.Process(connection.pid).name()})"
    except psutil.Error:
        return "another process"
    return "another process"


def check_ports(ports: Mapping[str, int], port_base: int) -> None:
    """Raise PortTakenError for the first port, by name, that is not free."""
    for name, port in ports.items():
        if not is_free(port):
            free_base = find_free_base(range(port_base + PORT_SPAN, 64000, PORT_SPAN))
            raise PortTakenError(
                f"port {port} ({name}) is taken by {holder(port)}; stop it, or choose other ports: "
                f"OUTCRY_PORT_BASE={free_base}"
            )


def find_free_base(bases: Iterable[int]) -> int:
    """The first base whose ports are all free; raises PortTakenError if there is none."""
    for base in bases:
        if all(is_free(base + offset) for offset in PORT_OFFSETS.values()):
            return base
    raise PortTakenError("no free range of ports; stop something, or set OUTCRY_PORT_BASE")


def free_run_base() -> int:
    """A free range for a run that starts a stack of its own; raises PortTakenError.

    Not always the first: two runs that begin together would both choose it.
    """
    return find_free_base(Random(os.getpid()).sample(_RUN_BASES, len(_RUN_BASES)))

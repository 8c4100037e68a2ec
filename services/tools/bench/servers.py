"""Servers that a benchmark starts and asks, each a process of its own on this machine."""

import os
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec
import psutil

from services.tools.stack.plan import Addresses

_READY_S: Final = 120.0
_LAST_S: Final = 10.0
_LOG_TOLD: Final = 2_000
"""Characters."""
_MIB: Final = 1024 * 1024


class Server(msgspec.Struct, frozen=True):
    """One that is asked."""

    port: int
    pid: int

    def cpu_s(self) -> float:
        """Processor time that it and what it started took until now, also where that has ended.

        Feast's server, for one, replaces its worker after so many requests.
        """
        started = psutil.Process(self.pid)
        # The server last: what ends meanwhile is in its time by then.
        return sum(process_cpu_s(each) for each in (*started.children(recursive=True), started))

    def resident_mib(self) -> float:
        """Memory that it holds, in MiB."""
        return float(psutil.Process(self.pid).memory_info().rss) / _MIB


def process_cpu_s(process: psutil.Process) -> float:
    """User and system time so far, that of children which ended included; 0: it ended itself."""
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return float(times.user + times.system + times.children_user + times.children_system)


def room_environment(home: Path, addresses: Addresses, prefix: str) -> dict[str, str]:
    """What a room that a benchmark starts by itself has to know at least."""
    return {
        "OUTCRY_HOME": str(home),
        "OUTCRY_KAFKA_BOOTSTRAP": addresses.kafka_bootstrap,
        "OUTCRY_REGISTRY_URL": addresses.registry_url,
        "OUTCRY_TOPIC_PREFIX": prefix,
    }


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def started(log: Path, command: list[str], env: Mapping[str, str]) -> Iterator[int]:
    """Run a server; its id. Told to end, and made to, at the end."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            env=os.environ | env,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        yield process.pid
    finally:
        # With what it started: both reference servers run their worker in a process of its own.
        with_children = os.getpgid(process.pid)
        os.killpg(with_children, 15)
        try:
            process.wait(_LAST_S)
        except subprocess.TimeoutExpired:
            os.killpg(with_children, 9)
            process.wait()


def wait_until_ok(url: str, log: Path) -> None:
    """Wait until it answers with 200.

    Raises:
        TimeoutError: it does not; the message has the end of its log.
    """
    deadline_s = time.monotonic() + _READY_S
    while time.monotonic() < deadline_s:
        if is_ok(url):
            return
        time.sleep(0.2)
    raise TimeoutError(f"{url} does not answer with 200; its log ends:\n{end_of(log)}")


def end_of(log: Path) -> str:
    """What a server said last, for a message."""
    return log.read_text(encoding="utf-8", errors="replace")[-_LOG_TOLD:]


def is_ok(url: str) -> bool:
    """Whether it answers with 200 now."""
    try:
        with urllib.request.urlopen(url, timeout=2):  # noqa: S310 - a URL of our own
            return True
    except (urllib.error.URLError, OSError):
        return False

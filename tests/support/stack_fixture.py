"""One stack for a test process: Kafka, registry and PostgreSQL, without rooms.

Ask for the fixture `stack_infra`; take a topic prefix of your own, since all tests of the process
share it (each worker of pytest-xdist is one). Its servers have their own ports and data, and die
with the process, also if that is killed. The components are those of the checkout, downloaded at
first use.
"""

import fcntl
import os
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from services.tools.stack.errors import PortTakenError
from services.tools.stack.plan import Addresses
from services.tools.stack.portcheck import find_free_base
from services.tools.stack.settings import PORT_SPAN, StackSettings
from services.tools.stack.stack import Stack, running_stack
from tests.support.waiting import wait_until

COMPONENTS: Final = Path(__file__).parents[2] / ".components"
# A block for each stack, since the room sets on it take the next free bases above its own: two
# sessions, or two workers of one, would find the same base free and both take it. All below
# 19000, where stacks of people begin; benches and chaos take theirs above that.
_BLOCK: Final = 4 * PORT_SPAN
_BASES: Final = range(10_000, 18_800, _BLOCK)


@dataclass(frozen=True)
class StackInfra:
    """The session's stack, and the settings to give to a `RoomSet` on top of it."""

    settings: StackSettings
    stack: Stack

    @property
    def addresses(self) -> Addresses:
        return self.stack.addresses

    def crash(self, name: str, how: signal.Signals = signal.SIGKILL) -> None:
        """End a server of the stack; returns once the supervisor has brought it back."""
        status = self.stack.status()
        assert status is not None
        server = status.row(name)
        assert server.process is not None
        os.kill(server.process.pid, how)

        def is_back() -> bool:
            now = self.stack.status()
            return now is not None and now.is_up and now.row(name).restarts > server.restarts

        wait_until(is_back, f"{name} to be back", timeout_s=180)


@contextmanager
def reserved_port_base() -> Iterator[int]:
    """A base of a block whose ports are free and which no other test process chooses meanwhile."""
    for base in _BASES:
        path = Path(tempfile.gettempdir()) / f"outcry-test-ports-{base}.lock"
        with path.open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                for own in range(base, base + _BLOCK, PORT_SPAN):
                    find_free_base([own])
            except (BlockingIOError, PortTakenError):
                continue
            yield base
            return
    raise PortTakenError("no free range of ports for a test stack; stop something")


@pytest.fixture(scope="session")
def stack_infra(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StackInfra]:
    """Kafka, registry (FULL_TRANSITIVE) and PostgreSQL, ready; stopped at the session's end."""
    home = tmp_path_factory.mktemp("stack")
    with reserved_port_base() as base:
        settings = StackSettings(
            home=home,
            port_base=base,
            components=COMPONENTS,
            pg_dsn=None,
            topic_prefix="",
            frozen_timeout_s=0,  # tests stop rooms for long and want them back as they were
        )
        with running_stack(settings, rooms=()) as stack:
            yield StackInfra(settings, stack)

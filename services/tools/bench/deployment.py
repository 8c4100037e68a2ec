"""A fresh stack and deployment to measure, with the simulated crowd let in."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import psutil

from services.domain.controls import Genesis
from services.runtime.registry import load_codec
from services.tools.bench.servers import process_cpu_s
from services.tools.market.admit import admit_crowd
from services.tools.operate.exchange import KafkaExchange
from services.tools.operate.steps import begin
from services.tools.stack.deployment import create_topics, migrate_database, register_schemas
from services.tools.stack.plan import Addresses, Plan
from services.tools.stack.portcheck import free_run_base
from services.tools.stack.settings import StackSettings
from services.tools.stack.stack import RoomSet, Stack, running_stack
from services.wire.codec import Codec

_PREFIX: Final = "bench."
_MIB: Final = 1024 * 1024


class Bench:
    """What the measurements need of a running deployment."""

    def __init__(self, stack: Stack, rooms: RoomSet, codec: Codec) -> None:
        self.prefix = rooms.plan.topic_prefix
        self.addresses: Addresses = stack.addresses
        self.codec = codec
        self.rooms_home: Path = rooms.home
        """Where the lake and the online store are."""
        self.plan: Plan = rooms.plan
        self._stacks: tuple[Stack, ...] = (stack, rooms)

    def cpu_seconds(self) -> Mapping[str, float]:
        """User and system time so far of each component, its children included, ended ones too."""
        return {
            name: sum(process_cpu_s(process) for process in family)
            for name, family in self._families().items()
        }

    def resident_mib(self) -> Mapping[str, float]:
        """Resident memory of each component, in MiB."""
        return {
            name: sum(_resident_bytes(process) for process in family) / _MIB
            for name, family in self._families().items()
        }

    def _families(self) -> dict[str, list[psutil.Process]]:
        found = {}
        for stack in self._stacks:
            status = stack.status()
            assert status is not None, "the stack under measurement has stopped"
            for row in status.components:
                if row.process is not None and psutil.pid_exists(row.process.pid):
                    process = psutil.Process(row.process.pid)
                    found[row.name] = [process, *process.children(recursive=True)]
        return found


def _resident_bytes(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.NoSuchProcess:
        return 0


@contextmanager
def open_bench(home: Path, rooms: tuple[str, ...], genesis: Genesis, seed: int) -> Iterator[Bench]:
    """Start infrastructure and rooms under `home`, with marks, accounts and deposits in place.

    Raises:
        StackError: something does not start.
    """
    settings = StackSettings(home=home, port_base=free_run_base(), topic_prefix="")
    with (
        running_stack(settings, rooms=()) as stack,
        open_rooms(stack, settings, _PREFIX, rooms, genesis, seed) as bench,
    ):
        yield bench


@contextmanager
def open_rooms(
    stack: Stack,
    settings: StackSettings,
    prefix: str,
    rooms: tuple[str, ...],
    genesis: Genesis,
    seed: int,
) -> Iterator[Bench]:
    """The rooms of one deployment on infrastructure that runs, as `open_bench`.

    Raises:
        StackError: something does not start.
    """
    addresses = stack.addresses
    create_topics(addresses, prefix)
    register_schemas(addresses, prefix)
    migrate_database(addresses, prefix)
    begin(addresses, prefix, genesis)
    codec = load_codec(addresses.registry_url)
    with (
        RoomSet(settings, prefix, rooms) as room_set,
        KafkaExchange(addresses.kafka_bootstrap, prefix, codec) as exchange,
    ):
        assert isinstance(room_set, RoomSet)
        admit_crowd(exchange, seed)
        yield Bench(stack, room_set, codec)

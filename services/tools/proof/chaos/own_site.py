"""A site of its own for a long run: fresh infrastructure, rooms under a genesis that is told."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from services.domain.controls import Genesis
from services.tools.operate.steps import begin
from services.tools.proof.chaos.site import Site
from services.tools.stack.deployment import create_topics, migrate_database, register_schemas
from services.tools.stack.portcheck import free_run_base
from services.tools.stack.rooms import TRADING_ROOMS
from services.tools.stack.settings import StackSettings
from services.tools.stack.stack import RoomSet, running_stack

PREFIX: Final = "run."


@contextmanager
def own_site(
    home: Path,
    genesis: Genesis,
    rooms: tuple[str, ...] = TRADING_ROOMS,
    environment: Mapping[str, str] | None = None,
    frozen_timeout_s: float = 2.0,
) -> Iterator[Site]:
    """Start everything under `home`, and stop it at the end.

    Args:
        home: of the stack; its data and logs stay there.
        genesis: what the rooms begin with.
        rooms: those that run.
        environment: beside what the stack tells each of its processes.
        frozen_timeout_s: how long a process may stand still; 0: for ever.

    Raises:
        StackError: something does not start.
    """
    settings = StackSettings(
        home=home,
        port_base=free_run_base(),
        topic_prefix="",
        frozen_timeout_s=frozen_timeout_s,
    )
    with told(environment or {}), running_stack(settings, rooms=()) as stack:
        create_topics(stack.addresses, PREFIX)
        register_schemas(stack.addresses, PREFIX)
        migrate_database(stack.addresses, PREFIX)
        begin(stack.addresses, PREFIX, genesis)
        with RoomSet(settings, PREFIX, rooms) as room_set:
            yield Site(room_set, stack)


@contextmanager
def told(environment: Mapping[str, str]) -> Iterator[None]:
    """What this process starts within has these in its environment; this one's is as it was."""
    before = {name: os.environ.get(name) for name in environment}
    os.environ.update(environment)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value

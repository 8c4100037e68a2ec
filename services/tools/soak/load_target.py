"""Whom `outcry load` loads: the running stack, or one of its own."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec

from services.domain.genesis import default_genesis
from services.runtime.settings import read_settings
from services.tools.bench.frame import Say
from services.tools.market.admit import admit_crowd
from services.tools.market.population import Role, participants
from services.tools.operate.connect import open_exchange, read_deployment
from services.tools.proof.chaos.own_site import own_site
from services.tools.soak.load_run import LoadPlan, LoadRow, run_load
from services.tools.stack.errors import StackError
from services.tools.stack.settings import HOST, StackSettings
from services.tools.stack.status import read_live_status

_SEED: Final = 20_000
"""Of a crowd whose accounts the load uses; `outcry simulate` has smaller ones."""
_UNLIMITED: Final = {
    "OUTCRY_GATEWAY_RATE_OF_ADDRESS_MAX": "0",
    "OUTCRY_GATEWAY_RATE_OF_KEY_MAX": "0",
}


class Target(msgspec.Struct, frozen=True):
    """What is loaded."""

    gateway: str
    predict: str


def load_target(
    scenario: str,
    users: int,
    rates_per_s: tuple[float, ...],
    duration_s: float,
    folder: Path,
    *,
    own: bool,
    say: Say,
) -> list[LoadRow]:
    """Open the load's accounts, and load.

    Raises:
        StackError: no stack runs here, or none can be started.
        OperateError: the exchange does not answer.
    """
    with own_target() if own else running_target() as target:
        accounts = tuple(
            one.account for one in participants(_SEED) if one.role in (Role.MAKER, Role.INFORMED)
        )
        return run_load(
            LoadPlan(
                scenario, users, rates_per_s, duration_s, folder, target.gateway, target.predict,
                accounts,
            ),
            say,
        )  # fmt: skip


@contextmanager
def running_target() -> Iterator[Target]:
    """The stack of the settings in the environment, its gateway open.

    Raises:
        StackError: no stack runs, or without a gateway.
        OperateError: the exchange does not answer.
    """
    settings = read_settings(StackSettings)
    status = read_live_status(settings.home)
    rooms = {row.name for row in status.components} if status is not None else set()
    if "gateway" not in rooms:
        raise StackError("no gateway runs here; start one with `outcry up`, or load with --own")
    if settings.gateway_access != "open":
        raise StackError("the load has no keys: it needs OUTCRY_GATEWAY_ACCESS=open")
    with open_exchange(read_deployment()) as exchange:
        admit_crowd(exchange, _SEED)
    predict = f"{HOST}:{settings.port('predict')}" if "inference" in rooms else ""
    yield Target(f"{HOST}:{settings.port('gateway')}", predict)


@contextmanager
def own_target() -> Iterator[Target]:
    """A stack of its own with the trading rooms, without limits of rate.

    Raises:
        StackError: it does not start.
    """
    with (
        tempfile.TemporaryDirectory(prefix="outcry-load-") as home,
        own_site(
            Path(home), default_genesis("load"), environment=_UNLIMITED, frozen_timeout_s=0
        ) as site,
    ):
        site.admit(_SEED, ())
        yield Target(site.gateway, "")

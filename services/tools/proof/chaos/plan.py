"""Which scenarios there are, and a whole run of them on a stack of its own."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Final

import msgspec

from services.runtime.errors import OperatingError
from services.tools.operate.errors import OperateError
from services.tools.proof.chaos import disk, freeze, resting, scenarios, twins
from services.tools.proof.chaos.run import RATE_PER_S, Account, Run, Say, open_run
from services.tools.proof.chaos.site import Site
from services.tools.stack.plan import stack_plan
from services.tools.stack.portcheck import free_run_base
from services.tools.stack.rooms import TRADING_ROOMS
from services.tools.stack.settings import StackSettings
from services.tools.stack.stack import Stack

_OTHER_CROWD: Final = 1_000_000
"""Added to the seed: a stream published a second time would be nothing but repetitions."""


class Order(msgspec.Struct, frozen=True):
    """What to run."""

    home: Path
    """Of the stack; promises and the logs of load and twins lie beside its data."""
    seed: int
    scenarios: tuple[str, ...]
    kills: int
    """Of each room."""
    resting: int
    """Orders in the books when matcher and risk are killed with full books."""
    rate_per_s: float = RATE_PER_S
    """Commands of the crowd; probe and REST come on top."""
    standby: bool = False
    """Run matcher and risk twice; only for scenarios that kill."""
    frozen_timeout_s: float = 2.0


class Scenario(msgspec.Struct, frozen=True):
    """One row of the table of scenarios."""

    name: str
    meaning: str
    act: Callable[[Run, Order], None]
    judges_freezes: bool = True
    """Whether the supervisor may kill what stands still."""


def _full_books(run: Run, order: Order) -> None:
    resting.fill_books(run, order.resting)
    resting.kill_with_full_books(run, 5)


SCENARIOS: Final = (
    Scenario(
        "sleep",
        "each room stopped past its session, and back",
        lambda run, _: scenarios.sleep_rooms(run),
        judges_freezes=False,
    ),
    Scenario(
        "twins",
        "two processes of a room, of one identity and of two; both asleep, and awake",
        lambda run, order: twins.twin_rooms(run, order.home),
        judges_freezes=False,
    ),
    Scenario(
        "kills",
        "SIGKILL of each room at random moments",
        lambda run, order: scenarios.kill_rooms(run, order.kills),
    ),
    Scenario(
        "freeze",
        "the matcher stands still inside a transaction",
        lambda run, _: freeze.freeze_inside_transaction(run, times=5),
    ),
    Scenario("broker", "SIGKILL of Kafka", lambda run, _: scenarios.kill_broker(run)),
    Scenario("registry", "the registry held down", lambda run, _: scenarios.registry_away(run)),
    Scenario(
        "postgres",
        "PostgreSQL held down for a minute",
        lambda run, _: scenarios.postgres_away(run),
    ),
    Scenario(
        "everything",
        "SIGKILL of every process at once",
        lambda run, _: scenarios.kill_everything(run),
    ),
    Scenario("resting", "matcher and risk killed with full books", _full_books),
    Scenario("disk", "PostgreSQL can't write", lambda run, _: disk.fill_disk(run)),
)
"""In the order in which they run: the supervisor is told at its start whether to judge freezes,
and full books make every later look at the log longer."""

STANDBY_SCENARIOS: Final = ("kills", "broker", "registry", "postgres", "everything", "resting")
"""Which can be run with standbys."""

SCENARIO_NAMES: Final = tuple(scenario.name for scenario in SCENARIOS)


def run_chaos(order: Order, say: Say) -> Account:
    """Start a stack under `order.home`, harm it as ordered, stop it. Blocks for minutes.

    Raises:
        StackError: the stack does not start.
    """
    chosen = [scenario for scenario in SCENARIOS if scenario.name in order.scenarios]
    base = free_run_base()
    account = Account()
    for judges in (False, True):
        part = [scenario for scenario in chosen if scenario.judges_freezes is judges]
        if not part:
            continue
        timeout_s = order.frozen_timeout_s if judges else 0.0
        settings = StackSettings(
            home=order.home,
            port_base=base,
            topic_prefix="",
            frozen_timeout_s=timeout_s,
            standby=order.standby,
        )
        crowd = order.seed if judges else order.seed + _OTHER_CROWD
        say(f"starting a stack in {order.home}, ports from {base}")
        with Stack(stack_plan(settings, TRADING_ROOMS)) as stack:
            site = Site(stack, stack)
            with open_run(site, order.home, crowd, say, order.rate_per_s) as run:
                run.account = account
                run_scenarios(run, ((s.name, partial(s.act, run, order)) for s in part))
        if account.faults:
            break
    return account


def run_scenarios(run: Run, acts: Iterable[tuple[str, Callable[[], None]]]) -> None:
    """One after the other; what can't go on is a fault, and ends the run."""
    for name, act in acts:
        try:
            with run.under_load(name):
                act()
        except (OperateError, OperatingError) as error:
            run.fault(str(error))
            return
    run.settle_all()


def without_standby(names: Sequence[str]) -> list[str]:
    """Those that stop or double one process by its name, which says little of a pair."""
    return [name for name in names if name not in STANDBY_SCENARIOS]


def unknown_scenarios(names: Sequence[str]) -> list[str]:
    """Those that there are none of."""
    return [name for name in names if name not in SCENARIO_NAMES]

"""A chaos run as people read it."""

import sys
from statistics import median

from services.tools.operate.present import print_table
from services.tools.proof.chaos.plan import SCENARIO_NAMES, STANDBY_SCENARIOS, Order
from services.tools.proof.chaos.run import Account, Measured


def print_account(account: Account, order: Order) -> None:
    """Times by scenario, checks, figures, faults; and after a fault what repeats the run."""
    print_table(
        ("scenario", "from the fault to", "times", "median", "longest", "limit"),
        [_row(scenario, what, found) for (scenario, what), found in _grouped(account).items()],
    )
    sys.stdout.write("\n")
    print_table(("killed", "times"), [(name, str(n)) for name, n in account.kills.items()])
    sys.stdout.write("\n")
    print_table(("", "number"), [(name, f"{n:,}") for name, n in account.figures.items()])
    sys.stdout.write("\n")
    print_table(
        ("check", "looked at", "at fault"),
        [
            (name, f"{counted:,}", f"{faults:,}")
            for name, (counted, faults) in account.checks.items()
        ],
    )
    for fault in account.faults:
        sys.stdout.write(f"FAULT {fault}\n")
    whole = "Nothing is lost, nothing happened twice."
    sys.stdout.write(f"{whole if not account.faults else 'PROMISES WERE BROKEN.'}\n")
    if account.faults:
        sys.stdout.write(f"  repeat: {repeating(order)}\n")


def repeating(order: Order) -> str:
    """The command that does the same again: its moments follow from the seed and from all before.

    Processes run as they run, so a fault of a rare race may need more than one try.
    """
    every = STANDBY_SCENARIOS if order.standby else SCENARIO_NAMES
    words = [f"outcry chaos --seed {order.seed}"]
    if order.scenarios != every:
        words += [f"--scenario {name}" for name in order.scenarios]
    words.append(f"--kills {order.kills} --resting {order.resting} --rate {order.rate_per_s:g}")
    if order.standby:
        words.append("--standby")
    return " ".join(words)


def _row(scenario: str, what: str, found: list[Measured]) -> tuple[str, ...]:
    times = [measured.seconds for measured in found]
    limit_s = found[0].limit_s
    return (
        scenario,
        what,
        str(len(times)),
        f"{median(times):.2f} s",
        f"{max(times):.2f} s",
        f"{limit_s:g} s" if limit_s else "",
    )


def _grouped(account: Account) -> dict[tuple[str, str], list[Measured]]:
    found: dict[tuple[str, str], list[Measured]] = {}
    for measured in account.measured:
        found.setdefault((measured.scenario, measured.what), []).append(measured)
    return found

"""A reconciliation as people read it."""

import sys

from services.tools.operate.present import print_table
from services.tools.proof.reconcile import Reconciliation


def print_reconciliation(found: Reconciliation) -> None:
    """The figures, then each check and what is wrong."""
    print_table(("", "number"), [(name, f"{n:,}") for name, n in found.figures.items()])
    sys.stdout.write("\n")
    print_table(
        ("check", "looked at", "at fault", ""),
        [
            (check.name, f"{check.counted:,}", f"{check.faults:,}", "ok" if check.holds else "LOST")
            for check in found.checks
        ],
    )
    for check in found.checks:
        for example in check.examples:
            sys.stdout.write(f"  {check.name}: {example}\n")
        if check.faults > len(check.examples):
            sys.stdout.write(f"  {check.name}: and {check.faults - len(check.examples):,} more\n")
    sys.stdout.write("Nothing is lost.\n" if found.is_whole else "SOMETHING IS LOST.\n")

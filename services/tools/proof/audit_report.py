"""An audit as people read it, and as programs do."""

import sys
from typing import Any, Final

import msgspec

from services.tools.operate.present import print_table
from services.tools.proof.audit.auditor import Findings
from services.tools.proof.audit.ledger import Finding
from services.tools.proof.compiled import form

_HOW: Final = {"compiled": "compiled", "pure Python": "as pure Python"}
_SPELLED_MAX: Final = 10
"""Findings after the first that are told one by one."""


def print_findings(found: Findings) -> None:
    """What was checked, the digests that two people compare, and the first difference."""
    print_table(("checked", "number"), [(name, f"{n:,}") for name, n in found.checked.items()])
    sys.stdout.write("\n")
    print_table(("total", "number"), [(name, f"{n:,}") for name, n in found.totals.items()])
    sys.stdout.write("\n")
    print_table(
        ("topic", "partition", "first offset", "next offset", "records", "digest"),
        [msgspec.structs.astuple(digest) for digest in found.digests],
    )
    sys.stdout.write("\n")
    for note, count in found.notes.items():
        sys.stdout.write(f"{note}: {count:,}\n")
    sys.stdout.write(f"The audit ran {_HOW[form()]}.\n")
    if found.first is None:
        sys.stdout.write("Everything follows from the log.\n")
        return
    sys.stdout.write(f"FIRST DIFFERENCE: {headline(found.first)}\n")
    sys.stdout.write(f"  expected: {found.first.expected}\n  found:    {found.first.found}\n")
    others = found.findings[1:]
    for finding in others[:_SPELLED_MAX]:
        sys.stdout.write(f"then: {headline(finding)}\n")
    if len(others) > _SPELLED_MAX:
        sys.stdout.write(f"and {len(others) - _SPELLED_MAX:,} more\n")


def headline(finding: Finding) -> str:
    """Where it is and which check found it, without what was found there."""
    held = f", {finding.where}" if finding.where else ""
    return f"{finding.topic}/{finding.partition} at offset {finding.offset}{held} ({finding.check})"


def to_document(found: Findings) -> dict[str, Any]:
    """For JSON."""
    return {
        "holds": found.holds,
        "form": form(),
        "first_difference": found.first,
        "differences": found.findings,
        "checked": found.checked,
        "notes": found.notes,
        "totals": found.totals,
        "digests": found.digests,
    }

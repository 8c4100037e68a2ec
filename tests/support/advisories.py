"""`make advisories`: known faults of what the two lock files pin, by pip-audit and `npm audit`.

Both ask a database over the network: PyPI's, which mirrors often lack, and npm's, which takes
questions by POST, which mirrors often refuse. A question without an answer is not a good answer:
it has an exit code of its own.
"""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

ROOT: Final = Path(__file__).parents[2]
CLEAN: Final = 0
FOUND: Final = 1
UNASKED: Final = 3

PIP_AUDIT: Final = (
    ".venv/bin/uv", "--system-certs", "tool", "run", "pip-audit==2.10.1", "--format", "json",
    "--progress-spinner", "off", "--disable-pip", "--require-hashes", "-r", "requirements.lock",
)  # fmt: skip
NPM_AUDIT: Final = ("npm", "--prefix", "web", "audit", "--json", "--package-lock-only")
_TIMEOUT_S: Final = 600


class Verdict(msgspec.Struct, frozen=True):
    """What one database said."""

    known: tuple[str, ...]
    """Packages with a known fault, each with its name there."""
    asked: int
    """Packages about which it had an answer."""
    unasked: str
    """Why there was no answer, or for which packages; empty: there was one for all."""

    @property
    def code(self) -> int:
        if self.known:
            return FOUND
        return UNASKED if self.unasked else CLEAN


def read_pip_audit(output: str) -> Verdict:
    """What `pip-audit --format json` printed."""
    document = _document(output)
    rows: list[dict[str, Any]] = document.get("dependencies", [])
    known = [
        f"{row['name']} {row['version']}: {fault['id']}"
        for row in rows
        for fault in row.get("vulns", ())
    ]
    skipped = [str(row["name"]) for row in rows if "skip_reason" in row]
    if not rows:
        return Verdict((), 0, "pip-audit gave no answer")
    unasked = f"nothing is known there of {len(skipped)} packages" if skipped else ""
    return Verdict(tuple(known), len(rows) - len(skipped), unasked)


def read_npm_audit(output: str) -> Verdict:
    """What `npm audit --json` printed."""
    document = _document(output)
    if "auditReportVersion" not in document:
        return Verdict((), 0, str(document.get("message") or "npm gave no answer")[:200])
    found: dict[str, dict[str, Any]] = document["vulnerabilities"]
    known = tuple(f"{name}: {row.get('severity', '?')}" for name, row in sorted(found.items()))
    return Verdict(known, int(document["metadata"]["dependencies"]["total"]), "")


def report(name: str, verdict: Verdict) -> str:
    """One line, and one more for each known fault."""
    lines = [f"{name}: {verdict.asked} packages asked about, {len(verdict.known)} known faults"]
    if verdict.unasked:
        lines.append(f"  NOT AUDITED: {verdict.unasked}")
    return "\n".join([*lines, *(f"  {fault}" for fault in verdict.known)])


def _document(output: str) -> dict[str, Any]:
    try:
        found = json.loads(output)
    except json.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}


def _run(command: Sequence[str]) -> str:
    """Its standard output; both tools exit with 1 when they found something."""
    try:
        return subprocess.run(
            command, check=False, cwd=ROOT, capture_output=True, text=True, timeout=_TIMEOUT_S
        ).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ""


def main() -> int:
    """0: asked about everything, nothing known; 1: a known fault; 3: could not ask about all."""
    verdicts = {
        "requirements.lock": read_pip_audit(_run(PIP_AUDIT)),
        "web/package-lock.json": read_npm_audit(_run(NPM_AUDIT)),
    }
    for name, verdict in verdicts.items():
        print(report(name, verdict))  # noqa: T201 - a program's own output
    codes = {verdict.code for verdict in verdicts.values()}
    return next(code for code in (FOUND, UNASKED, CLEAN) if code in codes)


if __name__ == "__main__":
    sys.exit(main())

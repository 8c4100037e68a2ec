"""Tries of a benchmark, each a process of its own, and a figure over all of them."""

import json
import statistics
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import msgspec


class Spread(msgspec.Struct, frozen=True):
    """Of one figure over the tries."""

    median: float
    low: float
    high: float


def spread_of(values: Sequence[float]) -> Spread:
    """Over at least one try."""
    return Spread(statistics.median(values), min(values), max(values))


def at_percent(values: Sequence[float], percent: int) -> float:
    """The value that so many percent do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)]


def cell_of(found: Spread, unit: str, digits: int) -> str:
    """As a table shows it."""
    median = f"{found.median:,.{digits}f}"
    return f"{median}{unit and f' {unit}'} [{found.low:,.{digits}f}, {found.high:,.{digits}f}]"


def spell(figure: Spread | None) -> str:
    """Three digits or so of it, and the spread where there is one; None: nobody was there."""
    if figure is None:
        return "not installed"
    digits = 0 if figure.median >= 100 else 1 if figure.median >= 10 else 2
    spelled = [f"{value:,.{digits}f}" for value in (figure.median, figure.low, figure.high)]
    return spelled[0] if figure.low == figure.high else "{} [{}, {}]".format(*spelled)


def try_apart(module: str, arguments: Sequence[str], timeout_s: float, what: str) -> dict[str, Any]:
    """Run a worker and take the JSON that it prints.

    Args:
        module: run as `python -m`.
        arguments: its own.
        timeout_s: for all of it.
        what: for the message, such as "a try".

    Raises:
        RuntimeError: it failed; the message ends with the last that it said.
    """
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        capture_output=True, text=True, check=False, timeout=timeout_s,
    )  # fmt: skip
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise RuntimeError(f"{what} failed ({done.returncode}): {last}")
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer

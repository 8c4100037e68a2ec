"""Where the time goes between a kill and the first trade, from the log lines of those concerned."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec

_SUPERVISOR_EVENTS: Final = {
    "component_killed": "noticed",
    "component_died": "noticed",
    "component_started": "started",
}
_ROOM_EVENTS: Final = {
    "starting": "running",
    "joining": "joining",
    "restored": "restored",
    "partitions_assigned": "assigned",
}
STEPS: Final = ("noticed", "started", "running", "joining", "restored", "assigned")
"""In order: the supervisor knows; the process is there; its code runs; it has codec, topics and
store and joins its group; its last fold is restored; it works."""


class Mark(msgspec.Struct, frozen=True):
    """How much of a log file was there at some moment."""

    path: Path
    size_bytes: int


def mark(path: Path) -> Mark:
    """Remember the present end."""
    return Mark(path, path.stat().st_size if path.exists() else 0)


def lines_since(place: Mark) -> list[str]:
    """What was written since; everything, if the file was moved away meanwhile."""
    if not place.path.exists():
        return []
    with place.path.open("rb") as file:
        file.seek(place.size_bytes if place.path.stat().st_size >= place.size_bytes else 0)
        return file.read().decode(errors="replace").splitlines()


def steps_after(room: str, signal_s: float, supervisor: Mark, own: Mark) -> dict[str, float]:
    """Seconds from the signal to each step that left a line; of those repeated, the last."""
    found: dict[str, float] = {}
    for event, line in events_since(supervisor):
        if line.get("component") == room and event in _SUPERVISOR_EVENTS:
            found.setdefault(_SUPERVISOR_EVENTS[event], _time_s(line) - signal_s)
    for event, line in events_since(own):
        if event in _ROOM_EVENTS:
            found[_ROOM_EVENTS[event]] = _time_s(line) - signal_s
    return {step: found[step] for step in STEPS if step in found}


def events_since(place: Mark) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each line that is ours, and what it says happened."""
    for line in lines_since(place):
        try:
            said = json.loads(line)
        except json.JSONDecodeError:
            continue  # a library's own line
        if isinstance(said, dict):
            yield said.get("event", ""), said


def _time_s(line: dict[str, Any]) -> float:
    return datetime.fromisoformat(line["timestamp"]).astimezone(UTC).timestamp()


def last_time(log: Path, event: str) -> str:
    """The time stamp of the last line of a room's log with this event; empty: there is none."""
    for line in reversed(lines_since(Mark(log, 0))):
        if f'"{event}"' in line:
            return str(json.loads(line)["timestamp"])
    return ""


def spell(steps: dict[str, float]) -> str:
    """`noticed 0.00, started 0.02, ...`: each as seconds since the signal."""
    return ", ".join(f"{step} {seconds:.2f}" for step, seconds in steps.items())

"""What the stack's commands print: progress while it starts, tables, JSON."""

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import msgspec
from rich.console import Console
from rich.status import Status
from rich.table import Table

from services.tools.stack.doctor import Check
from services.tools.stack.plan import Plan
from services.tools.stack.settings import HOST, PORT_OFFSETS
from services.tools.stack.status import (
    ComponentStatus,
    StackStatus,
    State,
    memory_mb,
    uptime_s,
)

PLAIN_INTERVAL_S: Final = 5.0

_ACCESS: Final = {
    "open": "open: whoever reaches this machine's loopback trades as any account;"
    " OUTCRY_GATEWAY_ACCESS=keys asks for keys",
    "keys": "by keys: `outcry keys create` makes one",
}
"""Between two lines of progress where there is no terminal to draw in."""
_COLOURS: Final = {
    State.UP: "green",
    State.DONE: "green",
    State.FAILED: "red",
    State.BACKOFF: "red",
    State.UNREADY: "yellow",
}


class Display:
    """Lines for people; in a terminal, progress moves within one line."""

    def __init__(self, *, to_stderr: bool = False) -> None:
        self._console = Console(stderr=to_stderr, highlight=False, soft_wrap=True)
        self._spinner: Status | None = None
        self._plain_due_s = 0.0
        self._last_label = ""
        self._seen: dict[str, tuple[State, int]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stop_spinner()

    def line(self, text: str) -> None:
        self._stop_spinner()
        self._console.print(text, markup=False)

    def progress(self, text: str) -> None:
        """One line of a download's progress, `what: how far`; called often."""
        if self._console.is_terminal:
            if self._spinner is None:
                self._spinner = self._console.status("")
                self._spinner.start()
            self._spinner.update(f"Fetching {text}")
            return
        label = text.partition(":")[0]
        now_s = time.monotonic()
        if label != self._last_label or now_s >= self._plain_due_s or text.endswith(": done"):
            self._last_label = label
            self._plain_due_s = now_s + PLAIN_INTERVAL_S
            self._console.print(f"Fetching {text}", markup=False)

    def prime(self, status: StackStatus | None) -> None:
        """Take this as known: only what changes from here on is shown."""
        for row in status.components if status is not None else ():
            self._seen[row.name] = (row.state, row.restarts)

    def watch(self, status: StackStatus) -> None:
        """One line for each component that came to another state."""
        for row in status.components:
            before = self._seen.get(row.name)
            self._seen[row.name] = (row.state, row.restarts)
            if before != (row.state, row.restarts) and row.state is not State.WAITING:
                port = f"{HOST}:{row.port}" if row.port and row.state is State.UP else ""
                note = row.note or port
                self.line(f"  {row.name:<10} {row.state.value:<10} {note}".rstrip())

    def addresses(self, plan: Plan) -> None:
        """Where to go next, once everything is up."""
        self.line("Up.")
        if "gateway" in plan.rooms:
            gateway = f"http://{HOST}:{plan.port_base + PORT_OFFSETS['gateway']}"
            self.line(f"  page       {gateway}/")
            self.line(f"  gateway    {gateway}")
            self.line(f"  access     {_ACCESS[plan.gateway_access]}")
        self.line(f"  kafka      {plan.addresses.kafka_bootstrap}")
        self.line(f"  registry   {plan.addresses.registry_url}")
        self.line(f"  logs       {Path(plan.home) / 'logs'}")

    def _stop_spinner(self) -> None:
        if self._spinner is not None:
            self._spinner.stop()
            self._spinner = None


class StatusRow(msgspec.Struct, frozen=True):
    """One component in `outcry status --json`."""

    component: str
    state: str
    pid: int | None
    uptime_s: float | None
    restarts: int
    port: int | None
    memory_mb: int | None
    log: str
    note: str


class StatusAnswer(msgspec.Struct, frozen=True):
    """`outcry status --json`."""

    home: str
    phase: str
    is_up: bool
    supervisor_pid: int | None
    components: tuple[StatusRow, ...]


def status_rows(home: Path, status: StackStatus | None) -> StatusAnswer:
    """What runs now, with what the operating system knows of it."""
    if status is None:
        return StatusAnswer(str(home), "stopped", is_up=False, supervisor_pid=None, components=())
    return StatusAnswer(
        home=str(home),
        phase=status.phase,
        is_up=status.is_up,
        supervisor_pid=status.supervisor.pid,
        components=tuple(_row(row) for row in status.components),
    )


def _row(row: ComponentStatus) -> StatusRow:
    return StatusRow(
        component=row.name,
        state=row.state,
        pid=row.process.pid if row.process else None,
        uptime_s=uptime_s(row),
        restarts=row.restarts,
        port=row.port,
        memory_mb=memory_mb(row),
        log=row.log,
        note=row.note,
    )


def status_table(status: StackStatus) -> None:
    """Print the table of `outcry status`."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("component", "state", "pid", "up for", "restarts", "port", "memory", ""):
        right = column in ("pid", "up for", "restarts", "port", "memory")
        table.add_column(column, justify="right" if right else "left", no_wrap=column != "")
    for component in status.components:
        row = _row(component)
        colour = _COLOURS.get(component.state, "default")
        table.add_row(
            row.component,
            f"[{colour}]{row.state}[/]",
            "" if row.pid is None else str(row.pid),
            "" if row.uptime_s is None else _duration(row.uptime_s),
            str(row.restarts),
            "" if row.port is None else str(row.port),
            "" if row.memory_mb is None else f"{row.memory_mb} MB",
            row.note,
        )
    Console(highlight=False).print(table)


def doctor_table(checks: Sequence[Check]) -> None:
    """Print what `outcry doctor` found."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("")
    for column in ("what", "found", "to get it"):
        table.add_column(column, overflow="fold")
    for check in checks:
        missing = "[red]missing[/]" if check.required else "[yellow]optional[/]"
        table.add_row(
            "[green]ok[/]" if check.ok else missing, check.name, check.found, check.advice
        )
    Console(highlight=False).print(table)


def print_json(answer: object) -> None:
    """One JSON document to standard output."""
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(answer), indent=2).decode() + "\n")


def _duration(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"

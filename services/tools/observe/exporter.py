"""The stack's processes as metrics, read from the supervisor's status file."""

from collections.abc import Callable
from pathlib import Path

from services.runtime.telemetry import Telemetry
from services.tools.observe.stack_metrics import (
    COMPONENT_MEMORY,
    COMPONENT_RESTARTS,
    COMPONENT_UP,
    METRICS,
    STACK,
)
from services.tools.stack.status import ComponentStatus, State, memory_mb, read_live_status


class StackExporter:
    """Call `refresh` every second or so; the telemetry then says what the status file does.

    Args:
        home: of the stack.
        memory: a component's, in MB; None: it does not run.
    """

    def __init__(
        self, home: Path, memory: Callable[[ComponentStatus], int | None] = memory_mb
    ) -> None:
        self.telemetry = Telemetry(STACK, metrics=METRICS)
        self.telemetry.ready.set()
        self._home = home
        self._memory = memory
        self._restarts: dict[str, int] = {}

    def refresh(self) -> None:
        """Read it once. Without a supervisor every component known is down."""
        status = read_live_status(self._home)
        rows = {row.name: row for row in status.components} if status is not None else {}
        telemetry = self.telemetry
        for gone in self._restarts.keys() - rows.keys():
            telemetry.set(COMPONENT_UP, 0, component=gone)
            telemetry.set(COMPONENT_MEMORY, 0, component=gone)
        for name, row in rows.items():
            if row.state is State.DONE:
                continue  # ran once, to its end
            telemetry.set(COMPONENT_UP, float(row.state is State.UP), component=name)
            used_mb = self._memory(row) or 0
            telemetry.set(COMPONENT_MEMORY, used_mb * 1024 * 1024, component=name)
            known = self._restarts.get(name, 0)
            # A supervisor that began anew counts from 0, as any process's counters do.
            risen = row.restarts - known if row.restarts >= known else row.restarts
            telemetry.count(COMPONENT_RESTARTS, risen, component=name)
            self._restarts[name] = row.restarts

"""A program that the supervisor runs, as a value: its start, its readiness, its stop."""

import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from services.tools.stack.readiness import Probe

READY_TIMEOUT_S: Final = 120.0
"""A JVM is ready within seconds; on a busy machine it took most of a minute."""
STOP_TIMEOUT_S: Final = 15.0
CHORE_ASKS_RESTART: Final = 75
"""Exit code of a chore that found what only a restart of its component mends."""


@dataclass(frozen=True)
class Component:
    """One row of what runs."""

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str]
    """The whole environment of the program."""
    ready: Probe | None
    """None: it runs once and is done when it exits with 0."""
    answers: Probe | None = None
    """Whether the process answers at all, ready or not; None: it is never taken for frozen."""
    ports: Mapping[str, int] = field(default_factory=dict)
    """What it listens on, by a name for people; the first is the one that `status` shows."""
    needs: tuple[str, ...] = ()
    """Must be ready whenever this one is started, also after a death."""
    after: tuple[str, ...] = ()
    """Must be ready when this one is first started. Stopping goes the other way round."""
    initialise: Callable[[], None] | None = None
    """Called before each start; makes the data if there is none, and may block for seconds then."""
    chore: tuple[str, ...] = ()
    """A program to run beside this one each time that it has become ready, and when one that needs
    it does not get ready; in the same environment. It ends by itself, what it says goes to a log of
    its own, and with CHORE_ASKS_RESTART it has this one stopped and started again."""
    on_death: Callable[[], object] | None = None
    """Called after each death that was not asked for; may block for a second, and never raises."""
    stop_signal: signal.Signals = signal.SIGTERM
    stop_timeout_s: float = STOP_TIMEOUT_S
    """Then SIGKILL."""
    ready_timeout_s: float = READY_TIMEOUT_S
    account: str | None = None
    """The system account to run as when the supervisor is root."""


def start_layers(components: tuple[Component, ...]) -> list[tuple[Component, ...]]:
    """Groups that can start together, in order; stopping takes them from the last.

    An edge to a component that isn't in `components` counts as met.
    """
    present = {component.name for component in components}
    placed: set[str] = set()
    layers: list[tuple[Component, ...]] = []
    while len(placed) < len(components):
        layer = tuple(
            component
            for component in components
            if component.name not in placed
            and (set(component.needs + component.after) & present) <= placed
        )
        assert layer, "components wait for each other in a circle"
        layers.append(layer)
        placed |= {component.name for component in layer}
    return layers

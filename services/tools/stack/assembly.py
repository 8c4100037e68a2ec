"""From a plan to the components that it means."""

from services.tools.stack.components import Component
from services.tools.stack.plan import Plan
from services.tools.stack.programs import kafka, postgres, registry
from services.tools.stack.rooms import (
    ROOMS,
    more_gateways,
    prepare,
    require_libraries,
    room,
    standby,
)


def components_of(plan: Plan) -> tuple[Component, ...]:
    """In the order in which `status` shows them.

    Raises:
        StackError: a program, or a room's library, is missing.
    """
    programs = {"kafka": kafka, "registry": registry, "postgres": postgres}
    infra = tuple(programs[name](plan) for name in plan.infra)
    rows = [row for row in ROOMS if row.name in plan.rooms]
    for row in rows:
        require_libraries(row)
    rooms = tuple(room(plan, row) for row in rows)
    twice = tuple(standby(plan, row) for row in rows if plan.standby and row.standby_port)
    return (*infra, prepare(plan), *rooms, *more_gateways(plan), *twice)


def ports_of(plan: Plan) -> dict[str, int]:
    """Every port the plan's components will listen on, by a name for people."""
    return {
        name: port for component in components_of(plan) for name, port in component.ports.items()
    }

"""What the supervisor knows of the processes of a stack, as metrics."""

from typing import Final

from services.runtime.telemetry import Metric

COMPONENT_UP: Final = "outcry_stack_component_up"
COMPONENT_RESTARTS: Final = "outcry_stack_component_restarts_total"
COMPONENT_MEMORY: Final = "outcry_stack_component_memory_bytes"

STACK: Final = "stack"
"""The name under which they are scraped, beside the rooms'."""

METRICS: Final = (
    Metric(COMPONENT_UP, "gauge", ("component",), "1 while the process runs and is ready"),
    Metric(COMPONENT_RESTARTS, "counter", ("component",), "Deaths after which it began anew"),
    Metric(
        COMPONENT_MEMORY,
        "gauge",
        ("component",),
        "Memory of the process and its children, shared pages counted once",
    ),
)

"""Every metric there is: who shows it, in which unit, with which labels, and what it means."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

from services.drift.metrics import METRICS as DRIFT
from services.features.metrics import METRICS as FEATURES
from services.gateway.metrics import METRICS as GATEWAY
from services.inference.metrics import METRICS as INFERENCE
from services.materializer.metrics import METRICS as MATERIALIZER
from services.recorder.metrics import METRICS as RECORDER
from services.runtime.labels import LABELS
from services.runtime.telemetry import METRICS as RUNTIME
from services.runtime.telemetry import Metric
from services.tools.observe.stack_metrics import METRICS as STACK_METRICS
from services.tools.observe.stack_metrics import STACK

OWN: Final[Mapping[str, Sequence[Metric]]] = MappingProxyType(
    {
        "ingest": (),
        "risk": (),
        "matcher": (),
        "recorder": RECORDER,
        "features": FEATURES,
        "materializer": MATERIALIZER,
        "inference": INFERENCE,
        "drift": DRIFT,
        "gateway": GATEWAY,
        STACK: STACK_METRICS,
    }
)
"""The metrics of each room, and of the stack, beside those that the runtime gives to all."""

PROCESS: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        "process_cpu_seconds_total": ("counter", "Processor time used"),
        "process_max_fds": ("gauge", "Most files that may be open"),
        "process_open_fds": ("gauge", "Files that are open"),
        "process_resident_memory_bytes": ("gauge", "Memory in use, shared pages included"),
        "process_start_time_seconds": ("gauge", "When the process began, Unix time"),
        "process_virtual_memory_bytes": ("gauge", "Address space"),
    }
)
"""What prometheus_client itself says of each process: kind and meaning by name."""

_UNITS: Final = ("seconds", "bytes", "offsets", "records", "rows", "ratio")


def unit_of(metric: Metric) -> str:
    """By the name's last word, as Prometheus asks; of a counter the word before `_total`."""
    word = metric.name.removesuffix("_total").rpartition("_")[2]
    return word if word in _UNITS else "1"


def metrics_of(room: str) -> Mapping[str, Metric]:
    """All that a room shows, by name, without what prometheus_client adds."""
    return {metric.name: metric for metric in (*RUNTIME, *OWN[room])}


def all_metrics() -> Mapping[str, Metric]:
    """All that anybody shows, by name."""
    own = [metric for room in OWN for metric in OWN[room]]
    return {metric.name: metric for metric in (*RUNTIME, *own)}


def series_of(metric: Metric) -> tuple[str, ...]:
    """The names that queries may use: a histogram has three."""
    if metric.kind == "histogram":
        return tuple(f"{metric.name}_{part}" for part in ("bucket", "count", "sum"))
    return (metric.name,)


def draw_metrics() -> str:
    """The list, as tables of a page."""
    parts = [_table("Every room", RUNTIME)]
    parts += [_table(f"`{room}`", own) for room, own in OWN.items() if own]
    rows = [f"| `{name}` | {kind} | {meaning} |" for name, (kind, meaning) in PROCESS.items()]
    head = ["| metric | type | meaning |", "|---|---|---|"]
    parts.append("\n".join(["## Every process, by prometheus_client", "", *head, *rows]))
    return "\n\n".join(parts)


def _table(title: str, metrics: Sequence[Metric]) -> str:
    head = ["| metric | type | unit | labels | meaning |", "|---|---|---|---|---|"]
    rows = [
        f"| `{one.name}` | {one.kind} | {unit_of(one)} |"
        f" {', '.join(f'`{label}`' for label in one.labels)} | {one.meaning} |"
        for one in metrics
    ]
    return "\n".join([f"## {title}", "", *head, *rows])


def draw_labels() -> str:
    """The labels, as a table of a page."""
    rows = [
        f"| `{name}` | {label.values_max} | {label.meaning} |" for name, label in LABELS.items()
    ]
    return "\n".join(["| label | values at most | meaning |", "|---|---|---|", *rows])

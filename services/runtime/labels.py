"""The labels that metrics may have: a closed list, each with a limit on its values.

A label multiplies series, and whoever sends orders must not be able to fill Prometheus: values
beyond the limit are counted together, as `other`.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import msgspec

OTHER: Final = "other"
"""The value that stands for those there is no room for."""


class Label(msgspec.Struct, frozen=True):
    """One label."""

    meaning: str
    values_max: int
    """Most values of one metric in one process."""


LABELS: Final[Mapping[str, Label]] = MappingProxyType(
    {
        "action": Label("What an alarm may cause: `retrain`, `rollback`", 8),
        "alias": Label("Under which name a model serves: `champion`, `shadow`, ...", 8),
        "cause": Label("Why something was dropped or passed over, of a closed list", 32),
        "code": Label("Code that a WebSocket was closed with", 32),
        "component": Label("A process of the local stack", 32),
        "ending": Label("How a process of a job ended", 8),
        "error": Label("Class of an operating error", 32),
        "event": Label("What a report of `executions` says happened, as in `domain/codes.py`", 16),
        "family": Label("Of drift: which kind of change alarmed, of a closed list", 16),
        "feature_set": Label("Name of a feature set with its version", 16),
        "job": Label("A job of drift", 16),
        "method": Label("Of an HTTP request", 16),
        "mode": Label("Whether a prediction was asked for, or made for the stream", 8),
        "outcome": Label("What became of something, of a closed list", 32),
        "partition": Label("Of a topic", 32),
        "reason": Label("A reason of a closed list, as in `domain/reasons.py`", 64),
        "route": Label("Template of a path, never the path itself", 96),
        "score": Label("Of a model's answers: `macro_f1`, `mcc`, `log_loss`, ...", 8),
        "source": Label("What a fold was restored from", 8),
        "status": Label("Status of an HTTP answer", 64),
        "table": Label("Of PostgreSQL", 16),
        "ticker": Label("Of the genesis; a ticker that is none of it is `other`", 32),
        "topic": Label("Plain name of a topic", 16),
        "version": Label("Number of a model's version; of each metric the newest alone", 256),
    }
)
